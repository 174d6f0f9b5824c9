"""Gradients on a decoder, where no closed form is known.

The reference is :class:`verification.referees.Textbook` in float64, on safe operations, in reverse
mode through its nested forward mode. What is differentiated is L = Σ_b w_b Q_b/u_b, with random
w_b, Σ w_b² = 1, at the points z_b and u_b the size of what is added up in Q_b: a number like 1.

The gradient in a tensor x, a parameter or z, counts as |x| |∂L/∂x|, for z less its mean, and errors
are in units of the largest of these over all x, or of 1: what rounding does to one gradient of the
backward pass it does to all. By the product rule ∂R is made of the terms of R, one factor
differentiated, so it loses what :mod:`verification.agreement` says that R loses: a route is allowed
``JET_EPS`` eps times its amplification, and what the reference itself may have lost.

Differences of L along a random line, in z and in θ, referee the reference. They use no derivative
but those in Q itself, and say how far they can be trusted: four times the change when the step is
halved, and what rounding does to L, over the step.
"""

import itertools

import torch
from torch import nn
from torch.func import vmap

import curvcore
from curvcore.providers import PROVIDERS
from curvcore.providers.primitives import PrimitiveOperations
from verification.agreement import JET_EPS, USELESS, Agreement
from verification.decoders import Subject
from verification.gradients.inputs import Inputs, gradient
from verification.gradients.quantities import quantities, units
from verification.referees import STENCIL, Textbook
from verification.results import Result

FORMULAS = ("gauss", "intrinsic")
POINTS, CHUNK = 16, 5
WHOLE, CHUNKS, AFTERWARDS = "whole", f"chunks of {CHUNK}", "no_grad first"
BATCHES = (WHOLE, CHUNKS, AFTERWARDS)
STEP = 1e-3  # of the size of the parameters, and of the spread of the points


def wide_decoder(seed):
    """Three latent dimensions, and so many outputs that the Gram short cut is taken."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        decoder = nn.Sequential(
            nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 8), nn.SiLU(), nn.Linear(8, 60)
        )
        return Subject("random decoder", decoder, torch.randn(POINTS, 3), "3 → 12 → 8 → 60")


def of_decoder(subject, device, dtypes):
    """Yield the Result of every quantity along every route, then of the differences.

    Args:
        subject: a decoders.Subject; its first ``POINTS`` points are looked at.
        device: a torch device.
        dtypes: torch dtypes of the routes.
    """
    subject = Subject(subject.name, subject.decoder, subject.points[:POINTS], subject.note)
    reference = Reference(subject, device)
    for dtype, *route in itertools.product(dtypes, PROVIDERS, FORMULAS, BATCHES):
        if dtype == dtypes[0] or route[-1] == WHOLE:
            yield from _route(reference, dtype, *route)
    yield from _differences(reference)


class Reference:
    """Every L by the book, with its gradient, on one subject in float64."""

    def __init__(self, subject, device):
        self.subject, self.device = subject, device
        agreement = Agreement(subject, device)
        self.jet, self._condition = agreement.jet, agreement.condition
        self._amplification = agreement.amplification()
        spread = subject.points.std().item() if subject.points.numel() > 1 else 0.0
        wave_number = 1 / (spread or 1.0)
        dimensions = self.jet.dimension, self.jet.ambient_dimension
        self.quantities = quantities(*dimensions, wave_number)
        generator = torch.Generator().manual_seed(2)
        weights = torch.randn(len(self.jet), generator=generator, dtype=torch.float64).to(device)
        self._shares = weights / weights.norm()
        sizes = units(agreement, wave_number)
        self._weights = {name: self._shares / size for name, size in sizes.items()}
        self.inputs = Inputs.of(subject, torch.float64, device)
        self.sizes, self._found = self.inputs.sizes(), {}
        with PrimitiveOperations():
            book = Textbook(self.inputs.decoder)
            self._by_the_book = {
                q.name: vmap(lambda p, q=q: q.of_textbook(book, p))(self.inputs.z)
                for q in self.quantities
            }

    def loss(self, quantity, values, counted):
        """L from Q at every point, over the points that are counted."""
        weights = self._weights[quantity.name].to(values.dtype)
        return (torch.where(counted, values, 0) * weights).sum()

    def gradient(self, quantity, counted):
        """∂L/∂x, and the unit of errors in it."""
        key = (quantity.name, tuple(counted.tolist()))
        if key not in self._found:
            loss = self.loss(quantity, self._by_the_book[quantity.name], counted)
            found = gradient(loss, self.inputs.tensors)
            scaled = (s * x.norm().item() for s, x in zip(self.sizes, found, strict=True))
            self._found[key] = found, max(1.0, *scaled)
        return self._found[key]

    def own_error(self):
        """What rounding may do to the reference, at every point."""
        eps = torch.finfo(torch.float64).eps
        return JET_EPS * eps * self._condition * self._amplification["intrinsic"]

    def rounding(self, formula, dtype):
        """What rounding may do to a route, at every point."""
        return JET_EPS * torch.finfo(dtype).eps * self._amplification[formula]

    def tolerance(self, allowed, counted):
        """The largest error of L's gradient: those of single points are independent."""
        return (self._shares * allowed)[counted].norm().item()

    def result(self, quantity, of, error, tolerance, counted, **route):
        """The Result of one comparison, of ∂/∂z or ∂/∂θ; without points it is none."""
        points = int(counted.sum())
        dtype = route.pop("dtype")
        return Result(
            section="gradients",
            subject=self.subject.name,
            dimension=self.jet.dimension,
            ambient=self.jet.ambient_dimension,
            quantity=f"∂{quantity.name}/∂{of}",
            dtype=str(dtype).removeprefix("torch."),
            points=points,
            error=error if points else float("nan"),
            tolerance=tolerance if points else 0.0,
            **route,
        )


