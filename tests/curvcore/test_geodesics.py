"""Geodesics: against closed forms, an independent minimiser, and the geodesic equation.

The discrete geodesics of spheres, cylinders and equators are known exactly: their nodes lie at
equal steps on the smooth one, so that an arc of angle a and radius r has length 2nr sin(a/2n).
Rounding of Ψ costs each of the n steps eps |Ψ|, and a curve converges until a step promises no more
than that in length: so lengths, and decoded nodes, are right to n eps |Ψ|.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import nn

import curvcore
from curvcore import DecoderError, InputError, geodesics
from tests.support.immersions import (
    RandomImmersion,
    polar_plane,
    random_points,
    ring_torus,
    stereographic_sphere,
)
from tests.support.parametrisation import cases_named
from tests.support.tolerance import assert_close, assert_identical, eps

SEGMENTS = 16
DTYPES = [torch.float64, torch.float32]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


def sphere_by_angles(z):
    """(θ, φ) -> the unit sphere."""
    theta, phi = z.unbind(1)
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], 1)


def cylinder(z):
    """(θ, h) -> the cylinder of radius 2."""
    return torch.stack([2 * z[:, 0].cos(), 2 * z[:, 0].sin(), z[:, 1]], 1)


def hill(z):
    """The graph of 2 exp(−|z|²)."""
    return torch.cat([z, 2 * torch.exp(-z.square().sum(1, keepdim=True))], 1)


def fourier_features(d, components=20, frequency=3.0):
    """sin(Wz + b), far from an isometry."""
    weight = frequency * random_points(0, d, components).T
    return lambda z: torch.sin(z @ weight.to(z.dtype) + torch.arange(components, dtype=z.dtype))


def points(*rows, dtype=torch.float64):
    return torch.tensor(rows, dtype=dtype)


def pairs(d, batch, dtype=torch.float64, seed=1):
    return random_points(seed, d, batch, dtype), random_points(seed + 50, d, batch, dtype)


def bent(start, end, size, segments=SEGMENTS):
    """A path from start to end that leaves the straight line by ``size`` in every coordinate."""
    t = torch.linspace(0, 1, segments + 1, dtype=start.dtype)[:, None]
    line = start[:, None] + t * (end - start)[:, None]
    return line + size * torch.sin(math.pi * t) * t.new_tensor([1 + i for i in range(len(end[0]))])


def decoded(decoder, path):
    return decoder(path.flatten(0, 1)).flatten(1).unflatten(0, path.shape[:2])


def energy(decoder, path):
    """E/n = Σ |Ψ(z_{k+1}) − Ψ(z_k)|²."""
    return decoded(decoder, path).diff(dim=1).square().sum((1, 2))


def arc(angle, radius=1.0, segments=SEGMENTS):
    """Length of the polyline inscribed in an arc at equal steps."""
    return 2 * segments * radius * torch.sin(angle / (2 * segments))


def interpolated(start, end, segments=SEGMENTS):
    """Points at equal steps on the lines from start to end."""
    t = torch.linspace(0, 1, segments + 1, dtype=start.dtype)[:, None]
    return (1 - t) * start[:, None] + t * end[:, None]


# --- closed forms ---------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("name", ["angles", "stereographic"])
def test_great_circles(name, dtype):
    """Nodes on the great circle, sin((1−t)c) p + sin(tc) q over sin c, c the angle."""
    start, end = pairs(2, 12, dtype)
    decoder = stereographic_sphere()
    if name == "angles":
        decoder, middle = sphere_by_angles, points([math.pi / 2, 0], dtype=dtype)
        start, end = middle + start, middle + end
    found = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    assert found.converged.all()
    p, q = decoder(start)[:, None], decoder(end)[:, None]
    angle = (p * q).sum(2).double().acos()
    assert_close(found.length, arc(angle[:, 0]).to(dtype), scale=SEGMENTS)
    t = torch.linspace(0, 1, SEGMENTS + 1, dtype=torch.float64)
    weights = [torch.sin(s * angle) / torch.sin(angle) for s in (1 - t, t)]
    expected = weights[0][..., None] * p + weights[1][..., None] * q
    # The angle itself loses 1/sin c.
    scale = SEGMENTS / torch.sin(angle)[..., None]
    assert_close(decoded(decoder, found.path), expected.to(dtype), scale=scale)


@every_dtype
@pytest.mark.parametrize(("d", "components"), [(1, 1), (1, 3), (2, 2), (3, 5), (8, 40)])
def test_linear_decoders_have_straight_geodesics(d, components, dtype):
    """One Newton step is the solution, from any path."""
    matrix = random_points(2, d, components, dtype).T
    start, end = pairs(d, 4, dtype)
    path = bent(start, end, 0.3)
    found = curvcore.geodesic(lambda z: z @ matrix, start, end, path=path, segments=SEGMENTS)
    line = interpolated(start @ matrix, end @ matrix)
    assert found.converged.all()
    assert_close(decoded(lambda z: z @ matrix, found.path), line, scale=SEGMENTS * line.norm())
    distance = (line[:, -1] - line[:, 0]).norm(dim=1)
    assert_close(found.length, distance, scale=SEGMENTS * line.norm())


def test_helices_on_a_cylinder():
    start, end = points([0, 0], [1, -1], [0, 0]), points([1, 2], [5, 1], [9, 1])
    path = bent(start, end, 0.4)
    found = curvcore.geodesic(cylinder, start, end, path=path, segments=SEGMENTS)
    turn, rise = (end - start).unbind(1)
    assert found.converged.all()
    # |Ψ| ≤ 4, and g is the identity up to a factor 4.
    assert_close(found.length, torch.hypot(arc(turn, 2.0), rise), scale=4 * SEGMENTS)
    assert_close(found.path, interpolated(start, end), scale=10 * SEGMENTS)


def test_a_flat_plane_in_curvy_coordinates():
    """In polar coordinates the straight line is found, at equal steps."""
    start, end = points([1, 0], [2, -1], [0.5, 0]), points([1, 2.5], [1, 1.5], [3, 3])
    found = curvcore.geodesic(polar_plane, start, end, segments=SEGMENTS)
    line = interpolated(polar_plane(start), polar_plane(end))
    assert found.converged.all()
    assert_close(found.length, (line[:, -1] - line[:, 0]).norm(dim=1), scale=3 * SEGMENTS)
    assert_close(decoded(polar_plane, found.path), line, scale=3 * SEGMENTS)


@pytest.mark.parametrize(
    ("v", "turn"), [(0.0, 1.0), (math.pi, 1.0), (math.pi, 4.0)], ids=["outer", "inner", "inner_far"]
)
def test_equators_of_a_torus_that_are_stable(v, turn):
    """K < 0 on the inner one; the outer one has a first conjugate point at π√(r/(R + r)) = 1.4."""
    start, end = points([0, v]), points([turn, v])
    found = curvcore.geodesic(
        ring_torus(), start, end, path=bent(start, end, 0.2), segments=SEGMENTS
    )
    expected = arc(torch.tensor([turn]).double(), 2 + 0.5 * math.cos(v))
    assert found.converged.all()
    assert_close(found.length, expected, scale=3 * SEGMENTS)
    assert_close(found.path, interpolated(start, end), scale=10 * SEGMENTS)


def test_the_outer_equator_is_left_beyond_its_conjugate_point():
    """Exactly on it is a saddle of E, a geodesic that stays; beside it is a shorter one."""
    start, end = points([0, 0]), points([2.5, 0])
    equator = curvcore.geodesic(ring_torus(), start, end, segments=SEGMENTS)
    assert_close(equator.length, arc(torch.tensor([2.5]).double(), 2.5), scale=3 * SEGMENTS)
    path = bent(start, end, 0.01)
    found = curvcore.geodesic(ring_torus(), start, end, path=path, segments=SEGMENTS)
    assert found.converged.all()
    assert found.length < 0.95 * equator.length


def test_the_initial_path_chooses_the_geodesic():
    """To the left of a hill, or to its right."""
    start, end = points([-2, 0], [-2, 0]), points([2, 0], [2, 0])
    path = interpolated(start, end)
    path[:, 1:-1, 1] += points(0.1, -0.1)[:, None]
    found = curvcore.geodesic(hill, start, end, path=path, segments=SEGMENTS)
    assert found.converged.all()
    assert found.path[0, 8, 1] > 0.5
    assert_close(found.path[1], found.path[0] * points(1, -1), scale=10 * SEGMENTS)
    assert (found.length < 5).all()  # over the top it is 5.7


def test_the_length_converges_with_order_two():
    """L_n = L − a n⁻² + O(n⁻⁴): differences fall by 4, to (κL/n)² = (2 · 3/32)², κ = 1/r."""
    ends = points([0, 0.5]), points([1, 2.5])
    lengths = [
        curvcore.geodesic(ring_torus(), *ends, segments=n).length.item() for n in (32, 64, 128)
    ]
    first, second = np.diff(lengths)
    assert second > 1e-6
    assert first / second == pytest.approx(4, rel=0.035)


# --- laws -----------------------------------------------------------------------------------------


@cases_named(
    "silu",
    "layer_norm",
    "image_conv_transpose",
    "attention",
    "curve",
    "four_dimensional",
    "gru",
)
def test_the_geodesic_equation(case):
    """The second difference of Ψ has no tangential part, for decoders of every kind.

    Rounding gives it 4 eps |Ψ|, and the last step leaves 16 eps |Ψ| L/ρ, quadratic in what it
    promised, where Ψ bends over distances ρ.
    """
    decoder, z = case.decoder(), 2 * case.points(6)
    with torch.no_grad():
        found = curvcore.geodesic(decoder, z[:3], z[3:], segments=SEGMENTS)
        jet = curvcore.jet(decoder, found.path.flatten(0, 1), 1)
    assert found.converged.all()
    value, jacobian = (x.unflatten(0, found.path.shape[:2]) for x in (jet.value, jet.jacobian))
    acceleration = value.diff(dim=1).diff(dim=1)
    tangents = torch.linalg.qr(jacobian[:, 1:-1]).Q
    tangential = (tangents.mT @ acceleration[..., None])[..., 0]
    assert_close(tangential, 0, scale=16 * value.norm(dim=2).max())
    if case.d > 1:  # and a normal part there is
        assert acceleration.norm(dim=2).max() > 1e-5 * value.diff(dim=1).norm(dim=2).max()


def test_against_an_independent_minimiser():
    """scipy's least squares of the steps, from values of Ψ alone.

    Differences over eps^{1/3} are right to eps^{2/3}; n² is the condition of second differences.
    """
    segments, (start, end) = 8, pairs(2, 3)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        decoder = nn.Sequential(
            nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 10)
        ).double()
        for parameter in decoder.parameters():
            parameter.data *= 3
    found = curvcore.geodesic(decoder, start, end, segments=segments)
    assert found.converged.all()
    for a, b, path in zip(start, end, found.path, strict=True):

        @torch.no_grad()
        def steps(inner, a=a, b=b):
            nodes = torch.cat([a[None], torch.from_numpy(inner).reshape(-1, 2), b[None]])
            return decoder(nodes).diff(dim=0).flatten().numpy()

        line = interpolated(a[None], b[None], segments)[0, 1:-1]
        referee = least_squares(
            steps, line.flatten(), jac="3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15
        )
        ours = (steps(path[1:-1].flatten().numpy()) ** 2).sum() / 2
        assert ours <= referee.cost * (1 + 100 * eps(torch.float64))
        assert (steps(line.flatten().numpy()) ** 2).sum() / 2 > 1.01 * ours
        np.testing.assert_allclose(
            referee.x,
            path[1:-1].flatten(),
            rtol=0,
            atol=100 * segments**2 * eps(torch.float64) ** (2 / 3),
        )


def test_linear_changes_of_the_latents_change_nothing():
    """The path moves with them, to rounding times their condition number, 2000 here."""
    decoder, (start, end) = fourier_features(2), pairs(2, 8)
    change = points([100, 30], [2, 1.1])
    back = torch.linalg.inv(change)
    found = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    moved = curvcore.geodesic(
        lambda w: decoder(w @ change), start @ back, end @ back, segments=SEGMENTS
    )
    assert found.converged.all()
    assert moved.converged.all()
    scale = 2000 * SEGMENTS
    assert_close(moved.length, found.length, scale=scale)
    assert_close(moved.path @ change, found.path, scale=scale)


def test_a_batch_is_its_curves_one_by_one():
    """Some converge early, one is a point, and none sees the others."""
    decoder, (start, end) = fourier_features(2), pairs(2, 6)
    end[3] = start[3]
    together = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    assert together.converged.all()
    for k in range(len(start)):
        alone = curvcore.geodesic(decoder, start[k, None], end[k, None], segments=SEGMENTS)
        assert_close(alone.length, together.length[k, None], scale=5 * SEGMENTS)
        assert_close(alone.path, together.path[k, None], scale=5 * SEGMENTS)


def test_memory_is_bounded_by_working_on_some_curves_at_a_time(monkeypatch):
    rows, (start, end) = [], pairs(2, 5)

    def decoder(z):
        rows.append(len(z))
        return polar_plane(z + 3)

    expected = curvcore.geodesic(decoder, start, end, segments=4)
    assert max(rows) == 5 * 5
    monkeypatch.setattr(geodesics, "ENTRIES", 2 * 5 * 2 * (1 + 2 + 3))  # those of two curves
    rows.clear()
    found = curvcore.geodesic(decoder, start, end, segments=4)
    assert max(rows) == 5 * 5  # values alone need less
    assert rows.count(2 * 5) >= 2
    assert_close(found.path, expected.path, scale=10)
    assert_close(found.length, expected.length, scale=10)
    monkeypatch.setattr(geodesics, "ENTRIES", 1)  # one at a time at least
    rows.clear()
    found = curvcore.geodesic(decoder, start, end, segments=4)
    assert max(rows) <= 8  # the first jet of a decoder is checked at so many
    assert_close(found.path, expected.path, scale=10)


@every_dtype
def test_what_comes_back(dtype):
    start, end = pairs(3, 4, dtype)
    start.requires_grad_()
    decoder = RandomImmersion(0, 3, 7, dtype=dtype)
    found = curvcore.geodesic(decoder, start, end)
    assert isinstance(found, curvcore.Geodesic)
    assert found.path.shape == (4, 33, 3)
    assert found.length.shape == found.converged.shape == (4,)
    assert found.path.dtype == found.length.dtype == dtype
    assert found.converged.all()
    assert not found.path.requires_grad
    assert not found.length.requires_grad
    assert_identical(found.path[:, 0], start.detach())
    assert_identical(found.path[:, -1], end)
    assert_identical(found.length, curvcore.path_length(decoder, found.path).detach())


def test_what_is_given_is_left_alone():
    start, end = pairs(2, 3)
    path = bent(start, end, 0.2)
    before = [x.clone() for x in (start, end, path)]

    def in_place(z):
        return torch.cat([z.mul_(2), z.square()], 1)

    curvcore.geodesic(in_place, start, end, path=path, segments=SEGMENTS)
    curvcore.path_length(in_place, path)
    for now, then in zip((start, end, path), before, strict=True):
        assert_identical(now, then)


def test_no_pairs():
    found = curvcore.geodesic(polar_plane, torch.zeros(0, 2), torch.zeros(0, 2), segments=5)
    assert found.path.shape == (0, 6, 2)
    assert found.length.shape == found.converged.shape == (0,)


# --- convergence ----------------------------------------------------------------------------------


def test_convergence_is_quadratic(monkeypatch):
    """Digits double: errors of 1e-1, 1e-2, 1e-4, 1e-8. Steps of first order take dozens."""
    monkeypatch.setattr(geodesics, "ITERATIONS", 4)
    start, end = pairs(2, 20)
    assert curvcore.geodesic(sphere_by_angles, start + 1.5, end + 1.5).converged.all()
    assert curvcore.geodesic(fourier_features(2, frequency=1.5), start, end).converged.all()


def test_curves_that_run_out_of_iterations_say_so(monkeypatch):
    monkeypatch.setattr(geodesics, "ITERATIONS", 1)
    start, end = pairs(2, 4)
    end[2] = start[2]
    found = curvcore.geodesic(fourier_features(2), start, end, segments=SEGMENTS)
    assert found.converged.tolist() == [False, False, True, False]
    line = curvcore.path_length(fourier_features(2), interpolated(start, end))
    assert (found.length <= line).all()


def test_a_minimum_on_a_kink_is_not_taken_for_convergence():
    """The plane outside a disc, twice: the shortest way is along the rim, which no step finds."""

    def outside(z):
        angle, distance = z.unbind(1)
        rim = torch.stack([angle.cos(), angle.sin()], 1)
        return rim * (1 + distance.abs())[:, None]

    start, end = points([0, 0], dtype=torch.float32), points([2, 0], dtype=torch.float32)
    path = interpolated(start, end)
    path[:, 1:-1, 1] += 0.1
    with pytest.warns(curvcore.PiecewiseLinearWarning):
        found = curvcore.geodesic(outside, start, end, path=path, segments=SEGMENTS)
    assert not found.converged
    assert energy(outside, found.path) < energy(outside, path)


def test_a_saddle_in_a_direction_without_length_is_given_up():
    """On the crease of a fold E falls to either side, and no multiple of g bounds a step there."""
    start, end = points([1e-10, -1]), points([1e-10, 1])

    def fold(z):
        return torch.stack([z[:, 1], z[:, 1] ** 2 + z[:, 0] ** 2], 1)

    found = curvcore.geodesic(fold, start, end, segments=SEGMENTS)
    assert not found.converged
    assert_close(found.path, interpolated(start, end))


def test_where_nothing_has_length_the_straight_line_stays():
    start, end = pairs(2, 3)
    found = curvcore.geodesic(DEGENERATE["constant"], start, end, segments=SEGMENTS)
    assert_close(found.path, interpolated(start, end))


def test_energy_falls_where_newton_would_climb():
    """From far off the Hessian is indefinite: damping finds the way down all the same."""
    decoder = fourier_features(3, frequency=8.0)
    start, end = pairs(3, 10)
    found = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    assert found.converged.all()
    assert (energy(decoder, found.path) < energy(decoder, interpolated(start, end))).all()


def test_a_point_is_its_own_geodesic():
    z = random_points(0, 2, 3)
    found = curvcore.geodesic(stereographic_sphere(), z, z, segments=SEGMENTS)
    assert found.converged.all()
    assert not found.length.any()
    assert_identical(found.path, z[:, None].expand(3, SEGMENTS + 1, 2).contiguous())


DEGENERATE = {
    "constant": lambda z: torch.cat([0 * z, 0 * z + 1], 1),
    "one_coordinate_unused": lambda z: cylinder(torch.stack([z[:, 1], z[:, 1]], 1)),
    "a_curve_askew": lambda z: cylinder(z.sum(1, keepdim=True).expand(len(z), 2)),
    "fold": lambda z: torch.stack([z[:, 0] ** 2, z[:, 1], z[:, 1] ** 2], 1),
}


@every_dtype
@pytest.mark.parametrize("decoder", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_metrics(decoder, dtype):
    start, end = pairs(2, 6, dtype)
    path = bent(start, end, 0.1)
    found = curvcore.geodesic(decoder, start, end, path=path, segments=SEGMENTS)
    assert found.converged.all()
    assert (energy(decoder, found.path) <= energy(decoder, path) * (1 + 100 * eps(dtype))).all()


def test_a_decoder_with_kinks_warns_once():
    start, end = pairs(2, 3)
    with pytest.warns(curvcore.PiecewiseLinearWarning) as seen:
        curvcore.geodesic(lambda z: torch.cat([z, z.relu()], 1), start, end, segments=4)
    assert len(seen) == 1
    assert seen[0].filename == __file__


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
MOVED[:, 4] += 1e-6
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
