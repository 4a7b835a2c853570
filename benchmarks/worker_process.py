"""Runs dcn_worker for whole_runs.py, checkpoint_cost.py and cost_model.py; some of it is for
restart_time.py, too."""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

_FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_FOLDER / "peers"))

import machine_load  # noqa: E402  pylint: disable=wrong-import-position
from source_commit import source_commit  # noqa: E402  pylint: disable=wrong-import-position


class RunError(Exception):
    """A run that failed; the message shows its last lines."""


def environment():
    """Of what starts mpirun."""
    given = dict(os.environ)
    if os.geteuid() == 0:  # Open MPI wants to be told twice
        given |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return given


@dataclasses.dataclass
class WatchedRun:
    """A run that ended well. What mpirun itself uses counts as neither the run's nor the others':
    a percent or two."""
    result: dict  # its result.json
    seconds: float  # from start to end
    processor_seconds: float  # user and system, of all its processes
    others: float  # share of the processors that others took meanwhile


def watch_run(command, folder, variables=None):
    """Runs a command that writes a result to `folder`."""
    window = machine_load.Window()
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command + ["--output", folder], stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=output,
                                   env=environment() | (variables or {}))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise RunError(f"exit code {process.returncode}: {' '.join(command)}\n"
                           + "".join(output.readlines()[-10:]))
    result = json.loads((pathlib.Path(folder) / "result.json").read_text())
    used = usage.ru_utime + usage.ru_stime
    return WatchedRun(result, seconds, used, window.others_share(used))


def run(command, folder, variables=None):
    """The same as (result, wall seconds, share of others)."""
    watched = watch_run(command, folder, variables)
    return watched.result, watched.seconds, watched.others


_MAX_ROUNDS_PER_CALM_ONE = 4


def calm_rounds(rounds, measure_round, text):
    """Rounds until so many are calm; measure_round gives (figure, share of others). Prints each.
    Returns (figures of the calm ones, record of all)."""
    calm, every = [], []
    while len(calm) < rounds and len(every) < _MAX_ROUNDS_PER_CALM_ONE * rounds:
        figure, others = measure_round()
        is_calm = others <= machine_load.MAX_OTHERS_SHARE
        every.append({"figure": figure, "others": others, "dropped": not is_calm})
        if is_calm:
            calm.append(figure)
        print(f"  {len(every):2}  {text(figure)} (others {others:4.0%})"
              + ("" if is_calm else ", dropped"), flush=True)
    if len(calm) < rounds:
        print(f"  NOT COMPARABLE: only {len(calm)} of {rounds} rounds were calm")
    return calm, {"rounds": every, "calm": len(calm) >= rounds}


def summary(values, text):
    """Median, least and most, also as text; of at least one value."""
    record = {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}
    return record, (f"median {text(record['median'])}, {text(record['minimum'])} to "
                    f"{text(record['maximum'])}")


def parser(description):
    """With the options of all these programs."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--data", required=True, help="as dcn_worker's")
    options.add_argument("--build", type=pathlib.Path, default=_FOLDER.parent / "build",
                         help="build folder with the programs in bin (default: %(default)s)")
    options.add_argument("--output", type=pathlib.Path, required=True, help="JSON file to write")
    return options


def program(options, arguments, name):
    """The path of a program of the build; ends with an error where it is not there."""
    path = arguments.build / "bin" / name
    if not path.exists():
        options.error(f"--build: {path} does not exist; launch/quickstart.sh builds it")
    return str(path)
