"""Encoders and decoders whose metrics are known, and how to compare numbers."""

import torch

from tests.support.immersions import random_rotation, stereographic_sphere
from tests.support.tolerance import assert_close
from training.evaluation import evaluate


def identity(z):
    return z


def agree(actual, expected, **options):
    """:func:`assert_close` for numbers."""
    __tracebackhide__ = True
    actual, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (actual, expected))
    assert_close(actual, expected, **options)


def plane(d, ambient=7, dtype=torch.float64):
    """(encoder, decoder) of an isometric d-plane in R^ambient that misses the origin."""
    frame = random_rotation(0, ambient)[:, :d].to(dtype)
    return lambda x: (x - 1) @ frame, lambda z: 1 + z @ frame.mT


def sphere(radius):
    """(encoder, decoder) of the sphere in stereographic coordinates."""
    return lambda x: x[:, :-1] / (radius - x[:, -1:]), stereographic_sphere(radius)


def latents_only(decoder, z, **options):
    """Metrics of a decoder at given latents: the points are its own values."""
    values = decoder(z).flatten(1)
    rows = {tuple(x.tolist()): row for x, row in zip(values, z, strict=True)}
    return evaluate(
        lambda x: torch.stack([rows[tuple(r.tolist())] for r in x]), decoder, values, **options
    )
