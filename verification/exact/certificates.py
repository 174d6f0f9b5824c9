"""Rigorous enclosures of the curvature of a trained decoder, by ball arithmetic.

The weights of a decoder and its latent points are floating-point numbers, which are exact numbers.
Balls carried through the decoder's own ``forward``, by the same jet rules and tensor formulas that
run on tensors, therefore enclose its true metric and curvature: of the function that the weights
define, without rounding. What any route returns in floating point has an error that is then known.

The function is that of the weights as they are. Numbers that ``forward`` computes from weights
alone are computed without rounding too, or refused; what Python, numpy or integer tensors make of
numbers is not seen, and counts as the floats that it is.
Activations are what torch documents. Reference: Johansson, IEEE Trans. Comput. 66 (2017), Arb.
"""

import math
from dataclasses import dataclass

import flint
import numpy as np
import torch

import curvcore
from curvcore.display import Displayed
from curvcore.providers.bound import AmbientDecoder
from curvcore.providers.witness import check_rows_independent
from curvcore.types import Decoder, Formula
from curvcore.validation import check_decoder, check_finite, check_points
from verification.exact.balls_of_decoders import CertificationError, geometries, values_of
from verification.exact.tensors import UndecidedError

LEAST_BITS, MOST_BITS = 128, 4096


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Displayed):
    """Enclosures of geometry at n points.

    Attributes:
        scalar: R, (n,) object array of ``flint.arb`` balls, each of which contains the true number.
        metric: g_ij, (n, d, d).
        volume_density: √det g, (n,).
        bits: the precision that was needed.
    """

    scalar: np.ndarray
    metric: np.ndarray
    volume_density: np.ndarray
    bits: int

    def relative_error(self, scalar: torch.Tensor | np.ndarray) -> np.ndarray:
        """An upper bound of |x − R|/|R| for computed values x (n,), tensor or array: (n,) floats.

        Infinite where x is not finite; where R = 0 cannot be excluded, 0 or infinite.
        """
        return self._bounds(scalar, _relative)

    def contains(self, scalar: torch.Tensor | np.ndarray) -> np.ndarray:
        """Whether computed values x (n,) cannot be told from R: (n,) bools."""
        return self._bounds(scalar, lambda x, ball: math.isfinite(x) and x in ball)

    def absolute_error(self, scalar: torch.Tensor | np.ndarray) -> np.ndarray:
        """An upper bound of |x − R|, in the same way."""
        return self._bounds(scalar, _absolute)

    def _bounds(self, scalar, bound):
        if isinstance(scalar, torch.Tensor):
            scalar = scalar.detach().cpu().double().numpy()
        values = np.asarray(scalar, dtype=np.float64).tolist()
        if np.shape(values) != self.scalar.shape:
            raise CertificationError(
                f"scalar must be {self.scalar.shape}, as R here is; got {np.shape(values)}."
            )
        with flint.ctx.workprec(self.bits):
            return np.array([bound(x, ball) for x, ball in zip(values, self.scalar, strict=True)])


