"""Morse's index of a geodesic, and where the points conjugate to its start are.

On broken Jacobi fields with values p_k at the nodes, and none at the ends, the index form is

    I(p, p) = Σ_k ⟨p_k, W_k⁻ − W_k⁺⟩,

with W⁻ and W⁺ the covariant derivatives on either side. Where no segment holds a point conjugate to
its start, the number of its negative eigenvalues is that of the points conjugate to z_0 before the
end, by multiplicity, and it is regular when the end is none (Morse's index theorem: Milnor, *Morse
Theory*, §15; do Carmo, ch. 11). With (J, W) at the end of a segment = [[A, B], [C, D]] (J, W) at
its start, W_k⁺ = B⁻¹(p_{k+1} − A p_k) and W_{k+1}⁻ = C p_k + D W_k⁺.

Eigenvalues are counted by Sylvester's law: of M = VᵀIV, V the eigenvectors in floating point, by
Gershgorin's circles of D M D⁻¹, D = diag |M_ii|, none of which reaches 0 where

    Σ_j |M_ij − δ_ij M_ii| / |M_jj| < 1 for all i.

As I is a form on the fields that end at t too, for any t, conjugate points
are found by bisection.
"""

import numpy as np
import torch

from verification.geodesics.flow import at, ball
from verification.regions.geometry import frames_of
from verification.regions.models import TaylorModels, norm, up

_BISECTIONS = 40
_SHARES = 1 / 2, 3 / 8, 5 / 8  # where to look between two times; the next where nothing is known
_ROUNDING = 2.0**-49  # of times in [0, 1]


class IndexForm:
    """Of a Flow over the whole geodesic.

    Args:
        flow: a Flow that is proved on a box that holds the geodesic's nodes.
        times: of the nodes, floats (K + 1,).
    """

    def __init__(self, flow, times):
        self._flow, self._times = flow, times
        self._metric = at(flow.along.metric(), -1.0)
        self._frames = frames_of(self._metric.middle)
        blocks = _blocks(flow.fundamental_ends)
        self._inverse = inverted(blocks[1])
        self._diagonal, self._above = self._nodes(*blocks)

    def _nodes(self, a, b, c, d):
        """Blocks (k, k), k = 1, ..., K − 1, of the left side alone; and (k, k + 1), negative."""
        left = np.einsum("nij,njk->nik", d, self._inverse)[:-1]
        diagonal = np.einsum("nij,njk->nik", self._metric[1:], left)
        above = np.einsum("nij,njk->nik", self._metric, self._inverse)
        return diagonal, above

    def are_short(self):
        """Where a segment holds no point conjugate to its start, for sure: (K,).

        There B(t) = (t − t_k) times a mean of J' = W − Γ(v)J, which an interval matrix holds that
        is regular.
        """
        flow = self._flow
        _, b, _, d = _blocks(flow.fundamental)
        slope = d - np.einsum("nij,njk->nik", flow.along.transport(), b)
        return inverted(slope.hull()).radius.flatten(1).isfinite().all(1)

    def up_to(self, t):
        """How many conjugate points are in (0, t), and that t is none; or None, not known."""
        k = int(torch.searchsorted(self._times, t, right=False)) - 1
        if k < 1:
            return 0 if t > 0 else None
        width = self._times[k + 1] - self._times[k]
        tau = (2 * (t - self._times[k]) / width - 1).clamp(-1, 1)
        a, b, *_ = _blocks(at(self._flow.fundamental[k : k + 1], tau))
        return _negative(self._matrix(k, a, inverted(b)))

    def _matrix(self, k, a, inverse):
        """Middles and radii of I on p_1, ..., p_k, that ends in segment k with A and B⁻¹."""
        a_of, *_ = _blocks(self._flow.fundamental_ends)
        a = np.concatenate([a_of[1:k], a], axis=0)
        inverse = np.concatenate([self._inverse[1:k], inverse], axis=0)
        right = np.einsum("nij,njk,nkl->nil", self._metric[1 : k + 1], inverse, a)
        frames = self._frames[1 : k + 1]
        diagonal = _turned(frames, self._diagonal[:k] + right, frames)
        above = -_turned(frames[:-1], self._above[1:k], frames[1:])
        d = frames.shape[-1]
        middle, radius = (frames.new_zeros(k, d, k, d) for _ in range(2))
        n = torch.arange(k)
        for whole, on, off in (
            (middle, diagonal.middle, above.middle),
            (radius, diagonal.radius, above.radius),
        ):
            whole[n, :, n] = on
            whole[n[:-1], :, n[1:]] = off
            whole[n[1:], :, n[:-1]] = off.mT
        return _symmetric(*(x.reshape(k * d, k * d) for x in (middle, radius)), self._metric.basis)

    def conjugate_points(self):
        """Brackets (low, high, count) of all points conjugate to the start; None: not known."""
        end = self._times[-1]
        count = self.up_to(end)
        if count is None:
            return None
        found, known = [], (self._times[0], 0)
        while known[1] < count:
            found.append(self._next(known, (end, count)))
            known = found[-1][1:]
        return tuple(_brackets(found))

    def _next(self, low, high):
        """Times close to each other with the first change of the count between them."""
        for _ in range(_BISECTIONS):
            for share in _SHARES:
                middle = torch.lerp(low[0], high[0], share)
                count = self.up_to(middle)
                if count is not None:
                    break
            else:
                break
            if count == low[1]:
                low = middle, count
            else:
                high = middle, count
        return low[0], *high


