"""Batches of a data set, the same whatever the number of processes."""

import hashlib
import math

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data import Dataset as TorchDataset

from training.data import Dataset, DataSource
from training.data.dataset import FRACTIONS
from training.errors import TrainingError
from training.reductions import processes

LEAST_HELD_OUT = 21  # more than twice the 10 nearest neighbours that ``evaluate`` looks at


class Rows(TorchDataset):
    """Rows of a tensor, a whole batch at a time."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __len__(self):
        return len(self.tensor)

    def __getitems__(self, indices):
        """The rows (len(indices), D)."""
        return self.tensor[indices]


def as_it_is(batch):
    """What Rows give is a batch already."""
    return batch


def even_size(count, size):
    """The size of batches of ``size`` or somewhat more that share ``count`` points evenly."""
    return math.ceil(count / max(1, count // size))


def _hash(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part.points).tobytes())
    return digest.hexdigest()


class DataModule(L.LightningDataModule):
    """Train, validation and test parts of a data source.

    The order of the points in an epoch depends on the seed and the epoch alone, and n processes
    share each batch between them.

    Args:
        source: any of :mod:`training.data`.
        batch_size: points in a step, on all processes together.
        fractions: of the points in train, validation and test. A test part of less than 21 points
            is filled up from the training part, if that keeps half of all points.
        seed: of the split and of the order.
    """

    def __init__(
        self,
        source: DataSource,
        batch_size: int = 256,
        fractions: tuple[float, float, float] = FRACTIONS,
        seed: int = 0,
    ):
        super().__init__()
        self.source, self.batch_size = source, batch_size
        self.fractions, self.seed = fractions, seed
        self._loaded = self._expected = None
        if seed < 0:
            raise TrainingError(f"data.seed must not be negative; got {seed}.")

    @property
    def parts(self) -> tuple[Dataset, Dataset, Dataset]:
        """Train, validation and test."""
        return self._load()[0]

    def _load(self):
        """The parts and their hash, which must be the one that is expected."""
        if self._loaded is None:
            parts = self.source.load().split(self.fractions, self.seed, LEAST_HELD_OUT)
            self._loaded = parts, _hash(parts)
        if self._expected not in (None, self._loaded[1]):
            raise TrainingError(
                "The data are not those that the run was trained on: its test points may be "
                "training points now. Put the old file back, or start a new run."
            )
        return self._loaded

    def check(self, dimension, count=1):
        """Raise unless a model of data in R^dimension can be fitted by ``count`` processes."""
        found = self.parts[0].dimension
        if found != dimension:
            raise TrainingError(
                f"The model is for data of dimension {dimension}; the data have {found}. "
                "Set model.autoencoder.init_args.data_dimension."
            )
        if not np.ptp(self.parts[0].points, axis=0).any():
            raise TrainingError(
                f"All {len(self.parts[0])} training points are equal: there is nothing to learn."
            )
        self._check_batches(len(self.parts[0]), count)
        if len(self.parts[2]) < LEAST_HELD_OUT:
            n = sum(map(len, self.parts))
            raise TrainingError(
                f"{len(self.parts[2])} test points are too few to evaluate: there must be "
                f"{LEAST_HELD_OUT}, and half of the {n} points are kept for training. Give more "
                "points, or a larger third of data.fractions."
            )

    def _check_batches(self, points, count):
        if self.batch_size % count or self.batch_size < count:
            raise TrainingError(
                f"batch_size {self.batch_size} cannot be shared by {count} processes."
            )
        if points < self.batch_size:
            raise TrainingError(
                f"{points} training points make no batch of {self.batch_size}. Set data.batch_size "
                f"to {points} or less."
            )

    def fingerprint(self):
        """A hash of all points in their parts."""
        return self._load()[1]

    @property
    def expected(self):
        """The fingerprint that the parts must have; None if it is not known."""
        return self._expected

    def expect(self, fingerprint):
        """The parts must have this fingerprint once they are loaded, or TrainingError."""
        self._expected = fingerprint

    def training_points(self):
        """(n, D), raw units, float64."""
        return torch.from_numpy(self.parts[0].points)

    def train_dataloader(self):
        """Shuffled, without the last, smaller batch."""
        return self._loader(self.parts[0], shuffle=True)

    def val_dataloader(self):
        """In order."""
        return self._loader(self.parts[1], shuffle=False)

    def _loader(self, part, shuffle):
        rank, count = processes()
        self._check_batches(len(self.parts[0]), count)
        rows = Rows(torch.from_numpy(part.points))
        sampler = DistributedSampler(rows, count, rank, shuffle, self.seed, drop_last=shuffle)
        size = self.batch_size // count
        if not shuffle:  # no last batch of a few points, whose integrals would be noise
            size = even_size(len(sampler), size)
        return DataLoader(
            rows, size, sampler=sampler, drop_last=shuffle, collate_fn=as_it_is,
            pin_memory=self._is_for_cuda,
        )  # fmt: skip

    @property
    def _is_for_cuda(self):
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
