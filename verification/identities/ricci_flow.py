"""F and W increase along Ricci flow: the shrinking sphere, with solutions of the heat equation.

∂_t g = −2 Ric on S^d is solved by r² = r0² − 2(d − 1) t, and the conjugate heat equation
∂_t u = −Δu + R u, u dμ = dm, by u = v/Vol with ∂_t v = −Δv: a spherical harmonic of degree k has
Δ = −k(k + d − 1)/r², so that

    v = 1 + c_1 Y_1 + c_2 Y_2,   c_k(t) = c_k(0) (r0/r)^{k(k+d−1)/(d−1)}.

With e^{−f} = u, or (4πτ)^{−d/2} e^{−f} = u and τ = τ0 − t, Perelman's formulas are

    dF/dt = 2 ∫ |Ric + ∇²f|² dm,   dW/dt = 2τ ∫ |Ric + ∇²f − g/2τ|² dm.

References: Perelman, arXiv:math/0211159, (1.4) and (3.4); Chow et al., *The Ricci Flow* I, ch. 5–6.
"""

import math
from functools import cache

import torch

import curvcore
from verification.identities import convergence, meshes, perelman, surfaces

RADIUS = 1.3
# Of the time that the sphere lives, r0²/2(d − 1); c_k grow by a factor of 3 at most meanwhile.
LATEST = 0.3
STEPS = (0.05, 0.025, 0.0125)
COEFFICIENTS = (0.15, 0.1)
TIMES = 4


def findings(full, seed):
    """Yield the Findings for F and W on spheres of dimension two and three."""
    generator = torch.Generator().manual_seed(seed)
    for d, n in ((2, 24), (3, 16)) if full else ((2, 16), (3, 14)):
        flow = ShrinkingSphere(d, n, generator)
        for shrinking in (False, True):
            yield from flow.findings(shrinking)
        yield flow.soliton()


