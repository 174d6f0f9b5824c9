"""One decoder of a package, and what is promised of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch

POINTS = 8
SEED = 0


class Served(IntEnum):
    """By what ``derivatives="auto"`` serves a decoder; more is better."""

    REFUSED = 0
    AUTODIFF = 1
    FUSED = 2

    def __str__(self):
        return self.name.lower()


@dataclass(frozen=True)
class Case:
    """A decoder with a tiny configuration and random weights.

    Attributes:
        package: what pip installs it by.
        module: what Python imports.
        name: the decoder's name there, and what of its configuration matters.
        latent_shape: of one point.
        build: () -> the decoder and keywords for ``curvcore.pullback``: ``output`` and inputs, of
            which tensors of POINTS rows have one for each point. Imports the package.
        served: the least that is promised.
        has_kinks: whether curvcore must warn of kinks; where not, it must not.
    """

    package: str
    module: str
    name: str
    latent_shape: tuple[int, ...]
    build: Callable[[], tuple[Callable[..., Any], dict[str, Any]]]
    served: Served = Served.FUSED
    has_kinks: bool = False

    def __str__(self):
        return f"{self.package}: {self.name}"

    def built(self):
        """The decoder in float64, its keywords, and random points (POINTS, *latent_shape)."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(SEED)
            decoder, options = self.build()
            z = torch.randn(POINTS, *self.latent_shape, dtype=torch.float64)
        return decoder, options, z


def prepared(module):
    """A module in float64 and evaluation mode."""
    return module.double().eval()
