"""Curvature of the pullback metric, and its distance from a constant metric.

G is the metric at an encoded point, λ its eigenvalues, E the mean over the encoded points where G
is not degenerate, Ḡ = E[G].
"""

import math
from dataclasses import dataclass

import torch

import curvcore
from training.measures import QuadratureGrid

# (a, b): the quantity is in units of L^{a d + b}, L the data's unit of length.
UNITS = {
    "mean_abs_R": (0, -2),
    "median_abs_R": (0, -2),
    "p95_abs_R": (0, -2),
    "mean_R2": (0, -4),
    "mean_R2_sqrt_det_g": (1, -4),
    "integral_R2_dmu": (1, -4),
}
ISOMETRY = ("mcn", "vor", "relaxed_distortion", "var_log_det_g")
SOBOL_POINTS = 4096  # as many as the grid of 64 × 64 nodes for d = 2
LARGE, FEWER_SOBOL_POINTS = 8, 1024  # above this d, where R takes milliseconds a point


@dataclass(frozen=True, eq=False)
class LocalGeometry:
    """Metric (B, d, d), R (B,) and √det g (B,) at points, in float64 on the CPU."""

    metric: torch.Tensor
    scalar: torch.Tensor
    volume_density: torch.Tensor

    @property
    def regular(self):
        """Where the metric is not degenerate: (B,)."""
        return torch.isfinite(self.scalar) & torch.isfinite(self.volume_density)

    @property
    def squared_curvature(self):
        """R² √det g: (B,), NaN at degenerate points."""
        return self.scalar.square() * self.volume_density


def local_geometry(decoder, z, chunk_size=4096):
    """The LocalGeometry of the pullback metric at z (B, d); of a piece only this much is kept."""
    pieces = []
    for piece in z.detach().split(chunk_size):
        # Apart: R holds no derivatives of all points where d is large.
        scalar = curvcore.scalar_curvature(decoder, piece, on_degenerate="nan")
        geometry = curvcore.pullback(decoder, piece, order=1, on_degenerate="nan")
        pieces.append((geometry.metric, scalar, geometry.volume_density))
    return LocalGeometry(
        *(torch.cat(part).detach().cpu().double() for part in zip(*pieces, strict=True))
    )


def curvature(decoder, z, geometry, *, scale=1.0, seed=0, chunk_size=4096, periodic=False):
    """Curvature at the encoded points z (n, d), whose LocalGeometry is ``geometry``.

    - ``mean_abs_R``, ``median_abs_R``, ``p95_abs_R``: of |R|, over the encoded points.
    - ``mean_R2``: E[R²], what ``TotalSquaredCurvature`` is on encoded data.
    - ``mean_R2_sqrt_det_g``: E[R² √det g]. It depends on the scale of the latents.
    - ``integral_R2_dmu``: ∫ R² dμ, dμ = √det g dz, over the bounding box of all encoded points, so
      also where it holds no data, or if ``periodic`` over the torus (:func:`quadrature`).
    - ``..._raw``: each in data units, in which g is scale² g: R times scale⁻², R² √det g times
      scale^{d−4}.
    - ``degenerate_points``, ``degenerate_quadrature_points``: how many encoded points, and nodes
      of the integral, were left out because the metric is degenerate there.
    """
    nodes, weights = quadrature(z, seed, periodic)
    at_nodes = local_geometry(decoder, nodes, chunk_size)
    values = statistics(geometry)
    values["integral_R2_dmu"] = integral(at_nodes, weights)
    return {
        **values,
        **in_raw_units(values, scale, z.shape[1]),
        "degenerate_points": int((~geometry.regular).sum()),
        "degenerate_quadrature_points": int((~at_nodes.regular).sum()),
    }


def statistics(geometry):
    """Mean, median and 95th percentile of |R|, E[R²] and E[R² √det g], over regular points."""
    size = geometry.scalar[geometry.regular].abs()
    median, p95 = size.quantile(size.new_tensor([0.5, 0.95])) if len(size) else (math.nan,) * 2
    return {
        "mean_abs_R": size.mean(),
        "median_abs_R": median,
        "p95_abs_R": p95,
        "mean_R2": size.square().mean(),
        "mean_R2_sqrt_det_g": geometry.squared_curvature[geometry.regular].mean(),
    }


def integral(geometry, weights):
    """∫ R² dμ ≈ Σ w R² √det g over the regular nodes; NaN where there are none."""
    terms = (weights * geometry.squared_curvature)[geometry.regular]
    return terms.sum() if len(terms) else math.nan


def in_raw_units(values, scale, d):
    """The quantities of ``UNITS`` for the decoder scale · Ψ, their keys with suffix ``_raw``."""
    return {f"{key}_raw": values[key] * scale ** (a * d + b) for key, (a, b) in UNITS.items()}


def quadrature(z, seed=0, periodic=False):
    """Nodes and weights with Σ w φ ≈ ∫ φ dz over the bounding box of the points z (n, d).

    If ``periodic``, over the whole torus [0, 1)^d, wherever the points are.

    64 nodes in each direction for d ≤ 2, Gauss–Legendre in the box and equidistant on the torus;
    for larger d, scrambled Sobol points (quasi-Monte Carlo), an unbiased estimate: 4096, and 1024
    above d = 8, where R is dear. One domain for every d: weights 1/p̂ from a kernel density
    estimate p̂ would stay nearer the data, but miss the volume of a cube by 30 to 60 %.
    """
    d = z.shape[1]
    low, high = (z.new_zeros(d), z.new_ones(d)) if periodic else (z.amin(0), z.amax(0))
    if d <= 2:
        corners = tuple(low.tolist()), tuple(high.tolist())
        grid = QuadratureGrid(*corners, periodic=periodic).grid(z)
        return grid.z, grid.weights.cpu().double()
    engine = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed)
    number = SOBOL_POINTS if d <= LARGE else FEWER_SOBOL_POINTS
    nodes = low + (high - low) * engine.draw(number, dtype=torch.float64).to(z)
    volume = (high - low).double().prod().cpu()
    return nodes, (volume / number).expand(number)


def isometry(metric):
    """How far the metrics G (B, d, d) are from one constant metric, or a multiple of I.

    - ``mcn``: mean condition number E[λmax/λmin] (Lee et al., ICLR 2022); 1 if conformal.
    - ``vor``: variance of the Riemannian metric, E Σ_i log² λ_i(Ḡ⁻¹G) (the same); 0 if constant.
    - ``relaxed_distortion``: E[tr G²] / E[tr G]² (the same); 1/d, the least, if G = c I.
    - ``var_log_det_g``: Var(log det G) (Nazari et al., ICML 2023); 0 if volume is preserved.

    Through Cholesky factors G = CCᵀ: λ_i(Ḡ⁻¹G) are the squared singular values of C̄⁻¹C, and so
    positive whatever the rounding.
    """
    if len(metric) == 0:
        return dict.fromkeys(ISOMETRY, math.nan)
    mean_factor, factor = torch.linalg.cholesky(metric.mean(0)), torch.linalg.cholesky(metric)
    lengths = torch.linalg.svdvals(factor)
    stretch = torch.linalg.svdvals(torch.linalg.solve_triangular(mean_factor, factor, upper=False))
    log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    traces = torch.einsum("bii->b", metric)
    return {
        "mcn": (lengths[:, 0] / lengths[:, -1]).square().mean(),
        "vor": (2 * stretch.log()).square().sum(1).mean(),
        "relaxed_distortion": metric.square().sum((1, 2)).mean() / traces.mean().square(),
        "var_log_det_g": log_det.var(correction=0),
    }