class ShrinkingSphere:
    """S^d under Ricci flow, with random harmonics Y_1 and Y_2 on it."""

    def __init__(self, d, n, generator):
        self.dimension, self.mesh = d, meshes.spherical(n, d, azimuths=20)
        self.life = RADIUS**2 / (2 * (d - 1))
        axes = torch.randn(3, d + 1, generator=generator, dtype=torch.float64)
        self.axes = axes / axes.norm(dim=1, keepdim=True)
        self.geometry = cache(self._geometry_and_radius)  # F and W share the times
        self.harmonics = [self._harmonic(degree) for degree in (1, 2)]

    def _harmonic(self, degree):
        """The Potential of Y_1 = ⟨a, ω⟩ or Y_2 = ⟨b, ω⟩⟨c, ω⟩ − ⟨b, c⟩/(d + 1), ω ∈ S^d."""
        first, second, third = self.axes

        def function(z):
            point = surfaces.sphere(z)
            if degree == 1:
                return point @ first
            return (point @ second) * (point @ third) - second @ third / (self.dimension + 1)

        return perelman.potential(function, self.mesh.z)

    def _potential(self, gauge, coefficients):
        """f = c − log v of v = 1 + Σ c_k Y_k: ∂f = −∂v/v, ∂²f = −∂²v/v + ∂v ∂v/v²."""
        v, dv, d2v = (
            sum(c * getattr(y, name) for c, y in zip(coefficients, self.harmonics, strict=True))
            for name in ("value", "gradient", "hessian")
        )
        v = 1 + v
        df, d2f = -dv / v[:, None], -d2v / v[:, None, None]
        return perelman.Potential(gauge - torch.log(v), df, d2f + df[:, :, None] * df[:, None])

    def _geometry_and_radius(self, t):
        radius = math.sqrt(RADIUS**2 - 2 * (self.dimension - 1) * t)
        return curvcore.pullback(lambda z: surfaces.sphere(z, radius), self.mesh.z), radius

    def state(self, t, tau, coefficients=COEFFICIENTS):
        """The geometry at time t, the Potential f, and the weights of dm."""
        d, (geometry, radius) = self.dimension, self.geometry(t)
        volume = 2 * math.pi ** ((d + 1) / 2) / math.gamma((d + 1) / 2) * radius**d
        gauge = math.log(volume) - (0 if tau is None else d / 2 * math.log(4 * math.pi * tau))
        grown = [
            c * (RADIUS / radius) ** (k * (k + d - 1) / (d - 1))
            for k, c in enumerate(coefficients, start=1)
        ]
        f = self._potential(gauge, grown)
        measure = torch.exp(gauge - f.value) / volume * geometry.volume_density
        return geometry, f, self.mesh.weights * measure

    def value(self, t, start=None, coefficients=COEFFICIENTS):
        """F at time t, or W with τ = ``start`` − t; and what rounding may cost."""
        tau = None if start is None else start - t
        geometry, f, measure = self.state(t, tau, coefficients)
        value = (measure * perelman.integrand(geometry, f, tau)).sum()
        size = perelman.size(geometry, f) * (1 if tau is None else tau) + f.value.abs() + 1
        return value, convergence.rounding((measure * size).sum())

    def rate(self, t, start=None):
        """2 ∫ |S|² dm, or 2τ ∫ |S|² dm, S the soliton tensor; and what rounding may cost."""
        tau = None if start is None else start - t
        geometry, f, measure = self.state(t, tau)
        measure = 2 * measure * (1 if tau is None else tau)
        tensor = perelman.soliton_tensor(geometry, f, tau)
        rate = (measure * perelman.pairing(geometry, tensor, tensor)).sum()
        size = perelman.size(geometry, f) + (0 if tau is None else 1 / tau)
        terms = 2 * measure * perelman.length(geometry, tensor, 2) * size
        return rate, convergence.rounding(terms.sum())

    @torch.no_grad()
    def findings(self, shrinking):
        """Yield the Findings of the rate, by central differences in t, and of monotonicity."""
        start = 1.2 * self.life if shrinking else None
        name = "W" if shrinking else "F"
        subject = f"shrinking S^{self.dimension}, f not constant"
        middle = LATEST * self.life / 2
        quotients, bounds = [], []
        for step in STEPS:
            h = step * self.life
            (after, bound), (before, _) = (self.value(middle + s * h, start) for s in (1, -1))
            quotients.append((after - before) / (2 * h))
            bounds.append(bound / h)
        rate, bound = self.rate(middle, start)
        claim = "dW/dt = 2τ∫|Ric + ∇²f − g/2τ|² dm" if shrinking else "dF/dt = 2∫|Ric + ∇²f|² dm"
        yield convergence.algebraic(
            subject,
            claim,
            convergence.extrapolated(torch.stack(quotients)),
            rate,
            bound + max(bounds),
            scale=rate,
            step="t",
        )
        values, bound = self._history(start, COEFFICIENTS)
        rises = values.diff()
        figure = f"{values[0]:.4f} → {values[-1]:.4f}, least rise {rises.min():.4f} of {len(rises)}"
        yield convergence.finding(subject, f"{name} increases", figure, (rises > bound).all())

    @torch.no_grad()
    def soliton(self):
        """The Finding that W stands still on the soliton: f constant, r² = 2(d − 1)τ."""
        values, bound = self._history(self.life, (0, 0))
        return convergence.pointwise(
            f"shrinking S^{self.dimension}, r² = 2(d−1)τ",
            "W constant in time",
            values - values[0],
            torch.full_like(values, 2 * bound),
        )

    def _history(self, start, coefficients):
        times = torch.linspace(0, LATEST * self.life, TIMES, dtype=torch.float64).tolist()
        values, bounds = zip(*(self.value(t, start, coefficients) for t in times), strict=True)
        return torch.stack(values), max(bounds)
