"""Weights kept during training, and how latents moved."""

import numpy as np
import pytest
import torch

from tests.support.small_runs import fit, gaussians
from training import runs
from training.report.movement import Movement
from training.snapshots import MOST, snapshots

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("report"),
]


# --- snapshots ------------------------------------------------------------------------------------


def test_snapshots_begin_before_the_training_and_follow_it(plain):
    assert list(snapshots(plain)) == [0, 1, 2, 3]
    states = [torch.load(path, weights_only=True) for path in snapshots(plain).values()]
    assert all("optimizer_states" not in state for state in states)
    last = torch.load(plain / runs.LAST, weights_only=True)["state_dict"]
    assert all(torch.equal(states[-1]["state_dict"][name], last[name]) for name in last)
    assert not torch.equal(*(s["state_dict"]["autoencoder.decoder.0.weight"] for s in states[:2]))


@pytest.mark.slow
def test_snapshots_thin_out_evenly(tmp_path):
    folder = fit(tmp_path / "long", gaussians(per_cloud=20), epochs=2 * MOST + 3)
    assert list(snapshots(folder)) == [*range(0, 2 * MOST + 3, 4)]


def test_movement_ends_with_the_latents_of_the_checkpoint(chapter):
    for run, epochs in zip(chapter.runs, ([0, 1, 2, 3], [0, 1, 2]), strict=True):
        assert run.movement.epochs.tolist() == epochs
        np.testing.assert_array_equal(run.movement.latents[-1], run.view.latents)
        assert np.abs(np.diff(run.movement.latents, axis=0)).max(axis=(1, 2)).min() > 1e-4


def test_the_box_of_a_movement_holds_all_of_it(chapter):
    for run in chapter.runs:
        low, high = run.movement.box.T
        assert (low < run.movement.latents).all()
        assert (run.movement.latents < high).all()
    wild = np.concatenate([[[[-100.0, 0], [0, 90]]], [[[0.0, 0], [2, 1]]]])
    np.testing.assert_allclose(
        Movement(np.arange(2), wild).box, [[-2.2, 2.2], [-0.2, 3.7]], atol=1e-3
    )
    still = Movement(np.array([3]), np.zeros((1, 4, 2)))
    assert (np.diff(still.box) > 0).all()
