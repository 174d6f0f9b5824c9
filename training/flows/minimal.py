"""The potential at which F or W is least: λ(g) = inf_f F(g, f) and μ(g, τ) = inf_f W(g, f, τ).

With w² = c e^{−f}, ∫ w² dμ = 1,

    F = ∫ (4|∇w|² + R w²) dμ,   W = τF − ∫ w² log w² dμ − n/2 log 4πτ − n,

so that λ is the lowest eigenvalue of −4Δ + R (Perelman, arXiv:math/0211159, §2) and its f solves an
elliptic equation: it is smooth where the f of a fixed dm, which obeys the backward heat equation,
gathers wrinkles. Along ∂_t g = −2(Ric + ∇²f) with this f

    dλ/dt = 2 ∫ |Ric + ∇²f|² dm,   dμ/dt = 2τ ∫ |Ric + ∇²f − g/2τ|² dm with τ' = −1.

w is sought among Σ_k c_k φ_k (Ritz): the value is exact for that span, its gradient in the metric
is that at fixed f, and Perelman's rate holds as well as the span holds the true w.
"""

import itertools
from collections.abc import Callable

import torch

from training.errors import TrainingError
from training.functionals import NormalisedPotential, SampledGeometry

STEPS = 100  # of L-BFGS, for W


class MinimalPotential(NormalisedPotential):
    """f = −2 log |w| + a constant, w = Σ_k c_k φ_k of least F, or W, on a sample.

    Args:
        basis: points (..., d) -> φ_k there, (..., K), smooth: :func:`fourier` or
            :func:`spherical`.
        d: latent dimension.
    """

    def __init__(self, basis: Callable[[torch.Tensor], torch.Tensor], d: int = 2):
        super().__init__()
        self.basis, self.d = basis, d
        self.register_buffer("coefficients", None)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """h = −2 log |w|: (...)."""
        if self.coefficients is None:
            raise TrainingError("A MinimalPotential is found by settle, before it is evaluated.")
        return -(self.basis(z) @ self.coefficients).square().log()

    @torch.no_grad()
    def settle(self, on: SampledGeometry, tau: float | None = None) -> None:
        """Find w on the metric of ``on``: of least F, or with τ of least W from where it was."""
        values = self.basis(on.z)
        slopes = torch.func.vmap(torch.func.jacfwd(self.basis))(on.z)
        area, inverse = on.weights * on.geometry.volume_density, on.geometry.inverse_metric
        weighted = 4 * area[:, None, None] * inverse
        stiffness = torch.einsum("bki,bij,blj->kl", slopes, weighted, slopes)
        potential = (area * on.geometry.scalar)[:, None] * values
        stiffness = stiffness + potential.mT @ values
        factor, failed = torch.linalg.cholesky_ex((area[:, None] * values).mT @ values)
        if failed:
            raise TrainingError(
                f"{len(values)} points do not tell the {values.shape[1]} functions of the basis "
                "apart: more nodes, or a lower degree."
            )
        whiten = torch.linalg.inv(factor)
        white = whiten @ stiffness @ whiten.mT
        least = torch.linalg.eigh(white)[1][:, 0]
        if tau is not None:
            if self.coefficients is not None:
                least = factor.mT @ self.coefficients
            least = _least_of_w(least, white, values @ whiten.mT, area, tau)
        self.coefficients = whiten.mT @ (least / least.norm())


@torch.enable_grad()
def _least_of_w(start, stiffness, values, area, tau):
    """Where τ aᵀSa − ∫ w² log w² dμ is least on |a| = 1, w = values @ a."""
    a = start.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [a], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-10, tolerance_change=1e-14,
    )  # fmt: skip

    def loss():
        search.zero_grad()
        unit = a / a.norm()
        square = (values @ unit).square()
        total = tau * unit @ stiffness @ unit - (area * torch.xlogy(square, square)).sum()
        total.backward()
        return total

    search.step(loss)
    return a.detach()


# --- bases ----------------------------------------------------------------------------------------


def fourier(degree: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """On the torus [0, 1)²: products of 1, cos 2πkx, sin 2πkx with k up to ``degree``."""

    def axis(x):
        angle = 2 * torch.pi * x[..., None] * torch.arange(1, degree + 1).to(x)
        return torch.cat([torch.ones_like(x)[..., None], torch.cos(angle), torch.sin(angle)], -1)

    def basis(z):
        return (axis(z[..., 0])[..., :, None] * axis(z[..., 1])[..., None, :]).flatten(-2)

    return basis


def spherical(degree: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """On the sphere, z its stereographic coordinates: polynomials of the point of S² ⊂ R³.

    Those of x^i y^j and x^i y^j h, which span the spherical harmonics up to ``degree``.
    """
    powers = [
        (i, j, k)
        for i, j, k in itertools.product(range(degree + 1), range(degree + 1), (0, 1))
        if i + j + k <= degree
    ]

    def basis(z):
        square = z.square().sum(-1, keepdim=True)
        point = torch.cat([2 * z, square - 1], -1) / (1 + square)
        x, y, h = ([torch.ones_like(c)] for c in point.unbind(-1))
        for axis, coordinate in zip((x, y, h), point.unbind(-1), strict=True):
            for _ in range(degree):
                axis.append(axis[-1] * coordinate)
        return torch.stack([x[i] * y[j] * h[k] for i, j, k in powers], -1)

    return basis
