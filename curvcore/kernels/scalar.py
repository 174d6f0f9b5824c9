"""R and its gradient by kernels: ``curvature`` for d = 2, ``projection`` for 3 ≤ d ≤ 8."""

import torch
from torch.autograd import Function

from curvcore import kernels

DIMENSIONS = range(2, 9)


class ScalarCurvature(Function):
    """(vectors (K, B, N), d, plain) -> R (B,), the condition number of g (B,).

    ``plain`` is the same R by torch's operations, from the same vectors: for derivatives beyond the
    first, and for the first where its kernel cannot be launched.
    """

    @staticmethod
    def forward(ctx, vectors, d, plain):
        vectors = vectors.contiguous()
        scalar, condition, *kept = _kernel(d).forward(vectors)
        ctx.save_for_backward(vectors, *kept)
        ctx.d, ctx.plain = d, plain
        ctx.mark_non_differentiable(condition)
        return scalar, condition

    @staticmethod
    def backward(ctx, weights, _):
        vectors, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated once more
            return _differentiable(ctx, vectors, weights), None, None
        name = f"the gradient of R at d = {ctx.d}"
        arguments = vectors, *kept, weights.contiguous()
        gradient = kernels.attempt(name, _kernel(ctx.d).adjoint, *arguments)
        if gradient is None:
            with torch.enable_grad():
                gradient = _differentiable(ctx, vectors, weights).detach()
        return gradient, None, None


def _differentiable(ctx, vectors, weights):
    """The same gradient, by torch's own."""
    scalar = ctx.plain(vectors)
    return torch.autograd.grad(scalar, vectors, weights, create_graph=True)[0]


def _kernel(d):
    from curvcore.kernels import curvature, projection  # Triton, where there is any

    return curvature if d == 2 else projection
