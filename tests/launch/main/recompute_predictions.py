"""Recomputes predictions.csv from model.safetensors and vocabulary.json, with numpy alone.

usage: recompute_predictions.py RUN_FOLDER DATA_FOLDER
RUN_FOLDER is a dcn_worker's --output, DATA_FOLDER the MovieLens-1M or -100K folder it was trained
on. Exits with 1 when a prediction differs by more than 1e-4.
"""

import csv
import json
import pathlib
import struct
import sys

import numpy as np

AGES = [1, 18, 25, 35, 45, 50, 56]


def read_safetensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", entry
        begin, end = entry["data_offsets"]
        values = np.frombuffer(raw[8 + length + begin : 8 + length + end], dtype="<f4")
        tensors[name] = values.reshape(entry["shape"]).astype(np.float64)
    return tensors


def read_users(folder):
    """user id -> values of the user's features, as they stand in vocabulary.json."""
    users = {}
    if (folder / "users.dat").exists():
        for line in (folder / "users.dat").read_text(encoding="latin-1").splitlines():
            user, gender, age, occupation, zip_code = line.split("::")
            users[user] = (gender, int(age), occupation, zip_code)
    else:
        for line in (folder / "u.user").read_text(encoding="latin-1").splitlines():
            user, age, gender, occupation, zip_code = line.split("|")
            bucket = max([low for low in AGES if low <= int(age)], default=AGES[0])
            users[user] = (gender, bucket, occupation, zip_code)
    return {
        user: {
            "user_id": user,
            "user_gender": 1 if gender == "M" else 0,
            "bucketized_user_age": age,
            "user_occupation_text": occupation,
            "user_zip_code": zip_code,
        }
        for user, (gender, age, occupation, zip_code) in users.items()
    }


def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-z))
    return z


def predict(tensors, model, x0):
    x = x0
    for i, layer in enumerate(model["cross"]):
        if layer["projection_dimension"]:
            z = x @ tensors[f"cross/{i}/kernel_u"] @ tensors[f"cross/{i}/kernel_v"]
        else:
            z = x @ tensors[f"cross/{i}/kernel"]
        z = activate(layer["preactivation"], z + tensors[f"cross/{i}/bias"])
        x = x0 * (z + layer["diag_scale"] * x) + x
    for i in range(len(model["deep"])):
        x = np.maximum(x @ tensors[f"deep/{i}/kernel"] + tensors[f"deep/{i}/bias"], 0)
    return (x @ tensors["logit/kernel"] + tensors["logit/bias"])[:, 0]


def main():
    run, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    tensors = read_safetensors(run / "model.safetensors")
    vocabulary = json.loads((run / "vocabulary.json").read_text())
    model = json.loads((run / "result.json").read_text())["configuration"]["model"]
    rows = {name: {value: i + 1 for i, value in enumerate(values)} for name, values in vocabulary.items()}
    users = read_users(data)
    with open(run / "predictions.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    columns = []
    for name, values in rows.items():
        ids = [
            values[line["movie_id"] if name == "movie_id" else users[line["user_id"]][name]]
            for line in lines
        ]
        columns.append(tensors[f"embedding/{name}"][ids])
    expected = predict(tensors, model, np.concatenate(columns, axis=1))
    written = np.array([float(line["prediction"]) for line in lines])
    difference = np.abs(expected - written).max()
    print(f"{len(lines)} predictions, largest difference {difference:.2e}")
    return 0 if difference <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
