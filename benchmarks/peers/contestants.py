"""The two sides of a comparison, each started and watched in the same way.

A measurement is what one part of a round came to: `value` (rows/s or seconds, as the mode has it),
`others` (the share of the processors that others took meanwhile, machine_load.py) and the runs'
results, from which the comparison is checked.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import machine_load

_FOLDER = pathlib.Path(__file__).resolve().parent
PEER_SCRIPTS = {"reference": "reference_stack.py", "pytorch": "pytorch_dcn.py",
                "pytorch-compiled": "pytorch_compiled.py"}


class ContestantError(Exception):
    """A side that could not be run; the message names it."""


@dataclasses.dataclass
class Measurement:
    value: float
    others: float
    runs: list  # records with model, test_rmse, parameter_count, train_rows
    last_epoch_rows_per_second: float = 0.0  # of a single fit


def _last_epoch_rate(train_rows, epoch_seconds):
    return train_rows / epoch_seconds[-1]


def _run_to_end(command, log, stdout):
    """Runs a command; returns (wall seconds, share of others)."""
    window = machine_load.Window()
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log)
    _, status, usage = os.wait4(process.pid, 0)  # its descendants' time included
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    others = window.others_share(usage.ru_utime + usage.ru_stime)
    if process.returncode != 0:
        raise ContestantError(f"exit code {process.returncode}: {' '.join(command)}\n"
                              f"  its messages are in {log.name}")
    return seconds, others


class OurWorker:
    """dcn_worker, one process a fit; the value is the training loop's rows/s."""

    def __init__(self, arguments, log):
        self._log = log
        self.command = [
            str(arguments.build / "bin/dcn_worker"), "--data", str(arguments.data),
            "--train-fraction", str(arguments.train_fraction), "--epochs", str(arguments.epochs),
            "--threads", str(arguments.threads), "--precision", arguments.precision,
        ]

    def fit(self, model, seed):
        with tempfile.TemporaryDirectory(prefix="dcn-compare-") as folder:
            command = self.command + ["--model", model, "--seed", str(seed), "--output", folder]
            _, others = _run_to_end(command, self._log, self._log)
            result = json.loads((pathlib.Path(folder) / "result.json").read_text())
        run = _our_run(result)
        rate = _last_epoch_rate(run["train_rows"], [e["seconds"] for e in result["epochs"]])
        return Measurement(result["train_rows_per_second"], others, [run], rate)


class OurSweep:
    """dcn_sweep into a fresh folder; the value is the wall time from start to end."""

    def __init__(self, arguments, log):
        self._log = log
        self.command = [str(arguments.build / "bin/dcn_sweep"), str(arguments.experiment),
                        "--data", str(arguments.data), "--epochs", str(arguments.epochs),
                        "--seeds", ",".join(map(str, arguments.seeds)),
                        "--variants", ",".join(arguments.models)]

    def sweep(self):
        with tempfile.TemporaryDirectory(prefix="dcn-compare-") as folder:
            output = pathlib.Path(folder) / "sweep"
            command = self.command + ["--output", str(output)]
            seconds, others = _run_to_end(command, self._log, self._log)
            runs = [_our_run(json.loads(path.read_text()))
                    for path in sorted(output.rglob("result.json"))]
        return Measurement(seconds, others, runs)


def _our_run(result):
    return {"model": result["model"], "seed": result["seed"], "test_rmse": result["test_rmse"],
            "parameter_count": result["parameter_count"],
            "train_rows": result["data"]["train_rows"], "versions": result["versions"]}


def _peer_command(arguments):
    return [str(arguments.peer_python), str(_FOLDER / PEER_SCRIPTS[arguments.peer]),
            "--data", str(arguments.data), "--train-fraction", str(arguments.train_fraction),
            "--threads", str(arguments.threads)]


class ServedPeer:
    """A peer that stays alive between fits, asleep; the value is a fit's rows/s."""

    def __init__(self, arguments, log):
        self._log = log
        self._epochs = arguments.epochs
        self.command = _peer_command(arguments) + ["--serve"]
        self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=log, text=True)
        self.versions = self._read()["versions"]

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise ContestantError(f"ended: {' '.join(self.command)}\n"
                                  f"  its messages are in {self._log.name}")
        return json.loads(line)

    def fit(self, model, seed):
        window = machine_load.Window()
        before = machine_load.processor_seconds(self._process.pid)
        request = {"model": model, "seed": seed, "epochs": self._epochs}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        run = self._read()
        used = machine_load.processor_seconds(self._process.pid) - before
        return Measurement(run["rows_per_second"], window.others_share(used), [run],
                           _last_epoch_rate(run["train_rows"], run["epoch_seconds"]))

    def close(self):
        self._process.stdin.close()
        if self._process.wait() != 0:
            print(f"note: the peer ended with {self._process.returncode}", file=sys.stderr)


class PeerExperiment:
    """All runs of the experiment in one process of the peer; the value is its wall time."""

    def __init__(self, arguments, log):
        self._log = log
        self.command = _peer_command(arguments) + [
            "--epochs", str(arguments.epochs), "--model", *arguments.models,
            "--seeds", *map(str, arguments.seeds)]

    def sweep(self):
        with tempfile.TemporaryFile("w+") as output:
            seconds, others = _run_to_end(self.command, self._log, output)
            output.seek(0)
            records = [json.loads(line) for line in output]
        return Measurement(seconds, others, [r for r in records if r["event"] == "run"])
