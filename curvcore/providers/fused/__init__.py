"""Jets by operator overloading: one batched pass of all derivatives through ``forward``.

The value and its packed derivatives flow through the decoder's own code; every linear map is
applied to all of them in one product, and every other operation follows its rule. Before the first
nonlinearity the first derivatives are the same at all points and the second ones zero: neither is
computed.
"""

import torch

from curvcore.errors import CurvatureError, DecoderError, MissingRuleError
from curvcore.modes import is_transformed
from curvcore.providers.bound import of_one_row, rows_of
from curvcore.providers.checkpoints import PlainCheckpoints
from curvcore.providers.fresh import FreshTensors, Rows
from curvcore.providers.fused import (  # noqa: F401
    complex_numbers,
    composites,
    elementwise,
    entries,
    linear,
    matrices,
    products,
    special_functions,
    writing,
)
from curvcore.providers.fused.jet_tensor import RULES, ConstantWrittenError, JetTensor
from curvcore.providers.fused.result import FusedJet
from curvcore.providers.kinks import kinks_of, note_kinks
from curvcore.providers.memory import recall
from curvcore.providers.outputs import ambient_dimension, check_output
from curvcore.providers.restriction import sample_restriction
from curvcore.providers.roundings import Roundings
from curvcore.providers.witness import check_jet, check_rows_belong

__all__ = [
    "FusedJet", "JetTensor", "MissingRuleError", "fused_jet", "fused_restriction", "rounded_jet",
]  # fmt: skip

_POINTS = 8  # compared, and looked at for kinks


def fused_jet(decoder, z, order):
    """The jet of ``decoder`` at latent points ``z``.

    The first jet of every decoder is compared with torch's own derivatives
    (:mod:`curvcore.providers.witness`), and again when the decoder has changed, and now and then
    (:mod:`curvcore.providers.memory`). Changes are seen in the classes of its modules, ``forward``,
    hooks, buffers, submodules, parametrisations, train flags and attributes, in the functions and
    custom autograd functions that its own code refers to, and in rules; not in parameters and
    other numbers, nor in what libraries hide (:mod:`curvcore.providers.fingerprint`). At the same
    calls it is looked at for kinks (:mod:`curvcore.providers.kinks`). A decoder made anew for every
    call, a lambda, pays for all that at every call; in a compiled graph none of it is done.

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
    if torch.compiler.is_compiling():
        return FusedJet.of(_propagate(decoder, z, JetTensor.coordinates(z, order)))
    record = recall(decoder, z, order, RULES.revision)
    if record.is_due and rows_of(decoder):
        check_rows_belong(decoder, z)
    output = _propagate(decoder, z, JetTensor.coordinates(z, order))
    if record.is_due:
        _compare(of_one_row(decoder), z, order, record, decoder)
    note_kinks(record.kinks)
    return FusedJet.of(output)


def fused_restriction(decoder, z, directions, order=2, compare=True):
    """The jet of y ↦ Ψ(z + V y) at y = 0, V = ``directions`` (B, d, k): FusedJet of d = k.

    Compared and looked at for kinks like :func:`fused_jet`, on a small affine space through the
    first point, whose directions do not depend on V; without ``compare`` not at all, for the later
    ones of many calls. Raises what that does.
    """
    record = recall(decoder, z, ("restriction", order), RULES.revision) if compare else None
    output = _propagate(decoder, z, JetTensor.along(z, directions, order))
    if compare:
        if record.is_due:
            _compare(*sample_restriction(decoder, z), order, record, decoder)
        note_kinks(record.kinks)
    return FusedJet.of(output)


def rounded_jet(decoder, z, order):
    """That of :func:`fused_jet` with its roundings made otherwise; compared with nothing."""
    with Roundings() as roundings:
        jet = FusedJet.of(_propagate(decoder, z, JetTensor.coordinates(z, order)))
        return jet.moved(roundings)


def _propagate(decoder, z, jet):
    try:
        output = _called(decoder, jet)
        if isinstance(output, JetTensor):
            output.settle()
    except CurvatureError:
        raise
    except Exception as error:
        _check_takes_tensors(decoder, z, error)
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


def _check_takes_tensors(decoder, z, of_jets):
    """Raise what the decoder raises at points alone, and not after what it raised at jets."""
    try:
        ambient_dimension(decoder, z)
    except Exception as error:
        first = error
        while first.__context__ not in (None, of_jets):
            first = first.__context__
        first.__context__ = None  # the same failure once more
        raise


def _called(decoder, jet):
    """decoder(jet); once more, should it write what depends on z into tensors that it makes."""
    if torch.compiler.is_compiling():
        return decoder(jet)
    with PlainCheckpoints(reentrant_only=True):
        try:
            return decoder(jet.frozen())
        except ConstantWrittenError:
            with FreshTensors(jet.constant):
                return decoder(jet)


def _compare(decoder, z, order, record, owner):
    """Compare jets at a few points with independent computations, and note the kinks there.

    What was found is kept for ``owner``, the decoder that this one is, or is made of.
    """
    ambient_dimension(decoder, z)

    def derive(points, order=1):
        return FusedJet.of(_propagate(decoder, points, JetTensor.coordinates(points, order)))

    # Outside inference mode, where torch up to 2.11 has no nested forward mode.
    with torch.inference_mode(False), torch.no_grad():
        points = z.detach()[:_POINTS].clone()
        jet = derive(points, order)
        kinks = kinks_of(decoder, points, jet, derive)
    rows = Rows(decoder)
    try:
        rows.tried(check_jet, decoder, lambda point: rows(point[None])[0].reshape(-1), points, jet)
    except CurvatureError:
        raise
    except Exception:  # torch cannot differentiate it: nothing to compare with
        if is_transformed():  # but elsewhere perhaps
            record.kinks = kinks
            return
    record.settle(owner, kinks)
