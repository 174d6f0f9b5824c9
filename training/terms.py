"""The loss: reconstruction plus functionals, each with its weight, schedule and measure."""

from dataclasses import dataclass, field

import torch
from torch import nn

from training.errors import TrainingError
from training.functionals import ContractiveEncoder, Functional, SampledGeometry
from training.measures import EncodedPoints, Measure
from training.reductions import total


@dataclass
class Term:
    """λ(t) · functional, on a sample that the measure draws.

    Args:
        functional: any of :mod:`training.functionals`.
        weight: λ.
        measure: where the functional looks (:mod:`training.measures`).
        start, full: λ is 0 before epoch ``start`` and grows linearly to ``weight`` at ``full``,
            by default at once.
    """

    functional: Functional | ContractiveEncoder
    weight: float
    measure: Measure = field(default_factory=EncodedPoints)
    start: float = 0.0
    full: float | None = None

    def __post_init__(self):
        self.full = self.start if self.full is None else self.full
        if self.full < self.start:
            raise TrainingError(f"full ({self.full}) must not be before start ({self.start}).")

    def weight_at(self, epoch):
        """λ at a time in epochs, fractions included."""
        if epoch < self.start:
            return 0.0
        if epoch >= self.full:
            return self.weight
        return self.weight * (epoch - self.start) / (self.full - self.start)


class Terms(nn.Module):
    """All terms of one loss; those with the same measure share one evaluation of the geometry."""

    def __init__(self, terms):
        super().__init__()
        self.terms = dict(terms)
        self.functionals = nn.ModuleDict({n: term.functional for n, term in terms.items()})

    def forward(self, autoencoder, x, z, epoch, seed):
        """name -> (λ, value) of the terms at work, and how many degenerate points were left out."""
        active = {n: (t, t.weight_at(epoch)) for n, t in self.terms.items()}
        active = {n: (term, weight) for n, (term, weight) in active.items() if weight}
        values, degenerate = {}, 0
        for number, (measure, names) in enumerate(_by_measure(active)):
            order = max(active[name][0].functional.order for name in names)
            sample = measure.sample(z, 7919 * seed + number)
            on = SampledGeometry(autoencoder.decoder, sample, order)
            degenerate += on.degenerate_points
            if not total(torch.ones_like(on.sample.weights)):
                raise TrainingError(
                    f"The decoder's metric is degenerate at all points that {', '.join(names)} "
                    "looked at: the latent space has collapsed. Lower their weights."
                )
            for name in names:
                values[name] = active[name][1], self.functionals[name].evaluate(on)
        for name, (term, weight) in active.items():
            if isinstance(term.functional, ContractiveEncoder):
                values[name] = weight, self.functionals[name](autoencoder.encoder, x)
        return values, degenerate

    def idle(self, values):
        """Zero, but a function of the parameters of terms that are not at work.

        Data-parallel training wants every parameter in every loss.
        """
        resting = [f for name, f in self.functionals.items() if name not in values]
        return 0 * sum(p.sum() for functional in resting for p in functional.parameters())


def _by_measure(active):
    """Pairs of a measure and the names of the terms that use it."""
    groups = []
    for name, (term, _) in active.items():
        if isinstance(term.functional, ContractiveEncoder):
            continue
        names = next((names for measure, names in groups if measure == term.measure), None)
        if names is None:
            groups.append((term.measure, [name]))
        else:
            names.append(name)
    return groups
