"""Terms of the loss: schedules, one geometry for each measure, the sum, the encoder's terms."""

import math

import pytest
import torch
from torch import nn

import curvcore
from training.errors import TrainingError
from training.functionals import (
    ContractiveEncoder,
    Functional,
    LearnedPotential,
    NetworkFunctional,
    PerelmanF,
    RelaxedDistortion,
    SquaredWeights,
    TotalSquaredCurvature,
    VarianceOfLogDet,
)
from training.measures import EncodedPoints, Mixtures, UniformBox
from training.models import AutoEncoder, MLPAutoEncoder
from training.terms import Term, Terms

D, B = 4, 30
LATE = 1e6  # epochs


class Place(Functional):
    """The sum of the points that it is shown: tells which sample it was."""

    def evaluate(self, on):
        """A scalar tensor."""
        return on.z.sum()


@pytest.fixture
def model():
    return MLPAutoEncoder(D, 2, widths=(8,)).double()


@pytest.fixture
def x():
    return torch.randn(B, D, dtype=torch.float64)


def values(terms, model, x, epoch=LATE, seed=1):
    """name -> (λ, value)."""
    return Terms(terms)(model, x, model.encoder(x), epoch, seed)[0]


@pytest.fixture
def orders(monkeypatch):
    """The orders of derivatives that geometry was asked for."""
    asked, original = [], curvcore.pullback

    def asking(*arguments, **options):
        asked.append(options["order"])
        return original(*arguments, **options)

    monkeypatch.setattr(curvcore, "pullback", asking)
    return asked


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "full", "expected"),
    [
        (0, None, {0: 3, 0.5: 3, math.inf: 3}),
        (2, None, {0: 0, 1.999: 0, 2: 3, math.inf: 3}),
        (0, 0, {0: 3, 0.5: 3, math.inf: 3}),
        (2, 2, {0: 0, 1.999: 0, 2: 3, math.inf: 3}),
        (2, 6, {0: 0, 2: 0, 3: 0.75, 4.5: 1.875, 6: 3, 7: 3, math.inf: 3}),
    ],
)
def test_weights_grow_linearly_from_start_to_full(start, full, expected):
    term = Term(TotalSquaredCurvature(), weight=3, start=start, full=full)
    assert {epoch: term.weight_at(epoch) for epoch in expected} == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"end": 4}, {0: 3, 3.999: 3, 4: 0, math.inf: 0}),
        ({"fade": 2, "end": 6}, {0: 3, 2: 3, 3: 2.25, 5: 0.75, 6: 0, math.inf: 0}),
        ({"start": 1, "full": 3, "fade": 3, "end": 5}, {1: 0, 2: 1.5, 3: 3, 4: 1.5, 5: 0, 6: 0}),
        ({"full": 2, "schedule": "cosine"}, {0: 0, 0.5: 3 * (1 - 0.5**0.5) / 2, 1: 1.5, 2: 3}),
        ({"fade": 0, "end": 2, "schedule": "cosine"}, {0: 3, 0.5: 3 * (1 + 0.5**0.5) / 2, 2: 0}),
    ],
)
def test_weights_fall_to_zero_and_schedules_have_shapes(options, expected):
    term = Term(TotalSquaredCurvature(), weight=3, **options)
    assert {epoch: term.weight_at(epoch) for epoch in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 2.0, "full": 1.0}, r"full \(1\.0\) must not be before start \(2\.0\)\."),
        ({"fade": 1.0}, r"fade \(1\.0\) needs an end"),
        ({"full": 3.0, "end": 2.0}, r"in this order; got 0\.0, 3\.0, 2\.0 and 2\.0"),
        ({"fade": 3.0, "end": 2.0}, r"in this order; got 0\.0, 0\.0, 3\.0 and 2\.0"),
        ({"schedule": "square"}, r"schedule must be one of \['linear', 'cosine'\]; got 'square'"),
    ],
)
def test_schedules_that_cannot_be_are_refused(options, message):
    with pytest.raises(TrainingError, match=message):
        Term(TotalSquaredCurvature(), weight=1, **options)


