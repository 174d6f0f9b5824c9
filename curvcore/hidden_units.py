"""R of a stack of linear layers and entrywise functions, by moments of second derivatives.

In y_l = f_l(x_l), x_l = W_l y_l−1 + b_l, Ψ = W y_L + b, derivatives along a frame e_a are
y_l,a = f'_l x_l,a and y_l,ab = f'_l x_l,ab + f''_l x_l,a x_l,b. R = |H|² − |II|² sees only sums
over a and b, which go through the layers by themselves::

    S_kl = (Σ_a x_k,a x_l,aᵀ)²              entry by entry,
    C_kl = Σ_ab y_k,ab (x_l,a x_l,b)ᵀ       = f'_k W_k C_k−1,l + f''_k S_kl,
    N_l  = Σ_ab y_l,ab y_l,abᵀ              = f'_l W_l N_l−1 W_lᵀ f'_l + f''_l S_ll f''_l
                                               + f'_l W_l C_l−1,l f''_l + transposed,
    |II|² = ⟨WᵀPW, N_L⟩,   H = P W Σ_a y_L,aa,

P the projection onto normal vectors, f' and f'' diagonal matrices. For two layers of h units that
takes some h²(2h + 5d) operations a point, where all ∂_a∂_bΨ take d²/2 passes through the layers.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch

from curvcore.tangent import TangentSpaces


@dataclass(frozen=True)
class Slopes:
    """What a stack of layers is near B points.

    Attributes:
        weights: W_1, …, W_L, matrices (outputs, inputs).
        first: f'_l (B, h_l), for each l.
        second: f''_l (B, h_l), likewise.
        readout: a matrix (N, h_L) whose columns have the inner products of those of W.
    """

    weights: tuple
    first: tuple
    second: tuple
    readout: torch.Tensor

    def at(self, points):
        """Those at some of the points, a slice."""
        first, second = (tuple(f[points] for f in fs) for fs in (self.first, self.second))
        return Slopes(self.weights, first, second, self.readout)

    def layers(self):
        """(W_l, f'_l, f''_l) for each l, as matrix and columns (B, h_l, 1)."""
        columns = ([f[..., None] for f in fs] for fs in (self.first, self.second))
        return list(zip(self.weights, *columns, strict=True))


# Products of moments run at about this part of the speed of those of derivatives.
_SPEED = 0.6


def cost_of_units(d, widths):
    """Multiplications a point of moments, of layers of so many units, at the speed of large ones.

    Those of S_kl, C_kl and N_l, in this order.
    """
    total = 0
    for place, width in enumerate(widths):
        before = widths[:place]
        total += width * d * (sum(before) + 2 * width)
        total += sum(a * b * width for a, b in pairwise(before))
        if before:
            total += before[-1] * width * (before[-1] + width)
    return total / _SPEED


def scalar_of_units(slopes, points_at_once):
    """R (B,) of Slopes, |∇²Ψ|²/|R| (B,), and the TangentSpaces.

    R is a difference of sums of the size of |∇²Ψ|², tangential parts included. Moments are of so
    many points at a time.
    """
    outputs, tangent, frame, along = _along_frame(slopes)
    # Of order one, since their fourth powers come in: R is of degree four in them.
    size = along[-1].detach().abs().amax((1, 2), keepdim=True)
    size = torch.where(size > 0, size, 1)
    along = [x / size for x in along]
    trace = tangent.normal((slopes.readout @ _trace(slopes, along)).mT)
    gram = slopes.readout.mT @ slopes.readout
    tangential = frame @ outputs @ gram
    pieces = [
        _squared_forms(slopes.at(points), [x[points] for x in along], tangential[points], gram)
        for points in _slices(len(frame), points_at_once)
    ]
    square, bending = map(torch.cat, zip(*pieces, strict=True))
    square_of_size = size[:, 0, 0].square()
    scalar = trace.square().sum((1, 2)) - square
    cancelled = bending / scalar.detach().abs()
    return scalar * square_of_size * square_of_size, cancelled, tangent


def mean_curvature_of_units(slopes):
    """H (B, D) of Slopes whose readout is W itself, and the TangentSpaces.

    The trace Σ_a ∂_a∂_a goes through the layers as one vector, by the chain rule of the Laplacian.
    """
    _, tangent, _, along = _along_frame(slopes)
    return tangent.normal((slopes.readout @ _trace(slopes, along)).mT)[:, 0], tangent


def _along_frame(slopes):
    """∂y_L/∂z, TangentSpaces, vectors of an orthonormal frame as rows, and x_l,a (B, d, h_l)."""
    gradients, outputs = _gradients(slopes)
    tangent = TangentSpaces(outputs @ slopes.readout.mT)
    frame = tangent.frame().mT
    return outputs, tangent, frame, [frame @ gradient for gradient in gradients]


def _slices(count, size):
    return [slice(start, start + size) for start in range(0, count, size)]


def _squared_forms(slopes, along, tangential, gram):
    """|II|² and |∇²Ψ|² (B,), from x_l,a, ⟨e_a, W⟩ and WᵀW."""
    moment = _second_moment(slopes, along)
    normal = torch.baddbmm(gram.expand_as(moment), tangential.mT, tangential, alpha=-1)
    return (normal * moment).sum((1, 2)), (gram * moment.detach()).sum((1, 2))


def _gradients(slopes):
    """∂x_l/∂z, transposed (B, d, h_l), for each l, and ∂y_L/∂z."""
    gradients, outputs = [], None
    for weight, first in zip(slopes.weights, slopes.first, strict=True):
        inputs = weight.mT.expand(len(first), -1, -1) if outputs is None else outputs @ weight.mT
        gradients.append(inputs)
        outputs = inputs * first[:, None]
    return gradients, outputs


def _trace(slopes, along):
    """Σ_a y_L,aa: (B, h_L, 1)."""
    trace = None
    for (weight, first, second), x in zip(slopes.layers(), along, strict=True):
        curved = second * x.square().sum(1)[..., None]
        trace = curved if trace is None else curved + first * (weight @ trace)
    return trace


def _second_moment(slopes, along):
    """N_L, not symmetrised: (B, h_L, h_L)."""
    layers, moment = slopes.layers(), None
    for place, (weight, first, second) in enumerate(layers):
        x = along[place]
        curved = _bent(x, second, x, second)
        if moment is not None:
            slope = first * weight  # f'_l W_l
            mixed = _cross_moment(layers[:place], along, x, 2 * second)
            curved = torch.baddbmm(curved, slope, torch.baddbmm(mixed, moment, slope.mT))
        moment = curved
    return moment


def _cross_moment(layers, along, x, factors):
    """Σ_ab y_ab (x_a x_b)ᵀ, times ``factors``, of y behind the last layer: (B, h, k)."""
    cross = None
    for (weight, first, second), x_before in zip(layers, along[: len(layers)], strict=True):
        curved = _bent(x_before, second, x, factors)
        cross = curved if cross is None else torch.baddbmm(curved, first * weight, cross)
    return cross


def _bent(a, left, b, right):
    """u_m ⟨a_m, b_n⟩² v_n of columns (B, d, h) and (B, d, k), u (B, h, 1), v (B, k, 1)."""
    return (a.mT @ b).square() * left * right.mT
