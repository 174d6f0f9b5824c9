"""Jets by operator overloading: one batched pass of all derivatives through ``forward``.

The value and its packed derivatives flow through the decoder's own code; every linear map is
applied to all of them in one product, and every other operation follows its rule. Before the first
nonlinearity the first derivatives are the same at all points and the second ones zero: neither is
computed.
"""

from weakref import WeakKeyDictionary

import torch

from curvcore.errors import CurvatureError, DecoderError
from curvcore.jets import Jet
from curvcore.providers.fused import composites, elementwise, linear, products  # noqa: F401
from curvcore.providers.fused.jet_tensor import JetTensor, MissingRuleError
from curvcore.providers.fused.packing import split_levels, unpack
from curvcore.providers.witness import check_jet

__all__ = ["JetTensor", "MissingRuleError", "fused_jet"]

# What was checked already, by decoder: (order, d, dtype, which modules are in train mode).
_CHECKED = WeakKeyDictionary()


def fused_jet(decoder, z, order, isometric=False):
    """The jet of ``decoder`` at latent points ``z``.

    The first jet of every decoder is compared with torch's own derivatives
    (:mod:`curvcore.providers.witness`).

    Args:
        decoder: callable (B, d) -> (B, ...) that treats rows independently and is made of torch
            functions that have rules (:mod:`curvcore.providers.fused.registry`).
        z: points (B, d), B ≥ 1, of floating dtype.
        order: 1, 2 or 3.
        isometric: any jet with the same inner products will do; what is cheapest is returned.

    Returns:
        Jet with the output flattened to D components, differentiable in z and in the parameters.

    Raises:
        MissingRuleError: an operation of the decoder has no rule.
        RowsNotIndependentError: rows are coupled or random.
        UnsupportedOperationError: the result disagrees with torch's own derivatives.
    """
    output = _propagate(decoder, JetTensor.coordinates(z, order))
    if not isinstance(output, JetTensor):
        raise DecoderError("The decoder's output does not depend on z, or not by torch functions.")
    if not torch.compiler.is_compiling():
        _check_once(decoder, z, order)
    return _packed_to_jet(_isometric_image(output) if isometric else output)


def _packed_to_jet(output):
    levels = split_levels(output.all_channels().flatten(2), output.d)
    derivatives = (unpack(level, output.d, rank) for rank, level in enumerate(levels, start=1))
    return Jet(output.value.flatten(1), *derivatives)


def _isometric_image(output):
    """``output``, or if it is the image of a pending linear map, a cheaper isometric one."""
    if output.pending is None or output.ndim != 2:
        return output
    source, affine_map = output.pending
    if not affine_map.pays(rows=source.channels_at_every_point()[..., 0].numel()):
        return output
    factor = affine_map.isometric_factor()
    return source.like(source.value @ factor, source.channels @ factor)


def _propagate(decoder, coordinates):
    try:
        return decoder(coordinates)
    except CurvatureError:
        raise
    except Exception as error:  # a tensor passes (it was tried), a JetTensor does not
        raise MissingRuleError(
            f"derivatives='fused' cannot run this decoder: {type(error).__name__}: {error}. It "
            "hides operations from torch's override protocol (TorchScript, autograd.Function), or "
            "has one without a rule. Write derivatives='autodiff', or register a rule: see "
            "curvcore.rules."
        ) from error


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
    points = z.detach()[:most_points]
    with torch.no_grad():
        jet = _packed_to_jet(_propagate(decoder, JetTensor.coordinates(points, order)))
    try:
        check_jet(decoder, lambda point: decoder(point[None])[0].reshape(-1), points, jet)
    except CurvatureError:
        raise
    except Exception:  # torch cannot differentiate it: nothing to compare with
        return
    checked.add(kind)