def test_terms_of_no_weight_are_not_computed(model, x, orders):
    terms = {
        "later": Term(TotalSquaredCurvature(), 1, start=2),
        "grows": Term(VarianceOfLogDet(), 1, start=1, full=2),
        "never": Term(TotalSquaredCurvature(), 0),
    }
    assert values(terms, model, x, epoch=1) == {}
    assert values(terms, model, x, epoch=1.5).keys() == {"grows"}
    assert 2 not in orders
    assert {name: w for name, (w, _) in values(terms, model, x).items()} == {"later": 1, "grows": 1}


@pytest.mark.parametrize("wrong", [{"weight": math.nan}, {"weight": 1, "start": math.nan}])
def test_weights_and_times_are_finite(wrong):
    with pytest.raises(TrainingError, match="must be finite"):
        Term(TotalSquaredCurvature(), **wrong)


def test_a_term_looks_at_the_same_points_before_and_after_another_starts(model, x):
    terms = Terms(
        {"late": Term(Place(), 1, UniformBox(), start=5), "now": Term(Place(), 1, Mixtures())}
    )
    z = model.encoder(x)
    before, after = (terms(model, x, z, epoch, 1)[0]["now"][1] for epoch in (0, 6))
    assert before == after


def test_a_term_may_not_take_a_name_of_the_log():
    with pytest.raises(TrainingError, match="may not be called mse"):
        Terms({"mse": Term(TotalSquaredCurvature(), weight=1)})


# --- one geometry for each measure ----------------------------------------------------------------


def test_terms_with_equal_measures_share_one_geometry(model, x, orders):
    terms = {
        "a": Term(TotalSquaredCurvature(), 1, Mixtures(0.1)),
        "b": Term(PerelmanF(), 1, Mixtures(0.1)),
        "c": Term(RelaxedDistortion(), 1, Mixtures(0.1)),
        "d": Term(TotalSquaredCurvature(), 1, Mixtures(0.2)),
        "e": Term(TotalSquaredCurvature(), 1),
        "f": Term(VarianceOfLogDet(), 1, EncodedPoints()),
        "g": Term(VarianceOfLogDet(), 1, UniformBox()),
    }
    assert values(terms, model, x).keys() == terms.keys()
    # Mixtures(0.1), Mixtures(0.2), EncodedPoints(), UniformBox(), for which the metric suffices
    assert orders == [2, 2, 2, 1]


def test_equal_measures_look_at_the_same_points_and_others_at_others(model, x):
    terms = {
        "a": Term(Place(), 1, Mixtures(0.1)),
        "b": Term(Place(), 1, Mixtures(0.1)),
        "c": Term(Place(), 1, Mixtures(0.2)),
    }
    first = {name: value.item() for name, (_, value) in values(terms, model, x, seed=1).items()}
    again = {name: value.item() for name, (_, value) in values(terms, model, x, seed=1).items()}
    other = {name: value.item() for name, (_, value) in values(terms, model, x, seed=2).items()}
    assert first == again
    assert first["a"] == first["b"] != first["c"]
    assert first["a"] != other["a"]


# --- values ---------------------------------------------------------------------------------------


def test_each_value_is_the_functional_by_itself(model, x):
    functionals = [TotalSquaredCurvature(scale_free=True), PerelmanF(), RelaxedDistortion()]
    terms = {str(i): Term(functional, 10.0**i) for i, functional in enumerate(functionals)}
    found, z = values(terms, model, x), model.encoder(x)
    for i, functional in enumerate(functionals):
        weight, value = found[str(i)]
        assert weight == 10.0**i
        assert value.item() == pytest.approx(functional(model.decoder, z).item(), rel=1e-12)


