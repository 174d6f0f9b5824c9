"""R and ∂R/∂θ of a surface to thirty digits, from values of its decoder alone.

Numbers are ``flint.arb`` balls of 700 bits. With the step h = 2^-140 ≈ 1e-42 even one-sided
differences err by O(h) only, and rounding by 2^-700/h³ ≈ 1e-84 in mixed third ones. So no rule of
differentiation, torch's or curvcore's, has a part in the truth; nor has a formula of curvcore: on a
surface, with II the normal part of ∇²Ψ,

    R = 2 (⟨II_11, II_22⟩ − |II_12|²) / det g.

Tolerances follow the law of ``verification.agreement``: a jet good to η = 128 eps has ∇²Ψ wrong by
κη|∇²Ψ| in an orthonormal frame, so R by κη (|∇²Ψ| + |II|) |II|, and, by the product rule, ∂_θ R by
κη (|∇²Ψ| + |II|) (|∂_θ ∇²Ψ| + 2 |∇²Ψ| |∂_θ ∇Ψ|). Lengths are taken in g; κ is its condition.
"""

from dataclasses import dataclass

import flint
import numpy as np
import torch

from verification.agreement import JET_EPS

BITS, STEP_BITS = 700, 140
WIDEST = 1e-30  # ball that still counts as a number


@dataclass(frozen=True)
class Truth:
    """R at every point, the gradient of its sum, and what rounding may cost a computation of them.

    Attributes:
        scalar: R, (B,) float64.
        unit: |II|² ≥ |R|, (B,): what errors of R are measured in.
        gradient: ∂(Σ R)/∂θ, (P,); (0,) without parameters.
        scalar_allowance: error of R allowed, in eps · ``unit``; the largest of all points.
        gradient_allowance: error of the gradient allowed, in eps · |gradient|.
    """

    scalar: torch.Tensor
    unit: torch.Tensor
    gradient: torch.Tensor
    scalar_allowance: float
    gradient_allowance: float

    def scalar_error(self, scalar):
        """max |ΔR|/|II|² over the points; NaN if any is."""
        return ((scalar.double() - self.scalar).abs() / self.unit).max().item()

    def gradient_error(self, gradient):
        """|Δ∂R|/|∂R|."""
        return ((gradient.double() - self.gradient).norm() / self.gradient.norm()).item()


def truth(function, z, parameters=()):
    """The Truth about a surface.

    Args:
        function: (z, θ) -> Ψ(z), lists of ``flint.arb``.
        z: points (B, 2).
        parameters: tensors; θ are all their entries, one after another, taken to be exact.
    """
    with flint.ctx.workprec(BITS):
        h = flint.arb(2) ** -STEP_BITS
        theta = [flint.arb(x) for p in parameters for x in p.detach().flatten().tolist()]
        points = [_at_point(function, [flint.arb(x) for x in p], theta, h) for p in z.tolist()]
    return _with_allowances(*(torch.stack(tensors) for tensors in zip(*points, strict=True)))


def _at_point(function, z, theta, h):
    """R, ∇Ψ, ∇²Ψ, then the derivatives of each in θ, axis 0, rounded to float64."""

    def measured(theta):
        jacobian, hessian = _jet(lambda z: function(z, theta), z, h)
        return np.array(_scalar(jacobian, hessian), dtype=object), jacobian, hessian

    here = measured(theta)
    moved = [measured([*theta[:n], x + h, *theta[n + 1 :]]) for n, x in enumerate(theta)]
    slopes = [
        np.array([(there[k] - x) / h for there in moved], object).reshape(len(theta), *x.shape)
        for k, x in enumerate(here)
    ]
    return [_rounded(balls) for balls in (*here, *slopes)]


def _jet(function, z, h):
    """∇Ψ (D, 2) and ∇²Ψ (D, 2, 2) from six values of Ψ."""

    def at(m, n):
        return np.array(function([z[0] + m * h, z[1] + n * h]), dtype=object)

    here, u, v = at(0, 0), at(1, 0), at(0, 1)
    uu, uv, vv = at(2, 0) - 2 * u + here, at(1, 1) - u - v + here, at(0, 2) - 2 * v + here
    jacobian = np.stack([u - here, v - here], -1) / h
    return jacobian, np.stack([uu, uv, uv, vv], -1).reshape(-1, 2, 2) / h**2


def _scalar(jacobian, hessian):
    """R = 2 (⟨II_11, II_22⟩ − |II_12|²)/det g at one point."""
    (e, f), (_, g) = jacobian.T @ jacobian
    area = e * g - f * f
    inverse = np.array([[g, -f], [-f, e]], dtype=object) / area
    tangent = np.einsum("kl,al,aij->kij", inverse, jacobian, hessian)
    normal = hessian - np.einsum("ak,kij->aij", jacobian, tangent)
    first, mixed, second = normal[:, 0, 0], normal[:, 0, 1], normal[:, 1, 1]
    return 2 * (first @ second - mixed @ mixed) / area


def _rounded(balls):
    if any(ball.rad() > WIDEST for ball in balls.flat):
        raise ArithmeticError(f"{BITS} bits are too few for this decoder.")
    numbers = [float(ball) for ball in balls.flat]
    return torch.tensor(numbers, dtype=torch.float64).reshape(balls.shape)


def _with_allowances(scalar, jacobian, hessian, dscalar, djacobian, dhessian):
    g = jacobian.mT @ jacobian
    frame = torch.linalg.cholesky(torch.linalg.inv(g))
    in_frame = torch.einsum("baij,bik,bjl->bakl", hessian, frame, frame)
    tangents = jacobian @ frame  # orthonormal
    normal = in_frame - torch.einsum("bak,bck,bcij->baij", tangents, tangents, in_frame)
    second, bending = (x.flatten(1).norm(dim=1) for x in (in_frame, normal))
    dfirst = (djacobian @ frame[:, None]).flatten(1).norm(dim=1)
    dsecond = torch.einsum("bpaij,bik,bjl->bpakl", dhessian, frame, frame).flatten(1).norm(dim=1)
    lost = JET_EPS * torch.linalg.cond(g) * (second + bending)
    gradient = dscalar.sum(0)
    return Truth(
        scalar=scalar,
        unit=bending.square(),
        gradient=gradient,
        scalar_allowance=(lost / bending).max().item(),
        gradient_allowance=(
            (lost * (dsecond + 2 * second * dfirst)).sum() / gradient.norm()
        ).item(),
    )
