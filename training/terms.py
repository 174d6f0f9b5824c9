"""The loss: reconstruction plus functionals, each with its weight, schedule and measure."""

import math
from dataclasses import dataclass, field, replace
from types import FunctionType, MethodType

import torch
from torch import nn

from training.errors import CollapsedError, TrainingError
from training.functionals import Functional, GraphStress, NetworkFunctional, SampledGeometry
from training.measures import EncodedPoints, Measure
from training.reductions import processes
from training.seeds import mixed

RESERVED = {"mse", "loss", "degenerate_points"}
SCHEDULES = {"linear": lambda s: s, "cosine": lambda s: (1 - math.cos(math.pi * s)) / 2}


@dataclass
class Term:
    """λ(t) · functional, on a sample that the measure draws.

    Args:
        functional: any of :mod:`training.functionals`.
        weight: λ.
        measure: where the functional looks (:mod:`training.measures`).
        start, full: λ is 0 before epoch ``start`` and grows to ``weight`` at ``full``, by default
            at once.
        fade, end: it shrinks from epoch ``fade`` on and is 0 from ``end`` on: at once if only
            ``end`` is given, never if it is not.
        schedule: how it grows and shrinks, ``"linear"`` or ``"cosine"``, half a period of it.
    """

    functional: Functional | NetworkFunctional
    weight: float
    measure: Measure = field(default_factory=EncodedPoints)
    start: float = 0.0
    full: float | None = None
    fade: float | None = None
    end: float | None = None
    schedule: str = "linear"

    def __post_init__(self):
        times = (self.start, self.full, self.fade, self.end)
        if not all(math.isfinite(x) for x in (self.weight, *times) if x is not None):
            raise TrainingError(
                f"A term's weight and times must be finite; got {self.weight} and {times}."
            )
        self.full = self.start if self.full is None else self.full
        if self.full < self.start:
            raise TrainingError(f"full ({self.full}) must not be before start ({self.start}).")
        if self.fade is not None and self.end is None:
            raise TrainingError(f"fade ({self.fade}) needs an end, at which the weight is 0.")
        if self.end is not None:
            self.fade = self.end if self.fade is None else self.fade
            if not self.full <= self.fade <= self.end:
                raise TrainingError(
                    "start, full, fade and end must come in this order; got "
                    f"{self.start}, {self.full}, {self.fade} and {self.end}."
                )
        if self.schedule not in SCHEDULES:
            raise TrainingError(f"schedule must be one of {[*SCHEDULES]}; got {self.schedule!r}.")

    def weight_at(self, epoch):
        """λ at a time in epochs, fractions included; at infinity, what the schedule ends with."""
        weight = self.weight * self._risen(epoch, self.start, self.full)
        if self.end is None:
            return weight
        return weight * (1 - self._risen(epoch, self.fade, self.end))

    def _risen(self, epoch, start, full):
        """From 0 before ``start`` to 1 from ``full`` on."""
        if epoch < start:
            return 0
        return 1 if epoch >= full else SCHEDULES[self.schedule]((epoch - start) / (full - start))


MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


def compiled(function, mode):
    """``function``, or, unless ``mode`` is False, what torch.compile makes of it in that mode.

    Raises:
        TrainingError: torch.compile has no such mode.
    """
    if mode not in (True, False, *MODES):
        raise TrainingError(f"compile must be true, false or one of {MODES}; got {mode!r}.")
    return Compiled(function, None if mode is True else mode) if mode else function


class Compiled:
    """A method that is compiled when it is called; a copy of its object compiles its own.

    Each tuple among the arguments has a program of its own, so that torch's limit of recompilations
    is one for each.
    """

    def __init__(self, method, mode):
        self.method, self.mode = method, mode
        self._programs = {}

    def __call__(self, *arguments):
        key = tuple(x for x in arguments if isinstance(x, tuple))
        if key not in self._programs:
            self._programs[key] = torch.compile(_with_its_own_code(self.method), mode=self.mode)
        return self._programs[key](*arguments)

    def __getstate__(self):
        return {**self.__dict__, "_programs": {}}


def _with_its_own_code(method):
    """The same method from a code object of its own, by which torch counts recompilations."""
    function = method.__func__
    code, rest = function.__code__.replace(), (function.__defaults__, function.__closure__)
    copy = FunctionType(code, function.__globals__, function.__name__, *rest)
    return MethodType(copy, method.__self__)


