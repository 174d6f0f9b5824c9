"""Brownian motion and the volume of the pullback metric, by sampling; curvature along paths.

A geodesic random walk (Jørgensen, 1975) with steps v = √h E ξ, E an orthonormal frame at z and ξ
normal, each along z + v − ½ Γ(v, v), which is a geodesic to the third order in v. Its expectations
are those of Brownian motion, whose generator is ½Δ, up to O(h). Volume by rejection, with the
largest √det g seen so far as the bound (Caffo, Booth, Davis, *Empirical supremum rejection
sampling*, 2002).
"""

import math
from dataclasses import dataclass

import torch

from curvcore.api import pullback
from curvcore.display import Displayed
from curvcore.errors import InputError
from curvcore.geodesics import check_path
from curvcore.maps import checked
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.rows import each_row_alone
from curvcore.statistics.checks import check_count, check_positive, checked_finite_box
from curvcore.types import Decoder

_POINTS_AT_ONCE = 4096
_FIRST_PROPOSALS = 4096
_MOST_PROPOSALS, _LEAST = 1000, 100  # for each point that is wanted, or that many of them


@dataclass(frozen=True, eq=False, repr=False)
class BrownianMotion(Displayed):
    """Paths of B walkers, from :func:`brownian_motion`.

    Attributes:
        path: at times 0, h, 2h, ..., (B, steps + 1, d); NaN from where g was degenerate on.
        converged: whether g was regular all along, (B,).
        inside: whether all of the path is in the box, if there is one, (B,).
    """

    path: torch.Tensor
    converged: torch.Tensor
    inside: torch.Tensor


@dataclass(frozen=True, eq=False, repr=False)
class VolumeSample(Displayed):
    """Points that are spread evenly by volume, from :func:`sample_volume`.

    Attributes:
        points: (n, d), independent.
        volume: an estimate of ∫ √det g dz over the box, ().
        standard_error: of it, (); of peaks that none of the proposals has met it knows nothing.
        acceptance: the share of evenly spread latents that were kept: mean of √det g over its
            largest value.
    """

    points: torch.Tensor
    volume: torch.Tensor
    standard_error: torch.Tensor
    acceptance: float


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureAlong(Displayed):
    """Curvature at the nodes of paths, from :func:`curvature_along`; (B, n+1) each.

    Attributes:
        arc_length: from the first node, in g.
        scalar: R.
        ricci: Ric(u, u) of the unit tangent u: by how much geodesics beside the path bend towards
            it; for d = 2 the Gaussian curvature.
        regular: whether g is regular there; else curvatures are NaN. ``ricci`` is NaN where the
            path stands still, too.
    """

    arc_length: torch.Tensor
    scalar: torch.Tensor
    ricci: torch.Tensor
    regular: torch.Tensor


