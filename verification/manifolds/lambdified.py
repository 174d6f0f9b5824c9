"""From sympy expressions to torch functions of a batch of points."""

from collections.abc import Callable, Mapping, Sequence

import sympy as sp
import torch

ELEMENTARY = {
    "sin": torch.sin,
    "cos": torch.cos,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "exp": torch.exp,
}


def lambdified(
    expressions: Sequence[sp.Expr],
    coordinates: Sequence[sp.Symbol],
    parameters: Mapping[sp.Symbol, float],
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The map z ↦ (e_1(z), …, e_n(z)), (B, d) -> (B, n), in the dtype and on the device of z.

    Each coordinate is a column z[:, i] of shape (B,), never a 0-d tensor: torch gives 0-d float32
    tensors float64 tangents. Adding a column of zeros broadcasts constant expressions.
    """
    arguments = [*coordinates, *parameters]
    components = sp.lambdify(arguments, list(expressions), modules=[ELEMENTARY], cse=True)
    numbers = tuple(parameters.values())

    def function(z: torch.Tensor) -> torch.Tensor:
        columns = [z[:, i] for i in range(len(coordinates))]
        zero = torch.zeros_like(columns[0])
        return torch.stack([zero + c for c in components(*columns, *numbers)], dim=-1)

    return function


def random_isometry(source: int, target: int, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """x ↦ Qx + b from R^source to R^target, QᵀQ = I: Q from the QR of a Gaussian, b Gaussian."""
    gaussian = gaussian_matrix(target, source + 1, seed)
    rotation, offset = orthonormal_columns(gaussian[:, :source]), gaussian[:, source]
    return lambda x: x @ rotation.T.to(x) + offset.to(x)


def gaussian_matrix(rows: int, columns: int, seed: int) -> torch.Tensor:
    """Independent standard normal entries, float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, dtype=torch.float64, generator=generator)


def orthonormal_columns(matrix: torch.Tensor) -> torch.Tensor:
    """Q of the QR of a matrix (target, source): QᵀQ = I."""
    target, source = matrix.shape
    if target < source:
        raise ValueError(f"no isometry of R^{source} into R^{target}: use ambient >= {source}")
    return torch.linalg.qr(matrix).Q
