"""Sums over all points of a batch, on however many processes it is spread.

In data-parallel training every process holds a part of the batch. What is a sum over points is
summed over processes as well, differentiably, so that ratios of such sums (normalised potentials,
scale-free functionals) are those of the whole batch. Each process then has the same loss, and the
mean over processes that data-parallel training takes of the gradients is the gradient of it.
"""

import torch
import torch.distributed as dist


def processes():
    """(rank, number of processes)."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient):
        return _SumOverProcesses.apply(gradient)


def total(values):
    """Σ over all points on all processes of ``values`` (B,), differentiable."""
    summed = values.sum()
    return summed if processes()[1] == 1 else _SumOverProcesses.apply(summed)


def log_total_exp(values):
    """log Σ exp over all points on all processes, without overflow."""
    largest = torch.cat([values.detach(), values.new_full((1,), -torch.inf)]).amax()
    if processes()[1] > 1:
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest + total((values - largest).exp()).log()


def gathered(points):
    """The points (B, d) of all processes, in the same order on each, without gradient."""
    points = points.detach()
    count = processes()[1]
    if count == 1:
        return points
    parts = [torch.empty_like(points) for _ in range(count)]
    dist.all_gather(parts, points.contiguous())
    return torch.stack(parts, 1).flatten(0, 1)  # as own_part shares them out


def own_part(points):
    """This process's part of what is the same on all processes: every so-manieth row."""
    rank, count = processes()
    return points[rank::count]


def gathered_from_all(points, device):
    """The points (n, D) of all processes, however many each has, one process after the other."""
    if processes()[1] == 1:
        return points
    sizes = [points.new_empty((), dtype=torch.long, device=device) for _ in range(processes()[1])]
    dist.all_gather(sizes, points.new_tensor(len(points), dtype=torch.long, device=device))
    most = max(map(int, sizes))
    padded = points.new_zeros(most, points.shape[1], device=device)
    padded[: len(points)] = points.to(device)
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]).to(points)
