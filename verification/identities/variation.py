"""The first variation of F and of W, with dm and τ fixed, on random closed surfaces.

    δF = −∫ ⟨δg, Ric + ∇²f⟩ dm,   δW = −τ ∫ ⟨δg, Ric + ∇²f − g/2τ⟩ dm

(Perelman, arXiv:math/0211159, (1.2) and (3.3) with dm fixed), for the family

    Ψ_s = Ψ + s₁Ψ'₁ + s₂Ψ'₂ + s₃Ψ'₃: T^d → R^{2d},   ∂g_ij/∂s_a = ⟨∂_iΨ'_a, ∂_jΨ⟩ + ⟨∂_iΨ, ∂_jΨ'_a⟩,

where Ψ is the Clifford torus moved by a random diffeomorphism of R^{2d} and Ψ'_a are random maps of
it. The left side is differentiated by autograd, where the error is that of quadrature in the
integration by parts and falls with the mesh; and by central differences in s, of order 2.
"""

import math

import torch

import curvcore
from verification.identities import convergence, meshes, perelman, surfaces

TAU = 0.7
DIRECTIONS = 3
STEPS = (0.08, 0.04, 0.02)
CLAIMS = {None: "δF = −∫⟨δg, Ric + ∇²f⟩ dm", TAU: "δW = −τ∫⟨δg, Ric + ∇²f − g/2τ⟩ dm"}


def findings(full, seed):
    """Yield the Findings: F and W on a surface, and, in full, on a torus of dimension three."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(3 if full else 1):
        family = Family(2, generator, frequency=1)
        yield from by_autograd(family, sizes=(8, 16, 32, 64))
        yield from by_differences(family, n=48)
    if full:
        family = Family(3, generator, size=0.15, frequency=0.5)
        yield from by_autograd(family, sizes=(4, 8, 16, 28))
        yield from by_differences(family, n=28)


class Family:
    """Ψ_s, s ∈ R³, and the measure dm = ρ dz on T^d: log ρ random, up to a constant.

    That ∫ dm is not one changes neither formula: both sides are linear in dm.
    """

    def __init__(self, d, generator, **waves):
        self.dimension, self.name = d, f"random torus T^{d} in R^{2 * d}"
        self.base = surfaces.perturbed(surfaces.clifford_torus, 2 * d, generator, **waves)
        self.maps = [surfaces.waves(2 * d, 2 * d, generator, **waves) for _ in range(DIRECTIONS)]
        density = surfaces.waves(2 * d, 1, generator, **waves)
        self._log_density = lambda z: density(surfaces.clifford_torus(z))[:, 0]

    def direction(self, a, z):
        """Ψ'_a at z: (B, D)."""
        return self.maps[a](surfaces.clifford_torus(z))

    def immersion(self, s):
        """Ψ_s for s (3,)."""
        return lambda z: self.base(z) + sum(s[a] * self.direction(a, z) for a in range(DIRECTIONS))

    def log_density(self, z):
        """The Potential of log ρ, ∫ ρ dz ≈ 1."""
        log = perelman.potential(self._log_density, z)
        constant = self.dimension * math.log(2 * math.pi)
        return perelman.Potential(log.value - constant, log.gradient, log.hessian)


def functionals(family, s, mesh, log_density):
    """F and W of Ψ_s, (2,): differentiable in s."""
    geometry = curvcore.pullback(family.immersion(s), mesh.z)
    density = torch.exp(log_density.value)
    values = []
    for tau in CLAIMS:
        f = perelman.fixed_measure(geometry, log_density, tau)
        values.append(mesh.integral(density * perelman.integrand(geometry, f, tau)))
    return torch.stack(values)


@torch.no_grad()
def formulas(family, mesh, log_density):
    """The right sides at s = 0, (2, 3), and what rounding may cost, (2,)."""
    zero = torch.zeros(DIRECTIONS, dtype=torch.float64)
    geometry = curvcore.PullbackGeometry(curvcore.jet(family.immersion(zero), mesh.z, order=3))
    changes = [_metric_change(family, a, geometry, mesh.z) for a in range(DIRECTIONS)]
    length = sum(perelman.length(geometry, change, 2) for change in changes)
    derivatives, bounds = [], []
    for tau in CLAIMS:
        f = perelman.fixed_measure(geometry, log_density, tau)
        measure = torch.exp(log_density.value) * (1 if tau is None else tau)
        tensor = perelman.soliton_tensor(geometry, f, tau)
        pairings = [perelman.pairing(geometry, change, tensor) for change in changes]
        derivatives.append(torch.stack([-mesh.integral(measure * p) for p in pairings]))
        size = perelman.size(geometry, f) + (0 if tau is None else 1 / tau)
        bounds.append(convergence.rounding(mesh.integral(measure * length * size)))
    return torch.stack(derivatives), torch.stack(bounds)


def _metric_change(family, a, geometry, z):
    """∂g_ij/∂s_a = ⟨∂_iΨ'_a, ∂_jΨ⟩ + ⟨∂_iΨ, ∂_jΨ'_a⟩."""
    direction = curvcore.jet(lambda z: family.direction(a, z), z, order=1)
    half = geometry.jacobian.mT @ direction.jacobian
    return half + half.mT


def by_autograd(family, sizes):
    """Yield the Findings that autograd through curvcore meets the formulas, spectrally."""
    measured = {tau: [] for tau in CLAIMS}
    for n in sizes:
        mesh = meshes.periodic(n, family.dimension)
        log_density = family.log_density(mesh.z)
        s = torch.zeros(DIRECTIONS, dtype=torch.float64, requires_grad=True)
        values = functionals(family, s, mesh, log_density)
        found = [torch.autograd.grad(v, s, retain_graph=True)[0] for v in values]
        expected, bounds = formulas(family, mesh, log_density)
        for k, tau in enumerate(CLAIMS):
            error = (found[k] - expected[k]).norm()
            measured[tau].append(convergence.Measured(n, error, bounds[k]))
    for tau, claim in CLAIMS.items():
        yield convergence.spectral(f"{family.name}, by autograd", claim, measured[tau])


@torch.no_grad()
def by_differences(family, n):
    """Yield the Findings that central differences in s meet the formulas, with order 2."""
    mesh = meshes.periodic(n, family.dimension)
    log_density = family.log_density(mesh.z)

    def difference(s):
        after, before = (functionals(family, t, mesh, log_density) for t in (s, -s))
        return (after - before) / (2 * s.norm())

    unit = torch.eye(DIRECTIONS, dtype=torch.float64)
    quotients = torch.stack(
        [torch.stack([difference(h * e) for e in unit], 1) for h in STEPS]
    )  # (steps, 2, directions)
    expected, bounds = formulas(family, mesh, log_density)
    for k, claim in enumerate(CLAIMS.values()):
        yield convergence.algebraic(
            f"{family.name}, by differences",
            claim,
            convergence.extrapolated(quotients[:, k]),
            expected[k],
            bounds[k] / STEPS[-1],
            scale=expected[k].norm(),
            step="s",
        )
