#!/usr/bin/env python3
"""What a step costs: a model with four constants, fitted and checked on this machine, and what it
says of machines that are not here.

    cost_model.py --data DIR [--build DIR] [--most N] [--steps N] --output FILE

Here, workers of one thread and servers share C processors. Workers compute side by side, as far as
there are processors; what follows is taken together:

    T = (a rows + b N) / min(N, C) + (c N M + d bytes) / C           one step, seconds

    rows    of the whole batch: gathering, products, row gradients
    N       workers: each updates its copy of the dense weights and sets its kernels up
    N M     requests of the step: wake-ups, headers, locks
    bytes   moved to servers and between workers, both ways: copies, checksums, and the servers' work
            on the rows, which is proportional to them (result.json: bytes_sent + bytes_received)

Fitted to the corners of the grid N, M in 1 .. most (and one with twice the batch), checked on the
rest: the steps of traces (--trace: "step" of rank 0), median over the steps behind the first ten.

On other machines each process has its own processors and a network of so many bytes/s:

    T = a R / cores + b + max(worker, server, dense)    R rows a worker; c >= 22 us
    worker  = rtt + c M + (W + E) / network
    server  = rtt + c N + N W / (M network) + N w / (M cores)
    dense   = 2 rtt log2(N) + E / network,  E = 2 D (N - 1) / N

    W: bytes of one worker's rows, both ways; w = d W, the servers' work on them; D: bytes of the
    dense weights, which share the workers' network with the rows. A worker's rows of a batch are the
    distinct keys among its R draws of each table. With M servers, twice the workers bring less than
    1.25 times the rows/s from some N on: there it saturates.

Needs only Python's standard library, Open MPI, and dcn_ps beside dcn_worker. Exit code: 0 measured,
1 a run failed.
"""

import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from worker_process import parser, program, run, RunError, source_commit

_WARM_STEPS = 10
_ROW_BYTES = 32 * 4
_KEY_BYTES = 8
_NODE_BYTES = 2
# Seconds that a request is taken to cost elsewhere where the fit finds less, which it may: here a
# step's requests are lost in its noise. The median round trip of a small pull over loopback
# (server_benchmark's ServerSmallPull).
_LEAST_REQUEST = 22e-6


class Servers:
    """So many dcn_ps of one shard at free ports of loopback."""

    def __init__(self, program, count, folder):
        self._processes, self.addresses = [], []
        for i in range(count):
            port_file = pathlib.Path(folder) / f"port.{i}"
            self._processes.append(subprocess.Popen(
                [program, "--listen", "127.0.0.1:0", "--port-file", str(port_file),
                 "--log-level", "error"], stdin=subprocess.DEVNULL))
            deadline = time.monotonic() + 20
            while not (port_file.exists() and port_file.read_text().strip()):
                if time.monotonic() > deadline or self._processes[-1].poll() is not None:
                    self.close()
                    raise RunError(f"{program} does not listen")
                time.sleep(.02)
            self.addresses.append(port_file.read_text().strip())

    def close(self):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()


def measure(programs, data, workers, servers, batch, steps):
    """{"workers", …, "seconds" of a step, "bytes" of a step}, from two runs: what the evaluation
    moves is in both."""
    seconds, moved = run_steps(programs, data, workers, servers, batch, steps)
    _, moved_by_few = run_steps(programs, data, workers, servers, batch, _WARM_STEPS)
    return {"workers": workers, "servers": servers, "rows": batch, "seconds": seconds,
            "bytes": (moved - moved_by_few) / (steps - _WARM_STEPS)}


def run_steps(programs, data, workers, servers, batch, steps):
    """(median seconds of the steps behind the first, or None; bytes moved by the whole run)."""
    worker, server = programs
    with tempfile.TemporaryDirectory(prefix="dcn-cost-") as folder:
        group = Servers(server, servers, folder)
        command = [worker, "--data", data, "--threads", "1", "--batch-size", str(batch),
                   "--max-steps", str(steps), "--epochs", "1000",
                   "--servers", ",".join(group.addresses), "--trace", f"{folder}/trace"]
        if workers > 1:
            command = ["mpirun", "--bind-to", "none", "--oversubscribe", "-np", str(workers),
                       *command]
        try:
            # More processes than processors must not spin.
            result, _, _ = run(command, f"{folder}/run", {"OMPI_MCA_mpi_yield_when_idle": "1"})
        finally:
            group.close()
        events = json.loads(pathlib.Path(folder, "trace").read_text())["traceEvents"]
    durations = [event["dur"] * 1e-6 for event in events
                 if event["ph"] == "X" and event["name"] == "step" and event["pid"] == 0
                 and event["args"]["step"] > _WARM_STEPS]
    return (statistics.median(durations) if durations else None,
            result["bytes_sent"] + result["bytes_received"])


