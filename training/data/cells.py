"""Cells that come inside a Python package: nothing is downloaded."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from training.data.dataset import Dataset
from training.errors import TrainingError

FILE = Path("datasets", "10x_pbmc68k_reduced.h5ad")


@dataclass(frozen=True)
class Pbmc700:
    """scanpy's 700 blood cells, ``pbmc68k_reduced``: 50 principal components of their expression.

    Labels are the ten cell types of Zheng et al., Nature Communications 8 (2017), by their place
    in the file's list.
    """

    def load(self) -> Dataset:
        """The cells, (700, 50)."""
        try:
            import h5py  # optional: only this class needs it
        except ImportError as error:
            raise _missing("h5py") from error
        package = find_spec("scanpy")
        if package is None:
            raise _missing("scanpy")
        with h5py.File(Path(package.origin).parent / FILE) as file:
            points, labels = file["obsm"]["X_pca"][:], file["obs"]["bulk_labels"][:]
        return Dataset(points, labels.astype(int), name="PBMC 700")


def _missing(name):
    return TrainingError(
        f"Pbmc700 reads the cells inside the package scanpy; {name} is not installed: "
        "pip install 'curvcore[cells]'"
    )