def test_the_gradient_of_a_sum_of_terms_is_the_sum_of_their_gradients(model, x):
    functionals = {"a": TotalSquaredCurvature(), "b": RelaxedDistortion(), "c": VarianceOfLogDet()}
    weights = {"a": 0.3, "b": 2.0, "c": 0.7}
    parameters = [*model.decoder.parameters()]

    def gradient(names):
        found = values({n: Term(functionals[n], weights[n]) for n in names}, model, x)
        loss = sum(weight * value for weight, value in found.values())
        return torch.nn.utils.parameters_to_vector(
            torch.autograd.grad(loss, parameters, materialize_grads=True)
        )

    separate = sum(gradient([name]) for name in functionals)
    assert gradient(functionals).sub(separate).norm() <= 1e-12 * separate.norm()


def test_functionals_of_the_metric_move_the_decoder_and_not_the_encoder(model, x):
    ((_, value),) = values({"a": Term(RelaxedDistortion(), 1)}, model, x).values()
    value.backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.decoder.parameters())


def test_the_contractive_term_goes_to_the_encoder_on_data(model, x, orders):
    found = values({"a": Term(ContractiveEncoder(), 2)}, model, x)
    weight, value = found["a"]
    assert (weight, value.item()) == (2, ContractiveEncoder()(model.encoder, x).item())
    assert orders == []
    value.backward()
    assert all(p.grad is None for p in model.decoder.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.encoder.parameters())


def test_a_functional_of_networks_of_ones_own(model, x, orders):
    class Spread(NetworkFunctional):
        def of(self, autoencoder, x, seed):
            return autoencoder.encoder(x).var() + seed % 2**20

    first, second = values({"a": Term(Spread(), 2), "b": Term(Spread(), 3)}, model, x).values()
    assert (first[0], second[0]) == (2, 3)
    assert orders == []
    drawn = [value.item() - model.encoder(x).var().item() for _, value in (first, second)]
    assert drawn[0] != drawn[1]  # each term draws on its own


def test_squared_weights_are_of_encoder_and_decoder(model, x, orders):
    ((weight, value),) = values({"a": Term(SquaredWeights(), 2)}, model, x).values()
    assert (weight, value.item()) == (2, SquaredWeights()(model).item())
    assert orders == []
    value.backward()
    moved = [p.ndim > 1 for p in model.parameters() if p.grad is not None]
    assert moved == [True] * len([p for p in model.parameters() if p.ndim > 1])


def test_what_functionals_learn_is_learned_with_the_rest():
    terms = Terms({"f": Term(PerelmanF(LearnedPotential(2, width=4)), 1)})
    names = {name for name, _ in terms.named_parameters()}
    assert len(names) == 5
    assert all(name.startswith("functionals.f.potential.network.") for name in names)


class Cone(nn.Module):
    """Degenerate where z_1 = 0."""

    def forward(self, z):
        return torch.cat([z * z[:, :1], z[:, :1] ** 2 + z[:, 1:] * z[:, :1]], 1)


def test_degenerate_points_are_counted_once_for_each_measure():
    z = torch.tensor([[0.5, 1.0], [0.0, 0.0], [1.0, -0.4], [0.0, 1.0]], dtype=torch.float64)
    terms = {
        "a": Term(TotalSquaredCurvature(), 1),
        "b": Term(TotalSquaredCurvature(), 1),
        "c": Term(TotalSquaredCurvature(), 1, UniformBox()),
    }
    found, degenerate = Terms(terms)(AutoEncoder(nn.Identity(), Cone()), z, z, LATE, 1)
    assert degenerate == 2
    assert torch.isfinite(torch.stack([value for _, value in found.values()])).all()


def test_a_collapsed_latent_space_is_an_error_that_names_the_terms():
    class Collapsed(nn.Module):
        def forward(self, z):
            return torch.cat([z[:, :1]] * 3, 1)

    autoencoder = AutoEncoder(nn.Linear(3, 2), Collapsed())
    terms = Terms({"curvature": Term(TotalSquaredCurvature(), 1.0)})
    with pytest.raises(TrainingError, match=r"curvature: .* degenerate at all 4 points"):
        terms(autoencoder, torch.randn(4, 3), torch.randn(4, 2), 1.0, 0)
