"""The types in public signatures."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import torch

# (B, d) -> (B, ...), or the expressions of an immersion in sympy's symbols.
Decoder: TypeAlias = Callable[[torch.Tensor], Any] | Iterable[Any]
# Latent points (B, d); of expressions, the d symbols.
Points: TypeAlias = torch.Tensor | tuple[Any, ...] | list[Any]

Derivatives: TypeAlias = Literal["auto", "fused", "autodiff"]
Formula: TypeAlias = Literal["gauss", "intrinsic"]
OnDegenerate: TypeAlias = Literal["raise", "nan", "flat"]
