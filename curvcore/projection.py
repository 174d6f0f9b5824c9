"""The Gauss equation on packed derivatives, as one operation with its gradient by hand.

With the derivatives at a point as vectors x_i and x_p, p the pairs i ≤ j, and a frame E held
constant (:mod:`curvcore.frames`, :mod:`curvcore.packing`)::

    e_a = E^i_a x_i,   h_p = (Sym² E)^q_p x_q,   m_ab = ⟨e_a, e_b⟩,   Γ^a_p = m^{ab}⟨e_b, h_p⟩,
    II_p = h_p − Γ^a_p e_a,   S_pq = ⟨II_p, II_q⟩

are the formulas of :mod:`curvcore.metrics` and :mod:`curvcore.riemann`, and m, m⁻¹, Γ, S all that
intrinsic quantities depend on. With their gradients m̄, w̄, Γ̄, S̄, M = m̄ − m⁻¹ w̄ m⁻¹, B = m⁻¹ Γ̄, and
because of ⟨e_a, II_p⟩ = 0,

    h̄_p = (S̄ + S̄ᵀ)_pq II_q + B^a_p e_a,
    ē_a = B^a_p II_p − Γ^a_p (S̄ + S̄ᵀ)_pq II_q + (M + Mᵀ)^ab e_b − Γ^a_p B^b_p e_b.

Of R this is the first variation of :mod:`curvcore.rounding`.
"""

import torch
from torch.autograd import Function

from curvcore.arithmetic import inverse
from curvcore.constants import identity
from curvcore.degenerate import filled, flat_derivatives
from curvcore.formulas import Formulas
from curvcore.frames import Frame
from curvcore.jets import Derivatives
from curvcore.packing import symmetric_square


class ProjectedFormulas(Formulas):
    """The intrinsic quantities of the gauss formula in a frame.

    Args:
        channels: packed derivatives of order two, (K, B, N) with K = d + d(d+1)/2.
        frame: a :class:`curvcore.frames.Frame`.
        left_out: points (B,) that get NaN and pass on no gradient, or None.
        flat: they get what a plane has instead, if E = I there.
    """

    def __init__(self, channels, frame, left_out=None, flat=False):
        self.formula, self.device_type = "gauss", channels.device.type
        results = _Projection.apply(channels, frame.basis, left_out, flat)
        self.metric, self.inverse_metric, christoffel, products = results
        self._christoffel_of_pairs = christoffel[..., None]
        self._products_of_pairs = products[:, :, None, :, None]

    def in_units(self, unit):
        """The same in double precision, lengths in units (B,) and the frame with them."""
        scaled = object.__new__(ProjectedFormulas)
        scaled.formula, scaled.device_type = self.formula, self.device_type
        unit = unit[:, None, None]
        scaled.metric, scaled.inverse_metric = self.metric.double(), self.inverse_metric.double()
        scaled._christoffel_of_pairs = (self.christoffel_of_pairs.double() * unit)[..., None]
        products = self.products_of_pairs.double() * unit * unit
        scaled._products_of_pairs = products[:, :, None, :, None]
        return scaled


class _Projection(Function):
    """(channels, E, left out, flat) -> m and m⁻¹ (B, d, d), Γ (B, d, P), S (B, P, P)."""

    @staticmethod
    def forward(ctx, channels, basis, left_out, flat):
        d, square = basis.shape[-1], symmetric_square(basis)
        vectors = channels.transpose(0, 1)
        # Not written into parts of one tensor: torch multiplies such matrices one by one.
        e, h = torch.bmm(basis.mT, vectors[:, :d]), torch.bmm(square.mT, vectors[:, d:])
        metric = torch.bmm(e, e.mT)
        inverse_metric = inverse(metric)
        christoffel = torch.bmm(inverse_metric, torch.bmm(e, h.mT))
        form = torch.baddbmm(h, christoffel.mT, e, alpha=-1)
        ctx.save_for_backward(
            channels, basis, left_out, square, e, form, inverse_metric, christoffel
        )
        ctx.set_materialize_grads(False)
        ctx.flat = flat
        results = metric, inverse_metric, christoffel, torch.bmm(form, form.mT)
        if left_out is None:
            return results
        one = identity(d, metric.dtype, metric.device)
        fills = (one, one, 0, 0) if flat else (torch.nan,) * 4
        return tuple(filled(left_out, x, y) for x, y in zip(results, fills, strict=True))

    @staticmethod
    def backward(ctx, *gradients):
        if all(gradient is None for gradient in gradients):
            return (None,) * 4
        channels, basis, left_out, square, e, form, *of_point = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated once more
            mask = left_out, ctx.flat
            return _differentiable(channels, basis, *mask, gradients), None, None, None
        of_frame, of_pairs = _coefficients(*gradients, *of_point)
        coefficients = torch.cat([torch.bmm(basis, of_frame), torch.bmm(square, of_pairs)], 1)
        gradient = torch.bmm(coefficients, torch.cat([e, form], 1)).transpose(0, 1)
        if left_out is not None:
            gradient.masked_fill_(left_out[:, None], 0)
        return gradient, None, None, None


def _coefficients(of_metric, of_inverse, of_christoffel, of_products, inverse_metric, christoffel):
    """ē (B, d, K) and h̄ (B, P, K) in terms of e and II."""
    pairs = christoffel.shape[-1]
    along = torch.zeros_like(inverse_metric) if of_metric is None else of_metric
    if of_inverse is not None:
        along = along - inverse_metric @ of_inverse @ inverse_metric
    along, raised = along + along.mT, torch.zeros_like(christoffel)
    if of_christoffel is not None:
        raised = inverse_metric @ of_christoffel
        along = torch.baddbmm(along, christoffel, raised.mT, alpha=-1)
    if of_products is None:
        of_products = christoffel.new_zeros(len(christoffel), pairs, pairs)
    of_products = of_products + of_products.mT
    across = torch.baddbmm(raised, christoffel, of_products, alpha=-1)
    return torch.cat([along, across], -1), torch.cat([raised.mT, of_products], -1)


def _differentiable(channels, basis, left_out, flat, gradients):
    """The same gradient, by torch's own from the formulas."""
    d = basis.shape[-1]
    derivatives = Derivatives(*channels.permute(1, 2, 0).split([d, len(channels) - d], -1))
    if flat:
        derivatives = flat_derivatives(left_out, derivatives)
    elif left_out is not None:
        derivatives = derivatives.map(lambda array: filled(left_out, array, torch.nan))
    formulas = Formulas(Frame(basis, None).derivatives(derivatives), "gauss")
    results = (
        formulas.metric,
        formulas.inverse_metric,
        formulas.christoffel_of_pairs,
        formulas.products_of_pairs,
    )
    outputs, weights = zip(
        *((x, g) for x, g in zip(results, gradients, strict=True) if g is not None), strict=True
    )
    return torch.autograd.grad(outputs, channels, weights, create_graph=True)[0]
