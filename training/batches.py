"""Points of any loader."""

import torch

from training.errors import TrainingError
from training.reductions import gathered_from_all


def points_of(batch):
    """The points (B, ...) of a batch, floats: a tensor, or the first of a tuple, such as (x, y)."""
    points = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not torch.is_tensor(points) or points.ndim < 2:
        got = f"{tuple(points.shape)}" if torch.is_tensor(points) else type(points).__name__
        raise TrainingError(
            "A batch must be points (B, ...), or a tuple or list that begins with them; its points "
            f"are {got}."
        )
    return points if points.is_floating_point() else points.to(torch.get_default_dtype())


def all_points(loader, device):
    """All points of a loader, of all processes, each flattened: (n, D), on the CPU.

    It is gone through once. Where processes share the points, each gets all.

    Args:
        loader: any iterable of batches that ends.
        device: where points can be sent from one process to another.

    Raises:
        TrainingError: there are none, or some are not finite.
    """
    own = [points_of(batch).flatten(1).cpu() for batch in loader]
    if not own:
        raise TrainingError("The training loader has no batches.")
    points = gathered_from_all(torch.cat(own), device)
    if broken := int((~torch.isfinite(points)).any(1).sum()):
        raise TrainingError(f"NaN or infinite in {broken} of {len(points)} points of the loader.")
    return points