class Terms(nn.Module):
    """All terms of one loss; those with the same measure and estimator share one geometry."""

    def __init__(self, terms, compile=False):
        super().__init__()
        self._evaluated = compiled(self._evaluate, compile)
        if taken := RESERVED & terms.keys():
            raise TrainingError(f"A term may not be called {min(taken)}: the log has one already.")
        self.terms = dict(terms)
        self.functionals = nn.ModuleDict({n: term.functional for n, term in terms.items()})

    @property
    def of_all_points(self):
        """The functionals that must have seen all training points."""
        return [f for f in self.functionals.values() if isinstance(f, GraphStress)]

    def forward(self, autoencoder, x, z, epoch, seed):
        """name -> (λ, value) of the terms at work, and how many degenerate points were left out."""
        return self._values(self.weights(epoch), autoencoder, x, z, seed)

    def held_out(self, autoencoder, x, z, epoch, seed):
        """The same with the weights that the schedules end with, so that epochs can be compared.

        A term that is not at work at this epoch is NaN where it cannot be computed.
        """
        final, now = self.weights(math.inf), self.weights(epoch)
        working = {name: weight for name, weight in final.items() if name in now}
        values, degenerate = self._values(working, autoencoder, x, z, seed)
        for name in [name for name in final if name not in now]:
            try:
                resting, _ = self._values({name: final[name]}, autoencoder, x, z, seed)
            except TrainingError:  # the latent space has collapsed: it may recover before the start
                resting = {name: (final[name], z.new_tensor(math.nan))}
            values |= resting
        return values, degenerate

    def weights(self, epoch):
        """name -> λ of the terms at work."""
        weights = {name: term.weight_at(epoch) for name, term in self.terms.items()}
        return {name: weight for name, weight in weights.items() if weight}

    def _values(self, weights, autoencoder, x, z, seed):
        active = {name: self.terms[name] for name in weights}
        values, degenerate = {}, z.new_zeros(())
        for (measure, estimator), names in _by_measure(active):
            own_seed = mixed(seed, self._number(measure))
            sample = measure.sample(z, own_seed)
            arguments = autoencoder.decoder, sample, tuple(names)
            if estimator is not None:
                # Of this process alone: probes at other points are others.
                own_probes = mixed(own_seed, processes()[0])
                generator = torch.Generator(z.device).manual_seed(own_probes)
                arguments = *arguments, replace(estimator, generator=generator)
            try:
                numbers, left_out = self._evaluated(*arguments)
            except CollapsedError as error:
                raise TrainingError(f"{', '.join(names)}: {error} Lower their weights.") from error
            degenerate = degenerate + left_out
            for name, number in zip(names, numbers, strict=True):
                values[name] = weights[name], number
        for name, weight in weights.items():
            functional = self.functionals[name]
            if isinstance(functional, NetworkFunctional):
                own_seed = mixed(seed, [*self.terms].index(name))
                values[name] = weight, functional.of(autoencoder, x, own_seed)
        return values, degenerate

    def _evaluate(self, decoder, sample, names, estimator=None):
        """The functionals of these names on one sample, and how many points were left out."""
        functionals = [self.functionals[name] for name in names]
        order = max(functional.order for functional in functionals)
        on = SampledGeometry(decoder, sample, order, estimator)
        return [functional.evaluate(on) for functional in functionals], on.degenerate_points

    def _number(self, measure):
        """The place of the first term with this measure, at work or not."""
        return [term.measure for term in self.terms.values()].index(measure)

    def idle(self, values):
        """Zero, but a function of the parameters of terms that are not at work.

        Data-parallel training wants every parameter in every loss.
        """
        resting = [f for name, f in self.functionals.items() if name not in values]
        return 0 * sum(p.sum() for functional in resting for p in functional.parameters())


def _by_measure(active):
    """Pairs of (a measure, an estimator of R or None) and the names of the terms that use them."""
    groups = []
    for name, term in active.items():
        if isinstance(term.functional, NetworkFunctional):
            continue
        key = term.measure, term.functional.estimator
        names = next((names for other, names in groups if other == key), None)
        if names is None:
            groups.append((key, [name]))
        else:
            names.append(name)
    return groups
