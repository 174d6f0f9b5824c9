"""Decoders of tokens, made of latents by a linear layer."""

import torch
import torch.nn.functional as F
from torch import nn


class Tokens(nn.Module):
    """2 → 3 tokens of width 4 → body → 6 outputs."""

    def __init__(self, body):
        super().__init__()
        self.first, self.body, self.last = nn.Linear(2, 12), body, nn.Linear(12, 6)

    def forward(self, z):
        tokens = torch.tanh(self.first(z)).unflatten(1, (3, 4))
        return self.last(self.body(tokens).flatten(1))


class Attention(nn.Module):
    """Self-attention of tokens: torch's function, its module of some heads, or a layer of one."""

    def __init__(self, layer=None, heads=None, **options):
        super().__init__()
        self.query = nn.Linear(4, 4)
        self.layer = nn.MultiheadAttention(4, heads, batch_first=True) if heads else layer
        self.heads, self.options = heads, options

    def forward(self, x):
        query = self.query(x)
        if self.heads:
            return self.layer(query, x, x, **self.options)[0]
        if self.layer is not None:
            return self.layer(query, **self.options)
        return F.scaled_dot_product_attention(query, x, x, **self.options)


class CrossAttention(nn.Module):
    """Learned tokens attend to those of the latents."""

    def __init__(self, layer):
        super().__init__()
        self.queries, self.layer = nn.Parameter(torch.randn(1, 3, 4)), layer

    def forward(self, x):
        queries = self.queries.expand(len(x), -1, -1)
        if isinstance(self.layer, nn.MultiheadAttention):
            return self.layer(F.layer_norm(queries, (4,)), x, x)[0]
        return self.layer(queries, x)


class Positions(nn.Module):
    """Tokens, of which the first one is learned, and an embedding of where they stand."""

    def __init__(self, count, width):
        super().__init__()
        self.first = nn.Parameter(torch.randn(1, 1, width))
        self.embedding = nn.Embedding(count, width)

    def forward(self, x):
        tokens = torch.cat([self.first.expand(len(x), -1, -1), x[:, 1:]], 1)
        return tokens + self.embedding(torch.arange(x.shape[1]))