def features(point, processors):
    """What each constant is multiplied with."""
    workers, servers = point["workers"], point["servers"]
    busy = min(workers, processors)
    return [point["rows"] / busy, workers / busy, workers * servers / processors,
            point["bytes"] / processors]


def solve(matrix, right):
    """Gaussian elimination with pivoting."""
    size = len(right)
    rows = [[*matrix[i], right[i]] for i in range(size)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, size):
            factor = rows[r][i] / rows[i][i]
            rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i])]
    solution = [0.0] * size
    for i in reversed(range(size)):
        known = sum(rows[i][j] * solution[j] for j in range(i + 1, size))
        solution[i] = (rows[i][size] - known) / rows[i][i]
    return solution


def fit(points, processors):
    """Least squares of relative errors, constants not below zero."""
    names = ["a", "b", "c", "d"]
    active = list(range(len(names)))
    while True:
        scaled = [[features(p, processors)[k] / p["seconds"] for k in active] for p in points]
        normal = [[sum(row[i] * row[j] for row in scaled) for j in range(len(active))]
                  for i in range(len(active))]
        found = solve(normal, [sum(row[i] for row in scaled) for i in range(len(active))])
        if all(value >= 0 for value in found):
            break
        active.pop(min(range(len(active)), key=lambda i: found[i]))
    constants = dict.fromkeys(names, 0.0)
    constants |= {names[k]: value for k, value in zip(active, found)}
    return constants


def predicted_here(constants, point, processors):
    return sum(x * k for x, k in zip(features(point, processors), constants.values()))


def distinct_of_zipf(rows, draws, exponent):
    """Expected number of distinct keys among draws of Zipf's law over so many rows."""
    # Ranks one by one where they are likely, then in stretches of equal probability.
    norm = sum(r ** -exponent for r in range(1, 10_001))
    tail = (rows ** (1 - exponent) - 10_000.5 ** (1 - exponent)) / (1 - exponent)
    norm += tail
    expected = sum(-math.expm1(-draws * r ** -exponent / norm) for r in range(1, 10_001))
    low = 10_000.5
    while low < rows:
        high = min(low * 1.02, rows)
        middle = math.sqrt(low * high)
        expected += (high - low) * -math.expm1(-draws * middle ** -exponent / norm)
        low = high
    return expected


def step_elsewhere(constants, workers, servers, machine, row_bytes, dense_bytes, rows=8192):
    """Seconds of a step and what bounds it, on machines of their own."""
    network, cores, rtt = machine
    compute = constants["a"] * rows / cores + constants["b"]
    exchanged = 2 * dense_bytes * (workers - 1) / workers
    worker_side = rtt + constants["c"] * servers + (row_bytes + exchanged) / network
    server_side = (rtt + constants["c"] * workers + workers * row_bytes / servers / network
                   + workers * constants["d"] * row_bytes / servers / cores)
    dense = 2 * rtt * math.log2(workers) + exchanged / network
    parts = {"workers' network": worker_side, "servers": server_side, "dense combination": dense}
    bound = max(parts, key=parts.get)
    seconds = compute + parts[bound]
    return seconds, bound if parts[bound] > compute else f"computing (then {bound})"


def saturation(constants, servers, machine, row_bytes, dense_bytes):
    """{"workers", "rows_per_second", "bound"}: from so many workers on, twice as many bring less than
    1.25 times the rows/s."""
    def rate(workers):
        seconds, bound = step_elsewhere(constants, workers, servers, machine, row_bytes, dense_bytes)
        return workers * 8192 / seconds, bound
    workers = 1
    while rate(2 * workers)[0] >= 1.25 * rate(workers)[0] and workers < 1 << 20:
        workers *= 2
    return {"servers": servers, "workers": workers, "rows_per_second": rate(workers)[0],
            "bound": rate(2 * workers)[1]}


def elsewhere(constants):
    """The constants to predict with."""
    return constants | {"c": max(constants["c"], _LEAST_REQUEST)}


