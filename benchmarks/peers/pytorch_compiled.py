#!/usr/bin/env python3
"""pytorch_dcn.py with the model, forward and backward, compiled by torch.compile, which wants a C++
compiler. It compiles in the first fit, for whole batches and for the short last one.
"""

import functools

import peer_process
import pytorch_dcn

if __name__ == "__main__":
    peer_process.main("Trains with PyTorch, compiled; one line of JSON a run.",
                      functools.partial(pytorch_dcn.PyTorch, is_compiled=True))
