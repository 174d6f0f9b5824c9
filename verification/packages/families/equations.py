"""Neural ordinary differential equations by torchdiffeq as decoders."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from verification.packages.case import Case, Served, prepared

_FEATURES = 5


class _Field(nn.Module):
    """ẋ = f(t, x)."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(_FEATURES + 1, 8), nn.Linear(8, _FEATURES)

    def forward(self, t, x):
        time = t.expand(len(x), 1).to(x)
        return self.outer(torch.tanh(self.inner(torch.cat([x, time], 1))))


class _Flow(nn.Module):
    """z (B, 2) -> (z, 0) (B, 5) at time 0 -> the same at time 1."""

    def __init__(self, solver, **options):
        super().__init__()
        self.field, self.solver, self.options = _Field(), solver, options
        self.register_buffer("times", torch.tensor([0.0, 1.0]))

    def forward(self, z):
        x = F.pad(z, (0, _FEATURES - z.shape[1]))
        return self.solver(self.field, x, self.times, **self.options)[-1]


def _flow(name, **options):
    import torchdiffeq

    return prepared(_Flow(getattr(torchdiffeq, name), **options)), {}


_FIXED = {"options": {"step_size": 0.25}}
_case = partial(Case, "torchdiffeq", "torchdiffeq", served=Served.REFUSED)
CASES = (
    _case("odeint, rk4", (2,), partial(_flow, "odeint", method="rk4", **_FIXED),
          served=Served.AUTODIFF),
    _case("odeint, dopri5", (2,),
          partial(_flow, "odeint", method="dopri5", rtol=1e-10, atol=1e-12)),
    _case("odeint_adjoint, rk4", (2,), partial(_flow, "odeint_adjoint", method="rk4", **_FIXED)),
)  # fmt: skip
