"""How much of the processors others used while something was measured, and the rule what to drop.

Machines are shared, by other programs and by other guests of the host (steal). With another process
on one of two cores every figure halves and still looks plausible, so each measured part is watched.
"""

import os

# A round in which others took more than this share of the processors, in either of its parts, is
# dropped and measured again. Fixed here, before anything is measured.
MAX_OTHERS_SHARE = 0.10

_TICK = os.sysconf("SC_CLK_TCK")


def _ticks():
    """(all, busy) clock ticks since boot of the processors that this process may use."""
    processors = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    total = busy = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            name, *fields = line.split()
            if name in processors:
                # user nice system idle iowait irq softirq steal; guest time is within user time.
                values = [int(field) for field in fields[:8]]
                total += sum(values)
                busy += sum(values) - values[3] - values[4]
    return total, busy


def processor_seconds(pid):
    """User and system time that a running process has used, all its threads together."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


class Window:
    """Watches the processors from its making on."""

    def __init__(self):
        self._begin = _ticks()

    def others_share(self, own_seconds):
        """Part of the processors' time since the beginning that neither idled nor was `own_seconds`
        of the measured process: other programs, the kernel on their behalf, stolen time."""
        total, busy = (now - before for now, before in zip(_ticks(), self._begin))
        if total == 0:
            return 0.0
        return max(0.0, busy - own_seconds * _TICK) / total


def describe_machine():
    """What a published figure is published with."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu_model": model,
        "processors": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": os.uname().release,
    }