@torch.no_grad()
def brownian_motion(
    decoder: Decoder,
    z: torch.Tensor,
    time: float,
    steps: int,
    *,
    box: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> BrownianMotion:
    """Brownian motion in g = ∇Ψᵀ∇Ψ from points z, with generator ½Δ: E|dz|²_g = d dt.

    Expectations err by O(time/steps); a step must be short beside what g changes in. No gradients
    flow.

    Args:
        decoder: ``nn.Module`` or callable, as in :func:`curvcore.pullback`.
        z: points (B, d), float64 or float32.
        time: how long, t > 0.
        steps: of length h = time/steps.
        box: (d, 2), lower and upper ends of the latents that the decoder knows, for ``inside``.
        generator: of the normal numbers, on z's device; None is torch's own.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError.
    """
    decoder, z = checked(decoder, z)
    check_positive("time", time)
    check_count("steps", steps)
    box = None if box is None else checked_finite_box(box, z)
    path, converged = [z], torch.ones_like(z[:, 0], dtype=torch.bool)
    known = z
    with one_warning_of_kinks():
        for _ in range(steps):
            noise = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
            ahead = _step(decoder, known, math.sqrt(time / steps) * noise)
            converged = converged & ahead.isfinite().all(1)
            known = torch.where(converged[:, None], ahead, known)
            path.append(torch.where(converged[:, None], ahead, torch.nan))
    path = torch.stack(path, 1)
    inside = converged
    if box is not None:
        inside = inside & ((path >= box[:, 0]) & (path <= box[:, 1])).all(2).all(1)
    return BrownianMotion(path, converged, inside)


def _step(decoder, z, noise):
    """z + v − ½ Γ(v, v), v with these components in an orthonormal frame; NaN where there is none.

    g = L Lᵀ makes L⁻ᵀ a frame.
    """
    options = {"chunk_size": _POINTS_AT_ONCE, "on_degenerate": "nan"}
    geometry = pullback(decoder, z, order=2, **options)
    christoffel = geometry.christoffel
    regular = christoffel.isfinite().flatten(1).all(1)
    one = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    g = torch.where(regular[:, None, None], geometry.metric, one)
    lower = torch.linalg.cholesky(g)
    v = torch.linalg.solve_triangular(lower.mT, noise[..., None], upper=True)[..., 0]
    bent = z + v - torch.einsum("bkij,bi,bj->bk", christoffel, v, v) / 2
    return torch.where(regular[:, None], bent, torch.nan)


@torch.no_grad()
def sample_volume(
    decoder: Decoder, box: torch.Tensor, n: int, *, generator: torch.Generator | None = None
) -> VolumeSample:
    """n points of a box with density ∝ √det g: evenly spread over what the decoder makes of it.

    By rejection, exact but for peaks of √det g that none of the proposals has met. Where g is
    degenerate the density counts as zero. No gradients flow.

    Args:
        decoder: as in :func:`brownian_motion`.
        box: lower and upper ends (d, 2), a tensor of the dtype and on the device of the decoder.
        n: how many points.
        generator: of uniform numbers, on the box's device; None is torch's own.

    Raises:
        InputError: among others where fewer than one of a thousand proposals is kept; and what
            :func:`brownian_motion` does.
    """
    if not isinstance(box, torch.Tensor) or not box.is_floating_point() or box.ndim != 2:
        raise InputError("box must be a floating tensor (d, 2): lower and upper ends of latents.")
    box = checked_finite_box(box, box[:, :1].mT)
    check_count("n", n)
    decoder, _ = checked(decoder, box.mT)
    points, density, level = box.new_zeros(0, len(box)), box.new_zeros(0), box.new_zeros(0)
    kept, proposals = density > 0, max(_FIRST_PROPOSALS, n)
    while kept.sum() < n:
        if len(points) + proposals > _MOST_PROPOSALS * max(_LEAST, n):
            raise InputError(
                f"Only {int(kept.sum())} of {len(points)} points were kept: √det g is large in a "
                "small part of the box. Give a smaller box around it."
            )
        drawn = torch.rand(
            proposals, len(box) + 1, generator=generator, dtype=box.dtype, device=box.device
        )
        new = torch.lerp(*box.unbind(1), drawn[:, 1:])
        points, level = torch.cat([points, new]), torch.cat([level, drawn[:, 0]])
        density = torch.cat([density, _volume_density(decoder, new)])
        if not density.any():
            raise InputError(
                f"The metric is degenerate or not a number at all of {len(points)} points that "
                "were drawn from the box: give one that the decoder knows."
            )
        kept = level * density.max() < density
        proposals = len(points)
    size = (box[:, 1] - box[:, 0]).prod()
    error = size * density.std() / math.sqrt(len(density))
    return VolumeSample(points[kept][:n], size * density.mean(), error, float(kept.double().mean()))


def _volume_density(decoder, points):
    """√det g (B,), zero where g is degenerate."""
    options = {"chunk_size": _POINTS_AT_ONCE, "on_degenerate": "nan"}
    return pullback(decoder, points, order=1, **options).volume_density.nan_to_num(0)


@each_row_alone
def curvature_along(decoder: Decoder, path: torch.Tensor) -> CurvatureAlong:
    """Curvature of g = ∇Ψᵀ∇Ψ at the nodes of paths (B, n+1, d), n ≥ 1.

    Tangents are differences of neighbouring nodes, and lengths trapezoids: O(n⁻²). Differentiable
    in the path and in the decoder's parameters.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError.
    """
    check_path(path)
    decoder, nodes = checked(decoder, path.flatten(0, 1))
    options = {"chunk_size": _POINTS_AT_ONCE, "on_degenerate": "nan"}
    geometry = pullback(decoder, nodes, **options)
    shape = path.shape[:2]
    g = geometry.metric.unflatten(0, shape)
    (tangent,) = torch.gradient(path, dim=1)
    ricci = torch.einsum("bnij,bni,bnj->bn", geometry.ricci.unflatten(0, shape), tangent, tangent)
    step = path.diff(dim=1)
    lengths = (_norm(g[:, :-1], step) + _norm(g[:, 1:], step)) / 2
    return CurvatureAlong(
        arc_length=torch.nn.functional.pad(lengths.cumsum(1), (1, 0)),
        scalar=geometry.scalar.unflatten(0, shape),
        ricci=ricci / _norm(g, tangent) ** 2,
        regular=~geometry.is_degenerate.unflatten(0, shape),
    )


def _norm(g, v):
    return torch.einsum("bnij,bni,bnj->bn", g, v, v).clamp(min=0).sqrt()
