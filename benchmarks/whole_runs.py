#!/usr/bin/env python3
"""Measures whole runs of dcn_worker side by side with themselves.

    whole_runs.py --data DIR [--build DIR] [--rounds N] --output FILE

scaling   two workers of one thread each under mpirun, against one process with two threads, in
          turns; the ratio of the training loops' rows/s. Both must come to the same digest. mpirun
          binds as it does by itself: each of two workers to a core. (With --bind-to none the system
          moves their threads, and now and then has two of them wait for one core while the other
          idles: the ratio was up to .06 lower.)
start-up  from exec to the first step, from the ratings' text and from the encoded cache: the wall
          time of a run of one step, less what the run itself counted from its first step on. The
          end of the process counts as start-up, so the figure is an upper bound.

A round in which others used more than a tenth of the processors is dropped and repeated
(peers/machine_load.py). Needs only Python's standard library, and Open MPI. Exit code: 0 measured,
1 too few calm rounds or a run that failed.
"""

import json
import sys
import tempfile

from worker_process import (calm_rounds, machine_load, parser, program, run, RunError,
                            source_commit, summary)


def measure(rounds, measure_round, text):
    """calm_rounds of one number each, and what they come to."""
    calm, record = calm_rounds(rounds, measure_round, text)
    if calm:
        figures, words = summary(calm, text)
        record |= figures
        print(f"  {words}")
    return record


def measure_scaling(worker, rounds, threads):
    """Ratio of two workers of one thread each to one process with so many threads."""
    print(f"scaling: rows/s of 2 workers with 1 thread over those of 1 process with {threads}",
          flush=True)

    def one_round():
        with tempfile.TemporaryDirectory(prefix="dcn-runs-") as folder:
            one, _, others = run(worker + ["--threads", str(threads)], f"{folder}/one")
            two, _, others_two = run(["mpirun", "-np", "2", *worker, "--threads", "1"],
                                     f"{folder}/two")
        if one["parameter_digest"] != two["parameter_digest"]:
            raise RunError(f"two workers came to {two['parameter_digest']}, one process to "
                           f"{one['parameter_digest']}")
        # One thread leaves processors idle, which counts as nobody's.
        return (two["train_rows_per_second"] / one["train_rows_per_second"],
                max(others, others_two))

    return measure(rounds, one_round, "{:.2f}".format)


def measure_start(worker, rounds, cache):
    what = "from the encoded cache" if cache else "from the ratings' text"
    print(f"start-up {what}: seconds from exec to the first step", flush=True)
    with tempfile.TemporaryDirectory(prefix="dcn-runs-") as folder:
        command = worker + ["--max-steps", "1"]
        if cache:
            command += ["--data-cache", f"{folder}/cache"]
            run(command, f"{folder}/first")  # fills the cache

        def one_round():
            result, seconds, others = run(command, f"{folder}/run")
            return seconds - (result["wall_seconds"] - result["startup_seconds"]), others

        return measure(rounds, one_round, "{:.3f} s".format)


def main():
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=5, help="calm rounds (default: 5)")
    arguments = options.parse_args()
    if arguments.rounds < 1:
        options.error(f"--rounds: {arguments.rounds} is below 1")
    worker = [program(options, arguments, "dcn_worker"), "--data", arguments.data]
    try:
        record = {
            "machine": machine_load.describe_machine(),
            "commit": source_commit(),
            "scaling": measure_scaling(worker + ["--epochs", "1"], arguments.rounds, threads=2),
            "scaling_alone": measure_scaling(worker + ["--epochs", "1"], arguments.rounds,
                                             threads=1),
            "start_text": measure_start(worker, arguments.rounds, cache=False),
            "start_cache": measure_start(worker, arguments.rounds, cache=True),
        }
    except (RunError, OSError) as error:
        print(f"whole_runs.py: {error}", file=sys.stderr)
        return 1
    arguments.output.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(part["calm"] for part in record.values() if isinstance(part, dict)
                    and "calm" in part) else 1


if __name__ == "__main__":
    sys.exit(main())
