"""Compares a checkpoint with the model of the run that ended at its step, with numpy and by the
formats alone (worker/checkpoint/README.md).

usage: read_checkpoint.py CHECKPOINT_FOLDER RUN_FOLDER
RUN_FOLDER is the dcn_worker's --output. Prints how many values were compared. Exits with 1 when one
differs in a bit, 77 when numpy is not installed.
"""

import json
import pathlib
import struct
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(77)

DTYPES = {"F32": "<f4", "F64": "<f8", "U32": "<u4", "U64": "<u8"}


def read_safetensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    data = raw[8 + length :]
    tensors = {}
    end_of_last = 0
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        end_of_last = max(end_of_last, end)
        values = np.frombuffer(data[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    assert end_of_last == len(data), f"{path}: bytes that no tensor has"
    return tensors


def bits(values):
    return np.ascontiguousarray(values, dtype="<f4").view("<u4")


def main(checkpoint, run):
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    model = read_safetensors(run / "model.safetensors")
    step = manifest["step"]
    dense = read_safetensors(checkpoint / "dense.safetensors")
    assert len(dense["losses"]) == len(dense["step_sizes"]) == step
    for at, loss in json.loads((run / "result.json").read_text())["loss_curve"]:
        assert abs(dense["losses"][at - 1] - loss) < 1e-6, f"loss of step {at}"
    shards = [read_safetensors(checkpoint / name) for name in manifest["files"]
              if name.startswith("shard-")]
    assert len(shards) == manifest["shards"]
    compared = 0
    for name, values in model.items():
        if name in dense:
            assert np.array_equal(bits(dense[name]), bits(values)), name
            compared += values.size
            continue
        keys = np.concatenate([shard[name + "/keys"] for shard in shards])
        assert len(set(keys)) == len(keys), f"{name}: a row is there twice"
        for shard in shards:
            # Rows that the last step did not touch may miss later steps' effect on them.
            is_new = shard[name + "/last_step"] == step
            rows = values[shard[name + "/keys"][is_new]]
            assert np.array_equal(bits(shard[name + "/weights"][is_new]), bits(rows)), name
            compared += rows.size
    print(f"{compared} values of {len(model)} tensors are the same")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