def predict(constants, row_bytes, dense_bytes):
    """Weak scaling, 8,192 rows a worker, machines of 16 cores on 25 Gbit/s, 50 us a round trip."""
    machine = (25e9 / 8, 16, 50e-6)
    alone, _ = step_elsewhere(constants, 1, 1, machine, row_bytes, dense_bytes)
    table = []
    for workers, servers in ((1, 1), (4, 1), (16, 4), (64, 16), (64, 4), (64, 1)):
        seconds, bound = step_elsewhere(constants, workers, servers, machine, row_bytes,
                                        dense_bytes)
        table.append({"workers": workers, "servers": servers, "step_ms": seconds * 1e3,
                      "rows_per_second": workers * 8192 / seconds,
                      "efficiency": alone / seconds, "bound": bound})
        print(f"  {workers:3} x {servers:2}: {seconds * 1e3:7.2f} ms, "
              f"{workers * 8192 / seconds / 1e6:7.2f} M rows/s, {alone / seconds:4.0%}, {bound}")
    ends = [saturation(constants, servers, machine, row_bytes, dense_bytes)
            for servers in (1, 4, 16)]
    for end in ends:
        print(f"  {end['servers']} servers: no more than about {end['workers']} workers, "
              f"{end['rows_per_second'] / 1e6:.2f} M rows/s, for the {end['bound']}")
    return {"sizes": table, "saturation": ends}


def main():
    options = parser(__doc__.split("\n")[0])
    options.add_argument("--most", type=int, default=4, help="workers, and servers, of the grid")
    options.add_argument("--steps", type=int, default=60, help="of a run")
    arguments = options.parse_args()
    if arguments.most < 3 or arguments.steps <= _WARM_STEPS:
        options.error(f"--most must be 3 or above, --steps above {_WARM_STEPS}")
    programs = [program(options, arguments, name) for name in ("dcn_worker", "dcn_ps")]
    processors = len(os.sched_getaffinity(0))
    most = arguments.most
    grid = [(n, m, 8192) for n in range(1, most + 1) for m in range(1, most + 1)]
    grid.append((1, 1, 16384))
    try:
        points = [measure(programs, arguments.data, n, m, batch, arguments.steps)
                  for n, m, batch in grid]
    except (RunError, OSError) as error:
        print(f"cost_model.py: {error}", file=sys.stderr)
        return 1
    corners = [p for p in points
               if {p["workers"], p["servers"]} <= {1, most} or p["rows"] != 8192]
    constants = fit(corners, processors)
    print("constants, seconds a row, a worker, a request, a byte: " +
          ", ".join(f"{name} {value:.3g}" for name, value in constants.items()))
    errors = []
    for point in points:
        point["model_seconds"] = predicted_here(constants, point, processors)
        error = point["model_seconds"] / point["seconds"] - 1
        if point not in corners:
            errors.append(abs(error))
        print(f"  {point['workers']} x {point['servers']}, {point['rows']} rows: "
              f"{point['seconds'] * 1e3:6.2f} ms, model {point['model_seconds'] * 1e3:6.2f} ms "
              f"({error:+.0%}{', fitted' if point in corners else ''})")
    print(f"  not fitted: median error {statistics.median(errors):.0%}, most {max(errors):.0%}")

    # One worker and one server move one worker's rows, nothing between workers.
    row_bytes = next(p["bytes"] for p in points if p["workers"] == p["servers"] == 1)
    # One cross layer and two deep ones, each 192 x 192 with a bias, and the logit.
    dense_bytes = 4 * (3 * (192 * 192 + 192) + 193)
    predicting = elsewhere(constants)
    print(f"elsewhere, a request {predicting['c'] * 1e3:.3f} ms; ML-1M's model, 8,192 rows a worker:")
    small = predict(predicting, row_bytes, dense_bytes)
    distinct = distinct_of_zipf(1e9, 8192, 1.05)
    large_bytes = 6 * distinct * (2 * _ROW_BYTES + 2 * _KEY_BYTES + _NODE_BYTES)
    print(f"six tables of 1e9 rows, Zipf(1.05): {distinct:.0f} distinct keys of 8,192 draws:")
    large = predict(predicting, large_bytes, dense_bytes)
    arguments.output.write_text(json.dumps({
        "commit": source_commit(), "processors": processors, "constants": constants,
        "constants_elsewhere": predicting, "points": points,
        "median_error": statistics.median(errors), "most_error": max(errors),
        "ml1m": small, "billion_rows": large}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
