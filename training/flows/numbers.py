"""The numbers of a flow on one sample: F, W, ∫|Ric + ∇²f|² dm, ∫ e^{−f} dμ, ∫R dμ, Vol, τ.

=============================  ================================================  =======
code                           mathematics                                       shape
=============================  ================================================  =======
``soliton_defect``             E = Ric + ∇²f, for W Ric + ∇²f − g/2τ             (B, d, d)
``pairing``                    ⟨S, T⟩ = g^{ik} g^{jl} S_ij T_kl                  (B,)
``flow_numbers``               all of :class:`FlowNumbers`
=============================  ================================================  =======

With dm = e^{−f} dμ fixed, or (4πτ)^{−n/2} e^{−f} dμ for W, and for any variation δg of the metric

    δF = −∫ ⟨E, δg⟩ dm,   δW = −τ ∫ ⟨E, δg⟩ dm,

on a closed M, or where dm vanishes smoothly at the boundary: both are integrations by parts.
References: Perelman, arXiv:math/0211159, §1 and §3; Topping, *Lectures on the Ricci flow*, ch. 6.
"""

import math
from typing import NamedTuple

import torch

from training.functionals import FixedMeasure, LearnedPotential, SampledGeometry
from training.reductions import total


class FlowNumbers(NamedTuple):
    """Scalar tensors.

    Attributes:
        F: ∫ (R + |∇f|²) dm, 1/L².
        W: ∫ [τ(R + |∇f|²) + f − n] dm, with f of c = (4πτ)^{−n/2}.
        defect: ∫ |E|² dm, 1/L⁴: half of dF/dt, and dW/dt over 2τ, along Perelman's flow.
        mass: ∫ c e^{−f} dμ, which must be 1.
        total_curvature: ∫ R dμ over where the sample is, L^{n−2}.
        volume: ∫ dμ there, L^n.
        tau: τ, L².
    """

    F: torch.Tensor
    W: torch.Tensor
    defect: torch.Tensor
    mass: torch.Tensor
    total_curvature: torch.Tensor
    volume: torch.Tensor
    tau: torch.Tensor


def flow_numbers(
    on: SampledGeometry,
    potential: FixedMeasure | LearnedPotential,
    tau: torch.Tensor | float,
    is_w: bool = False,
) -> FlowNumbers:
    """All of them at a SampledGeometry of order 3.

    Args:
        on: where.
        potential: f.
        tau: τ > 0 of W.
        is_w: whether E is that of W, and the mass with c = (4πτ)^{−n/2}, or those of F.
    """
    n, scalar = on.dimension, on.geometry.scalar
    tau = torch.as_tensor(tau, dtype=scalar.dtype, device=scalar.device)
    log_factor = -n / 2 * torch.log(4 * math.pi * tau)
    f = potential.on(on, log_factor if is_w else torch.zeros_like(tau))
    first_order = scalar + on.geometry.gradient_norm_squared(f.gradient)
    of_w = f.value if is_w else f.value + log_factor  # c e^{−f} dμ is the same dm
    tensor = soliton_defect(on, potential, tau if is_w else None)
    # Not f.probability: the two are one only if f is normalised.
    log_volume = on.log_volume_density - on.log_density[0]
    mass = (log_volume - f.value + (log_factor if is_w else 0)).exp()
    return FlowNumbers(
        F=total(f.probability * first_order),
        W=total(f.probability * (tau * first_order + of_w - n)),
        defect=total(f.probability * pairing(on, tensor, tensor)),
        mass=on.sum(mass),
        total_curvature=on.sum(scalar * log_volume.exp()),
        volume=on.volume(),
        tau=tau,
    )


def soliton_defect(
    on: SampledGeometry,
    potential: FixedMeasure | LearnedPotential,
    tau: torch.Tensor | float | None = None,
) -> torch.Tensor:
    """Ric + ∇²f, or with τ Ric + ∇²f − g/2τ: (B, d, d). Zero on steady, on shrinking solitons.

    Args:
        on: a SampledGeometry of order 3.
        potential: f.
        tau: τ > 0 in units of L².
    """
    f = potential.on(on, torch.zeros_like(on.weights[:1]))
    second = on.geometry.covariant_hessian(f.gradient, potential.hessian(on))
    tensor = on.geometry.ricci + second
    return tensor if tau is None else tensor - on.geometry.metric / (2 * tau)


def pairing(on: SampledGeometry, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """⟨S, T⟩ = g^{ik} g^{jl} S_ij T_kl: (B,)."""
    inverse = on.geometry.inverse_metric
    return torch.einsum("bik,bjl,bij,bkl->b", inverse, inverse, left, right)
