"""Errors and warnings of curvcore.

Every message says what was wrong, what was got, and what to do about it.
"""

import sys

import torch


class CurvatureError(Exception):
    """Base class of every error that curvcore raises on purpose."""


class InputError(CurvatureError, ValueError):
    """The latent points or an option cannot be used: rank, dtype, NaN or Inf, an unknown name."""


class DecoderError(CurvatureError, ValueError):
    """The decoder's output is not a floating tensor (B, ...) with at least d components a point."""


class RowsNotIndependentError(DecoderError):
    """The decoder maps a batch, not points: rows mix (BatchNorm in train mode) or are random."""


class UnsupportedOperationError(CurvatureError, RuntimeError):
    """An operation in the decoder cannot be differentiated as often as curvature needs."""


class MissingRuleError(UnsupportedOperationError):
    """The fused provider has no rule for an operation of the decoder."""


class DegenerateMetricError(CurvatureError, ArithmeticError):
    """The metric is not finite or not positive definite to working precision at some points.

    Attributes:
        points: their indices in the batch, an integer tensor; None for a symbolic metric.
        condition: their condition numbers, in the same order.
    """

    points: torch.Tensor | None = None
    condition: torch.Tensor | None = None

    @classmethod
    def at(
        cls, points: torch.Tensor, condition: torch.Tensor, most: int = 8
    ) -> "DegenerateMetricError":
        """The error for these points of a batch, of which the message lists the first ones."""
        listed = ", ".join(
            f"{int(point)} (condition number {float(number):.1e})"
            for point, number in zip(points[:most], condition[:most], strict=True)
        )
        error = cls(
            f"The metric is degenerate, or the decoder's derivatives are not finite, at "
            f"{len(points)} points: {listed}{', ...' if len(points) > most else '.'} Curvature is "
            "undefined there to working precision. Choose other points, compute in float64, write "
            "on_degenerate='nan' to get NaN at these points, or regularise explicitly: the decoder "
            "z -> (Ψ(z), √ε z) has metric g + εI."
        )
        error.points, error.condition = points, condition
        return error


class AtlasError(CurvatureError, RuntimeError):
    """A folder holds no atlas, an unfinished or another one, or a damaged shard."""


class FallbackWarning(UserWarning):
    """A slower way: ``derivatives="auto"`` by autodiff, or torch where a kernel does not run."""


class PiecewiseLinearWarning(UserWarning):
    """The decoder has kinks (ReLU and its kin): derivatives exist only almost everywhere."""


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
