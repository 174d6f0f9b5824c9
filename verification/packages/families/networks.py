"""Decoders of torch's own parts: recurrent networks, reparametrised weights, attention."""

from functools import partial

import torch
from torch import nn
from torch.nn.utils import parametrizations

from verification.packages.case import Case, prepared

_STEPS, _WIDTH = 4, 6


class _Sequence(nn.Module):
    """z (B, 2) -> first hidden state, and the input of every step -> hidden states (B, 4, 6)."""

    def __init__(self, network):
        super().__init__()
        self.start, self.network = nn.Linear(2, _WIDTH), network

    def forward(self, z):
        hidden = torch.tanh(self.start(z))[None]
        state = (hidden, hidden) if isinstance(self.network, nn.LSTM) else hidden
        return self.network(z[:, None].expand(-1, _STEPS, -1), state)[0]


class _Cell(nn.Module):
    """z (B, 2) -> hidden states of a cell, step after step."""

    def __init__(self):
        super().__init__()
        self.start, self.cell = nn.Linear(2, _WIDTH), nn.GRUCell(2, _WIDTH)

    def forward(self, z):
        states = [torch.tanh(self.start(z))]
        for _ in range(_STEPS):
            states.append(self.cell(z, states[-1]))
        return torch.cat(states[1:], 1)


class _Queries(nn.Module):
    """Learned queries attend to the latents: (B, 2) -> (B, 4, 8)."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.memory, self.layers = nn.Linear(2, 16), nn.TransformerDecoder(layer, 1)
        self.queries = nn.Parameter(torch.randn(_STEPS, 8))

    def forward(self, z):
        memory = self.memory(z).unflatten(1, (2, 8))
        return self.layers(self.queries.expand(len(z), -1, -1), memory)


def _sequence(name):
    return prepared(_Sequence(getattr(nn, name)(2, _WIDTH, batch_first=True))), {}


def _with(reparametrise):
    layers = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 12)
    first, second, third = map(reparametrise, layers)
    return prepared(nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), third)), {}


def _alone(module):
    return prepared(module()), {}


_case = partial(Case, "torch", "torch")
CASES = (
    _case("GRU", (2,), partial(_sequence, "GRU")),
    _case("LSTM", (2,), partial(_sequence, "LSTM")),
    _case("RNN (tanh)", (2,), partial(_sequence, "RNN")),
    _case("GRUCell", (2,), partial(_alone, _Cell)),
    _case("weight_norm", (2,), partial(_with, parametrizations.weight_norm)),
    _case("spectral_norm", (2,), partial(_with, parametrizations.spectral_norm)),
    _case("TransformerDecoder", (2,), partial(_alone, _Queries)),
)
