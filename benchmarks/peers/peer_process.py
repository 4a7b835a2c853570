"""What the peers' programs have in common: the command line, and how compare.py talks to them.

A peer trains and evaluates one model at a time and prints one line of JSON a run. Without --serve
it does the runs of the command line. With it, it loads the data, says that it is ready and then does
one run for each line of JSON on its input ({"model", "seed", "epochs"}), so that its first run, in
which libraries compile and allocate, can be told from the later ones.
"""

import argparse
import json
import sys
import time

import movielens

MODELS = ["dcn", "dcn-lowrank", "dnn"]
PROJECTION = 20  # of dcn-lowrank
EMBEDDING_WIDTH = 32
LEARNING_RATE = 0.01
EPSILON = 1e-7


def _parse_arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True,
                        help="folder with MovieLens-1M or -100K in its official format")
    parser.add_argument("--train-fraction", type=float, default=0.75)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=["dcn"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--serve", action="store_true",
                        help='runs are named on the standard input, one a line, as '
                        '{"model": "dcn", "seed": 1, "epochs": 2}')
    return parser.parse_args()


def _print(record):
    print(json.dumps(record), flush=True)


def _requests(arguments):
    if arguments.serve:
        for line in sys.stdin:
            yield json.loads(line)
    else:
        for model in arguments.model:
            for seed in arguments.seeds:
                yield {"model": model, "seed": seed, "epochs": arguments.epochs}


def main(description, make_peer):
    """make_peer(data, threads) returns an object with `versions` and run(model, seed, epochs).

    run trains a fresh model and returns parameter_count, fit_seconds (all epochs, from compiled
    model to trained one), epoch_seconds and test_rmse.
    """
    arguments = _parse_arguments(description)
    begin = time.perf_counter()
    data = movielens.load(arguments.data, arguments.train_fraction)
    peer = make_peer(data, arguments.threads)
    rows = {"train_rows": len(data.train), "test_rows": len(data.test)}
    _print({"event": "ready", "seconds": time.perf_counter() - begin, "versions": peer.versions,
            **rows})
    for request in _requests(arguments):
        result = peer.run(**request)
        trained = len(data.train) * request["epochs"]
        _print({"event": "run", **request, **rows, **result,
                "rows_per_second": trained / result["fit_seconds"]})
