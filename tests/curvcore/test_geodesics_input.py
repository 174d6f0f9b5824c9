"""Lengths of paths, and what may be asked of ``geodesic`` and ``path_length``."""

import math
import warnings

import pytest
import torch
from torch import nn

import curvcore
from curvcore import DecoderError, InputError
from tests.support.curves import (
    SEGMENTS,
    arc,
    cylinder,
    every_dtype,
    hill,
    interpolated,
    pairs,
    points,
)
from tests.support.immersions import (
    polar_plane,
)
from tests.support.tolerance import assert_close, assert_identical, eps

# --- path_length ----------------------------------------------------------------------------------


@every_dtype
def test_length_of_inscribed_polygons(dtype):
    path = interpolated(points([0, 0], [0, 1]), points([math.pi, 0], [1, 4])).to(dtype)
    expected = torch.hypot(arc(points(math.pi, 1), 2.0), points(0, 3)).to(dtype)
    assert_close(curvcore.path_length(cylinder, path), expected, scale=4 * SEGMENTS)


def test_length_of_one_segment():
    path = points([[0, 0], [3, 4]])
    assert_close(curvcore.path_length(lambda z: z, path), points(5))


def test_length_has_gradients():
    path = interpolated(*pairs(2, 2), segments=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: curvcore.path_length(hill, p), path)


def test_length_needs_no_derivatives():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        length = curvcore.path_length(torch.relu, points([[-1, 1], [1, 1], [1, 3]]))
    assert_close(length, points(3))


# --- bad input ------------------------------------------------------------------------------------

A, B = pairs(2, 3)
PATH = interpolated(A, B, 4)
NAN, NOWHERE, MOVED = A.clone(), PATH.clone(), PATH.clone()
NAN[1, 0] = torch.nan
NOWHERE[1, 2] = torch.inf
MOVED[:, 4] += 1e-12
BAD = {
    "start_rank": ((A[0], B), {}, r"start: z must be \(B, d\); got \(2,\).*z\[None\]"),
    "end_rank": ((A, B[0]), {}, r"end: z must be \(B, d\); got \(2,\)"),
    "start_nan": ((NAN, B), {}, r"start: z is NaN or Inf at 1 of 3 points: 1"),
    "end_inf": ((A, B / 0), {}, r"end: z is NaN or Inf at 3 of 3 points"),
    "numbers": ((A.tolist(), B), {}, r"start: z must be a torch tensor .* got list"),
    "integers": ((A.long(), B), {}, r"start: z must be real floating point; got torch.int64"),
    "half": ((A.half(), B.half()), {}, r"must be float64 or float32; got torch.float16"),
    "batches": ((A, B[:1]), {}, r"agree in shape.* \(3, 2\), .* and \(1, 2\), .*expand_as"),
    "dimensions": ((A, B[:, :1]), {}, r"agree in shape.* \(3, 2\), .* and \(3, 1\)"),
    "dtypes": ((A, B.float()), {}, r"torch.float64, cpu and \(3, 2\), torch.float32"),
    "one_segment": ((A, B), {"segments": 1}, r"segments must be an integer, 2 or more; got 1"),
    "real_segments": ((A, B), {"segments": 8.0}, r"segments must be an integer.*got 8.0"),
    "true_segments": ((A, B), {"segments": True}, r"segments must be an integer.*got True"),
    "path_list": ((A, B), {"path": [0]}, r"path must be a tensor \(B, n\+1, d\).*got list"),
    "path_rank": ((A, B), {"path": PATH[0]}, r"got \(5, 2\), .*write path\[None\]"),
    "path_nodes": ((A, B), {"path": PATH}, r"\(3, 33, 2\).* got \(3, 5, 2\).*segments=4"),
    "path_batch": ((A, B), {"path": PATH[:2], "segments": 4}, r"\(3, 5, 2\).* got \(2, 5, 2\)"),
    "path_dtype": ((A, B), {"path": PATH.float(), "segments": 4}, r"float64.* got .*float32"),
    "path_inf": ((A, B), {"path": NOWHERE, "segments": 4}, r"path: z is NaN or Inf at 1 of 3"),
    "path_ends": ((A, B), {"path": MOVED, "segments": 4}, r"from start to end.* 3 of 3 points"),
}


@pytest.mark.parametrize(("ends", "options", "message"), BAD.values(), ids=BAD)
def test_bad_input(ends, options, message):
    with pytest.raises(InputError, match=message):
        curvcore.geodesic(polar_plane, *ends, **options)


def test_ends_of_a_path_may_be_rounded():
    path = PATH * (1 + 2 * eps(torch.float64))
    found = curvcore.geodesic(hill, A, B, path=path, segments=4)
    assert_identical(found.path[:, [0, -1]], torch.stack([A, B], 1))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (PATH[0], r"tensor \(B, n\+1, d\), n ≥ 1; got \(5, 2\).*path\[None\]"),
        (PATH[:, :1], r"n ≥ 1; got \(3, 1, 2\)"),
        (None, r"got NoneType"),
        (PATH.long(), r"path: z must be real floating point; got torch.int64"),
        (NOWHERE, r"path: z is NaN or Inf at 1 of 3 points: 1"),
    ],
)
def test_bad_paths(path, message):
    with pytest.raises(InputError, match=message):
        curvcore.path_length(polar_plane, path)


def test_points_where_the_decoder_is_not_defined():
    def root(z):
        return torch.cat([z, z[:, :1].sqrt()], 1)

    start, end = points([1, 0], [1, 0]), points([2, 0], [-1, 0])
    message = r"NaN or Inf on the path from 1 of 2 points: 1\. Choose other ends, or a path"
    with pytest.raises(DecoderError, match=message):
        curvcore.geodesic(root, start, end)
    with pytest.raises(DecoderError, match=message):
        curvcore.path_length(root, interpolated(start, end))
    # Ψ is finite at x = 0, its derivative is not: an end may be there, a node not.
    start, end, path = points([0, 0.0]), points([1, 0.0]), points([[0, 0], [0, 1], [1, 0.0]])
    assert curvcore.geodesic(root, start, end).converged.all()
    with pytest.raises(DecoderError, match="or a derivative of it, is NaN or Inf"):
        curvcore.geodesic(root, start, end, path=path, segments=2)


def test_bad_decoders():
    for function in (lambda d: curvcore.geodesic(d, A, B), lambda d: curvcore.path_length(d, PATH)):
        with pytest.raises(DecoderError, match="callable"):
            function("decoder")
        with pytest.raises(DecoderError, match=r"float32 and z is torch.float64"):
            function(nn.Linear(2, 3))
        with pytest.raises(DecoderError, match=r"one tensor \(B, \.\.\.\); got tuple"):
            function(lambda z: (z, z))
        with pytest.raises(curvcore.RowsNotIndependentError, match=r"decoder.eval\(\)"):
            function(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double())
        with pytest.raises(curvcore.RowsNotIndependentError, match=r"decoder.eval\(\)"):
            function(nn.Sequential(nn.Linear(2, 3), nn.Dropout()).double())
