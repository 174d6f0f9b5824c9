"""Expected metrics: E[JᵀJ] of decoders that are random, as the pullback metric of one that is not.

Where Ψ is one of Ψ_1, ..., Ψ_n with probabilities w, E[JᵀJ] = Σ w_k J_kᵀJ_k is the metric of
z ↦ (√w_1 Ψ_1(z), ..., √w_n Ψ_n(z)). Where Ψ = μ(z) + σ(z) ε, of independent ε of variance one,
E[JᵀJ] = J_μᵀJ_μ + J_σᵀJ_σ is that of z ↦ (μ(z), σ(z)), ``output=lambda two: torch.cat(two, 1)``.
Both are immersions into a Euclidean space, with all that curvcore has for these. References:
Arvanitidis, Hansen, Hauberg, *Latent space oddity*, ICLR 2018; Tosi et al., UAI 2014.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from curvcore.errors import DecoderError, InputError
from curvcore.providers.structured import advice


class Ensemble(nn.Module):
    """Decoders of the same data, with the expected metric Σ w_k J_kᵀJ_k.

    Args:
        decoders: modules or callables (B, d) -> (B, ...).
        weights: w, positive, with the sum 1; by default equal ones.

    Raises:
        InputError: there is no decoder, or the weights are no such numbers.
    """

    def __init__(
        self, decoders: Sequence[Callable[[torch.Tensor], torch.Tensor]], weights=None
    ) -> None:
        super().__init__()
        if callable(decoders):
            raise InputError(
                f"An ensemble is of a list of decoders; got one {type(decoders).__name__}."
            )
        self.decoders = list(decoders)
        for decoder in self.decoders:
            if not callable(decoder):
                raise InputError(f"decoders must be callable; got {type(decoder).__name__}.")
        count = len(self.decoders)
        if not count:
            raise InputError("An ensemble needs one decoder or more.")
        weights = [1 / count] * count if weights is None else [float(w) for w in weights]
        if len(weights) != count or not all(w > 0 for w in weights):
            raise InputError(
                f"weights must be positive, one for each of {count} decoders; got {weights}."
            )
        if not math.isclose(math.fsum(weights), 1, rel_tol=1e-6):
            raise InputError(f"weights must sum to one; got {weights}.")
        self.weights = weights
        self.modules_ = nn.ModuleList(d for d in self.decoders if isinstance(d, nn.Module))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(√w_1 Ψ_1(z), ..., √w_n Ψ_n(z)), flattened: (B, n D)."""
        outputs = [decoder(z) for decoder in self.decoders]
        for output in outputs:
            if not hasattr(output, "flatten"):
                raise DecoderError(
                    f"A member of the ensemble returned {type(output).__name__}. "
                    f"{advice(output).rstrip('.')}, by curvcore.bind(member, output=...)."
                )
        pairs = zip(self.weights, outputs, strict=True)
        return torch.cat([weight**0.5 * output.flatten(1) for weight, output in pairs], 1)
