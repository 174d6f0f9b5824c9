"""Taylor models of R and √det g on boxes, by curvcore's own rules and tensor formulas."""

import torch

from curvcore.formulas import Formulas
from curvcore.jets import Derivatives
from curvcore.packing import symmetric_square
from verification.exact.balls_of_decoders import levels_of, propagated
from verification.exact.tensors import ExactTensor
from verification.regions.isometric import isometric_factor
from verification.regions.models import TaylorModels
from verification.regions.monomials import monomials
from verification.regions.numbers import Models


def curvature_on(decoder, points, frame):
    """R and √det g, models (n,).

    Args:
        decoder: as of :func:`verification.certify`.
        points: models (n, d) of the latent points of n boxes.
        frame: matrices E (n, d, d), of floats, upper triangular: the formulas run in the
            coordinates E⁻¹z, which change neither R nor, with det E, the volume. Where EᵀgE ≈ I
            least is lost.
    """
    numbers = Models(points.basis)
    first, second = isometric_levels(propagated(decoder, ExactTensor(points, numbers), 2))
    frame = numbers.constants(frame)
    turned = Derivatives(
        first.contracted("nai,nij->naj", frame),
        second.contracted("nap,npq->naq", symmetric_square(frame)),
    )
    formulas = Formulas(turned, "gauss")
    stretch = 1
    for i in range(frame.shape[-1]):
        stretch = frame[..., i, i] * stretch
    return formulas.scalar, formulas.volume_density / stretch


def isometric_levels(jet):
    """Packed derivatives of Ψ, or, behind a last linear layer, shorter ones of equal products."""
    if jet.is_pending and jet.pending[0].ndim == 2 and _is_plain(jet.pending[1].weight):
        source, affine_map = jet.pending
        factor = isometric_factor(affine_map.weight, source.value.numbers.basis)
        if factor is not None:
            return [
                level.swapaxes(-2, -1).contracted("...i,ji->...j", factor).swapaxes(-2, -1)
                for level in levels_of(source)
            ]
    return levels_of(jet)


def values_behind(jet):
    """Ψ, or what a last linear layer takes, of which derivatives may know nothing: (n, ...)."""
    return (jet.pending[0] if jet.is_pending else jet).value.array


def _is_plain(weight):
    return isinstance(weight, torch.Tensor)


def points_of(root, centres, halves, basis):
    """Models (n, d) of the points of boxes in ``root`` (d, 2).

    Args:
        centres, halves: of the boxes (n, d) in [−1, 1]^d, that ``root`` is mapped to.
    """
    coefficients = torch.zeros(len(basis), *centres.shape, dtype=torch.float64)
    coefficients[0] = centres
    for i in range(centres.shape[1]):
        coefficients[1 + i, :, i] = halves[:, i]
    x = TaylorModels(basis, coefficients, torch.zeros_like(centres))
    low, high = (TaylorModels.constant(basis, end) for end in root.unbind(1))
    return (high - low) / 2 * x + (low + high) / 2


def values_at(decoder, z):
    """Ψ at points (n, d), as on boxes, rounded: (n, D)."""
    basis = monomials(z.shape[1], 0)
    points = ExactTensor(TaylorModels.constant(basis, z), Models(basis))
    return propagated(decoder, points, 1).value.reshape(len(z), -1).array.middle


def frames_of(metric):
    """E with EᵀgE ≈ I for metrics (n, d, d), upper triangular; the identity where that fails."""
    factor, info = torch.linalg.cholesky_ex(metric)
    one = torch.eye(metric.shape[-1], dtype=metric.dtype).expand_as(metric)
    inverted = torch.linalg.solve_triangular(factor, one, upper=False).mT
    regular = (info == 0) & inverted.isfinite().flatten(1).all(1)
    return torch.where(regular[:, None, None], inverted, one).triu()
