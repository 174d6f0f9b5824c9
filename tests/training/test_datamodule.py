"""What a data module says before a run is started on too few points."""

import numpy as np
import pytest

from training.data import UserFile
from training.datamodule import LEAST_HELD_OUT, DataModule
from training.errors import TrainingError


def module(folder, n, **options):
    np.save(folder / "points.npy", np.random.default_rng(0).normal(size=(n, 3)))
    return DataModule(UserFile(str(folder / "points.npy")), **options)


def test_200_points_are_enough_with_the_default_fractions(tmp_path):
    data = module(tmp_path, 200, batch_size=64)
    data.check(3)
    assert [len(part) for part in data.parts] == [159, 20, LEAST_HELD_OUT]


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (
            200,
            {},
            r"159 training points make no batch of 256\. Set data\.batch_size to 159 or less",
        ),
        (50, {"batch_size": 8}, "5 test points .* there must be 21, and half of the 50 points"),
    ],
)
def test_too_few_points_are_told_what_to_do(n, options, message, tmp_path):
    with pytest.raises(TrainingError, match=message):
        module(tmp_path, n, **options).check(3)


def test_validation_has_no_last_batch_of_a_few_points(tmp_path):
    """Integrals over it would be noise, and weigh as much as those over the others."""
    data = module(tmp_path, 300, batch_size=29, fractions=(0.7, 0.1, 0.2))
    assert len(data.parts[1]) == 30
    assert [len(batch) for batch in data.val_dataloader()] == [30]
    data = module(tmp_path, 600, batch_size=29, fractions=(0.7, 0.1, 0.2))
    assert [len(batch) for batch in data.val_dataloader()] == [30, 30]


def test_other_data_than_expected_are_refused(tmp_path):
    data = module(tmp_path, 200)
    fingerprint = data.fingerprint()
    same = module(tmp_path, 200)
    same.expect(fingerprint)
    assert len(same.parts[2]) == LEAST_HELD_OUT
    points = np.load(tmp_path / "points.npy")
    np.save(tmp_path / "points.npy", points[::-1])
    other = DataModule(UserFile(str(tmp_path / "points.npy")))
    other.expect(fingerprint)
    with pytest.raises(TrainingError, match="not those that the run was trained on"):
        _ = other.parts
