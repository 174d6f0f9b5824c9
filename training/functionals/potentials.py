"""Potentials f of Perelman's functionals: functions on M with ∫ c e^{−f} dμ = 1."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from training.errors import TrainingError
from training.functionals.base import SampledGeometry
from training.reductions import log_total_exp


@dataclass(frozen=True, eq=False)
class Potential:
    """f at the points of a sample, and the probability c e^{−f} dμ that it stands for.

    Attributes:
        value: f, (B,).
        gradient: ∂_k f, (B, d).
        probability: c e^{−f} dμ of the points, which adds up to 1 over the points: (B,).
    """

    value: torch.Tensor
    gradient: torch.Tensor
    probability: torch.Tensor

    def gradient_norm_squared(self, on: SampledGeometry) -> torch.Tensor:
        """|∇f|²_g: (B,)."""
        return on.geometry.gradient_norm_squared(self.gradient)


@dataclass(frozen=True, eq=False)
class VolumePotential:
    """A Potential that is log √det g and a function whose derivatives are known.

    Attributes:
        value, probability: as of Potential.
        slope: ∂_k (log √det g − f), (B, d).
        sampled: the geometry at the points.
    """

    value: torch.Tensor
    slope: torch.Tensor
    probability: torch.Tensor
    sampled: SampledGeometry

    @property
    def gradient(self) -> torch.Tensor:
        """∂_k f, (B, d)."""
        return self.sampled.log_volume_gradient - self.slope

    def gradient_norm_squared(self, on: SampledGeometry) -> torch.Tensor:
        """|∇f|²_g, or an unbiased estimate of it: (B,)."""
        return on.log_volume_gradient_norm_squared(self.slope)


class NormalisedPotential(nn.Module):
    """f = h + log ∫ c e^{−h} dμ of a function h, normalised at every evaluation.

    Subclasses have ``d``, the number of variables, and ``forward``, h at points (..., d): (...).
    """

    d: int | None

    def build(self, d: int) -> None:
        """Make it a function of d variables, unless it is one of some number already."""

    def _summed(self, z):
        h = self(z)
        return h.sum(), h

    def on(self, sampled: SampledGeometry, log_factor, reverse=False) -> Potential:
        """The normalised potential; ``reverse`` turns the sign of the gradients of h."""
        self.build(sampled.dimension)
        if sampled.dimension != self.d:
            raise TrainingError(
                f"The {type(self).__name__} is of {self.d} variables; latent points have "
                f"{sampled.dimension}. Set its d."
            )
        gradient, h = torch.func.grad(self._summed, has_aux=True)(sampled.z)
        if reverse:
            gradient, h = reversed_gradient(gradient), reversed_gradient(h)
        volume = sampled.log_volume_density - sampled.log_density[0]
        mass = sampled.weights.log() + volume - h + log_factor
        log_total = log_total_exp(mass)
        return Potential(h + log_total, gradient, (mass - log_total).exp())

    def hessian(self, sampled: SampledGeometry) -> torch.Tensor:
        """∂_k∂_l f = ∂_k∂_l h: (B, d, d)."""
        with torch.enable_grad():  # SiLU's second derivative has no forward mode without
            return torch.func.vmap(torch.func.hessian(self))(sampled.z)


class LearnedPotential(NormalisedPotential):
    """f = h + log ∫ c e^{−h} dμ with a smooth network h(z), normalised at every step.

    Args:
        d: latent dimension; None: that of the first points it sees, or of the model whose loss it
            is in. Parameters that have no numbers before may be given to an optimiser already.
        width: of the two hidden layers.
        periodic: on the torus (R/Z)^d: h sees cos 2πz and sin 2πz.
    """

    def __init__(self, d: int | None = None, width: int = 32, periodic: bool = False):
        super().__init__()
        self.periodic = periodic
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Lazy modules are a new feature")  # torch 2.6
            self.network = nn.Sequential(
                nn.LazyLinear(width),
                nn.SiLU(),
                nn.LazyLinear(width),
                nn.SiLU(),
                nn.LazyLinear(1, bias=False),  # a constant in h is normalised away
            )
        if d is not None:
            self.build(d)

    @property
    def d(self) -> int | None:
        """The number of variables; None as long as it is not known."""
        first, weight = self.network[0], self.network[0].weight
        if isinstance(first, nn.LazyLinear) and is_lazy(weight):  # compilers cannot ask the second
            return None
        return weight.shape[1] // 2 if self.periodic else weight.shape[1]

    def build(self, d: int) -> None:
        """Make it a function of d variables, unless it is one of some number already."""
        first = self.network[0]
        if isinstance(first, nn.LazyLinear):
            d = self.d or d  # of a state_dict, if one was loaded
            with torch.inference_mode(False), torch.no_grad():  # parameters to be trained later
                z = torch.zeros(1, 2 * d if self.periodic else d)
                self.network(z.to(first.weight.device, first.weight.dtype))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """h at points (..., d), each by itself: (...)."""
        if self.periodic:
            z = torch.cat([torch.cos(2 * torch.pi * z), torch.sin(2 * torch.pi * z)], -1)
        return self.network(z)[..., 0]


class FixedMeasure(nn.Module):
    """Perelman's gauge: c e^{−f} dμ = dm is held fixed, f = log(c √det g / ρ), dm = ρ dz.

    Then ∂_k f = Γ^i_ik − ∂_k log ρ, and there is nothing to learn.

    Args:
        log_density: log ρ up to a constant, a smooth function (d,) -> () of one point; by default
            dm is what the sample stands for: on encoded data their distribution, by a kernel
            estimate of ρ, on SmoothedPoints theirs, and otherwise uniform in z. ρ is normalised on
            the sample.
    """

    def __init__(self, log_density: Callable[[torch.Tensor], torch.Tensor] | None = None):
        super().__init__()
        self.log_density = log_density

    def on(self, sampled: SampledGeometry, log_factor, reverse=False) -> VolumePotential:
        """The potential; ``reverse`` is of no use where nothing is learned."""
        of_sample, slope = sampled.log_density
        log_density = of_sample
        if self.log_density is not None:
            derivative = torch.func.vmap(torch.func.grad_and_value(self.log_density))
            slope, log_density = derivative(sampled.z)
        mass = sampled.weights.log() - of_sample + log_density
        log_total = log_total_exp(mass)
        value = sampled.log_volume_density + log_factor - log_density + log_total
        return VolumePotential(value, slope, (mass - log_total).exp(), sampled)

    def hessian(self, sampled: SampledGeometry) -> torch.Tensor:
        """∂_k∂_l f = ∂_k∂_l log √det g − ∂_k∂_l log ρ, (B, d, d), of a sample of order 3."""
        if self.log_density is None:
            return sampled.log_volume_hessian - sampled.log_density_hessian
        with torch.enable_grad():  # as above, of any function
            second = torch.func.vmap(torch.func.hessian(self.log_density))(sampled.z)
        return sampled.log_volume_hessian - second


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def reversed_gradient(x: torch.Tensor) -> torch.Tensor:
    """x, whose gradients change sign: what descends a loss in all else ascends it in x."""
    return _Reversed.apply(x)
