"""Perelman's functionals F and W of a metric and a potential (arXiv:math/0211159, §1 and §3).

Both are taken on the decoder's metric g and a potential f (:mod:`training.functionals.potentials`).
With dm = e^{−f} dμ fixed, the gradient flow that *ascends* F is ∂_t g = −2(Ric + ∇²f), Ricci flow
up to diffeomorphisms; likewise W with τ' = −1.

Encoded data give ∫ φ dμ by a kernel estimate of their density, UniformBox and UniformTorus without.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from training.errors import TrainingError
from training.functionals.base import Functional, SampledGeometry
from training.functionals.potentials import FixedMeasure, LearnedPotential, reversed_gradient
from training.reductions import total

DIRECTIONS = ("descend", "ricci")


class _Perelman(Functional):
    def __init__(
        self, potential: LearnedPotential | FixedMeasure | None = None, direction: str = "descend"
    ):
        super().__init__()
        if direction not in DIRECTIONS:
            raise TrainingError(f"direction must be one of {DIRECTIONS}; got {direction!r}.")
        self.potential = FixedMeasure() if potential is None else potential
        self.direction = direction

    @property
    def _ascends(self):
        return self.direction == "ricci"

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor to be minimised."""
        value = self.value(on)
        return -value if self._ascends else value


class PerelmanF(_Perelman):
    """F(g, f) = ∫ (R + |∇f|²) e^{−f} dμ with ∫ e^{−f} dμ = 1; in units of 1/L².

    Args:
        potential: LearnedPotential or FixedMeasure (default, of what the sample stands for).
        direction: what becomes of it when the loss descends: ``"descend"``, it goes down, as in the
            talk; ``"ricci"``, the decoder ascends it and the potential descends, Perelman's
            saddle. The number returned is then minus the functional.
    """

    def value(self, on: SampledGeometry) -> torch.Tensor:
        """F itself."""
        f = self.potential.on(on, 0.0, self._ascends)
        return total(f.probability * _first_order(on, f))


class Tau(nn.Module):
    """τ, fixed, learned or scheduled.

    Args:
        value: τ at the start, positive.
        learned: optimise log τ.
        rate: τ changes by ``rate`` for every :meth:`step` (Ricci flow has τ' = −1) ...
        floor: ... but not below this.
    """

    def __init__(
        self, value: float = 1.0, learned: bool = False, rate: float = 0.0, floor: float = 1e-3
    ):
        super().__init__()
        if not value > 0 or not floor > 0:
            raise TrainingError(f"tau and its floor must be positive; got {value} and {floor}.")
        log = torch.tensor(float(value), dtype=torch.float64).log()
        if learned:
            self.log_value = nn.Parameter(log)
        else:
            self.register_buffer("log_value", log)
        self.rate, self.floor = rate, floor

    __call__: Callable[[], torch.Tensor]

    def forward(self) -> torch.Tensor:
        """τ."""
        return self.log_value.exp()

    @torch.no_grad()
    def step(self, time: float = 1.0) -> None:
        """Let ``time`` pass."""
        if self.rate:
            self.log_value.copy_((self() + self.rate * time).clamp_min(self.floor).log())


class PerelmanW(_Perelman):
    """W(g, f, τ) = ∫ [τ(R + |∇f|²) + f − n] u dμ, u = (4πτ)^{−n/2} e^{−f}, ∫ u dμ = 1, n = d.

    Args:
        potential: LearnedPotential or FixedMeasure (default, of what the sample stands for).
        tau: τ > 0 in units of L²: a number, or a Tau.
        direction: what becomes of it when the loss descends: ``"descend"``, it goes down, as in the
            talk; ``"ricci"``, the decoder ascends it and the potential (and τ) descends, Perelman's
            saddle. The number returned is then minus the functional.
    """

    def __init__(
        self,
        potential: LearnedPotential | FixedMeasure | None = None,
        tau: float | Tau = 1.0,
        direction: str = "descend",
    ):
        super().__init__(potential, direction)
        self.tau = tau if isinstance(tau, nn.Module) else Tau(tau)

    def value(self, on: SampledGeometry) -> torch.Tensor:
        """W itself."""
        tau = self.tau()
        if self._ascends:
            tau = reversed_gradient(tau)
        n = on.dimension
        log_factor = -n / 2 * torch.log(4 * math.pi * tau)
        f = self.potential.on(on, log_factor, self._ascends)
        return total(f.probability * (tau * _first_order(on, f) + f.value - n))


def _first_order(on, f):
    """R + |∇f|²: (B,)."""
    return on.geometry.scalar + on.geometry.gradient_norm_squared(f.gradient)
