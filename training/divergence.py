"""A loss that is not finite ends the run: at once, or on a GPU at the end of its epoch."""

import torch

from training.errors import TrainingError


class FirstDivergence:
    """The first step whose loss is not finite, kept on the device until it is asked for.

    Args:
        names: of all parts of the loss.
    """

    def __init__(self, names):
        self.names = tuple(names)
        self._noted = None

    def note(self, loss, parts, step):
        """The loss of one step, and its parts at work, weights included, by name."""
        zero = torch.zeros_like(loss)
        values = [parts.get(name, zero).detach().to(loss.dtype) for name in self.names]
        new = (
            torch.isfinite(loss.detach()),
            torch.full_like(loss, step, dtype=torch.long),
            torch.stack(values),
        )
        if self._noted is not None:
            was_finite = self._noted[0]
            new = [torch.where(was_finite, x, y) for x, y in zip(new, self._noted, strict=True)]
        self._noted = new

    def check(self):
        """Raise TrainingError if there was one since the last check: the host waits."""
        noted, self._noted = self._noted, None
        if noted is not None and not noted[0]:
            _, step, values = noted
            raise TrainingError(diverged(dict(zip(self.names, values, strict=True)), int(step)))


def diverged(parts, step):
    """Which part of the loss, weight included, is not finite."""
    bad = [f"{name} = {part.item()}" for name, part in parts.items() if not torch.isfinite(part)]
    return (
        f"The loss is not finite at step {step}: {', '.join(bad) or 'their sum overflows'} (weight "
        "included). Lower that weight or the learning rate, start the term later, or clip "
        "gradients."
    )
