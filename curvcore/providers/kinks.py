"""The warning that a decoder has kinks: points at which its first derivatives jump.

Curvature that sits there is seen by no derivative. Noticed are:

- activations and poolings made of pieces (ReLU, hard tanh, max pooling, ELU and SELU of two slopes,
  ...), wherever they act on what depends on z, inside TorchScript or a custom function as well;
- whatever else switches between formulas (clamp, where, a comparison times a value, max, sort, abs,
  masks, rounding, ...), or is singular close by (√, log, hypot near zero, asin, atan2, eigenvalues,
  quotients and inverses at their poles, ...; :mod:`curvcore.providers.switches`), if at the points
  looked at not all entries switch the same way, and if Ψ or its derivative is then seen to jump on
  the lines between these points or from them through the box that they span about the origin
  (:mod:`curvcore.providers.jumps`). So guards that nothing meets are none of it (``clamp_min`` of a
  norm at 1e-12), nor formulas that fit together (softmax less the largest entry, ELU, sin(h)/h);
- whatever it is made of, a Hessian that is zero at all points while the Jacobian is not constant.

Looked at are the first eight points: of every autodiff call; under ``"fused"`` whenever the jet is
compared with other derivatives (:mod:`curvcore.providers.memory`). Not noticed are kinks that
lie elsewhere, jumps below 1e-4 of the derivative along the line, kinks inside compiled graphs,
those of operations that neither switch nor come near a point where they are singular, or that are
not listed as singular (atanh, erfinv, eigenvalues of matrices that are not symmetric, ...), and
jumps where Ψ or its derivative is not finite or has a pole (1/(1 + exp(1/h)), whose derivative
overflows). In float32 singularities where an argument is ±1 are lost in rounding: those of
asin(sin h), acosh(cosh h) and log1p(h² − 1).
"""

import warnings
from contextlib import suppress
from contextvars import ContextVar

import torch

from curvcore.errors import PiecewiseLinearWarning, frames_inside_curvcore
from curvcore.providers.jumps import has_jumps
from curvcore.providers.switches import operations_of

_POINTS, _BEYOND = 8, 4
_ROWS = 32  # at a time, to bound memory
_NAMELESS = "not named here: the Hessian is zero everywhere, the Jacobian is not constant"
_gathered = ContextVar("gathered", default=None)


class one_warning_of_kinks:  # noqa: N801  (used as a function)
    """Gather the kinks met within, and warn of all of them once at the end.

    A class, since compilers of torch up to 2.8 cannot trace a generator as a context.
    """

    def __enter__(self):
        outermost = not torch.compiler.is_compiling() and _gathered.get() is None
        self._token = _gathered.set(set()) if outermost else None

    def __exit__(self, kind, error, traceback):
        if self._token is None:
            return
        names = _gathered.get()
        _gathered.reset(self._token)
        if kind is None:
            _warn(names)


def kinks_of(decoder, z, jet, derive):
    """Names of the operations that give ``decoder`` kinks near points z, of which it has ``jet``.

    Args:
        decoder: callable (B, d) -> (B, ...).
        z: points (B, d).
        jet: the Jet at z.
        derive: points (N, d) -> Jet of first order there.
    """
    names = set()
    with suppress(Exception):  # a decoder may refuse other points
        names = _named_kinks(decoder, _enough(z.detach()[:_POINTS]), derive)
    with suppress(Exception):  # torch.vmap refuses to look at numbers
        return names or ({_NAMELESS} if _is_piecewise_linear(jet) else set())
    return names


def _named_kinks(decoder, z, derive):
    switches = operations_of(decoder, z)
    if switches.kinked or not switches.switching:
        return switches.kinked
    return switches.switching if _has_jumps(derive, z) else set()


def note_kinks(names):
    """Warn that the decoder has kinks, of operations ``names``; within a gathering, at its end."""
    if torch.compiler.is_compiling():
        return
    if _gathered.get() is None:
        _warn(names)
    else:
        _gathered.get().update(names)


def _warn(names):
    if names:
        warnings.warn(
            f"The decoder uses piecewise functions ({', '.join(sorted(names))}). Its derivatives "
            "exist almost everywhere only, and curvature that sits on the kinks is not seen: a "
            "piecewise linear decoder has R = 0 almost everywhere, which means nothing. Use a "
            "smooth activation (SiLU, GELU, tanh, softplus).",
            PiecewiseLinearWarning,
            stacklevel=frames_inside_curvcore() + 1,
        )


def _has_jumps(derive, z):
    def derivatives(points):
        jets = list(map(derive, points.split(_ROWS)))
        return torch.cat([jet.value for jet in jets]), torch.cat([jet.jacobian for jet in jets])

    with torch.no_grad():
        return has_jumps(derivatives, torch.cat([z, _beyond(z)]))


def _enough(z):
    """The points z; if they are few, others near them, on the same side of zero."""
    missing = _POINTS - len(z)
    nearby = z.repeat(missing, 1)[:missing] * (0.5 + _scattered(missing, z))
    return torch.cat([z, nearby])


def _beyond(z):
    """Points of the box |z_i| ≤ max |z_i| and a little more, the first one opposite to z_1."""
    extent = z.abs().amax(0)
    extent = torch.where(extent > 0, extent, 1)
    numbers = _scattered(_BEYOND, z)
    return torch.cat([-z[:1] * (1 + numbers[:1] / 4), extent * (3 * numbers[1:] - 1.5)])


def _scattered(count, z):
    """Numbers between 0 and 1, (count, d): not random, since torch.vmap would refuse them."""
    numbers = torch.arange(1, 1 + count * z.shape[1], dtype=torch.float64, device="cpu")
    return ((numbers * 12.9898).sin() * 43758.5453 % 1).reshape(count, z.shape[1]).to(z)


def _is_piecewise_linear(jet):
    if jet.order < 2 or len(jet.value) < 2 or jet.hessian.detach().any():
        return False
    jacobian = jet.jacobian.detach()
    usual = jacobian.abs().max().double().square() / jet.value.detach().abs().max()
    if usual < torch.finfo(jacobian.dtype).tiny:  # a Hessian of that size has vanished in rounding
        return False
    rounding = torch.finfo(jacobian.dtype).eps ** 0.5 * jacobian.abs().max()
    return bool(((jacobian - jacobian[:1]).abs() > rounding).any())
