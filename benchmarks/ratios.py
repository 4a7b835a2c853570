#!/usr/bin/env python3
"""One table of what was measured against what was aimed at, from a folder of results.

    ratios.py FOLDER

Reads what run.sh puts into FOLDER: Google Benchmark's JSON of the programs, loopback.json (iperf3),
runs.json (whole_runs.py), checkpoints.json (checkpoint_cost.py), fits*.json, experiment*.json and
pytorch*.json (peers/compare.py), command.txt. What is missing there is shown as not measured; what
the measuring program itself does not count (too few calm rounds, two sides that do not train the
same model) as not counted, with its reason, and it is not in the chart. Prints the table and writes
ratios.json and ratios.svg beside them. Says on stderr, and in ratios.json, which file is of which
commit where they differ, and which files are broken.

Every figure is a ratio of two things measured in one run, in turns or one after the other, but for
the times of reading and starting, and those at the end that are reported without a target; a figure
is a median, with the least and the most of its repetitions. Needs only Python's standard library.
Exit code: 0, also where a target is missed; 2 wrong arguments.
"""

import dataclasses
import html
import json
import pathlib
import re
import statistics
import sys

# Bytes/s of the classic C++ parameter server over loopback as shares of iperf3's: one worker and one
# server on two cores, batches of 8,192 keys x 32 floats of a million, 4 in flight; the round counts
# both ways. It is not in the distribution, so it cannot be measured beside ours.
_CLASSIC_SHARE = {"pull": .37, "push": .10, "round": .28}
_BATCH_ROWS = 8192
# What Google Benchmark adds to a name.
_HOW_IT_RAN = re.compile(r"(/(min_time|iterations|repeats):[\d.]+|/manual_time|/real_time)*$")
_BATCH_BYTES = _BATCH_ROWS * 32 * 4
_COMMAND = re.compile(r"commit (\S+): (.*)")  # command.txt, as run.sh writes it


@dataclasses.dataclass
class Figure:
    """median, least and most; unit "" for a ratio."""
    median: float
    least: float
    most: float
    unit: str = ""

    def text(self):
        number = "{:.3f}" if self.unit else "{:.2f}"
        unit = f" {self.unit}" if self.unit else ""
        return (f"{number.format(self.median)}{unit} ({number.format(self.least)} to "
                f"{number.format(self.most)})")


@dataclasses.dataclass
class Line:
    what: str
    target: float | None  # None: reported, not judged
    is_limit: bool  # the target is the most, not the least
    figure: Figure | None
    refusal: str = ""  # why the figure, if there is one, does not count

    @property
    def is_counted(self):
        return self.figure is not None and not self.refusal

    @property
    def is_met(self):
        if not self.is_counted or self.target is None:
            return None
        if self.is_limit:
            return self.figure.median <= self.target
        return self.figure.median >= self.target


