#!/usr/bin/env python3
"""Compares this project's speed with a peer's, side by side: ours, theirs, ours, theirs, …

    compare.py --data DIR --peer-python VENV/bin/python                 fits, rows/s
    compare.py --data DIR --peer-python VENV/bin/python --experiment    the fifteen runs, seconds

A fit is one training of one model. Ours is a process of its own each time; the peer stays alive and
its first fit, in which it compiles and allocates, does not count. An experiment is measured from a
cold start to the last result, on both sides. A round in which others used more than a tenth of the
processors is dropped and repeated (machine_load.py). README.md says what the peers need.

Needs only Python's standard library. Exit code: 0 measured, 1 too few calm rounds or results that
do not agree, 2 wrong arguments.
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import statistics
import sys
import tempfile

import contestants
import machine_load
import source_commit

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_MAX_ROUNDS_PER_CALM_ONE = 4  # so many are tried for each round that is asked for
# Both sides cut train and test differently, so their RMSE differ by chance; more than this means
# that they do not train the same model.
_MAX_RMSE_DIFFERENCE = 0.02


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=pathlib.Path,
                        help="folder with MovieLens-1M or -100K in its official format")
    parser.add_argument("--peer", choices=sorted(contestants.PEER_SCRIPTS), default="reference")
    parser.add_argument("--peer-python", required=True, type=pathlib.Path,
                        help="python of an environment with the peer's packages")
    parser.add_argument("--build", type=pathlib.Path, default=_ROOT / "build",
                        help="build folder with bin/dcn_worker (default: %(default)s)")
    parser.add_argument("--models", nargs="+", default=None,
                        choices=["dcn", "dcn-lowrank", "dnn"],
                        help="default: dcn; with --experiment all three")
    parser.add_argument("--rounds", type=int, default=5, help="calm rounds (default: 5)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--train-fraction", type=float, default=0.75)
    parser.add_argument("--threads", type=int, default=0, help="of a fit; 0: all processors")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"],
                        help="of our fits (default: fp32)")
    parser.add_argument("--experiment", nargs="?", type=pathlib.Path,
                        const=_ROOT / "launch/experiments/movielens-1m.toml",
                        help="compare whole experiments; the file says what dcn_sweep runs, but "
                        "for models, seeds and epochs (default: movielens-1m.toml)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5],
                        help="of the experiment")
    parser.add_argument("--output", type=pathlib.Path, help="write everything as JSON to this file")
    arguments = parser.parse_args()
    if arguments.models is None:
        arguments.models = ["dcn", "dcn-lowrank", "dnn"] if arguments.experiment else ["dcn"]
    if arguments.rounds < 1:
        parser.error(f"--rounds: {arguments.rounds} is below 1")
    if arguments.experiment and (arguments.threads != 0 or arguments.precision != "fp32"):
        parser.error("--threads and --precision are for fits; an experiment's stand in its file")
    program = arguments.build / "bin" / ("dcn_sweep" if arguments.experiment else "dcn_worker")
    for option, path, advice in (
            ("--build", program, "launch/quickstart.sh builds it"),
            ("--peer-python", arguments.peer_python, "README.md says how to make an environment"),
            ("--data", arguments.data, "name a folder with MovieLens' files")):
        if not path.exists():
            parser.error(f"{option}: {path} does not exist; {advice}")
    return arguments


def is_calm(measurement):
    return measurement.others <= machine_load.MAX_OTHERS_SHARE


def measure_rounds(count, measure_ours, measure_theirs, ratio, show):
    """Pairs of measurements until `count` of them are calm. Returns (calm ones, all of them)."""
    calm, every = [], []
    while len(calm) < count and len(every) < _MAX_ROUNDS_PER_CALM_ONE * count:
        number = len(every) + 1
        ours, theirs = measure_ours(number), measure_theirs(number)
        pair = {"round": number, "ours": ours, "theirs": theirs, "ratio": ratio(ours, theirs),
                "dropped": not (is_calm(ours) and is_calm(theirs))}
        every.append(pair)
        if not pair["dropped"]:
            calm.append(pair)
        show(pair)
    return calm, every


def check_agreement(rounds):
    """What the two sides should have in common and do not, as sentences."""
    complaints = []
    ours = [run for pair in rounds for run in pair["ours"].runs]
    theirs = [run for pair in rounds for run in pair["theirs"].runs]
    for model in sorted({run["model"] for run in ours + theirs}):
        sides = [[run for run in side if run["model"] == model] for side in (ours, theirs)]
        if len(sides[0]) != len(sides[1]):
            complaints.append(f"{model}: {len(sides[0])} runs against {len(sides[1])}")
            continue
        for field in ("train_rows", "parameter_count"):
            values = [sorted({run[field] for run in side}) for side in sides]
            if values[0] != values[1]:
                complaints.append(f"{model}: {field} {values[0]} against {values[1]}")
        means = [statistics.fmean(run["test_rmse"] for run in side) for side in sides]
        print(f"  {model}: mean test RMSE {means[0]:.4f} (ours), {means[1]:.4f} (theirs)")
        if not abs(means[0] - means[1]) <= _MAX_RMSE_DIFFERENCE:
            complaints.append(f"{model}: mean test RMSE {means[0]:.4f} against {means[1]:.4f}")
    return complaints


def summarize(values):
    return {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}


def print_round(pair, text):
    verdict = f"ratio {pair['ratio']:.2f}"
    if pair["dropped"]:
        verdict += f", dropped: others above {machine_load.MAX_OTHERS_SHARE:.0%}"
    print(f"  {pair['round']:2}  ours {text(pair['ours'].value)} (others "
          f"{pair['ours'].others:4.0%})   theirs {text(pair['theirs'].value)} (others "
          f"{pair['theirs'].others:4.0%})   {verdict}", flush=True)


def conclude(name, count, calm, every, text):
    """Prints the summary of one comparison and returns it for the JSON file."""
    record = {"name": name, "rounds": [
        {**pair, "ours": vars(pair["ours"]), "theirs": vars(pair["theirs"])} for pair in every]}
    record["complaints"] = check_agreement(every)
    if len(calm) < count:
        record["complaints"].append(f"only {len(calm)} of {count} rounds were calm")
    if calm:
        for side in ("ours", "theirs"):
            record[side] = summarize([pair[side].value for pair in calm])
            low, middle, high = (record[side][k] for k in ("minimum", "median", "maximum"))
            print(f"  {side}: median {text(middle)}, {text(low)} to {text(high)}")
        record["ratio"] = summarize([pair["ratio"] for pair in calm])
        print(f"  ratio: median {record['ratio']['median']:.2f}, "
              f"{record['ratio']['minimum']:.2f} to {record['ratio']['maximum']:.2f}")
    for complaint in record["complaints"]:
        print(f"  NOT COMPARABLE: {complaint}")
    return record


def compare_fits(arguments, log):
    text = "{:9,.0f} rows/s".format
    records = []
    worker = contestants.OurWorker(arguments, log)
    with contextlib.closing(contestants.ServedPeer(arguments, log)) as peer:
        for model in arguments.models:
            print(f"{model}: training, rows/s; ratio = ours / theirs", flush=True)
            peer.fit(model, seed=0)  # the one that does not count
            calm, every = measure_rounds(
                arguments.rounds, lambda seed: worker.fit(model, seed),
                lambda seed: peer.fit(model, seed), lambda a, b: a.value / b.value,
                lambda pair: print_round(pair, text))
            record = conclude(model, arguments.rounds, calm, every, text)
            if calm:
                last = statistics.median(p["ours"].last_epoch_rows_per_second /
                                         p["theirs"].last_epoch_rows_per_second for p in calm)
                record["last_epoch_ratio"] = last
                print(f"  ratio in the last epoch alone (nothing is compiled in it): {last:.2f}")
            records.append(record)
        commands = {"ours": worker.command, "theirs": peer.command}
        return records, commands, peer.versions


def compare_experiments(arguments, log):
    text = "{:7.1f} s".format
    ours = contestants.OurSweep(arguments, log)
    theirs = contestants.PeerExperiment(arguments, log)
    print("experiment: wall time from cold start to results; ratio = theirs / ours", flush=True)
    calm, every = measure_rounds(
        arguments.rounds, lambda _: ours.sweep(), lambda _: theirs.sweep(),
        lambda a, b: b.value / a.value, lambda pair: print_round(pair, text))
    record = conclude("experiment", arguments.rounds, calm, every, text)
    return [record], {"ours": ours.command, "theirs": theirs.command}, {}


def main():
    arguments = parse_arguments()
    machine, commit = machine_load.describe_machine(), source_commit.source_commit()
    print(f"{machine['cpu_model']}, {machine['processors']} processors; commit {commit[:12]}")
    compare = compare_experiments if arguments.experiment else compare_fits
    # Kept when something fails: it says why.
    with tempfile.NamedTemporaryFile("w", prefix="dcn-compare-", suffix=".log",
                                     delete=False) as log:
        try:
            records, commands, versions = compare(arguments, log)
        except (contestants.ContestantError, OSError) as error:
            print(f"compare.py: {error}", file=sys.stderr)
            return 1
    pathlib.Path(log.name).unlink()
    if arguments.output:
        arguments.output.write_text(json.dumps({
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine, "commit": commit, "command": sys.argv, "commands": commands,
            "peer": arguments.peer, "peer_versions": versions,
            "max_others_share": machine_load.MAX_OTHERS_SHARE, "comparisons": records,
        }, indent=1) + "\n")
        print(f"everything is in {arguments.output}")
    return 1 if any(record["complaints"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
