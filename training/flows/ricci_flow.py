"""Perelman's flow of a decoder: what of ∂_t g = −2(Ric + ∇²f) its parameters θ can do.

A decoder's metric varies as δg = A θ' only, A = ∂g/∂θ. With E = Ric + ∇²f, and dm = e^{−f} dμ held
fixed through a step, the *projected Ricci flow* takes the θ' with

    ‖A θ' + 2E‖² + λ |θ'|² least,   ‖δg‖² = ∫ |δg|²_g dm = Σ_b m_b |δg(z_b)|²_g,

m_b the sample's share of dm. Its normal equations (AᵀA + λ) θ' = −2AᵀE are solved by conjugate
gradients. From δF = −∫⟨E, δg⟩ dm,

    dF/dt = ½ ‖δg‖² + λ/2 |θ'|² ≥ 0,   ‖δg‖²/‖2E‖² = the share realised, in [0, 1],

so F rises whatever the network, at Perelman's rate 2∫|E|² dm where all of the flow is realised. On
a sample that identity holds up to the error of quadrature: as long as the sample resolves the
surface. What says so is ∫R dμ, 4πχ on a closed surface whatever its metric.

For W, ∂_t g = −2(Ric + ∇²f) with τ' = −1 is −2E − g/τ, E = Ric + ∇²f − g/2τ, and

    dW/dt = ∂_θW · θ' − ∂W/∂τ,   ∂W/∂τ = F − n/2τ,   Perelman's 2τ∫|E|² dm,

where −g/τ, a decoder that shrinks, is among what a decoder with a last linear layer can do.

===============  ==========================================================================
``rule``         θ'
===============  ==========================================================================
``"projected"``  as above
``"natural"``    (AᵀA + λ)⁻¹ 2 ∂_θF, the natural gradient: the same but for quadrature, and F
                 rises on every sample for steps small enough; a network that is wide for its
                 sample then learns wrinkles between the nodes
``"gradient"``   ∂_θF, plain gradient ascent: what an optimiser of parameters does. It knows no time
                 of L², and τ of W stays as it is
===============  ==========================================================================

The flow at fixed dm need not exist, even for short times: f obeys the *backward* heat equation
∂_t f = −Δf − R (Perelman §1.2). The geometry flows forward, by Ricci flow; what grows is ∇f, the
wrinkles of √det g in latent coordinates, at the rate |ξ|² of their frequency ξ, and F, which has no
upper bound, with them. The potential that is least for each metric (:mod:`training.flows.minimal`)
has no such wrinkles, and the same rate.

References: Perelman, arXiv:math/0211159, §1 and §3; Topping, *Lectures on the Ricci flow*, ch. 6;
Amari, Neural Computation 10 (1998), natural gradients.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

import curvcore
from training.errors import TrainingError
from training.flows.minimal import MinimalPotential
from training.flows.numbers import FlowNumbers, flow_numbers, soliton_defect
from training.functionals import FixedMeasure, LatentSample, PerelmanF, PerelmanW, SampledGeometry

FUNCTIONALS = ("F", "W")
MOST_HALVINGS = 20
STRETCH = 0.1  # most that |δg|_g dt may be at a point: lengths change by half of that


class Direction(NamedTuple):
    """θ' and what it does.

    Attributes:
        parameters: θ', as the decoder's parameters.
        rate: dF/dt or dW/dt along it, exact on the sample.
        speed: ‖δg‖² = ∫ |δg|²_g dm; where τ' = −1, δg + g/τ takes the place of δg, here and below.
        fastest: the largest |δg|_g of a point.
        iterations, residual: of conjugate gradients; relative.
    """

    parameters: list[torch.Tensor]
    rate: float
    speed: float
    fastest: float
    iterations: int
    residual: float


@dataclass(frozen=True)
class FlowStep:
    """What a step did.

    Attributes:
        time: t after it.
        dt: that was taken.
        value: F or W after it.
        rise: what it has risen by.
        measured: rise/dt.
        predicted: dF/dt or dW/dt at its beginning, by the direction.
        perelman: 2∫|E|² dm, or 2τ∫|E|² dm, there.
        share: ‖δg‖²/‖2E‖², what of Perelman's flow is realised: in [0, 1] up to quadrature where
            the rule is the projection.
        alignment: the cosine of δg and −2E in the inner product of ‖·‖, for any rule.
        iterations, residual: of conjugate gradients.
        halvings: of dt, until the functional rose.
    """

    time: float
    dt: float
    value: float
    rise: float
    measured: float
    predicted: float
    perelman: float
    share: float
    alignment: float
    iterations: int
    residual: float
    halvings: int


class RicciFlow:
    """The projected Ricci flow of a decoder, in place, by explicit steps.

        torus = QuadratureGrid((0, 0), (1, 1), 24, periodic=True).grid(z)
        flow = RicciFlow(decoder, torus, potential=MinimalPotential(fourier(4)))
        steps = [flow.step(1e-2) for _ in range(50)]

    Args:
        decoder: nn.Module (B, d) -> (B, ...), smooth, in float64; its parameters are moved.
        sample: LatentSample of ``dz``: a quadrature of M, closed or with a measure that vanishes
            smoothly at its boundary, for Perelman's rate to be what it is compared with.
        functional: ``"F"`` or ``"W"``.
        potential: FixedMeasure, of dm = ρ dz (default, uniform in z), or MinimalPotential, found
            anew at every step: F is λ(g) then and W is μ(g, τ).
        tau: τ at the start, of W; it falls as τ' = −1.
        damping: λ, relative to AᵀA along the gradient: keeps θ' from what no point sees.
        tolerance, iterations: when conjugate gradients end: by their residual, relative, or by
            their number. Where they end early, all that is said of rates still holds.
        rule: ``"projected"``, ``"natural"`` or ``"gradient"``, see above.

    Raises:
        TrainingError: what cannot flow.
    """

    def __init__(
        self,
        decoder: nn.Module,
        sample: LatentSample,
        functional: str = "F",
        potential: nn.Module | None = None,
        tau: float = 1.0,
        damping: float = 1e-4,
        tolerance: float = 1e-3,
        iterations: int = 200,
        rule: str = "projected",
    ) -> None:
        if functional not in FUNCTIONALS or rule not in RULES:
            raise TrainingError(f"F or W flows, by one of {[*RULES]}; got {functional}, {rule}.")
        if not tau > 0 or not damping >= 0:
            raise TrainingError(
                f"tau must be positive, damping not negative; got {tau}, {damping}."
            )
        self.decoder, self.sample, self.name = decoder, sample, functional
        self.parameters = [p for p in decoder.parameters() if p.requires_grad]
        self.potential = FixedMeasure() if potential is None else potential
        self.damping, self.tolerance, self.iterations = damping, tolerance, iterations
        self.rule, self.tau, self.time = rule, float(tau), 0.0

    # --- what it is on now ----------------------------------------------------------------------

    def numbers(self) -> FlowNumbers:
        """F, W, ∫|E|² dm, mass, ∫R dμ, Vol and τ now; E is that of the functional."""
        with torch.no_grad():
            on = SampledGeometry(self.decoder, self.sample, order=3)
            self._settle(on)
            return flow_numbers(on, self.potential, self.tau, self.name == "W")

    def value(self) -> float:
        """F or W now."""
        with torch.no_grad():
            return self._value().item()

    def _value(self):
        on = SampledGeometry(self.decoder, self.sample)
        self._settle(on)
        if self.name == "F":
            return PerelmanF(self.potential).value(on)
        return PerelmanW(self.potential, self.tau).value(on)

    @property
    def _keeps_time(self):
        """Whether τ' = −1."""
        return self.name == "W" and self.rule != "gradient"

    def _settle(self, on):
        if isinstance(self.potential, MinimalPotential):
            self.potential.settle(on, None if self.name == "F" else self.tau)

    # --- the direction ----------------------------------------------------------------------------

    def direction(self) -> Direction:
        """θ' now."""
        ascent = _flat(torch.autograd.grad(self._value(), self.parameters, materialize_grads=True))
        metric = _Metric(self.decoder, self.sample, self.parameters, self.potential)
        found, count, residual = RULES[self.rule](self, metric, ascent)
        change = metric.forward(found)
        speed = change + metric.own() / self.tau if self._keeps_time else change
        rate = (ascent @ found).item()
        if self._keeps_time:  # ∂W/∂τ = F − n/2τ
            rate -= self.numbers().F.item() - self.sample.z.shape[1] / (2 * self.tau)
        return Direction(
            _shaped(found, self.parameters), rate, speed.square().sum().item(),
            metric.largest(change), count, residual,
        )  # fmt: skip

    def _projected(self, metric, ascent):
        """The least squares of A θ' + 2E."""
        with torch.no_grad():
            on = SampledGeometry(self.decoder, self.sample, order=3)
            tensor = soliton_defect(on, self.potential, None if self.name == "F" else self.tau)
        return self._solved(metric, -2 * metric.backward(metric.framed(tensor)))

    def _natural(self, metric, ascent):
        """The gradient in the inner product of metrics."""
        return self._solved(metric, 2 * ascent / (1 if self.name == "F" else self.tau))

    def _ascending(self, metric, ascent):
        return ascent, 0, 0.0

    def _solved(self, metric, right):
        """θ' by conjugate gradients from zero, their number, and the residual."""
        norm = right.norm()
        along = metric.forward(right / norm).square().sum() if norm > 0 else norm
        if self.name == "W":
            right = right - metric.backward(metric.own()) / self.tau
        return conjugate_gradients(
            lambda vector: metric.backward(metric.forward(vector)) + self.damping * along * vector,
            right, self.tolerance, self.iterations,
        )  # fmt: skip

    # --- steps ------------------------------------------------------------------------------------

    def step(self, dt: float) -> FlowStep:
        """One step of explicit Euler, of dt or less.

        Less, so that |δg|_g dt is above 0.1 at no point, and halved while the functional falls.

        Raises:
            TrainingError: it falls for the smallest of steps: a critical point, or τ is at an end.
        """
        numbers, direction = self.numbers(), self.direction()
        before = getattr(numbers, self.name).item()
        dt = min(dt, STRETCH / max(direction.fastest, 1e-300))
        first_tau, time = self.tau, self.time
        if self._keeps_time:
            dt = min(dt, first_tau / 2)
        dt, value, halvings = self._risen(before, direction.parameters, dt)
        self.time = time + dt
        defect, scale = numbers.defect.item(), 1 if self.name == "F" else first_tau
        length = scale * max(direction.speed * defect, 1e-300) ** 0.5
        return FlowStep(
            time=self.time, dt=dt, value=value, rise=value - before, measured=(value - before) / dt,
            predicted=direction.rate, perelman=2 * scale * defect,
            share=direction.speed / (4 * defect), alignment=direction.rate / length,
            iterations=direction.iterations, residual=direction.residual, halvings=halvings,
        )  # fmt: skip

    def _risen(self, before, direction, dt):
        """Move by dt, halved until the functional is not below ``before``: dt, value, halvings."""
        start, tau = [p.detach().clone() for p in self.parameters], self.tau
        for halvings in range(MOST_HALVINGS):
            self._move(start, direction, dt)
            self.tau = tau - dt if self._keeps_time else tau
            try:
                value = self.value()
            except TrainingError:  # a metric that has collapsed, a basis that is none any more
                value = -math.inf
            if value >= before:
                return dt, value, halvings
            dt = dt / 2
        self._move(start, direction, 0.0)
        self.tau = tau
        raise TrainingError(f"{self.name} = {before} rises by no step: it flows no further.")

    @torch.no_grad()
    def _move(self, start, direction, dt):
        for parameter, origin, change in zip(self.parameters, start, direction, strict=True):
            parameter.copy_(origin + dt * change)


