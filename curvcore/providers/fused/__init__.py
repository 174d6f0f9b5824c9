"""Jets by operator overloading: one batched pass of all derivatives through ``forward``.

The value and its packed derivatives flow through the decoder's own code; every linear map is
applied to all of them in one product, and every other operation follows its rule. Before the first
nonlinearity the first derivatives are the same at all points and the second ones zero: neither is
computed.
"""

from weakref import WeakKeyDictionary

import torch

from curvcore.errors import CurvatureError, DecoderError
from curvcore.providers.fused import composites, elementwise, linear, products  # noqa: F401
from curvcore.providers.fused.jet_tensor import JetTensor, MissingRuleError
from curvcore.providers.fused.result import FusedJet
from curvcore.providers.outputs import ambient_dimension, check_output
from curvcore.providers.witness import check_jet

__all__ = ["FusedJet", "JetTensor", "MissingRuleError", "fused_jet"]

# What was checked already, by decoder: (order, d, dtype, which modules are in train mode).
_CHECKED = WeakKeyDictionary()


def fused_jet(decoder, z, order):
    """The jet of ``decoder`` at latent points ``z``.

    The first jet of every decoder is compared with torch's own derivatives
    (:mod:`curvcore.providers.witness`).

    Args:
        decoder: callable (B, d) -> (B, ...) that treats rows independently and is made of torch
            functions that have rules (:mod:`curvcore.providers.fused.registry`).
        z: points (B, d), B ≥ 1, of floating dtype.
        order: 1, 2 or 3.

    Returns:
        FusedJet with the output flattened to D components, differentiable in z and in the
        parameters.

    Raises:
        DecoderError: the output is not (B, ...) of z's dtype with D ≥ d components.
        MissingRuleError: an operation of the decoder has no rule.
        RowsNotIndependentError: rows are coupled or random.
        UnsupportedOperationError: the result disagrees with torch's own derivatives.
    """
    output = _propagate(decoder, z, order)
    if not torch.compiler.is_compiling():
        _check_once(decoder, z, order)
    return FusedJet.of(output)


def _propagate(decoder, z, order):
    try:
        output = decoder(JetTensor.coordinates(z, order))
    except CurvatureError:
        raise
    except Exception as error:
        ambient_dimension(decoder, z)  # should a tensor fail as well, it does so here
        raise MissingRuleError(
            f"derivatives='fused' cannot run this decoder: {type(error).__name__}: {error}. It "
            "hides operations from torch's override protocol (TorchScript, autograd.Function), or "
            "has one without a rule. Write derivatives='autodiff', or register a rule: see "
            "curvcore.rules."
        ) from error
    if isinstance(output, torch.Tensor):
        check_output(output, z, torch.Tensor)
        raise DecoderError("The decoder's output does not depend on z, or not by torch functions.")
    check_output(output, z, JetTensor)
    return output


def _check_once(decoder, z, order, most_points=8):
    """Compare the first jet of a kind with independent computations, at a few points."""
    try:
        checked = _CHECKED.setdefault(decoder, set())
    except TypeError:  # no weak reference to it: a bound method, a partial
        checked = set()
    modules = decoder.modules() if isinstance(decoder, torch.nn.Module) else ()
    kind = (order, z.shape[1], z.dtype, tuple(module.training for module in modules))
    if kind in checked:
        return
    ambient_dimension(decoder, z)
    # Outside inference mode, where torch up to 2.11 has no nested forward mode.
    with torch.inference_mode(False), torch.no_grad():
        points = z.detach()[:most_points].clone()
        jet = FusedJet.of(_propagate(decoder, points, order))
    try:
        check_jet(decoder, lambda point: decoder(point[None])[0].reshape(-1), points, jet)
    except CurvatureError:
        raise
    except Exception:  # torch cannot differentiate it: nothing to compare with
        return
    checked.add(kind)