def certify(
    decoder: Decoder, z: torch.Tensor, *, relative: float = 1e-20, formula: Formula = "gauss"
) -> Certificate:
    """Rigorous enclosures of R, g and √det g of a decoder's pullback metric, whatever G is in R^D.

    At points; of boxes :func:`verification.certify_region`.

    Args:
        decoder: ``nn.Module`` or callable (B, d) -> (B, ...) of linear layers, convolutions,
            smooth activations, sums, products, normalisations, softmax and attention; a module in
            eval mode. Its floats count as exact numbers, those that ``forward`` computes of shapes
            as well, as attention's scale.
            Or what :func:`curvcore.bind` makes of one, ``ambient=`` and ``likelihood=`` included.
        z: points (n, d), a floating-point tensor; its entries count as exact numbers.
        relative: width that every enclosure must have relative to what it encloses; for R relative
            to |II|², where R itself cannot be told from zero.
        formula: ``"gauss"`` or ``"intrinsic"``.

    Returns:
        Certificate.

    Raises:
        UnsupportedOperationError: an operation has no exact version.
        CertificationError: one rounds numbers that do not depend on z, or the enclosure stays wide
            at 4096 bits: the metric is singular at a point.
    """
    check_points(z)
    check_finite(z)
    check_decoder(decoder, z)
    if not len(z):
        raise CertificationError("There are no points: z must be (n, d) with n ≥ 1.")
    if isinstance(decoder, AmbientDecoder):
        curvcore.metric(decoder, z)  # raises where G is not one
    if not 0 < relative < 1:
        raise CertificationError(f"relative must be between 0 and 1; got {relative}.")
    bits = LEAST_BITS
    while bits <= MOST_BITS:
        with flint.ctx.workprec(bits):
            try:
                found, values = geometries(decoder, z, formula)
                wide = [n for n, g in enumerate(found) if not _narrow(g, relative)]
                reason = (
                    f"At point {wide[0]} the metric is singular, or as good as." if wide else ""
                )
            except UndecidedError as error:
                reason = str(error)
            if not reason:
                _check_values(decoder, z, values)
                return _certificate(found, bits)
        bits *= 2
    raise CertificationError(
        f"{reason} No enclosure is narrower than {relative:g} even at {MOST_BITS} bits. Leave such "
        "points out."
    )


def _certificate(geometries, bits):
    return Certificate(
        scalar=_stacked([geometry.scalar for geometry in geometries]),
        metric=np.stack([geometry.metric for geometry in geometries]),
        volume_density=_stacked([geometry.volume_density for geometry in geometries]),
        bits=bits,
    )


def _stacked(numbers):
    array = np.empty(len(numbers), dtype=object)
    array[:] = numbers
    return array


def _check_values(decoder, z, values):
    """Raise unless the decoder has these values on tensors: no operation went by unseen."""
    middle = [[float(ball.mid()) for ball in row] for row in values]
    try:
        with torch.no_grad():
            check_rows_independent(values_of(decoder), z, torch.tensor(middle, dtype=z.dtype))
    except Exception as error:  # whatever the decoder raises on a single row
        raise CertificationError(
            "On exact numbers the decoder has other values than on tensors: rows mix, something is "
            "random, or an operation works in place on what is used again."
        ) from error


def _narrow(geometry, relative):
    """Whether R, g and √det g are enclosed as narrowly as asked."""
    scale = geometry.scalar
    if scale.contains(0):
        scale = _squared_length(geometry)
    return (
        _is_narrow(geometry.scalar, scale, relative)
        and _is_narrow(geometry.volume_density, geometry.volume_density, relative)
        and all(_is_narrow(x, g, relative) for x, g in _entries(geometry.metric))
    )


def _is_narrow(ball, scale, relative):
    return ball.is_finite() and ball.rad() <= relative * abs(scale).abs_lower()


def _entries(metric):
    """Each entry g_ij, and what its error is measured against, (g_ii g_jj)^{1/2}."""
    lengths = [x.sqrt() for x in np.diagonal(metric)]
    for i, j in np.ndindex(metric.shape):
        yield metric[i, j], lengths[i] * lengths[j]


def _squared_length(geometry):
    """|II|² = g^{ik} g^{jl} ⟨II_ij, II_kl⟩, the size of what cancels in R; 1 where it vanishes."""
    normal, inverse = geometry.second_fundamental_form, geometry.inverse_metric
    raised = np.einsum("ik,jl,akl->aij", inverse, inverse, normal)
    square = np.einsum("aij,aij->", raised, normal)
    return flint.arb(1) if square.contains(0) else square


def _absolute(x, ball):
    return _upper(abs(flint.arb(x) - ball)) if math.isfinite(x) else math.inf


def _relative(x, ball):
    if not ball.contains(0):
        return _upper(abs(flint.arb(x) - ball) / abs(ball)) if math.isfinite(x) else math.inf
    return 0.0 if x == 0 == ball else math.inf


def _upper(ball):
    """A float that is no less than anything in the ball."""
    return 0.0 if ball.is_zero() else math.nextafter(float(ball.upper()), math.inf)
