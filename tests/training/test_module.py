"""What a RegularizedAutoEncoder refuses, what can stop it, and which samples it draws."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training.errors import TrainingError
from training.functionals import (
    ContractiveEncoder,
    FixedMeasure,
    Functional,
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    TotalSquaredCurvature,
)
from training.measures import (
    EncodedPoints,
    ImportanceWeights,
    Measure,
    Mixtures,
    SmoothedPoints,
    UniformBox,
    UniformTorus,
)
from training.models import AutoEncoder, MLPAutoEncoder
from training.module import WORST, RegularizedAutoEncoder
from training.seeds import mixed
from training.terms import Term

D, B = 4, 12


class Bad(Functional):
    """NaN, infinity or an error."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def evaluate(self, on):
        """A scalar tensor, or an error."""
        if self.kind == "error":
            raise TrainingError("The latent space has collapsed.")
        return on.z.sum() * float(self.kind)


class Seeds(Measure):
    """Remembers the seeds that it is given."""

    def __init__(self):
        self.seen = []

    def sample(self, encoded, seed):
        """That of encoded points."""
        self.seen.append(seed)
        return EncodedPoints().sample(encoded, seed)


def module(terms, seed=0, latent="plane"):
    """A RegularizedAutoEncoder that keeps what it logs."""
    model = RegularizedAutoEncoder(MLPAutoEncoder(D, 2, (8,), latent=latent), terms, seed=seed)
    model.logged = {}
    model.log_dict = lambda values, **options: model.logged.update(values)
    model.log = lambda *arguments, **options: None
    return model


def validate(terms):
    """What validation logs, in epoch 0."""
    model = module(terms)
    model.validation_step(torch.randn(B, D), 0)
    return {name: value.item() for name, value in model.logged.items()}


# --- what is not at work cannot stop a run --------------------------------------------------------


@pytest.mark.parametrize("kind", ["nan", "inf", "error"])
def test_a_term_that_has_not_begun_cannot_stop_a_run(kind):
    logged = validate({"bad": Term(Bad(kind), 1.0, start=1), "good": Term(RelaxedDistortion(), 1)})
    assert not math.isfinite(logged["val/bad"])
    assert math.isfinite(logged["val/good"])
    assert logged["val/loss"] == pytest.approx(WORST)  # finite, for EarlyStopping; never the best


@pytest.mark.parametrize("kind", ["nan", "inf", "error"])
def test_a_term_at_work_stops_it_and_is_named_alone(kind):
    terms = {"resting": Term(Bad("nan"), 1.0, start=1), "bad": Term(Bad(kind), 1.0)}
    message = "collapsed" if kind == "error" else r"not finite at step 0: bad = \S+ \(weight"
    with pytest.raises(TrainingError, match=message):
        validate(terms)


def test_validation_has_the_weights_that_schedules_end_with():
    """Full ones of what has not begun, none of what will have ended."""
    terms = {
        "later": Term(RelaxedDistortion(), 2.0, start=1),
        "over": Term(TotalSquaredCurvature(), 1e6, end=5),
    }
    logged = validate(terms)
    expected = logged["val/mse"] + 2 * logged["val/later"]
    assert logged["val/loss"] == pytest.approx(expected)
    assert "val/over" not in logged


# --- samples --------------------------------------------------------------------------------------


def drawn(seed, epoch, index, stage):
    """The seeds that two measures get in one step."""
    measures = Seeds(), Seeds()
    terms = {str(i): Term(RelaxedDistortion(), 1.0, measure) for i, measure in enumerate(measures)}
    model = module(terms, seed=seed)
    model._trainer = SimpleNamespace(current_epoch=epoch, num_training_batches=10)
    getattr(model, f"{stage}_step")(torch.randn(B, D), index)
    return tuple(s for measure in measures for s in measure.seen)


def test_no_two_runs_epochs_steps_stages_or_measures_share_a_sample():
    training = [drawn(s, e, i, "training") for s in range(3) for e in range(3) for i in range(3)]
    validation = [drawn(s, 0, i, "validation") for s in range(3) for i in range(3)]
    seeds = [seed for step in training + validation for seed in step]
    assert len(seeds) == len(set(seeds)) == 2 * (27 + 9)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert drawn(1, 2, 0, "training") == drawn(1, 2, 0, "training")
    assert drawn(1, 2, 0, "validation") == drawn(1, 0, 0, "validation")  # epochs can be compared


def test_seeds_are_mixed():
    """Half of the bits differ between neighbours, and torch takes any of them."""
    seeds = [mixed(0, step) for step in range(200)]
    different = [(a ^ b).bit_count() for a, b in itertools.pairwise(seeds)]
    assert sum(different) / len(different) == pytest.approx(63 / 2, abs=1.5)
    assert max(seeds) > 2**62
    torch.Generator().manual_seed(max(seeds))


def test_a_negative_seed_is_refused():
    with pytest.raises(TrainingError, match="seed must not be negative; got -1"):
        module({}, seed=-1)


# --- latent spaces --------------------------------------------------------------------------------

ON_TORUS = {
    "box": (RelaxedDistortion(), UniformBox(), "UniformBox is for a plane.*UniformTorus or Enc"),
    "segments": (RelaxedDistortion(), Mixtures(), "Mixtures is for a plane"),
    "blur": (RelaxedDistortion(), SmoothedPoints(), "SmoothedPoints is for a plane"),
    "kernels": (TotalSquaredCurvature(), ImportanceWeights(), "ImportanceWeights is for a plane"),
    "fixed": (PerelmanF(), EncodedPoints(), "PerelmanF needs the density.*UniformTorus"),
    "learned": (
        PerelmanW(LearnedPotential(2, periodic=True)),
        EncodedPoints(),
        "PerelmanW needs the density",
    ),
    "scale": (TotalSquaredCurvature(scale_free=True), EncodedPoints(), "needs the density"),
    "aperiodic": (PerelmanF(LearnedPotential(2)), UniformTorus(), "must be periodic"),
}


@pytest.mark.parametrize("case", ON_TORUS)
def test_what_makes_no_sense_on_a_torus_is_refused(case):
    functional, measure, message = ON_TORUS[case]
    terms = {"it": Term(functional, 1.0, measure)}
    with pytest.raises(TrainingError, match=rf"^terms\.it: .*{message}"):
        module(terms, latent="torus")
    module(terms)  # on a plane it does


def test_what_makes_sense_on_a_torus_is_not_refused():
    functionals = [
        (TotalSquaredCurvature(), EncodedPoints()),
        (TotalSquaredCurvature(scale_free=True), UniformTorus()),
        (PerelmanF(), UniformTorus()),
        (PerelmanF(FixedMeasure(torch.sum)), UniformTorus()),
        (PerelmanW(LearnedPotential(2, periodic=True)), UniformTorus()),
        (ContractiveEncoder(), EncodedPoints()),
    ]
    module({str(i): Term(f, 1.0, m) for i, (f, m) in enumerate(functionals)}, latent="torus")


@pytest.mark.parametrize("latent", ["plane", "torus"])
def test_a_potential_has_as_many_variables_as_the_latent_space(latent):
    terms = {"it": Term(PerelmanF(LearnedPotential(3, periodic=True)), 1.0, UniformTorus())}
    with pytest.raises(TrainingError, match=r"is of 3 variables; latent points have 2\. Set its d"):
        module(terms, latent=latent)
    unknown = AutoEncoder(nn.Linear(D, 3), nn.Linear(3, D))  # it does not say its dimension
    RegularizedAutoEncoder(unknown, terms)
