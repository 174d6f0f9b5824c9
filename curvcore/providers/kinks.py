"""The warning that a decoder has kinks."""

import sys
import warnings
from contextvars import ContextVar

import torch

from curvcore.errors import PiecewiseLinearWarning

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


def note_kinks(names, jet=None):
    """Note that the decoder uses the piecewise functions ``names``, or that ``jet`` shows kinks."""
    if torch.compiler.is_compiling():
        return
    if not names and jet is not None and _is_piecewise_linear(jet):
        names = {"not named here: the Hessian is zero everywhere, the Jacobian is not constant"}
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


def _is_piecewise_linear(jet):
    if jet.order < 2 or len(jet.value) < 2 or jet.hessian.detach().any():
        return False
    jacobian = jet.jacobian.detach()
    return bool((jacobian != jacobian[:1]).any())


def frames_inside_curvcore():
    """How many frames to go up from the caller of this function to the first one of the user's."""
    frame, count = sys._getframe(1), 0
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in (
        "curvcore",
        "torch",
        "contextlib",
    ):
        frame, count = frame.f_back, count + 1
    return count
