"""What calls of :mod:`curvcore.large_dimension` have in common: checks, and degenerate points."""

from numbers import Integral

import torch

from curvcore.arithmetic import HALF_PRECISION
from curvcore.degenerate import filled
from curvcore.errors import InputError
from curvcore.modes import is_plain_eager, load_forward_mode
from curvcore.providers import DERIVATIVES
from curvcore.providers.bound import rows_of
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.validation import check_choice, check_decoder, check_points, check_regular


def is_plain(z):
    """Whether frames can be had at z: without compilers and transforms, in single precision."""
    is_tensor = isinstance(z, torch.Tensor) and z.dtype not in HALF_PRECISION
    return is_tensor and is_plain_eager()


def by_pieces(way, decoder, z, derivatives, chunk_size, on_degenerate):
    """The results of a function of :mod:`curvcore.large_dimension`, filled at degenerate points.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError;
        DegenerateMetricError for ``on_degenerate="raise"``.
    """
    check_choice("derivatives", derivatives, DERIVATIVES)
    check_no_rows(decoder)
    check_points(z)
    check_decoder(decoder, z)
    load_forward_mode()
    with torch.autocast(z.device.type, enabled=False), one_warning_of_kinks():
        *results, is_degenerate, condition = way(decoder, z, derivatives, chunk_size)
    if on_degenerate != "raise":
        fill = torch.nan if on_degenerate == "nan" else 0
        return [filled(is_degenerate, result, fill) for result in results]
    check_regular(is_degenerate, condition, z)
    return results


def check_no_rows(decoder):
    """Raise an InputError for a decoder of which every point has inputs of its own."""
    names = ", ".join(rows_of(decoder))
    if names:
        raise InputError(
            f"{names} differs from point to point, which curvcore.pullback, jet, metric, "
            "scalar_curvature without blocks and estimators, geodesics, and maps allow for. Use "
            "these, or bind one row; what is for all points is told by curvcore.bind(per_row=[])."
        )


def check_block_size(block_size, z, formula="gauss"):
    """Raise an InputError where blocks of so many pairs cannot be had."""
    if block_size is None:
        return
    is_whole = isinstance(block_size, Integral) and not isinstance(block_size, bool)
    if not is_whole or block_size < 3:
        raise InputError(f"block_size must be None or an integer from 3 on; got {block_size!r}.")
    if formula != "gauss":
        raise InputError(f"block_size needs formula='gauss'; got formula={formula!r}.")
    if not is_plain(z):
        raise InputError(
            "block_size is of tensors in float32 or float64, without torch.compile and "
            f"torch.func's transforms; got {getattr(z, 'dtype', type(z).__name__)}."
        )
