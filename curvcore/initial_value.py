"""Initial value problems of many rows at once, of which one that is stuck does not stop the others.

By a Runge–Kutta method of order eight with adaptive steps (torchdiffeq), which are the same for all
rows. Reference: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*.
"""

import torch

from curvcore.rows import in_order

_STEPS = 100  # at most; of one interval between nodes one is enough as a rule


def solved(derivative, state, segments, tolerance):
    """The state (..., B, d) at times 0, 1/n, ..., 1, and None.

    Where no step is short enough for all rows, NaN after 0, and which rows were stuck, (B,).
    """
    odeint, largest = _odeint(), _LargestRow()
    times = torch.linspace(0, 1, segments + 1, dtype=state.dtype, device=state.device)
    options = {"norm": largest, "max_num_steps": _STEPS, "step_t": times[1:]}
    try:
        found = odeint(
            derivative, state, times, method="dopri8", rtol=tolerance, atol=tolerance,
            options=options,
        )  # fmt: skip
    except AssertionError:  # of steps that are too short, or too many
        lost = torch.full_like(state, torch.nan).expand(segments, *state.shape)
        return torch.cat([state[None], lost]), largest.rows
    return found, None


class _LargestRow:
    """max |x|, and which rows of x (..., B, d) came near it when it was last called."""

    def __call__(self, x):
        size = x.abs()
        of_rows = size.detach().amax(-1).reshape(-1, x.shape[-2]).amax(0).nan_to_num(nan=torch.inf)
        self.rows = ~(of_rows < of_rows.amax() / 2)
        return size.max()


def solved_apart(solve, *rows):
    """What ``solve`` finds of tensors (B, ...), where one that is stuck does not stop the others.

    Args:
        solve: the result of tensors (B, ...), and which of them no step was short enough for, (B,),
            or None.
        rows: the tensors.
    """
    found, stuck = solve(*rows)
    if stuck is None or len(stuck) == 1:
        return found
    if stuck.all():
        stuck = torch.arange(len(stuck), device=stuck.device) < len(stuck) // 2
    groups = [(~stuck).nonzero()[:, 0], stuck.nonzero()[:, 0]]
    apart = [solved_apart(solve, *(x[group] for x in rows)) for group in groups]
    return in_order(apart, groups)


def _odeint():
    try:
        from torchdiffeq import odeint
    except ImportError as error:
        how = "Exponential maps need torchdiffeq: pip install 'curvcore[geodesics]'"
        raise ModuleNotFoundError(how, name="torchdiffeq") from error
    return odeint
