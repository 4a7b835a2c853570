"""Prints the tensors of a safetensors file, read by its published format alone.

One line a tensor: name, shape, and the float32 values as hexadecimal bit patterns.
Exit status 77: numpy is not installed.
"""
import json
import struct
import sys

try:
    import numpy
except ImportError:
    sys.exit(77)

with open(sys.argv[1], "rb") as file:
    content = file.read()
(length,) = struct.unpack_from("<Q", content)
assert (8 + length) % 8 == 0, "the data are not aligned"
header = json.loads(content[8 : 8 + length].decode("utf-8"))
data = content[8 + length :]
metadata = header.pop("__metadata__", {})
print("metadata", json.dumps(metadata, sort_keys=True))
assert sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values()) == len(data)
for name, entry in header.items():
    assert entry["dtype"] == "F32"
    begin, end = entry["data_offsets"]
    values = numpy.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
    bits = " ".join("%08x" % word for word in values.ravel().view(numpy.uint32))
    print(name, list(values.shape), bits)
