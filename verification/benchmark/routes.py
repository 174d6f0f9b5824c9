"""The routes to R that ``verification.benchmark`` times, their reference, and their lower limit."""

import itertools
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import nn

import curvcore
from verification.referees import plain_scalar_curvature

PASS, LIMIT = "decoder pass", "bare products"
FUSED, PLAIN, COMPILED, PEER = "fused", "plain intrinsic", "fused compiled", "jax gauss"
# The derivatives of highest order of one chunk of an autodiff route, in bytes.
CHUNK_BYTES = 2**27
# Rounding analysis of verification.agreement: jets are good to JET_EPS eps.
JET_EPS = 128
# What a gradient over all points may lose, in eps: it has been through every rounding twice.
GRADIENT_EPS = 2**15


@dataclass(frozen=True)
class Size:
    """An MLP (d, ``depth`` hidden tanh layers of ``width``, D) and the number of points."""

    d: int
    width: int
    depth: int
    D: int
    batch: int

    def __str__(self):
        return f"d={self.d}, {self.depth}x{self.width}, D={self.D}, batch {self.batch}"

    def decoder(self, dtype, device, seed):
        """The decoder with reproducible random weights, and its latent points (batch, d)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            widths = [self.d] + [self.width] * self.depth
            layers = []
            for inner, outer in itertools.pairwise(widths):
                layers += [nn.Linear(inner, outer), nn.Tanh()]
            decoder = nn.Sequential(*layers, nn.Linear(self.width, self.D))
            z = torch.randn(self.batch, self.d)
        return decoder.to(device, dtype), z.to(device, dtype)


@dataclass
class TorchRoute:
    """R (B,) by ``scalar(decoder, points)``, on chunks of points where memory asks for it."""

    name: str
    formula: str
    scalar: object
    decoder: nn.Module
    z: torch.Tensor
    chunk: int
    is_torch: bool = field(default=True, init=False)

    def forward(self):
        """R at all points, without gradients."""
        with torch.no_grad():
            return torch.cat([self.scalar(self.decoder, p) for p in self.z.split(self.chunk)])

    def backward(self):
        """Gradient of mean(R²) in the decoder's parameters; none is left in them."""
        for points in self.z.split(self.chunk):
            (self.scalar(self.decoder, points).square().sum() / len(self.z)).backward()
        gradient = [parameter.grad for parameter in self.decoder.parameters()]
        self.decoder.zero_grad(set_to_none=True)
        # The last bias moves the image as a whole: nothing to backpropagate.
        return [g for g in gradient if g is not None]


