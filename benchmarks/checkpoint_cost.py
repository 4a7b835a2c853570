#!/usr/bin/env python3
"""Measures what checkpoints cost a whole run of dcn_worker, side by side with the same run without.

    checkpoint_cost.py --data DIR [--build DIR] [--every STEPS] [--rounds N] --output FILE

A round is a run without checkpoints and then one with --checkpoint-every, of the whole recipe that
dcn_worker has by itself (batches of 8,192). Its figures are with over without:

time       seconds of the training loop, in which the last checkpoint's writing is not
wall       seconds from exec to the end
processor  user and system time of the whole process

and of the run with checkpoints the longest stall of a step: all that they added to the thread that
trains, by its result.json. Both runs must come to the same digest, and no checkpoint may fail. One
that was left out because the one before was still being written makes a run cheaper: how many were
written of those that were due is in the record of each round.

A round in which others used more than a tenth of the processors is dropped and repeated
(peers/machine_load.py). Checkpoints go to the folder for temporary files (TMPDIR). Needs only
Python's standard library. Exit code: 0 measured, 1 too few calm rounds or a run that failed.
"""

import json
import sys
import tempfile

from worker_process import (calm_rounds, machine_load, parser, program, RunError, source_commit,
                            summary, watch_run)

_RATIOS = ("time", "wall", "processor")


def measure_round(worker, every):
    """(figures by name, share of others)"""
    with tempfile.TemporaryDirectory(prefix="dcn-cost-") as folder:
        bare = watch_run(worker, f"{folder}/bare")
        kept = watch_run(worker + ["--checkpoint-dir", f"{folder}/checkpoints",
                                   "--checkpoint-every", str(every)], f"{folder}/kept")
    if bare.result["parameter_digest"] != kept.result["parameter_digest"]:
        raise RunError(f"{kept.result['parameter_digest']} with checkpoints, "
                       f"{bare.result['parameter_digest']} without")
    checkpoints = kept.result["checkpoints"]
    if checkpoints["failed"] > 0 or checkpoints["written"] == 0:
        raise RunError(f"{checkpoints['failed']} checkpoints failed, {checkpoints['written']} were "
                       "written")
    return {
        "time": kept.result["train_seconds"] / bare.result["train_seconds"],
        "wall": kept.seconds / bare.seconds,
        "processor": kept.processor_seconds / bare.processor_seconds,
        "stall_seconds": checkpoints["longest_stall_seconds"],
        "step_seconds": bare.result["train_seconds"] / bare.result["steps"],
        "due": checkpoints["written"] + checkpoints["skipped"],
        "written": checkpoints["written"],
        "bytes": checkpoints["bytes"],
        "write_seconds": checkpoints["seconds"] / checkpoints["written"],
    }, max(bare.others, kept.others)


def round_text(figure):
    return (" ".join(f"{name} {figure[name]:.3f}" for name in _RATIOS)
            + f", stall {figure['stall_seconds'] * 1e3:.1f} ms (a step takes "
            f"{figure['step_seconds'] * 1e3:.1f} ms), {figure['written']} of "
            f"{figure['due']} checkpoints, {figure['bytes'] / figure['written'] / 1e6:.1f} MB in "
            f"{figure['write_seconds'] * 1e3:.0f} ms each")


def summaries(figures):
    """By name; prints them."""
    record = {}
    for name in (*_RATIOS, "stall_seconds"):
        record[name], words = summary([figure[name] for figure in figures], "{:.3f}".format)
        print(f"  {name}: {words}")
    return record


def main():
    options = parser(__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--every", type=int, default=20,
                         help="steps from one checkpoint to the next (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help="calm rounds (default: 5)")
    arguments = options.parse_args()
    if arguments.rounds < 1 or arguments.every < 1:
        options.error("--rounds, --every: at least 1")
    worker = [program(options, arguments, "dcn_worker"), "--data", arguments.data]
    print(f"checkpoints every {arguments.every} steps: with over without", flush=True)
    try:
        calm, rounds = calm_rounds(arguments.rounds,
                                   lambda: measure_round(worker, arguments.every), round_text)
    except (RunError, OSError) as error:
        print(f"checkpoint_cost.py: {error}", file=sys.stderr)
        return 1
    record = {"machine": machine_load.describe_machine(), "commit": source_commit(),
              "every": arguments.every} | rounds
    if calm:
        record |= summaries(calm)
    if not rounds["calm"]:
        print("  of all rounds, dropped ones too:")
        record["of_all_rounds"] = summaries([one["figure"] for one in rounds["rounds"]])
    arguments.output.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if rounds["calm"] else 1


if __name__ == "__main__":
    sys.exit(main())
