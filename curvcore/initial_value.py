"""Initial value problems of many rows at once, of which one that is stuck does not stop the others.

By a Runge–Kutta method of order eight with adaptive steps (torchdiffeq), which are the same for all
rows. Reference: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*.
"""

import torch

from curvcore.rows import in_order

_STEPS = 100  # at most; of one interval between nodes one is enough as a rule
# What torchdiffeq says where steps are too many or too short.
_STUCK = "max_num_steps exceeded", "underflow in dt", "non-finite values in state"


def solved(derivative, state, segments, tolerance):
    """The state (..., B, d) at times 0, 1/n, ..., 1, (n+1, ..., B, d), and None.

    Where no step is short enough for all rows, None and which rows seem to be stuck, (B,).
    """
    odeint, largest = _odeint(), _LargestRows()
    times = torch.linspace(0, 1, segments + 1, dtype=state.dtype, device=state.device)
    options = {"norm": largest, "max_num_steps": _STEPS, "step_t": times[1:]}
    try:
        found = odeint(
            derivative, state, times, method="dopri8", rtol=tolerance, atol=tolerance,
            options=options,
        )  # fmt: skip
    except AssertionError as error:
        if not any(words in str(error) for words in _STUCK):
            raise
        return None, largest.rows
    return found, None


class _LargestRows:
    """max |x|, and which rows of x (..., B, d) came near it when it was last called.

    Of errors of a step that is too long these are most likely the rows that need a shorter one;
    which it is decides over time alone.
    """

    def __call__(self, x):
        size = x.abs()
        of_rows = size.detach().amax(-1).reshape(-1, x.shape[-2]).amax(0)
        of_rows = torch.where(of_rows.isnan(), torch.inf, of_rows)
        self.rows = of_rows >= of_rows.amax() / 2
        return size.max()


def solved_apart(solve, lost, *rows):
    """What ``solve`` finds of tensors (B, ...), where those that are stuck do not stop the others.

    Args:
        solve: of some rows of the tensors, what is found, a tensor with as many rows, and None; or
            None, and which of them seem to be stuck.
        lost: of some rows, what is returned of those that are stuck by themselves.
        rows: the tensors.
    """
    waiting = [torch.arange(len(rows[0]), device=rows[0].device)]
    results, groups = [], []
    while waiting:
        group = waiting.pop()
        some = [x[group] for x in rows]
        found, stuck = solve(*some)
        if found is None and len(group) > 1:
            waiting += _parts(group, stuck)
        else:
            results.append(lost(*some) if found is None else found)
            groups.append(group)
    return in_order(results, groups)


def _parts(group, stuck):
    """Those that are stuck and, as they may not be all, halves of the others."""
    others = group[~stuck]
    parts = (group[stuck], *others.tensor_split(2)) if len(others) else group.tensor_split(2)
    return [part for part in parts if len(part)]


def _odeint():
    try:
        from torchdiffeq import odeint
    except ImportError as error:
        how = "Exponential maps need torchdiffeq: pip install 'curvcore[geodesics]'"
        raise ModuleNotFoundError(how, name="torchdiffeq") from error
    return odeint
