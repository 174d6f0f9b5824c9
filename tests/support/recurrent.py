"""Arguments of torch's recurrent layers, all by name."""

import torch


def _tensor(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


_SEQUENCE = {
    "input": _tensor(3, 2, 4, seed=10), "hx": _tensor(2, 2, 5, seed=11), "has_biases": True,
    "num_layers": 1, "dropout": 0.0, "train": False, "bidirectional": True, "batch_first": False,
}  # fmt: skip
_CELL = {"input": _tensor(2, 4, seed=13), "hx": _tensor(2, 5, seed=12)}


def _parameters(gates):
    rows = 5 * gates
    return [
        _tensor(*shape, seed=n)
        for n, shape in enumerate(2 * ((rows, 4), (rows, 5), (rows,), (rows,)))
    ]


def _sequence(gates, **others):
    return {**_SEQUENCE, "params": _parameters(gates), **others}


def _cell(gates, **others):
    names = ("w_ih", "w_hh", "b_ih", "b_hh")
    return {**_CELL, **dict(zip(names, _parameters(gates), strict=False)), **others}


BY_KEYWORDS = {
    torch.rnn_tanh: _sequence(1),
    torch.rnn_relu: _sequence(1),
    torch.gru: _sequence(3),
    torch.lstm: _sequence(4, hx=2 * [_SEQUENCE["hx"]]),
    torch.rnn_tanh_cell: _cell(1),
    torch.rnn_relu_cell: _cell(1),
    torch.gru_cell: _cell(3),
    torch.lstm_cell: _cell(4, hx=2 * [_CELL["hx"]]),
}
