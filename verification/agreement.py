"""Agreement of all routes to R on one decoder, where no closed form is known.

The reference is the Gauss equation in float64. Errors are in units of max(|R|, |II|²), as for the
catalogue. What a route may lose to rounding is known from its formula, per point:

- gauss: κ (1 + |∇²Ψ|/|II|): g⁻¹ loses κ, and II is what projection leaves of ∇²Ψ;
- intrinsic: κ (1 + (|∇²Ψ|² + |∇³Ψ|)/|II|²), the size of the terms of ∂Γ that cancel in R;

with κ the condition number of g, lengths in g, and jets good to ``JET_EPS`` eps; the textbook's
nested ``jacfwd`` loses another κ, as it does not work in an orthonormal frame. Finite differences
bring their own estimate: the change when the step is halved, and the rounding error eps |Ψ|/step².
A point where more than ``USELESS`` may be lost decides nothing and is not counted.
"""

import itertools

import torch

import curvcore
from curvcore.providers import PROVIDERS
from curvcore.providers.primitives import PrimitiveOperations
from verification.referees import difference_jet, plain_scalar_curvature
from verification.results import Result

# Rounding error of a decoder's derivatives in eps: some four roundings a layer over a handful of
# layers, times the square root of the widths that are summed over.
JET_EPS = 128
# In units of the spread of the points: truncation step⁶ and rounding eps/step² nearly balance.
RELATIVE_STEP = 0.02
USELESS = 0.02


def compare(subject, device, dtypes):
    """Yield the Result of every route to R, and of the referees, on one subject."""
    agreement = Agreement(subject, device)
    for derivatives, dtype in itertools.product(PROVIDERS, dtypes):
        for formula in ("gauss", "intrinsic"):
            if (derivatives, formula, dtype) != REFERENCE:
                yield agreement.route(derivatives, formula, dtype)
    yield agreement.plain()
    yield agreement.differences()


REFERENCE = ("autodiff", "gauss", torch.float64)


class Agreement:
    """Compares routes with the float64 Gauss reference on one subject.

    Points that are degenerate for the reference, or for the route itself, are left out, and those
    that decide nothing; ``Result.points`` counts the others. A NaN anywhere else fails.
    """

    def __init__(self, subject, device):
        self.subject, self.device = subject, device
        decoder, z = subject.at(torch.float64, device)
        with torch.no_grad():
            self.jet = curvcore.jet(decoder, z, order=3, derivatives="autodiff")
            geometry = curvcore.PullbackGeometry(self.jet, on_degenerate="nan")
            self.scalar, self._inverse = geometry.scalar, geometry.inverse_metric
            self.condition = geometry.condition_number
            normal = self._length_squared(geometry.second_fundamental_form)
        self.unit = torch.maximum(self.scalar.abs(), normal)
        self.unit = torch.where(self.unit == 0, 1, self.unit)

    def route(self, derivatives, formula, dtype):
        """The Result of one provider, formula and dtype."""
        decoder, z = self.subject.at(dtype, self.device)
        with torch.no_grad():
            jet = curvcore.jet(decoder, z, order=3, derivatives=derivatives)
            geometry = curvcore.PullbackGeometry(jet, formula=formula, on_degenerate="nan")
            allowed = JET_EPS * torch.finfo(dtype).eps * self.amplification()[formula]
            regular = geometry.inverse_metric.isfinite().flatten(1).all(1)
            return self._result(geometry.scalar, allowed, derivatives, formula, dtype, regular)

    def plain(self):
        """The Result of nested ``jacfwd`` through g, Γ and ∂Γ, on safe operations."""
        decoder, z = self.subject.at(torch.float64, self.device)
        with torch.no_grad(), PrimitiveOperations():
            scalar = plain_scalar_curvature(decoder, z)
        amplification = self.condition * self.amplification()["intrinsic"]
        allowed = JET_EPS * torch.finfo(z.dtype).eps * amplification
        return self._result(scalar, allowed, "nested jacfwd", "textbook", z.dtype)

    def differences(self):
        """The Result of finite differences, which use no automatic differentiation."""
        decoder, z = self.subject.at(torch.float64, self.device)
        spread = z.std().item() if z.numel() > 1 else 1.0
        step = RELATIVE_STEP * (spread or 1.0)
        coarse, fine = (
            curvcore.PullbackGeometry(difference_jet(decoder, z, h), on_degenerate="nan").scalar
            for h in (step, step / 2)
        )
        inverse_length = self._inverse.diagonal(dim1=1, dim2=2).sum(1)
        eps = torch.finfo(z.dtype).eps
        rounding = eps * self.jet.value.norm(dim=1) * inverse_length / (step / 2) ** 2
        allowed = 4 * (coarse - fine).abs() / self.unit + 8 * rounding / self.unit.sqrt()
        return self._result(fine, allowed, "differences", "gauss", z.dtype)

    def amplification(self):
        second = self._length_squared(self.jet.hessian) / self.unit
        third = self._length_squared(self.jet.third).sqrt() / self.unit
        return {
            "gauss": self.condition * (1 + second.sqrt()),
            "intrinsic": self.condition * (1 + second + third),
        }

    def _length_squared(self, tensor):
        """|T|² of T (B, D, d, ..., d): Euclidean in R^D, g in the latent indices."""
        raised = tensor
        for axis in range(2, tensor.ndim):
            raised = torch.einsum("b...i,bij->b...j", raised.movedim(axis, -1), self._inverse)
            raised = raised.movedim(-1, axis)
        return (raised * tensor).flatten(1).sum(1)

    def _result(self, scalar, allowed, derivatives, formula, dtype, regular=True):
        error = (scalar.double() - self.scalar).abs() / self.unit
        compared = torch.isfinite(self.scalar) & (allowed < USELESS) & regular
        error, allowed = error[compared], allowed[compared]
        worst = (error / allowed).nan_to_num(torch.inf).argmax() if len(error) else None
        return Result(
            section="decoder",
            subject=self.subject.name,
            dimension=self.jet.dimension,
            ambient=self.jet.ambient_dimension,
            quantity="scalar",
            derivatives=derivatives,
            formula=formula,
            dtype=str(dtype).removeprefix("torch."),
            points=len(error),
            error=float("nan") if worst is None else error[worst].item(),
            tolerance=0.0 if worst is None else allowed[worst].item(),
        )
