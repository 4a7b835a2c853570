#!/usr/bin/env python3
"""Measures how soon a run that lost processes takes its next step.

    restart_time.py --data DIR [--build DIR] [--workers N] [--servers M] [--every STEPS]
                    [--victims worker,server,all] [--rounds N] --output FILE

A round is a run of dcn_sweep over workers and servers, with a checkpoint every --every steps, in
which at a random moment among the steps one process is killed (kill -9): a worker, or a server, or
all of them with dcn_sweep itself, which is started again at once. The run must end with the digest
of an undisturbed one. Its figures:

seconds      from the kill to the next step, as wall and start-up time in the run's result give it;
             the writing of the model, a few milliseconds, is in it
journal      from the loss, as dcn_sweep noticed it, to the end of the next step: restart_seconds of
             its journal
repeated     steps that were taken again: steps_repeated

Rounds in which others used more than a tenth of the processors (peers/machine_load.py) are counted
apart. Needs only Python's standard library. Exit code: 0 measured, 1 a run that failed.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

from worker_process import environment, machine_load, parser, program, RunError, summary

_VICTIMS = ("worker", "server", "all")
_PROGRAM_OF = {"worker": "dcn_worker", "server": "dcn_ps"}
_STEPS = 120  # of ML-1M's 184, after which rounds get no other
_LONGEST_ROUND = 300  # seconds
_PR_SET_CHILD_SUBREAPER = 36


def _reap():
    """Orphans of killed processes are this one's: so their processor time is known."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass


def _own_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _processes(mark):
    """(process, name of its program) of those with this text in their command lines."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if any(mark.encode() in word for word in command):
                found.append((int(entry.name), pathlib.Path(os.fsdecode(command[0])).name))
    return found


class Round:
    """One run of the sweep, in a folder of its own."""

    def __init__(self, arguments, sweep, folder):
        self._folder = pathlib.Path(folder)
        self._run = self._folder / "sweep" / "dcn" / "seed-1"
        experiment = self._folder / "experiment.toml"
        experiment.write_text(
            f"name = 'restart'\ndata = '{pathlib.Path(arguments.data).resolve()}'\nseeds = [1]\n"
            f"[training]\nmax-steps = {_STEPS}\n[[variant]]\nname = 'dcn'\nmodel = 'dcn'\n")
        self._command = [sweep, str(experiment), "--output", str(self._folder / "sweep"),
                         "--checkpoint-every", str(arguments.every), "--slots", "1", "--workers",
                         str(arguments.workers), "--servers", str(arguments.servers)]
        self._process = None

    def start(self):
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, env=environment())

    def await_checkpoint(self):
        deadline = time.monotonic() + _LONGEST_ROUND
        while not list(self._run.glob("checkpoints/step-*/manifest.json")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RunError(self._log())
            time.sleep(.005)

    def kill(self, victim):
        """Returns when, in seconds since the epoch; nothing where there was none to kill."""
        targets = _processes(self._folder.name)
        if victim != "all":
            targets = [one for one in targets if one[1] == _PROGRAM_OF[victim]]
            targets = random.sample(targets, min(1, len(targets)))
        moment = time.time()
        for process, _ in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if victim == "all":
            self._process.wait()
            self.start()
        return moment if targets else None

    def finish(self):
        """Returns when it has ended well, and nothing is left of it."""
        deadline = time.monotonic() + _LONGEST_ROUND
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(.02)
        if self._process.poll() != 0:
            self._process.kill()
            raise RunError(self._log())
        while _processes(self._folder.name) and time.monotonic() < deadline:
            _reap()
            time.sleep(.02)
        _reap()

    def result(self):
        return json.loads((self._run / "result.json").read_text())

    def figures(self, moment):
        result = self.result()
        finished = self._finished()
        end = (self._run / "result.json").stat().st_mtime
        return {"seconds": end - (result["wall_seconds"] - result["startup_seconds"]) - moment,
                "journal": finished.get("restart_seconds"),
                "repeated": finished.get("steps_repeated"),
                "resumed_from": finished.get("resumed_from_step")}

    def _finished(self):
        journal = (self._folder / "sweep" / "journal.jsonl").read_text().splitlines()
        return next(entry for entry in map(json.loads, journal) if entry["event"] == "finished")

    def _log(self):
        texts = [(self._folder / "log"), self._run / "log.txt"]
        return "".join(text.read_text(errors="replace")[-2000:] for text in texts if text.exists())


def undisturbed(arguments, sweep):
    """(its digest, seconds of its training)"""
    with tempfile.TemporaryDirectory(prefix="dcn-restart-") as folder:
        one = Round(arguments, sweep, folder)
        one.start()
        one.finish()
        result = one.result()
        return result["parameter_digest"], result["train_seconds"]


def measure(arguments, sweep, victim, digest, train_seconds):
    """Figures of one round; nothing where the kill came too late to cost anything."""
    window, before = machine_load.Window(), _own_seconds()
    with tempfile.TemporaryDirectory(prefix="dcn-restart-") as folder:
        one = Round(arguments, sweep, folder)
        one.start()
        one.await_checkpoint()
        time.sleep(random.uniform(0, train_seconds / 2))
        moment = one.kill(victim)
        one.finish()
        if one.result()["parameter_digest"] != digest:
            raise RunError(f"{one.result()['parameter_digest']} after a kill, {digest} without")
        figures = one.figures(moment) if moment else {"resumed_from": None}
    figures["others"] = window.others_share(_own_seconds() - before)
    return figures if figures["resumed_from"] is not None else None


def summaries(rounds, indent):
    record = {"rounds": len(rounds)}
    for name in ("seconds", "journal"):
        values = [one[name] for one in rounds if one[name] is not None]
        if values:
            record[name], words = summary(values, "{:.2f} s".format)
            print(f"{indent}{name}: {words}")
    return record


def measure_victim(arguments, sweep, victim, digest, train_seconds):
    print(f"kill -9 of {victim}", flush=True)
    rounds = []
    for number in range(4 * arguments.rounds):
        figures = measure(arguments, sweep, victim, digest, train_seconds)
        if figures is None:
            print(f"  {number + 1:2}  came too late", flush=True)
            continue
        rounds.append(figures)
        journal = figures["journal"]
        print(f"  {number + 1:2}  {figures['seconds']:.2f} s from the kill to the next step "
              f"(journal: {'unknown' if journal is None else f'{journal:.2f} s'}), "
              f"{figures['repeated']} steps repeated from {figures['resumed_from']} "
              f"(others {figures['others']:4.0%})", flush=True)
        if len(rounds) == arguments.rounds:
            break
    calm = [one for one in rounds if one["others"] <= machine_load.MAX_OTHERS_SHARE]
    record = {"each": rounds}
    print(f"  of all {len(rounds)} rounds:")
    record["all"] = summaries(rounds, "    ")
    if calm:
        print(f"  of the {len(calm)} calm ones:")
        record["calm"] = summaries(calm, "    ")
    return record


def main():
    options = parser(__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--servers", type=int, default=2, help="0: the workers hold the tables")
    options.add_argument("--every", type=int, default=20,
                         help="steps from one checkpoint to the next (default: %(default)s)")
    options.add_argument("--victims", default=",".join(_VICTIMS), help="default: %(default)s")
    options.add_argument("--rounds", type=int, default=9, help="for each of them (default: 9)")
    arguments = options.parse_args()
    victims = arguments.victims.split(",")
    if not set(victims) <= set(_VICTIMS) or arguments.rounds < 1 or arguments.every < 1:
        options.error(f"--victims: of {', '.join(_VICTIMS)}; --rounds, --every: at least 1")
    if "server" in victims and arguments.servers == 0:
        options.error("--victims server: there is none with --servers 0")
    sweep = program(options, arguments, "dcn_sweep")
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    record = {"machine": machine_load.describe_machine(), "workers": arguments.workers,
              "servers": arguments.servers, "every": arguments.every, "victims": {}}
    try:
        digest, train_seconds = undisturbed(arguments, sweep)
        for victim in victims:
            record["victims"][victim] = measure_victim(arguments, sweep, victim, digest,
                                                       train_seconds)
    except (RunError, OSError) as error:
        print(f"restart_time.py: {error}", file=sys.stderr)
        return 1
    arguments.output.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
