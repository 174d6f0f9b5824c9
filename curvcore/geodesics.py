"""Geodesics of the pullback metric between two points, by Newton's method on the discrete energy.

A path z_0, ..., z_n decodes to a polyline in R^D. Where its energy is least, given its ends
(:mod:`curvcore.discrete_energy`), it is a discrete geodesic: the second difference s_k of Ψ along
it has no tangential part. Without ``bending`` and ``twisting`` the Hessian of f is G, of Gauss and
Newton, a metric on variations p of the path: ⟨p, Gp⟩ sums the squared differences of ∂_iΨ p^i,
whatever the latent coordinates. Steps are damped in it, (∇²f + μG)p = −∇f.
"""

from dataclasses import dataclass
from numbers import Integral

import torch
import torch.nn.functional as F

from curvcore.discrete_energy import lengths_of, model_of, where
from curvcore.display import Displayed
from curvcore.errors import DecoderError, InputError
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.rows import each_row_alone
from curvcore.types import Decoder
from curvcore.validation import check_decoder, check_finite, check_points, list_points

ITERATIONS = 100  # at most
FIRST_DAMPING, MOST_DAMPING = 0.1, 1e8  # once a step has failed; where a curve is given up
DTYPES = (torch.float64, torch.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Geodesic(Displayed):
    """Discrete geodesics of B pairs of points, from :func:`geodesic`.

    Attributes:
        path: the nodes z_0, ..., z_n, in R^D at distances equal up to O(n⁻²), (B, n+1, d).
        length: Σ |Ψ(z_{k+1}) − Ψ(z_k)|, (B,).
        converged: whether the path is stationary to rounding, (B,).
    """

    path: torch.Tensor
    length: torch.Tensor
    converged: torch.Tensor


@each_row_alone
@torch.no_grad()
def geodesic(
    decoder: Decoder,
    start: torch.Tensor,
    end: torch.Tensor,
    *,
    path: torch.Tensor | None = None,
    segments: int = 32,
) -> Geodesic:
    """Geodesics of g = ∇Ψᵀ∇Ψ from ``start`` to ``end``: minima of E = n Σ |Ψ(z_{k+1}) − Ψ(z_k)|².

    The length of the polyline is that of the geodesic up to O(n⁻²). The search is local: which
    geodesic is found depends on the initial path, and it need not be the shortest; a path that is
    a geodesic already stays, even where E has a saddle. A curve has converged when the decrease of
    E that a Newton step promises is less than what rounding of Ψ does to E; that step is still
    taken. One that is not there after 100 steps, or finds none downhill, says so. Where g is
    degenerate, paths of equal energy differ, and one of them is found. No gradients flow.

    Args:
        decoder: ``nn.Module`` or callable, as in :func:`curvcore.pullback`.
        start, end: points (B, d), float64 or, to its precision, float32.
        path: where to begin, (B, n+1, d) from ``start`` to ``end``; None is the straight line.
        segments: n, 2 at least.

    Returns:
        Geodesic: path, length, converged.

    Raises:
        InputError: the points or the path do not fit each other.
        DecoderError: Ψ or its derivatives are not finite on the initial path. And those of ``jet``.
    """
    _check_segments(segments)
    _check_ends(start, end)
    straight = _straight_lines(start, end, segments)
    path = straight if path is None else _checked_path(path, straight)
    check_decoder(decoder, start)
    with one_warning_of_kinks():
        path, converged = _minimised(decoder, path)
    return Geodesic(path, path_length(decoder, path), converged)


@each_row_alone
def path_length(decoder: Decoder, path: torch.Tensor) -> torch.Tensor:
    """Length Σ |Ψ(z_{k+1}) − Ψ(z_k)| of the decoded polyline, (B, n+1, d) -> (B,).

    Only values of Ψ are needed. Differentiable in the path and in the decoder's parameters.

    Raises:
        InputError: the path is not a finite floating tensor (B, n+1, d).
        DecoderError: Ψ is not (B, ...), or not finite on the path.
    """
    check_path(path)
    check_decoder(decoder, path)
    with torch.autocast(path.device.type, enabled=False):
        length = lengths_of(decoder, path)
    _check_finite(torch.isfinite(length.detach()))
    return length


@torch.no_grad()
def is_local_minimum(decoder, path):
    """Whether the Hessian of E is positive definite at geodesics (B, n+1, d): (B,).

    By Morse's index theorem: as long as no point of the geodesic is conjugate to its start.
    """
    model = model_of(decoder, path)
    failed = solved(*model.hessian(), model.gradient)[2]
    return ~failed & model.is_finite()


# --- Newton's method ------------------------------------------------------------------------------


def _minimised(decoder, path):
    """The path (B, n+1, d) of least energy near ``path``, and whether it was found: (B,)."""
    result, converged = path.clone(), path.new_zeros(len(path), dtype=torch.bool)
    active, damping = torch.arange(len(path), device=path.device), path.new_zeros(len(path))
    model = model_of(decoder, path)
    _check_finite(model.is_finite())
    for _ in range(ITERATIONS):
        if len(active) == 0:
            break
        step, promised, damping = _newton_step(model, damping)
        ahead = path + F.pad(step, (0, 0, 1, 1))
        trial = model_of(decoder, ahead)
        done = promised <= model.rounding
        # The last step changes f by less than its rounding, which may have either sign.
        limit = model.energy + torch.where(done, 2 * model.rounding, 0)
        accepted = (trial.energy < limit) & trial.is_finite()
        path, model = where(accepted, ahead, path), trial.where(accepted, model)
        damping = torch.where(accepted, lowered(damping), raised(damping))
        result[active], converged[active] = path, done
        kept = ~done & (damping <= MOST_DAMPING)
        active, path, damping, model = active[kept], path[kept], damping[kept], model.of(kept)
    return result, converged


def _newton_step(model, damping):
    """p with (∇²f + μG)p = −∇f, what it promises, ⟨p, −∇f⟩(1 + μ)/2, and μ, raised where it must.

    The factor 1 + μ makes the promise one of how far from stationary the path is, whatever μ.
    """
    largest = model.metric.diagonal(dim1=-2, dim2=-1).amax(1)
    # Where g is singular, so is G. Coordinates that nothing depends on stay, whatever their unit.
    unit = torch.where(largest > 0, largest, 1).diag_embed()[:, None]
    ridge = torch.finfo(unit.dtype).eps ** 0.5 * unit
    failed = torch.ones_like(damping, dtype=torch.bool)
    while (failed & (damping <= MOST_DAMPING)).any():
        mu = damping[:, None, None, None]
        diagonal, beside = model.hessian(mu)
        step, product, failed = solved(diagonal + mu * ridge, beside, -model.gradient)
        promised = product * (1 + damping) / 2
        damping = torch.where(failed, raised(damping), damping)
    return step, promised, damping


def solved(diagonal, above, right):
    """x and ⟨x, b⟩ of Ax = b, A positive definite with blocks (B, m, d, d) and (B, m−1, d, d).

    By Cholesky factorisation; where it fails x = 0, ⟨x, b⟩ = ∞, and the third result is True.
    """
    above = torch.cat([above, torch.zeros_like(diagonal[:, :1])], 1)
    lower, y = torch.zeros_like(above[:, 0]), torch.zeros_like(right[:, 0, :, None])
    failed, rows = torch.zeros_like(y[:, 0, 0], dtype=torch.bool), []
    blocks = (x.unbind(1) for x in (diagonal, above, right[..., None]))
    for pivot, beside, b in zip(*blocks, strict=True):
        factor, info = torch.linalg.cholesky_ex(pivot - lower @ lower.mT)
        columns = torch.cat([beside, b - lower @ y], 2)
        columns = torch.linalg.solve_triangular(factor, columns, upper=False)
        lower, y = columns[..., :-1].mT, columns[..., -1:]
        failed |= info > 0
        rows.append((factor, lower, y))
    x = [torch.zeros_like(y)]
    for factor, lower, y in reversed(rows):
        x.append(torch.linalg.solve_triangular(factor.mT, y - lower.mT @ x[-1], upper=True))
    x = torch.cat(x[:0:-1], 2).mT
    failed |= ~torch.isfinite(x).flatten(1).all(1)
    # ⟨x, b⟩ = |L⁻¹b|², not negative.
    product = torch.cat([y for _, _, y in rows], 1).square().sum((1, 2))
    return where(~failed, x, torch.zeros_like(x)), torch.where(failed, torch.inf, product), failed


def raised(damping):
    """Where a step has failed."""
    return (4 * damping).clamp(min=FIRST_DAMPING)


def lowered(damping):
    """Where none has: to none in the end, as the last steps are Newton's, which double digits."""
    return F.threshold(damping / 10, FIRST_DAMPING / 1000, 0)


def _straight_lines(start, end, segments):
    """z_k = start + (end − start) k/n: (B, n+1, d), its ends exact."""
    weight = torch.linspace(0, 1, segments + 1, dtype=start.dtype, device=start.device)
    return torch.lerp(start[:, None], end[:, None], weight[:, None])


# --- checks ---------------------------------------------------------------------------------------


def _check_segments(segments):
    if isinstance(segments, bool) or not isinstance(segments, Integral) or segments < 2:
        raise InputError(f"segments must be an integer, 2 or more; got {segments!r}.")


def _check_ends(start, end):
    for name, points in (("start", start), ("end", end)):
        try:
            check_points(points)
            check_finite(points)
        except InputError as error:
            flat = getattr(points, "ndim", 0) > 2
            hint = f" Write {name}.flatten(1), of a decoder that knows its latent_shape."
            raise InputError(f"{name}: {error}{hint if flat else ''}") from None
    if start.dtype not in DTYPES:
        raise InputError(f"start and end must be float64 or float32; got {start.dtype}.")
    if _kind(start) != _kind(end):
        raise InputError(
            "start and end must agree in shape (B, d), dtype and device; got "
            f"{_words(start)} and {_words(end)}. One point for all: start.expand_as(end)."
        )


def check_path(path):
    """Raise InputError unless ``path`` is a finite floating tensor (B, n+1, d) with n ≥ 1."""
    if not isinstance(path, torch.Tensor) or path.ndim != 3 or path.shape[1] < 2:
        got = _words(path) if isinstance(path, torch.Tensor) else type(path).__name__
        hint = " For one path write path[None]." if getattr(path, "ndim", 0) == 2 else ""
        raise InputError(f"path must be a tensor (B, n+1, d), n ≥ 1; got {got}.{hint}")
    try:
        check_points(path.flatten(1))
        check_finite(path.flatten(1))
    except InputError as error:
        raise InputError(f"path: {error}") from None


def _checked_path(path, straight):
    """``path``, between the very ends of ``straight``."""
    check_path(path)
    if _kind(path) != _kind(straight):
        raise InputError(
            f"path must be (B, segments + 1, d) like start and end, {_words(straight)}; got "
            f"{_words(path)}. Say segments={path.shape[1] - 1} where that is meant."
        )
    ends = [0, -1]
    tolerance = 16 * torch.finfo(path.dtype).eps * straight[:, ends].abs().amax((1, 2))
    away = (path[:, ends] - straight[:, ends]).abs().amax((1, 2)) > tolerance
    if away.any():
        raise InputError(
            f"path must go from start to end; it does not at {list_points(away)}. "
            "Write path[:, 0] = start, path[:, -1] = end."
        )
    return torch.cat([straight[:, :1], path[:, 1:-1], straight[:, -1:]], 1)


def _kind(tensor):
    return tensor.shape, tensor.dtype, tensor.device


def _words(tensor):
    return f"{tuple(tensor.shape)}, {tensor.dtype}, {tensor.device}"


def _check_finite(finite):
    if not finite.all():
        raise DecoderError(
            "The decoder, or a derivative of it, is NaN or Inf on the path from "
            f"{list_points(~finite)}. Choose other ends, or a path where the decoder is defined."
        )
