"""CurvatureAutoencoder: scikit-learn's conventions, terms, what is refused."""

import copy
import logging
import os
import pickle
import random
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

import curvcore
import training
from tests.support.estimators import IMAGES, SMALL, X, fitted, networks
from training import CurvatureAutoencoder
from training.errors import TrainingError
from training.functionals import LearnedPotential, PerelmanF, VarianceOfLogDet
from training.measures import Mixtures
from training.presets import NAMED, terms_of
from training.terms import Term


@pytest.fixture(scope="module")
def model():
    """Fitted to X; do not change it."""
    return fitted()


# --- scikit-learn's conventions -------------------------------------------------------------------


@pytest.mark.slow
@parametrize_with_checks([CurvatureAutoencoder(max_epochs=2, widths=(8,))])
def test_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


def test_latents_and_reconstructions_are_those_of_the_module(model):
    z = model.transform(X)
    assert z.shape == (120, 2)
    assert z.dtype == np.float64
    back = model.inverse_transform(z)
    assert back.shape == X.shape
    assert model.score(X) == pytest.approx(-np.mean((X - back) ** 2), rel=1e-12)
    np.testing.assert_allclose(model.module_(torch.tensor(X)).numpy(), back)
    assert list(model.get_feature_names_out()) == ["curvatureautoencoder0", "curvatureautoencoder1"]


@pytest.mark.slow
def test_training_lowers_the_error_and_the_history_tells():
    few, many = fitted(max_epochs=1), fitted(max_epochs=40, learning_rate=1e-2)
    assert many.score(X) > 0.5 * few.score(X)  # both are negative
    assert [row["epoch"] for row in many.history_] == [*range(40)]
    assert {"loss", "mse", "curvature"} <= many.history_[0].keys()
    assert many.history_[-1]["mse"] < many.history_[0]["mse"]


@pytest.mark.parametrize("kind", [torch.tensor, lambda x: torch.tensor(x).float(), list])
def test_tensors_and_lists_are_taken(kind, model):
    points = kind(X)
    z = model.transform(points)
    assert isinstance(z, np.ndarray)
    np.testing.assert_allclose(z, model.transform(X), atol=1e-5)
    np.testing.assert_allclose(fitted(points).transform(X), z, atol=1e-3)


def test_the_same_seed_gives_the_same_numbers(model):
    np.testing.assert_array_equal(fitted().transform(X), model.transform(X))
    assert not np.allclose(fitted(random_state=1).transform(X), model.transform(X))
    one, other = (np.random.RandomState(3) for _ in range(2))
    np.testing.assert_array_equal(
        fitted(random_state=one).transform(X), fitted(random_state=other).transform(X)
    )


@pytest.mark.parametrize("init", ["random", pytest.param("isomap", marks=pytest.mark.slow)])
def test_random_numbers_of_others_are_left_alone(init):
    def states():
        return [
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
        ]

    before = states()
    fitted(terms=("curvature", "perelman_w"), init=init)
    assert states() == before
    torch.manual_seed(0)
    first = fitted()
    torch.manual_seed(1)
    np.testing.assert_array_equal(fitted().transform(X), first.transform(X))


def test_a_fit_begins_anew_and_leaves_its_parameters_alone():
    terms = {"mine": Term(PerelmanF(LearnedPotential()), 1e-3, Mixtures())}
    model = CurvatureAutoencoder(2, terms, **SMALL, **networks(), input_shape=(1, 2, 3))
    model.set_params(
        **{"encoder": nn.Linear(6, 2), "decoder": nn.Linear(2, 6), "input_shape": None}
    )
    given, before = model.get_params(), copy.deepcopy(model.encoder.state_dict())
    first = model.fit(X).transform(X)
    assert model.fit(X).transform(X) == pytest.approx(first, abs=0)
    assert all(model.get_params()[name] is value for name, value in given.items())
    assert terms["mine"].functional.potential.d is None
    for name, value in before.items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    assert not torch.equal(model.module_.autoencoder.encoder.weight.float(), before["weight"])


def test_it_is_cloned_pickled_and_dumped(model, tmp_path):
    assert model.module_._trainer is None  # nor all the data with it
    unfitted = clone(model)
    with pytest.raises(NotFittedError):
        unfitted.transform(X)
    expected = model.transform(X)
    np.testing.assert_array_equal(unfitted.fit(X).transform(X), expected)
    joblib.dump(model, tmp_path / "model.joblib")
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(again.transform(X), expected)
        assert torch.equal(again.geometry(expected).scalar, model.geometry(expected).scalar)
    own = fitted(IMAGES, **networks())
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(own)).transform(IMAGES), own.transform(IMAGES)
    )


def test_in_a_pipeline_and_a_grid_search():
    pipeline = make_pipeline(StandardScaler(), CurvatureAutoencoder(**SMALL))
    grid = {
        "curvatureautoencoder__terms": [None, {"curvature": 1e-3}],
        "curvatureautoencoder__latent_dimension": [1, 2],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X)
    assert search.transform(X).shape == (120, search.best_params_[[*grid][1]])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert (search.cv_results_["mean_test_score"] < 0).all()