class Results:
    """The files of a folder, those that are there."""

    def __init__(self, folder):
        self._folder = folder
        self._documents = {}  # by name
        self.broken = []  # names of files that are not JSON

    def load(self, name):
        """The file's JSON, or None."""
        if name not in self._documents:
            self._documents[name] = self._read(name)
        return self._documents[name]

    def _read(self, name):
        path = self._folder / name
        text = path.read_text() if path.exists() else ""
        if not text:  # a filter left nothing to run
            return None
        try:
            return json.loads(text)
        except json.JSONDecodeError:  # its program did not come to its end
            self.broken.append(name)
            return None

    def command(self):
        """(commit, command) of command.txt; None for what it does not say."""
        path = self._folder / "command.txt"
        match = _COMMAND.match(path.read_text()) if path.exists() else None
        return match.groups() if match else (None, None)

    def commits(self):
        """By name the commits of the files that were loaded; None where a file does not say.
        iperf3's file is of no commit."""
        found = {}
        for name, document in self._documents.items():
            if isinstance(document, dict):
                found[name] = document.get("commit", document.get("context", {}).get("commit"))
        return found

    def _repetitions(self, program, benchmark):
        document = self.load(f"{program}.json") or {"benchmarks": []}
        return [entry for entry in document["benchmarks"]
                if entry.get("run_type") == "iteration"
                and _HOW_IT_RAN.sub("", entry["name"]) == benchmark]

    def of(self, program, benchmark, read, unit=""):
        """Figure of read(repetition) over the repetitions of a benchmark, or None."""
        values = [read(entry) for entry in self._repetitions(program, benchmark)]
        return figure_of(values, unit)

    def loopback(self):
        """Bytes/s of iperf3, the median of its runs, or None."""
        runs = self.load("loopback.json")
        if not runs:
            return None
        return statistics.median(run["end"]["sum_received"]["bits_per_second"] / 8 for run in runs)

    def compared(self, name, model):
        """Ratio of a comparison by peers/compare.py, or None; why it does not count."""
        for record in (self.load(name) or {"comparisons": []})["comparisons"]:
            if record["name"] == model:
                refusal = "; ".join(record.get("complaints", []))
                return _figure_of_record(record.get("ratio", {})), refusal
        return None, ""

    def peer_version(self, name, package):
        """Of a comparison by peers/compare.py, without what follows a plus sign, or ""."""
        versions = (self.load(name) or {}).get("peer_versions", {})
        return versions.get(package, "").partition("+")[0]

    def run(self, name, unit="", file="runs.json"):
        """Figure of whole_runs.py or checkpoint_cost.py, or None; why it does not count."""
        document = self.load(file) or {}
        record = document.get(name, {})
        rounds = record if "rounds" in record else document
        refusal = ""
        if not rounds.get("calm", True):
            count = len(rounds["rounds"])
            calm = sum(not one["dropped"] for one in rounds["rounds"])
            refusal = f"too few calm rounds, {calm} of {count}"
        return _figure_of_record(record, unit), refusal


def _figure_of_record(record, unit=""):
    if "median" not in record:
        return None
    return Figure(record["median"], record["minimum"], record["maximum"], unit)


def figure_of(values, unit=""):
    if not values:
        return None
    return Figure(statistics.median(values), min(values), max(values), unit)


_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


def seconds(entry):
    return entry["real_time"] * _MILLISECONDS[entry["time_unit"]] / 1e3


def training_lines(results):
    for prefix, precision, target in (("", "fp32", .85), ("bf16/", "bf16", .80)):
        for model in ("dcn", "dcn-lowrank", "dnn"):
            yield Line(f"training, share of the products' roof, {model}, {precision}", target, False,
                       results.of("roof_benchmark", f"Training/{prefix}{model}",
                                  lambda entry: entry["median_share_of_roof"]))
    for name, precision, target in (("fits.json", "fp32", 1.9), ("fits-bf16.json", "bf16", 3.7)):
        yield Line(f"DCN against the reference stack's fit, {precision}", target, False,
                   *results.compared(name, "dcn"))
    for name, precision, target in (("experiment.json", "fp32", 2.2),
                                    ("experiment-bf16.json", "bf16", 3.5)):
        yield Line(f"fifteen runs against the reference stack's, {precision}", target, False,
                   *results.compared(name, "experiment"))
    yield Line("2 workers x 1 thread against 1 process x 2 threads", .9, False,
               *results.run("scaling"))
    yield Line("2 workers x 1 thread against 1 process x 1 thread", 1.5, False,
               *results.run("scaling_alone"))
    for name, what in (("time", "training time"), ("processor", "processor time of the whole run")):
        yield Line(f"{what} with a checkpoint every 20 steps against without", 1.05, True,
                   *results.run(name, file="checkpoints.json"))


_BOTH_SHARD_COUNTS = (1, 2)


def best_of(results, what, read, shard_counts=_BOTH_SHARD_COUNTS):
    """The better of one and two shards in the server, by median; or of those counts alone."""
    figures = [results.of("server_benchmark", f"{what}/lazy-adam/shards:{shards}", read)
               for shards in shard_counts]
    figures = [figure for figure in figures if figure]
    return max(figures, key=lambda figure: figure.median) if figures else None


def share_of_bare(results, benchmark, shard_counts=_BOTH_SHARD_COUNTS):
    return best_of(results, benchmark, lambda entry: entry["share_of_bare"], shard_counts)


def against_classic(results, benchmark, what, ways, shard_counts=_BOTH_SHARD_COUNTS):
    """Speed over the classic server's; `ways`: how often a row crosses the wire."""
    loopback = results.loopback()
    if loopback is None:
        return None
    classic_rows = _CLASSIC_SHARE[what] * loopback / _BATCH_BYTES * _BATCH_ROWS / ways
    return best_of(results, benchmark, lambda entry: entry["items_per_second"] / classic_rows,
                   shard_counts)


