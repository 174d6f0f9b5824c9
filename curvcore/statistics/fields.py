"""What curves need to know of a metric at their nodes: from a spline, or from the decoder itself.

============  ========================  ============  ========================
code          of a spline, v = dγ/dt    of decoders   shape
============  ========================  ============  ========================
``energy``    ½ g_ij v^i v^j            the same      (M,)
``momentum``  g_lj v^j                  the same      (d, M)
``force``     ½ ∂_l g_ij v^i v^j        p_k N^k_l     (d, M)
``metric``    g_lm                      the same      (d, d, M)
``mixed``     ∂_m g_lj v^j              g_lk N^k_m    (d, d, M), of φ' and φ
``bend``      ½ ∂_l ∂_m g_ij v^i v^j    below         (d, d, M)
============  ========================  ============  ========================

Of a spline the last three make the second derivatives of E; of decoders, with N^k_m = Γ^k_mj γ̇^j,
its second variation ∫ |∇V|² − R(V, γ̇, V, γ̇), which takes no derivative of Γ:
g_kn N^k_l N^n_m − R_ljmk γ̇^j γ̇^k.
"""

from typing import NamedTuple

import torch

from curvcore.api import pullback
from curvcore.packing import count
from curvcore.providers.ambient import numbers_at
from curvcore.statistics.splines import metric_of, symmetric

_NUMBERS_AT_ONCE = 2**23  # of derivatives


class Parts(NamedTuple):
    """See above; points in the last axis."""

    energy: torch.Tensor
    momentum: torch.Tensor
    force: torch.Tensor
    metric: torch.Tensor
    mixed: torch.Tensor
    bend: torch.Tensor


class SplineField:
    """A MetricSpline, in its coordinates."""

    def __init__(self, spline):
        self._spline = spline
        self.contains, self.relative_error = spline.contains, spline.relative_error

    def metric(self, x):
        """g at x (d, M): (d, d, M)."""
        return self._spline.metric(x)

    def parts(self, x, speed):
        """Parts at x (d, M) for curves with this speed (d, M)."""
        d, found = len(x), self._spline.derivatives(x)
        unit = [tuple(int(i == j) for j in range(d)) for i in range(d)]
        # ½ γ̇^i γ̇^j, i ≤ j, twice where i < j.
        squares = torch.stack(
            [speed[i] * speed[j] / (1 + (i == j)) for i in range(d) for j in range(i, d)]
        )
        g = symmetric(found[(0,) * d], d)
        slopes = [symmetric(found[m], d) for m in unit]
        bend = [found[tuple(map(sum, zip(m, n, strict=True)))] for m in unit for n in unit]
        return Parts(
            energy=(found[(0,) * d] * squares).sum(0),
            momentum=(g * speed).sum(1),
            force=torch.stack([(found[m] * squares).sum(0) for m in unit]),
            metric=g,
            mixed=torch.stack([(slope * speed).sum(1) for slope in slopes], 1),
            bend=torch.stack([(b * squares).sum(0) for b in bend]).unflatten(0, (d, d)),
        )


class DecoderField:
    """The metric of a decoder, in latent coordinates; NaN where it is degenerate.

    Args:
        like: a tensor of the dtype and on the device of the decoder's points.
    """

    def __init__(self, decoder, like):
        self._decoder, self._like, d = decoder, like[:1], like.shape[1]
        numbers = d**4 + numbers_at(decoder, self._like) * (1 + d + count(d, 2))
        self._at_once = max(1, _NUMBERS_AT_ONCE // numbers)

    def contains(self, x):
        """All x (d, ...): (...)."""
        return torch.ones_like(x[0], dtype=torch.bool)

    def relative_error(self, x):
        """None."""
        return torch.zeros_like(x[0])

    def metric(self, x):
        """g at x (d, M): (d, d, M)."""
        return metric_of(self._decoder, x.mT.to(self._like)).movedim(0, -1)

    def parts(self, x, speed):
        """Parts at x (d, M) for curves with this speed (d, M)."""
        pieces = zip(x.split(self._at_once, 1), speed.split(self._at_once, 1), strict=True)
        parts = [self._parts(*piece) for piece in pieces]
        return Parts(*(torch.cat(part, -1) for part in zip(*parts, strict=True)))

    def _parts(self, x, speed):
        with torch.no_grad():
            geometry = pullback(self._decoder, x.mT.to(self._like), on_degenerate="nan")
            tensors = geometry.metric, geometry.christoffel, geometry.riemann
        g, christoffel, riemann = (tensor.double().cpu() for tensor in tensors)
        turn = torch.einsum("bkmj,jb->bkm", christoffel, speed)
        mixed = g @ turn
        momentum = torch.einsum("blj,jb->bl", g, speed)
        bend = turn.mT @ mixed - torch.einsum("bljmk,jb,kb->blm", riemann, speed, speed)
        energy = torch.einsum("bl,lb->b", momentum, speed) / 2
        force = torch.einsum("bk,bkl->bl", momentum, turn)
        return Parts(*(part.movedim(0, -1) for part in (energy, momentum, force, g, mixed, bend)))