def _brackets(found):
    """Of counts from the start, as floats, with what rounding of times does."""
    before = 0
    for low, high, count in found:
        yield max(0.0, low.item() - _ROUNDING), min(1.0, high.item() + _ROUNDING), count - before
        before = count


def inverted(matrices):
    """Inverses of interval matrices (K, d, d), constants; not finite where one may be singular.

    With X ≈ M⁻¹ and E = I − XM, M⁻¹ − X = FX, ‖F‖ ≤ ‖E‖/(1 − ‖E‖), ‖·‖ the largest row's sum.
    """
    basis, d = matrices.basis, matrices.shape[-1]
    near, info = torch.linalg.inv_ex(matrices.middle)
    one = torch.eye(d, dtype=near.dtype)
    near = torch.where((info == 0)[:, None, None] & near.isfinite(), near, one)
    product = TaylorModels.constant(basis, near).contracted("nij,njk->nik", matrices)
    error = product - one
    size = up((norm(error.coefficients) + error.radius).sum(2), d).amax(1)
    factor = torch.where(size < 0.9, up(size / (1 - size), 8), torch.inf)
    reach = near.abs().sum(1, keepdim=True).expand_as(near)
    return ball(basis, near, up(factor[:, None, None] * reach, d))


def _blocks(matrices):
    """A, B, C, D of (J, W)."""
    d = matrices.shape[-1] // 2
    rows = matrices[:, :d], matrices[:, d:]
    return [row[:, :, columns] for row in rows for columns in (slice(None, d), slice(d, None))]


def _turned(left, matrices, right):
    left, right = (TaylorModels.constant(matrices.basis, x) for x in (left, right))
    return np.einsum("nji,njk,nkl->nil", left, matrices, right)


def _symmetric(middle, radius, basis):
    """The form is symmetric: middles are made so, at the cost of what they are apart."""
    mean = (middle + middle.mT) / 2
    apart = (middle - mean).abs() + 1e-16 * middle.abs()
    return ball(basis, mean, up(radius + apart, 2))


def _negative(form):
    """How many eigenvalues are negative, where none may be zero; else None."""
    if not (form.middle.isfinite().all() and form.radius.isfinite().all()):
        return None
    _, vectors = torch.linalg.eigh(form.middle)
    vectors = TaylorModels.constant(form.basis, vectors)
    turned = form.contracted("ij,jk->ik", vectors)
    turned = vectors.contracted("ji,jk->ik", turned)
    centres = turned.middle.diagonal()
    off = norm(turned.coefficients) + turned.radius
    off = up(off - torch.diag(centres.abs()), 2)  # the rounding of the difference is of |centre|
    if not (up(off @ (1 / centres.abs()), len(off)) < 1).all():
        return None
    return int((centres < 0).sum())
