"""The layers on which torch's nested derivatives fail, each beside its twin in ball arithmetic.

A layer f becomes the decoder Ψ(z) = (z, f(Wz + b)), a surface: its metric 1 + ∇fᵀ∇f is regular
whatever f does, and f is all that bends it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from flint import arb, arb_mat
from torch import nn

from verification.traps.truth import truth

EPS = 1e-5  # of the normalisations


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A function of torch and its twin.

    Attributes:
        name: what it is called in the report.
        function: (..., width) -> (..., anything).
        exact: the same from a list of ``flint.arb`` to a list.
        centre: what the bias b is drawn around, one number for each of the width.
        slope, spread: size of the entries of W, and of b around its centre.
        points: where it is looked at.
        dtype: of the decoder.
    """

    name: str
    function: Callable
    exact: Callable
    centre: tuple
    slope: float = 1.0
    spread: float = 1.0
    points: tuple = ((0.31, -0.42), (-0.17, 0.25))
    dtype: torch.dtype = torch.float64


class Graph(nn.Module):
    """Ψ(z) = (z, f(Wz + b)) for one Layer f, with the points and the truth there."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        generator = torch.Generator().manual_seed(len(layer.name))
        width = len(layer.centre)
        noise = torch.randn(width, 3, generator=generator, dtype=torch.float64)
        bias = torch.tensor(layer.centre, dtype=torch.float64) + layer.spread * noise[:, 2]
        self.weight = nn.Parameter((layer.slope * noise[:, :2]).to(layer.dtype))
        self.bias = nn.Parameter(bias.to(layer.dtype))
        self.points = torch.tensor(layer.points, dtype=layer.dtype)

    def forward(self, z):
        """(..., 2) -> (..., D)."""
        output = self.layer.function(F.linear(z, self.weight, self.bias))
        return torch.cat([z, output.reshape(*z.shape[:-1], -1)], -1)

    def exact(self, z, theta):
        """Ψ(z) in ball arithmetic; θ are the entries of W, then of b."""
        (u, v), width = z, len(self.layer.centre)
        slopes, biases = theta[: 2 * width], theta[2 * width :]
        h = [slopes[2 * n] * u + slopes[2 * n + 1] * v + b for n, b in enumerate(biases)]
        return [u, v, *self.layer.exact(h)]

    @cached_property
    def truth(self):
        """R at the points and its gradient in W and b."""
        return truth(self.exact, self.points, self.parameters())


# --- normalisations and activations -------------------------------------------------------------


def exact_layer_norm(h, weight=None, bias=None, eps=EPS):
    """(x − mean)/√(var + eps) · weight + bias."""
    mean = sum(h) / len(h)
    centred = [x - mean for x in h]
    scale = (sum(x * x for x in centred) / len(h) + eps).rsqrt()
    normalised = [x * scale for x in centred]
    if weight is None:
        return normalised
    return [w * x + b for w, x, b in zip(weight, normalised, bias, strict=True)]


def exact_silu(h):
    """x/(1 + e^−x)."""
    return [x / (1 + (-x).exp()) for x in h]


LAYER_NORM = Layer(
    name="LayerNorm",
    function=lambda h: F.layer_norm(h, h.shape[-1:], eps=EPS),
    exact=exact_layer_norm,
    centre=(0.0,) * 4,
)
INSTANCE_NORM = Layer(
    name="instance_norm",
    function=lambda h: F.instance_norm(h.unflatten(-1, (2, 4)), eps=EPS),
    exact=lambda h: [*exact_layer_norm(h[:4]), *exact_layer_norm(h[4:])],
    centre=(0.0,) * 8,
)
TANH = Layer(
    name="tanh",
    function=torch.tanh,
    exact=lambda h: [x.tanh() for x in h],
    centre=(0.0,) * 3,
)
SILU = Layer(name="SiLU", function=F.silu, exact=exact_silu, centre=(0.0,) * 3)
MISH = Layer(
    name="Mish",
    function=F.mish,
    exact=lambda h: [x * x.exp().log1p().tanh() for x in h],
    centre=(0.0,) * 3,
)
# Of a single row z, 1-d, the entries of h are 0-d.
SCALED = Layer(
    name="0.7 t",
    function=lambda h: torch.stack([0.7 * h[..., 0] * h[..., 1]], -1),
    exact=lambda h: [arb(0.7) * h[0] * h[1]],
    centre=(0.0,) * 2,
    dtype=torch.float32,
)


# --- linear algebra -----------------------------------------------------------------------------


def _of_matrix(name, function, exact, *, size=3, **options):
    """A function of the matrix that h fills row by row, near twice the identity."""
    settings = {"slope": 0.5, "spread": 0.3} | options
    return Layer(
        name=name,
        function=lambda h: function(h.unflatten(-1, (size, size))),
        exact=lambda h: exact(arb_mat(size, size, h)),
        centre=tuple(2.0 * (n % (size + 1) == 0) for n in range(size**2)),
        **settings,
    )


def _exact_log_determinant(matrix):
    return [abs(matrix.det()).log()]


def _exact_cholesky_inverse(matrix):
    """(LLᵀ)⁻¹, L the lower triangle."""
    rows = enumerate(matrix.table())
    lower = arb_mat([[x if j <= i else 0 for j, x in enumerate(row)] for i, row in rows])
    return (lower * lower.transpose()).inv().entries()


MATRIX_FUNCTIONS = (
    _of_matrix("linalg.det", torch.linalg.det, lambda a: [a.det()]),
    _of_matrix(
        "linalg.slogdet", lambda a: torch.linalg.slogdet(a).logabsdet, _exact_log_determinant
    ),
    _of_matrix("logdet", torch.logdet, _exact_log_determinant),
    _of_matrix(
        "linalg.solve",
        lambda a: torch.linalg.solve(a, a.new_ones(a.shape[:-1])),
        lambda a: a.solve(arb_mat(3, 1, [1, 1, 1])).entries(),
    ),
    _of_matrix(
        "cholesky_inverse", lambda a: torch.cholesky_inverse(a.tril()), _exact_cholesky_inverse
    ),
)
# At z = 0 all eigenvalues, or singular values, are equal; what is made of them is smooth there.
_REPEATED = {"size": 2, "slope": 0.1, "spread": 0.0, "points": ((0.0, 0.0),)}
REPEATED_VALUES = (
    _of_matrix(
        "linalg.eigvalsh, repeated",
        lambda a: torch.linalg.eigvalsh((a + a.mT) / 2).pow(3).sum(-1),
        lambda a: [(((a + a.transpose()) / 2) ** 3).trace()],
        **_REPEATED,
    ),
    _of_matrix(
        "linalg.svdvals, repeated",
        lambda a: torch.linalg.svdvals(a).pow(4).sum(-1),
        lambda a: [((a.transpose() * a) ** 2).trace()],
        **_REPEATED,
    ),
)