def round_time(results, shard_counts=_BOTH_SHARD_COUNTS):
    """Time of a push-pull round over the classic server's."""
    speed = against_classic(results, "ServerPushPull", "round", 2, shard_counts)
    return speed and Figure(1 / speed.median, 1 / speed.most, 1 / speed.least)


def server_lines(results):
    yield Line("pull against the bare loop, 4 in flight, 1 or 2 shards", .8, False,
               share_of_bare(results, "ServerPull4InFlight"))
    yield Line("pull against the classic server's (by iperf3)", 1.3, False,
               against_classic(results, "ServerPull4InFlight", "pull", 1))
    yield Line("push with lazy-adam against the classic server's plain push", 2, False,
               against_classic(results, "ServerPush", "push", 1))
    yield Line("time of a push-pull round against the classic server's", .5, True,
               round_time(results))
    rows = results.of("server_benchmark", "ServerMemory/adam", lambda entry: entry["rows"])
    yield Line("memory of a row against its payload" + (f", {rows.median:,.0f} rows" if rows else ""),
               1.15, True, results.of("server_benchmark", "ServerMemory/adam",
                                      lambda entry: entry["share_of_payload"]))


def default_server_lines(results):
    """With one shard, as dcn_ps has it by itself; no targets."""
    one = (1,)
    yield Line("pull against the bare loop, 4 in flight, 1 shard", None, False,
               share_of_bare(results, "ServerPull4InFlight", one))
    yield Line("pull against the bare loop, one at a time, 1 shard", None, False,
               share_of_bare(results, "ServerPull", one))
    yield Line("time of a push-pull round against the classic server's, 1 shard", None, True,
               round_time(results, one))


def other_peer_lines(results):
    """Comparisons without targets."""
    for model, name in (("dcn-lowrank", "low-rank DCN"), ("dnn", "DNN")):
        yield Line(f"{name} against the reference stack's fit, fp32", None, False,
                   *results.compared("fits-others.json", model))
    for file, how in (("pytorch.json", "eager"), ("pytorch-compiled.json", "compiled")):
        version = results.peer_version(file, "torch")
        yield Line(f"DCN against PyTorch{' ' + version if version else ''}, {how}", None, False,
                   *results.compared(file, "dcn"))


def reported_lines(results):
    """Times without a target, so of this machine and its mood."""
    for shards in (1, 2):
        for optimizer in ("lazy-adam", "adam"):
            for name, what in (("ServerPull", "pull"), ("ServerPush", "push"),
                               ("ServerPushPull", "push-pull round")):
                yield Line(f"{what} of 8,192 keys, {optimizer}, shards: {shards}",
                           None, True,
                           results.of("server_benchmark", f"{name}/{optimizer}/shards:{shards}",
                                      lambda entry: seconds(entry) * 1e3, "ms"))
    for keys in (1, 64):
        for quantile in ("p50", "p99"):
            yield Line(f"small pull, keys: {keys}, {quantile}", None, True,
                       results.of("server_benchmark", f"ServerSmallPull/lazy-adam/shards:1/{keys}",
                                  lambda entry, q=quantile: entry[f"{q}_us"] / 1e3, "ms"))
    for dimension in (8, 32, 256):
        for clients in (1, 8):
            for quantile in ("p50", "p99"):
                name = f"ServerPushPull/zipf/clients:{clients}/dimension:{dimension}"
                yield Line(f"round of Zipf keys, clients: {clients}, dimension: {dimension}, "
                           f"{quantile}", None, True,
                           results.of("server_benchmark", name,
                                      lambda entry, q=quantile: entry[f"{q}_us"] / 1e3, "ms"))


def time_lines(results):
    yield Line("ratings' text: parse, vocabulary, split", .5, True,
               results.of("data_benchmark", "ParseAndSplit", seconds, "s"))
    yield Line("encoded cache: read, split", .05, True,
               results.of("data_benchmark", "ReadCacheAndSplit", seconds, "s"))
    yield Line("from exec to the first step", .8, True, *results.run("start_text", "s"))
    yield Line("from exec to the first step, encoded cache", .3, True,
               *results.run("start_cache", "s"))


