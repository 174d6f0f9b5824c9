"""A RegularizedAutoEncoder is trained by any loader, not only by the project's own data module."""

import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset

from training.batches import points_of
from training.data import CommonScale, SwissRoll
from training.errors import TrainingError
from training.functionals import (
    ContractiveEncoder,
    GraphStress,
    LearnedPotential,
    PerelmanW,
    SquaredWeights,
    Tau,
    TotalSquaredCurvature,
)
from training.models import AutoEncoder, MLPAutoEncoder
from training.module import RegularizedAutoEncoder
from training.quiet import quiet
from training.terms import Term
from training.warm_start import fit_to_coordinates, isomap_coordinates

N, D = 90, 4
POINTS = 5 + 3 * torch.randn(N, D, generator=torch.Generator().manual_seed(0))
OFF = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


class Stream(IterableDataset):
    """Points that come one after the other; nobody knows how many."""

    def __iter__(self):
        return iter(POINTS)


def module(D=D, terms=None, **options):
    torch.manual_seed(0)
    return RegularizedAutoEncoder(MLPAutoEncoder(D, 2, (8,)), terms, **options)


def fit(model, *loaders, epochs=1, ckpt_path=None, **options):
    """The trainer, when it is done."""
    options = {"logger": False, "enable_checkpointing": False} | options
    with quiet():
        trainer = L.Trainer(max_epochs=epochs, **OFF, **options)
        trainer.fit(model, *loaders, ckpt_path=ckpt_path)
    return trainer


def assert_scaled(model, points):
    expected = CommonScale.fit(points)
    torch.testing.assert_close(model.scale.mean, expected.mean)
    torch.testing.assert_close(model.scale.scale, expected.scale)


DATASETS = {
    "bare tensors": POINTS,
    "tuples of one": TensorDataset(POINTS),
    "pairs": TensorDataset(POINTS, torch.arange(N)),
    "images": TensorDataset(POINTS.reshape(N, 1, 2, 2), torch.arange(N)),
    "float64": TensorDataset(POINTS.double()),
}


@pytest.mark.parametrize("name", DATASETS)
def test_batches_of_any_kind(name):
    model, loader = module(), DataLoader(DATASETS[name], 32, shuffle=True)
    before = [p.clone() for p in model.parameters()]
    trainer = fit(model, loader, DataLoader(DATASETS[name], 32))
    assert_scaled(model, POINTS)
    assert trainer.global_step == 3
    assert trainer.callback_metrics["val/mse"].isfinite()
    assert not any(map(torch.equal, before, model.parameters()))


def test_whole_numbers_are_scaled_like_floats():
    pixels = torch.randint(0, 256, (N, 1, 2, 2), dtype=torch.uint8)
    assert points_of((pixels, None)).dtype == torch.float32
    model = module()
    trainer = fit(model, DataLoader(pixels, 32))
    assert_scaled(model, pixels.flatten(1))
    assert 0.5 < trainer.callback_metrics["train/mse"] < 1.5  # of unit variance


def test_the_scale_is_that_of_the_points_which_the_loader_gives():
    chosen = range(0, N, 2)
    model = module()
    fit(model, DataLoader(POINTS, 15, sampler=SubsetRandomSampler(chosen)))
    assert_scaled(model, POINTS[chosen])


def test_functionals_are_at_work_in_validation_too():
    """In Lightning's inference mode, which the project's own command does without."""
    terms = {
        "curvature": Term(TotalSquaredCurvature(), 1e-3),
        "w": Term(PerelmanW(LearnedPotential()), 1e-3),
        "contractive": Term(ContractiveEncoder(), 1e-3),
        "stress": Term(GraphStress(), 1.0),
        "squared weights": Term(SquaredWeights(), 1e-6),
    }
    loader = DataLoader(TensorDataset(POINTS), 45)
    trainer = fit(module(terms=terms), loader, loader)
    logged = trainer.callback_metrics
    assert all(logged[f"{stage}/{name}"] != 0 for stage in ("train", "val") for name in terms)


def test_the_warm_start_is_fitted_to_the_points_of_the_loader():
    roll = torch.from_numpy(SwissRoll(n=200).load().points).float()
    model, expected = (module(D=3, warm_start="isomap", warm_start_epochs=2) for _ in range(2))
    fit(model, DataLoader(roll, 64), epochs=0)
    x = CommonScale.fit(roll)(roll)
    u = torch.from_numpy(isomap_coordinates(x.numpy(), 2)).float()
    fit_to_coordinates(expected.autoencoder, x, u, epochs=2)
    for found, wanted in zip(
        model.autoencoder.parameters(), expected.autoencoder.parameters(), strict=True
    ):
        assert torch.equal(found, wanted)