def _route(reference, dtype, derivatives, formula, batch):
    """Yield the Results of one route, in z and in θ for each quantity."""
    options = {"derivatives": derivatives, "formula": formula, "on_degenerate": "nan"}
    inputs = Inputs.of(reference.subject, dtype, reference.device)
    chunk_size = CHUNK if batch == CHUNKS else None
    geometry = curvcore.pullback(inputs.decoder, inputs.z, chunk_size=chunk_size, **options)
    allowed = reference.own_error() + reference.rounding(formula, dtype)
    regular = geometry.inverse_metric.detach().isfinite().flatten(1).all(1)
    counted = (allowed < USELESS) & regular
    tolerance = reference.tolerance(allowed, counted)
    for quantity in reference.quantities:
        if batch == AFTERWARDS:
            with torch.no_grad():
                quantity.of_geometry(geometry, inputs.z)
        values = quantity.of_geometry(geometry, inputs.z)
        if batch == CHUNKS and quantity.name == "scalar":
            values = curvcore.scalar_curvature(
                inputs.decoder, inputs.z, chunk_size=chunk_size, **options
            )
        found = gradient(reference.loss(quantity, values, counted), inputs.tensors)
        for of, error in _errors(reference, quantity, counted, found).items():
            yield reference.result(
                quantity, of, error, tolerance, counted,
                derivatives=derivatives, formula=formula, dtype=dtype, batch=batch,
            )  # fmt: skip


def _errors(reference, quantity, counted, found):
    """The error in z, and the largest one in a parameter; NaN if any is."""
    expected, unit = reference.gradient(quantity, counted)
    in_z, *in_parameters = (
        s * (x - y).norm() / unit for s, x, y in zip(reference.sizes, found, expected, strict=True)
    )
    errors = {"z": in_z.item()}
    return errors | {"θ": torch.stack(in_parameters).max().item()} if in_parameters else errors


def _differences(reference):
    """Yield the Results of central differences along a line in z, and along one in θ."""
    allowed = reference.own_error() + reference.rounding("gauss", torch.float64) / (STEP / 2)
    counted = allowed < USELESS
    rounding = reference.tolerance(allowed, counted)
    for of, line in reference.inputs.lines().items():
        coarse, fine = (_slopes(reference, line, h, counted) for h in (STEP, STEP / 2))
        for quantity in reference.quantities:
            expected, unit = reference.gradient(quantity, counted)
            slope = sum((x * v).sum() for x, v in zip(expected, line, strict=True))
            error, change = (
                (abs(fine[quantity.name] - other) / unit).item()
                for other in (slope, coarse[quantity.name])
            )
            yield reference.result(
                quantity, of, error, 4 * change + rounding, counted,
                derivatives="differences", formula="gauss", dtype=torch.float64, batch=WHOLE,
            )  # fmt: skip


def _slopes(reference, line, step, counted):
    """dL/ds along x + s v for each quantity, by central differences of sixth order."""
    slopes = dict.fromkeys((q.name for q in reference.quantities), 0.0)
    for (n, coefficient), sign in itertools.product(STENCIL, (1, -1)):
        for name, loss in _losses_at(reference, line, sign * n * step, counted).items():
            slopes[name] = slopes[name] + sign * coefficient / step * loss
    return slopes


def _losses_at(reference, line, s, counted):
    """L of each quantity at x + s v."""
    inputs = reference.inputs
    with inputs.moved(line, s):
        geometry = curvcore.pullback(
            inputs.decoder, inputs.z, derivatives="fused", on_degenerate="nan"
        )
        return {
            q.name: reference.loss(q, q.of_geometry(geometry, inputs.z), counted)
            for q in reference.quantities
        }