def build(name, size, decoder, z):
    """The route of that name on one decoder and its points."""
    if name == PEER:
        from verification.benchmark.peers import JaxRoute  # jax is optional

        return JaxRoute(name, decoder, z)
    scalar, formula, order = _SCALARS[name]
    if name == COMPILED:
        torch.compiler.reset()
        scalar = torch.compile(scalar, fullgraph=True, dynamic=False)
    chunk = size.batch
    if order:
        bytes_per_point = size.d**order * size.D * z.element_size()
        chunk = max(1, min(chunk, CHUNK_BYTES // bytes_per_point))
    return TorchRoute(name, formula, scalar, decoder, z, chunk)


def _curvcore(decoder, z, derivatives, formula):
    return curvcore.scalar_curvature(decoder, z, derivatives=derivatives, formula=formula)


_BY_FUSED = partial(_curvcore, derivatives="fused", formula="gauss")
# name -> R, the formula that decides its rounding, the order of derivatives that memory grows with
_SCALARS = {
    FUSED: (_BY_FUSED, "gauss", 0),
    COMPILED: (_BY_FUSED, "gauss", 0),
    "autodiff gauss": (partial(_curvcore, derivatives="autodiff", formula="gauss"), "gauss", 2),
    "autodiff intrinsic": (
        partial(_curvcore, derivatives="autodiff", formula="intrinsic"),
        "intrinsic",
        3,
    ),
    PLAIN: (plain_scalar_curvature, "plain", 3),
}
NAMES = (*_SCALARS, PEER)


# --- the reference ------------------------------------------------------------------------------


class Reference:
    """R by autodiff gauss in float64 at the first points, and what rounding may cost a route.

    Errors are in units of max(|R|, |II|²). Allowed are 128 eps times κ (1 + |∇²Ψ|/|II|) for gauss,
    κ (1 + (|∇²Ψ|² + |∇³Ψ|)/|II|²) for intrinsic, another κ for the plain form: the analysis of
    ``verification.agreement``, with |∇ᵏΨ| bounded in an orthonormal frame of the latent space.
    """

    def __init__(self, size, decoder, z, points):
        decoder, z = deepcopy(decoder).double(), z.double()
        self._route = build("autodiff gauss", size, decoder, z)
        z = z[:points]
        with torch.no_grad():
            jet = curvcore.jet(decoder, z, order=3, derivatives="autodiff")
            geometry = curvcore.PullbackGeometry(jet)
            self.scalar = geometry.scalar
            self._condition = geometry.condition_number
            frame = torch.linalg.cholesky(geometry.inverse_metric)
            normal = _length(geometry.second_fundamental_form, frame) ** 2
            self._unit = torch.maximum(self.scalar.abs(), normal)
            self._second = _length(jet.hessian, frame) ** 2 / self._unit
            self._third = _length(jet.third, frame) / self._unit

    def error(self, scalar, formula, dtype):
        """Worst error of the route's R, and the error allowed there."""
        found = scalar[: len(self.scalar)].double()
        errors = ((found - self.scalar).abs() / self._unit).nan_to_num(torch.inf)
        allowed = JET_EPS * torch.finfo(dtype).eps * self._amplification(formula)
        worst = (errors / allowed).argmax()
        return errors[worst].item(), allowed[worst].item()

    @cached_property
    def gradient(self):
        """The gradient of mean(R²) over all points."""
        return self._route.backward()

    def gradient_error(self, gradient, dtype):
        """Error of the gradient of mean(R²), relative in norm, and the error allowed."""
        difference = square = 0.0
        for found, true in zip(gradient, self.gradient, strict=False):
            difference += (found.double() - true).square().sum().item()
            square += true.square().sum().item()
        error = (difference / square) ** 0.5
        return (error if error >= 0 else float("inf")), GRADIENT_EPS * torch.finfo(dtype).eps

    def _amplification(self, formula):
        if formula == "gauss":
            return self._condition * (1 + self._second.sqrt())
        plain = self._condition if formula == "plain" else 1
        return plain * self._condition * (1 + self._second + self._third)


def _length(tensor, frame):
    """|T| of T (B, D, d, ..., d), its latent indices taken to an orthonormal frame (B, d, d)."""
    for axis in range(2, tensor.ndim):
        moved = torch.einsum("b...i,bij->b...j", tensor.movedim(axis, -1), frame)
        tensor = moved.movedim(-1, axis)
    return tensor.flatten(1).norm(dim=1)


# --- the arithmetic limit -----------------------------------------------------------------------


def bare_products(size, z, *, backward):
    """A function that does only the matrix products the method needs, into memory held before.

    With K = 1 + d + d(d+1)/2 channels: the values through the first layer; K·B rows through every
    other hidden layer; and for the last, W (D, h), the cheaper of (K−1)·B rows through W, and WᵀW
    with (K−1)·B rows through it. Backward adds the two products that each of them sends back.
    """
    shapes = _shapes(size)
    if backward:
        # A (m, k) times W (k, n): grad A is (m, n)(n, k), grad W is (k, m)(m, n).
        first, *rest = shapes
        shapes += [(n, m, k) for m, k, n in [first]]
        shapes += [s for m, k, n in rest for s in ((m, n, k), (k, m, n))]
    operands = [(z.new_ones(m, k), z.new_ones(k, n), z.new_empty(m, n)) for m, k, n in shapes]

    def products():
        with torch.no_grad():
            for left, right, out in operands:
                torch.mm(left, right, out=out)

    return products


def _shapes(size):
    """(m, k, n) of the forward products (m, k)(k, n)."""
    d, h, B = size.d, size.width, size.batch
    channels = 1 + d + d * (d + 1) // 2
    last = [((channels - 1) * B, h, size.D)]
    gram = [(h, size.D, h), ((channels - 1) * B, h, h)]
    cheaper = min(last, gram, key=lambda shapes: sum(m * k * n for m, k, n in shapes))
    return [(B, d, h)] + [(channels * B, h, h)] * (size.depth - 1) + cheaper