def test_a_run_is_resumed_to_the_same_bits(tmp_path, monkeypatch):
    """With its scale as it was, which is not fitted again."""

    class Stop(L.Callback):
        def on_train_epoch_end(self, trainer, module):
            trainer.should_stop = trainer.current_epoch == 1

    terms = {"curvature": Term(TotalSquaredCurvature(), 1e-3)}
    whole, parts = (module(terms=terms) for _ in range(2))
    fit(whole, DataLoader(POINTS, 32), epochs=4)
    keep = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="last")
    options = {"callbacks": [Stop(), keep], "enable_checkpointing": True, "epochs": 4}
    fit(parts, DataLoader(POINTS, 32), **options)
    assert not torch.equal(next(whole.parameters()), next(parts.parameters()))
    resumed = module(terms=terms)
    torch.nn.init.zeros_(next(resumed.parameters()))
    monkeypatch.setattr(CommonScale, "fit", None)
    fit(resumed, DataLoader(POINTS, 32), epochs=4, ckpt_path=tmp_path / "last.ckpt")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_points_that_nobody_has_counted():
    """The learning rate falls along max_steps, and time passes from epoch to epoch."""
    model = module(terms={"w": Term(PerelmanW(tau=Tau(1.0, rate=-0.25)), 1e-3)})
    loader = DataLoader(Stream(), 30)
    fit(model, loader, epochs=2, max_steps=6)
    assert_scaled(model, POINTS)
    assert model.terms.functionals["w"].tau().item() == pytest.approx(0.5)
    with pytest.raises(TrainingError, match="set the trainer's max_steps"):
        fit(module(), loader)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([{"x": POINTS}], "its points are dict"),
        ([POINTS[:, 0]], r"its points are \(90,\)"),
        ([[[POINTS]]], "its points are list"),
        ([torch.zeros(3, D) / 0], "NaN or infinite in 3 of 3 points of the loader"),
        ([torch.zeros(3, 7)], "for data of dimension 4; those of the loader have 7"),
        ([], "has no batches"),
    ],
    ids=["dict", "1-d", "nested", "nan", "dimension", "none"],
)
def test_what_is_no_points_is_told(batches, message):
    loader = DataLoader(batches, batch_size=None) if batches else DataLoader(POINTS[:0])
    with pytest.raises(TrainingError, match=message):
        fit(module(), loader)


# --- networks of images ---------------------------------------------------------------------------


def test_an_autoencoder_of_images_is_one_of_points():
    own = AutoEncoder(
        nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Unflatten(1, (1, 2, 2))),
        shape=(1, 2, 2),
    )
    model = RegularizedAutoEncoder(own, {"w": Term(PerelmanW(LearnedPotential()), 1e-3)})
    assert len(model.scale.mean) == D
    assert model(POINTS).shape == (N, D)
    assert model.encode(POINTS.reshape(N, 1, 2, 2)).shape == (N, 2)
    fit(model, DataLoader(POINTS.reshape(N, 1, 2, 2), 32))
    assert_scaled(model, POINTS)


def test_the_width_behind_convolutions_is_not_taken_for_the_data_dimension():
    encoder = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 2), nn.Flatten())
    own = AutoEncoder(encoder.append(nn.Linear(9, 2)), nn.Linear(2, 4))
    with pytest.raises(TrainingError, match=r"set model\.data_dimension"):
        RegularizedAutoEncoder(own)


# --- several processes ----------------------------------------------------------------------------

SCRIPT = """
import lightning as L, torch
from torch.utils.data import DataLoader
from training.models import MLPAutoEncoder
from training.module import RegularizedAutoEncoder

if __name__ == "__main__":
    points = torch.arange(20.0).reshape(10, 2) ** 2
    torch.manual_seed(0)
    model = RegularizedAutoEncoder(MLPAutoEncoder(2, 1, (4,)))
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", devices=2, strategy="ddp", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(model, DataLoader(points, 5))
    torch.save(model.scale.state_dict(), f"{trainer.global_rank}.pt")
"""


@pytest.mark.slow
def test_processes_that_share_a_loader_have_one_scale(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    expected = CommonScale.fit(torch.arange(20.0).reshape(10, 2) ** 2).state_dict()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected)
