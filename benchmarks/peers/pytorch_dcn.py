#!/usr/bin/env python3
"""The experiment on PyTorch: the same model, batches and optimizer as the reference stack. Eager;
pytorch_compiled.py compiles the same.

Ids are looked up once, before training (the reference stack looks strings up in every step); tables
have dense gradients, so that Adam moves every row at every step; Adam is the fused one. PyTorch
adds epsilon after the bias correction and Keras before it, which does not show in the results.
"""

import time

import torch

import movielens
import peer_process

# Cross layer's projection (0: full rank, None: no cross layer) and the deep layers' widths.
VARIANTS = {
    "dcn": (0, [192, 192]),
    "dcn-lowrank": (peer_process.PROJECTION, [192, 192]),
    "dnn": (None, [192, 192, 192]),
}


def _linear(inputs, outputs, bias=True):
    layer = torch.nn.Linear(inputs, outputs, bias)
    torch.nn.init.xavier_uniform_(layer.weight)
    if bias:
        torch.nn.init.zeros_(layer.bias)
    return layer


class DCN(torch.nn.Module):
    def __init__(self, table_rows, projection, deep):
        super().__init__()
        self.tables = torch.nn.ModuleList(
            torch.nn.Embedding(rows, peer_process.EMBEDDING_WIDTH) for rows in table_rows)
        for table in self.tables:
            torch.nn.init.uniform_(table.weight, -0.05, 0.05)
        width = peer_process.EMBEDDING_WIDTH * len(table_rows)
        self.cross = None
        if projection == 0:
            self.cross = _linear(width, width)
        elif projection is not None:
            self.cross = torch.nn.Sequential(
                _linear(width, projection, bias=False), _linear(projection, width))
        layers = []
        inputs = width
        for outputs in deep:
            layers += [_linear(inputs, outputs), torch.nn.ReLU()]
            inputs = outputs
        self.deep = torch.nn.Sequential(*layers, _linear(inputs, 1))

    def forward(self, ids):
        x = torch.cat([table(ids[f]) for f, table in enumerate(self.tables)], dim=1)
        if self.cross is not None:
            x = x * self.cross(x) + x
        return self.deep(x).squeeze(1)


def _batches(data, rows, batch_rows):
    """[(ids by feature, labels)]; row 0 of a table stands for what is not in the vocabulary."""
    codes = [torch.from_numpy(data.features[name].codes[rows] + 1) for name in movielens.FEATURES]
    ids = torch.stack(codes)
    labels = torch.from_numpy(data.labels[rows])
    return [(ids[:, begin:begin + batch_rows].contiguous(), labels[begin:begin + batch_rows])
            for begin in range(0, len(rows), batch_rows)]


class PyTorch:
    def __init__(self, data, threads, is_compiled=False):
        self._is_compiled = is_compiled
        if threads > 0:
            torch.set_num_threads(threads)
        self.versions = {"torch": torch.__version__}
        self._table_rows = [len(data.features[n].vocabulary) + 1 for n in movielens.FEATURES]
        self._train = _batches(data, data.train, movielens.BATCH_ROWS)
        self._test = _batches(data, data.test, movielens.BATCH_ROWS)

    def run(self, model, seed, epochs):
        torch.manual_seed(seed)
        network = DCN(self._table_rows, *VARIANTS[model])
        optimizer = torch.optim.Adam(network.parameters(), lr=peer_process.LEARNING_RATE,
                                     eps=peer_process.EPSILON, fused=True)
        # What was compiled for an earlier network of the model is used again.
        predict = torch.compile(network) if self._is_compiled else network
        epoch_seconds = []
        for _ in range(epochs):
            begin = time.perf_counter()
            for ids, labels in self._train:
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(predict(ids), labels).backward()
                optimizer.step()
            epoch_seconds.append(time.perf_counter() - begin)
        return {
            "parameter_count": sum(p.numel() for p in network.parameters()),
            "fit_seconds": sum(epoch_seconds),
            "epoch_seconds": epoch_seconds,
            "test_rmse": self._rmse(network),
        }

    @torch.no_grad()
    def _rmse(self, network):
        errors = [(network(ids) - labels).double().square().sum() for ids, labels in self._test]
        count = sum(len(labels) for _, labels in self._test)
        return float((sum(errors) / count).sqrt())


if __name__ == "__main__":
    peer_process.main("Trains with PyTorch, eager; one line of JSON a run.", PyTorch)
