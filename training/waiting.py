"""What would make the host wait for its device.

A training step on a GPU is queued ahead of the device as long as the host reads no number from it:
it copies none to it either, but from pinned memory.
"""

import torch


def reading_is_free(tensor):
    """Whether its numbers can be read, and branched on, at no cost: eagerly, on a CPU."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def sent(tensor, like):
    """A CPU tensor on the device of ``like``, without waiting for the copy."""
    if like.device.type == "cuda":
        return tensor.pin_memory().to(like.device, non_blocking=True)
    return tensor.to(like.device)