def target_text(line):
    if line.target is None:
        return ""
    return f"{'<=' if line.is_limit else '>='} {line.target:g}"


def print_table(lines):
    width = max(len(line.what) for line in lines)
    for line in lines:
        verdict = {None: "", True: "met", False: "MISSED"}[line.is_met]
        text = line.figure.text() if line.figure else "not measured"
        if line.refusal:
            verdict = f"not counted: {line.refusal}"
            text = line.figure.text() if line.figure else "no figure"
        print(f"{line.what:<{width}}  {target_text(line):>8}  {text:<28}  {verdict}".rstrip())


def draw(lines):
    """A bar for each figure over its target, on one scale: 1 is the target, longer is better."""
    row, left, scale, top = 24, 430, 260, 46
    counted = [line for line in lines if line.is_counted and line.target is not None]
    height = top + row * len(counted) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="960" height="{height}" '
        f'viewBox="0 0 960 {height}" font-family="sans-serif" font-size="13" role="img">',
        "<title>What was measured against what was aimed at</title>",
        f'<rect width="960" height="{height}" fill="#ffffff"/>',
        f'<text x="{left + scale}" y="18" text-anchor="middle" fill="#333333">target</text>',
        f'<text x="{left}" y="36" fill="#666666" font-size="11">worse</text>',
        f'<text x="{left + 1.5 * scale}" y="36" text-anchor="end" fill="#666666" '
        'font-size="11">better</text>',
    ]
    for i, line in enumerate(counted):
        y = top + i * row
        share = line.target / line.figure.median if line.is_limit \
            else line.figure.median / line.target
        color = "#0b6fa4" if line.is_met else "#c45a00"
        parts += [
            f'<text x="{left - 10}" y="{y + 14}" text-anchor="end" fill="#222222">'
            f"{html.escape(line.what)}</text>",
            f'<rect x="{left}" y="{y + 3}" width="{min(share, 1.5) * scale:.1f}" height="15" '
            f'fill="{color}"/>',
            f'<text x="{left + 1.5 * scale + 10}" y="{y + 14}" fill="#222222" font-size="11">'
            f"{line.figure.median:.2f}{' ' + line.figure.unit if line.figure.unit else ''} "
            f"({html.escape(target_text(line))})</text>",
        ]
    parts += [f'<line x1="{left + scale}" y1="24" x2="{left + scale}" y2="{height - 10}" '
              'stroke="#333333" stroke-dasharray="4 3"/>', "</svg>"]
    return "\n".join(parts) + "\n"


def origin(results):
    """Where the figures are from: the commit, None where files differ or none says; the command;
    each file's commit where they differ, and the broken files."""
    commit, command = results.command()
    commits = results.commits()
    if commit is not None:
        commits["command.txt"] = commit
    known = sorted(set(commits.values()) - {None, "unknown"})
    record = {"commit": known[0] if len(known) == 1 else None, "command": command}
    if len(known) > 1:
        record["commits"] = commits
    if results.broken:
        record["broken"] = results.broken
    return record


def warn(record):
    if "commits" in record:
        print("ratios.py: the files are of several commits:", file=sys.stderr)
        for name, commit in record["commits"].items():
            print(f"  {name}: {commit or 'does not say'}", file=sys.stderr)
    for name in record.get("broken", []):
        print(f"ratios.py: {name} is not JSON; its figures are left out", file=sys.stderr)


def json_of(line):
    record = {"what": line.what, "target": line.target, "is_limit": line.is_limit,
              "met": line.is_met}
    if line.refusal:
        record["not_counted"] = line.refusal
    if line.figure:
        record["figure"] = dataclasses.asdict(line.figure)
    return record


def main():
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1]).is_dir():
        print("usage: ratios.py FOLDER, with the results of run.sh", file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    results = Results(folder)
    lines = [*training_lines(results), *server_lines(results), *time_lines(results),
             *default_server_lines(results), *other_peer_lines(results), *reported_lines(results)]
    print_table(lines)
    record = origin(results)
    warn(record)
    (folder / "ratios.json").write_text(
        json.dumps(record | {"lines": [json_of(line) for line in lines]}, indent=1) + "\n")
    (folder / "ratios.svg").write_text(draw(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