def test_nothing_is_written_and_nothing_said(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("lightning.pytorch").level
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fitted()
        model.plot()
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")
    assert [str(w.message) for w in caught if "lightning" in w.filename] == []
    assert logging.getLogger("lightning.pytorch").level == level
    fitted(verbose=True)
    assert "Epoch 1" in capfd.readouterr().out


def test_kinks_are_warned_of_once():
    own = {"encoder": nn.Linear(6, 2), "decoder": nn.Sequential(nn.Linear(2, 9), nn.ReLU())}
    own["decoder"].append(nn.Linear(9, 6))
    with pytest.warns(curvcore.PiecewiseLinearWarning) as caught:
        fitted(max_epochs=20, **own)
    assert len([w for w in caught if w.category is curvcore.PiecewiseLinearWarning]) == 1


# --- terms ----------------------------------------------------------------------------------------


@pytest.mark.grid
@pytest.mark.parametrize("name", NAMED)
def test_every_named_term_trains(name):
    model = fitted(terms=name, max_epochs=7)  # Perelman's grow from epoch 5 on
    assert np.isfinite(model.history_[-1][name])


def test_terms_are_names_or_weights_or_terms():
    assert terms_of(None) == {}
    assert terms_of("isometry")["isometry"].weight == 0.1
    assert [*terms_of(("curvature", "volume"))] == ["curvature", "volume"]
    mine = Term(VarianceOfLogDet(), 3.0, start=2)
    found = terms_of({"curvature": 5, "mine": mine})
    assert found["curvature"].weight == 5.0
    assert (found["mine"].weight, found["mine"].start) == (3.0, 2)
    assert found["mine"].functional is not mine.functional
    one, other = (terms_of("perelman_w")["perelman_w"] for _ in range(2))
    assert one.functional is not other.functional


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terms": "curvatur"}, "no term 'curvatur': the names are curvature, isometry"),
        ({"terms": ("curvature", "x")}, "no term 'x'"),
        ({"terms": {"x": 1.0}}, "no term 'x'.* is a training.terms.Term"),
        ({"terms": {"curvature": "1"}}, r"terms\['curvature'\] must be a weight or a Term"),
        ({"terms": {"mse": Term(VarianceOfLogDet(), 1.0)}}, "may not be called mse"),
        ({"d": 7}, "latent_dimension=7 is more than the data have: n_features=6"),
        ({"d": 0}, "latent_dimension == 0, must be >= 1"),
        ({"max_epochs": 0}, "max_epochs == 0"),
        ({"batch_size": 0}, "batch_size == 0"),
        ({"learning_rate": -1.0}, "learning_rate .* must be positive"),
        ({"activation": "relu"}, "activation must be one of"),
        ({"init": "pca"}, r"init must be one of \['random', 'isomap'\]; got 'pca'"),
        ({"encoder": nn.Linear(6, 2)}, "both an encoder and a decoder"),
        (
            {"encoder": nn.Linear(6, 3), "decoder": nn.Linear(3, 6)},
            r"makes \(2, 3\) of two points; latent_dimension=2 asks for \(2, 2\)",
        ),
        (
            {"encoder": nn.Linear(6, 2), "decoder": nn.Linear(2, 5)},
            "The decoder makes 5 numbers of a point; X has 6",
        ),
        ({**networks(), "input_shape": (1, 8, 8)}, r"input_shape \(1, 8, 8\) is not of 6 numbers"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ",".join(value),
)
def test_parameters_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        fitted(**options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.full((30, 6), np.nan), "contains NaN"),
        (torch.full((30, 6), torch.inf), "contains infinity"),
        (X[:, 0], "Expected 2D array, got 1D array"),
        (X[:1], r"1 sample"),
        (np.ones((30, 6)), "All 30 points are equal"),
        (np.zeros((0, 1, 8, 8)), "0 sample"),
    ],
    ids=["nan", "inf", "1-d", "one", "equal", "none"],
)
def test_data_that_cannot_be(data, message):
    with pytest.raises(ValueError, match=message):
        fitted(data)


def test_calls_that_cannot_be(model):
    for call in ("transform", "inverse_transform", "score", "geometry", "plot", "report"):
        with pytest.raises(NotFittedError):
            getattr(CurvatureAutoencoder(), call)(X)
    with pytest.raises(
        ValueError, match="X has 5 features, but CurvatureAutoencoder is expecting 6"
    ):
        model.transform(X[:, :5])
    for call in (model.geometry, model.inverse_transform):
        with pytest.raises(ValueError, match=r"Latent points must be \(n, 2\); got \(120, 6\)"):
            call(X)


def test_a_fit_that_failed_is_none_and_parameters_are_those_of_the_next_fit(model):
    broken = CurvatureAutoencoder(init="pca")
    with pytest.raises(ValueError, match="init"):
        broken.fit(X)
    with pytest.raises(NotFittedError):
        broken.transform(X)
    other = copy.deepcopy(model).set_params(latent_dimension=3)
    assert other.geometry(other.transform(X)).metric.shape == (120, 2, 2)
    assert len(other.get_feature_names_out()) == 2


def test_a_loss_that_is_not_finite_ends_the_fit():
    with pytest.raises(TrainingError, match="not finite"):
        fitted(learning_rate=1e30, max_epochs=30)


# --- what it costs to import ----------------------------------------------------------------------


@pytest.mark.slow
def test_it_is_imported_when_it_is_asked_for():
    code = (
        "import sys, training; print([m for m in ('torch', 'lightning', 'sklearn') "
        "if m in sys.modules]); training.CurvatureAutoencoder; print('lightning' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=os.path.dirname(os.path.dirname(training.__file__)),
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["[]", "True"]
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = training.Nothing