RULES = {
    "projected": RicciFlow._projected,
    "natural": RicciFlow._natural,
    "gradient": RicciFlow._ascending,
}


class _Metric:
    """A = ∂g/∂θ at a sample, its metrics in orthonormal frames of g and times √m.

    θ' ↦ √m L⁻¹ (A θ') L⁻ᵀ, g = L Lᵀ, so that sums of squares are ∫ |δg|²_g dm. The product with A
    is the derivative of that with Aᵀ, which is linear in what it is applied to.
    """

    def __init__(self, decoder, sample, parameters, potential):
        on = SampledGeometry(decoder, sample)
        with torch.no_grad():
            mass = potential.on(on, torch.zeros_like(sample.weights[:1])).probability
        self._parameters = parameters
        self._g = curvcore.metric(decoder, on.z)
        factor = torch.linalg.cholesky(self._g.detach())
        self._inverse, self._root = torch.linalg.inv(factor), mass.sqrt()[:, None, None]
        self._any = torch.zeros_like(self._g, requires_grad=True)
        pulled = torch.autograd.grad(
            self._g, parameters, self._any, create_graph=True, allow_unused=True
        )
        self._moving = [i for i, part in enumerate(pulled) if part is not None]
        self._pulled = [pulled[i] for i in self._moving]

    def forward(self, vector):
        """A θ', (B, d, d)."""
        pieces = _shaped(vector, self._parameters)
        pieces = [pieces[i] for i in self._moving]
        (change,) = torch.autograd.grad(self._pulled, self._any, pieces, retain_graph=True)
        return self.framed(change)

    def backward(self, tensor):
        """Aᵀ of (B, d, d)."""
        raised = self._inverse.mT @ (self._root * tensor) @ self._inverse
        return _flat(
            torch.autograd.grad(
                self._g, self._parameters, raised, retain_graph=True, materialize_grads=True
            )
        )

    def own(self):
        """g itself in these frames: √m I."""
        return self._root * torch.eye(self._g.shape[1]).to(self._g)

    def framed(self, tensor):
        """A tensor (B, d, d) of latent coordinates in these frames."""
        return self._root * (self._inverse @ tensor @ self._inverse.mT)

    def largest(self, change):
        """max |δg|_g over the points."""
        return (change / self._root).square().sum((1, 2)).amax().sqrt().item()


def conjugate_gradients(product, right, tolerance, iterations):
    """x of A x = b from zero, A symmetric positive given by its products; iterations, residual.

    Every iterate has ⟨b, x⟩ = ⟨x, A x⟩, as the solution has: it is least on a Krylov space.
    """
    norm = right.norm()
    solution, residual = torch.zeros_like(right), right
    search, square = residual, residual.square().sum()
    if not norm > 0:
        return solution, 0, 0.0
    count = 0
    while count < iterations:
        count += 1
        image = product(search)
        step = square / (search @ image)
        solution, residual = solution + step * search, residual - step * image
        before, square = square, residual.square().sum()
        if square.sqrt() <= tolerance * norm:
            break
        search = residual + square / before * search
    return solution, count, (square.sqrt() / norm).item()


def _flat(tensors):
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _shaped(vector, like):
    pieces = vector.split([p.numel() for p in like])
    return [piece.view_as(p) for piece, p in zip(pieces, like, strict=True)]
