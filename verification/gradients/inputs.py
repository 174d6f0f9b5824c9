"""What gradients are taken in: the latent points and the parameters of a decoder."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


def gradient(loss, tensors):
    """∂L/∂x for every tensor x, in float64; zero where L does not depend on it."""
    if not loss.requires_grad:
        return [torch.zeros_like(x, dtype=torch.float64) for x in tensors]
    found = torch.autograd.grad(loss, tensors, retain_graph=True, materialize_grads=True)
    return [x.double() for x in found]


@dataclass(frozen=True)
class Inputs:
    """A decoder of its own, and leaves that require gradients: z first, then the parameters."""

    decoder: Any
    tensors: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, subject, dtype, device):
        """Those of a decoders.Subject."""
        decoder, z = subject.at(dtype, device)
        parameters = decoder.parameters() if isinstance(decoder, nn.Module) else ()
        tensors = (z.clone(), *(p for p in parameters if p.is_floating_point()))
        return cls(decoder, tuple(tensor.requires_grad_() for tensor in tensors))

    @property
    def z(self):
        """The latent points."""
        return self.tensors[0]

    def sizes(self):
        """|x| of every tensor, the points less their mean; 1 where it is zero."""
        z, *parameters = (tensor.detach() for tensor in self.tensors)
        return [x.norm().item() or 1.0 for x in (z - z.mean(0), *parameters)]

    def lines(self):
        """Directions of the size of the tensors: in z alone, and in all parameters."""
        generator = torch.Generator().manual_seed(3)
        directions = []
        for size, x in zip(self.sizes(), self.tensors, strict=True):
            direction = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
            directions.append(size / direction.norm() * direction)
        still = [torch.zeros_like(x) for x in self.tensors]
        lines = {"z": [directions[0], *still[1:]], "θ": [still[0], *directions[1:]]}
        return lines if len(directions) > 1 else {"z": directions}

    @contextmanager
    def moved(self, line, step):
        """Within, the tensors are x + step · v, without gradient."""
        before = [x.detach().clone() for x in self.tensors]
        with torch.no_grad():
            try:
                for x, start, direction in zip(self.tensors, before, line, strict=True):
                    x.copy_(start + step * direction)
                yield
            finally:
                for x, start in zip(self.tensors, before, strict=True):
                    x.copy_(start)
