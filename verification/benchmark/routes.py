"""The routes to R that ``verification.benchmark`` times, their reference, and their lower limit."""

import itertools
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from unittest.mock import patch

import torch
from torch import nn

import curvcore
from curvcore import kernels
from verification.referees import plain_scalar_curvature

PASS, LIMIT = "decoder pass", "bare products"
FUSED, PLAIN, COMPILED, PEER = "fused", "plain intrinsic", "fused compiled", "jax gauss"
# Without kernels; replayed as one CUDA graph; other software, by its name of import.
EAGER, GRAPH = "fused eager", "fused graph"
FOLX, TORCH_JET = "folx gauss", "torch-jet gauss"
PEERS = {PEER: "jax", FOLX: "folx", TORCH_JET: "jet"}
# The derivatives of highest order of one chunk of an autodiff route, in bytes.
CHUNK_BYTES = 2**27
# Those of a route that does not nest transforms: all points of a row, not of a sweep.
FUSED_CHUNK_BYTES = 2**32
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
    """R (B,) by ``scalar(decoder, points)``, on chunks of points where memory asks for it.

    ``around()`` is the context of a whole call, which counts as settled after ``warm_ups`` of them.
    """

    name: str
    formula: str
    scalar: object
    decoder: nn.Module
    z: torch.Tensor
    chunk: int
    around: object = nullcontext
    warm_ups: int = 0
    is_torch: bool = field(default=True, init=False)

    def forward(self):
        """R at all points, without gradients."""
        with self.around(), torch.no_grad():
            return torch.cat([self.scalar(self.decoder, p) for p in self.z.split(self.chunk)])

    def backward(self):
        """Gradient of mean(R²) in the decoder's parameters; none is left in them."""
        with self.around():
            for points in self.z.split(self.chunk):
                (self.scalar(self.decoder, points).square().sum() / len(self.z)).backward()
        gradient = [parameter.grad for parameter in self.decoder.parameters()]
        self.decoder.zero_grad(set_to_none=True)
        # The last bias moves the image as a whole: nothing to backpropagate.
        return [g for g in gradient if g is not None]


def build(name, size, decoder, z):
    """The route of that name on one decoder and its points."""
    if name in (PEER, FOLX):
        from verification.benchmark import peers  # jax and folx are optional

        return peers.JaxRoute(name, decoder, z, peers.gauss if name == PEER else peers.by_folx())
    if name == TORCH_JET:
        from verification.benchmark.taylor import by_torch_jet  # torch-jet is optional

        return TorchRoute(name, "gauss", by_torch_jet(decoder, z), decoder, z, size.batch)
    scalar, formula, order = _SCALARS[name]
    options = {}
    if name in COMPILER_MODES:
        mode = COMPILER_MODES[name]
        scalar = torch.compile(scalar, fullgraph=True, dynamic=False, mode=mode)
    if name == EAGER:
        options = {"around": _without_kernels}
    if name == GRAPH:  # recorded at the second call, replayed from the third
        options = {"around": _one_graph, "warm_ups": 2}
    return TorchRoute(name, formula, scalar, decoder, z, _chunk(size, z, order), **options)


def _chunk(size, z, order):
    """Points that are gone through at once; order 0: whose memory is that of packed 2-jets."""
    entries = size.d**order if order else size.d + size.d * (size.d + 1) // 2
    most = CHUNK_BYTES if order else FUSED_CHUNK_BYTES
    return max(1, min(size.batch, most // (entries * size.D * z.element_size())))


def _without_kernels():
    return patch.object(kernels, "serve", lambda tensor: False)


@contextmanager
def _one_graph():
    torch.compiler.cudagraph_mark_step_begin()  # results of the call before are no longer needed
    yield


def _curvcore(decoder, z, derivatives, formula):
    return curvcore.scalar_curvature(decoder, z, derivatives=derivatives, formula=formula)


_BY_FUSED = partial(_curvcore, derivatives="fused", formula="gauss")
# name -> R, the formula that decides its rounding, the order of derivatives that memory grows with
_SCALARS = {
    FUSED: (_BY_FUSED, "gauss", 0),
    EAGER: (_BY_FUSED, "gauss", 0),
    COMPILED: (_BY_FUSED, "gauss", 0),
    GRAPH: (_BY_FUSED, "gauss", 0),
    "autodiff gauss": (partial(_curvcore, derivatives="autodiff", formula="gauss"), "gauss", 2),
    "autodiff intrinsic": (
        partial(_curvcore, derivatives="autodiff", formula="intrinsic"),
        "intrinsic",
        3,
    ),
    PLAIN: (plain_scalar_curvature, "plain", 3),
}
COMPILER_MODES = {COMPILED: "default", GRAPH: "reduce-overhead"}
NAMES = (*_SCALARS, *PEERS)
# What a run may go without.
OPTIONAL = (*COMPILER_MODES, *PEERS)
# What takes longer to make ready than to measure.
SLOW_TO_COMPILE = (*COMPILER_MODES, FOLX, TORCH_JET)
# Of which a run names none: on CUDA what is worth waiting for there, elsewhere without what is
# the same as another route.
ON_CUDA = (FUSED, EAGER, COMPILED, GRAPH)
ELSEWHERE = tuple(name for name in _SCALARS if name not in (EAGER, GRAPH))


def installed_peers():
    """The names of the peers whose software is there."""
    return tuple(name for name, module in PEERS.items() if find_spec(module) is not None)


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
    shapes = _shapes(size, backward)
    operands = [(z.new_ones(m, k), z.new_ones(k, n), z.new_empty(m, n)) for m, k, n in shapes]

    def products():
        with torch.no_grad():
            for left, right, out in operands:
                torch.mm(left, right, out=out)

    return products


def flop(size, *, backward):
    """Floating-point operations of the bare products: Σ 2 m k n."""
    return sum(2 * m * k * n for m, k, n in _shapes(size, backward))


def _shapes(size, backward=False):
    """(m, k, n) of the products (m, k)(k, n)."""
    d, h, B = size.d, size.width, size.batch
    channels = 1 + d + d * (d + 1) // 2
    last = [((channels - 1) * B, h, size.D)]
    gram = [(h, size.D, h), ((channels - 1) * B, h, h)]
    cheaper = min(last, gram, key=lambda shapes: sum(m * k * n for m, k, n in shapes))
    forward = [(B, d, h)] + [(channels * B, h, h)] * (size.depth - 1) + cheaper
    if not backward:
        return forward
    # A (m, k) times W (k, n): grad A is (m, n)(n, k), grad W is (k, m)(m, n).
    (m, k, n), *rest = forward
    return forward + [(n, m, k)] + [s for m, k, n in rest for s in ((m, n, k), (k, m, n))]
