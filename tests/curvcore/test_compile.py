"""torch.compile of the public functions in one graph."""

import warnings

import pytest
import torch
from torch import nn

import curvcore
from tests.support.tolerance import assert_close

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of torch's compiler about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
# Without the code generator: the same graph, and the same refusal of graph breaks, in a second.
compiled = torch.compile(fullgraph=True, backend="aot_eager")
QUANTITIES = (
    "value", "jacobian", "hessian", "metric", "inverse_metric", "volume_density", "christoffel",
    "second_fundamental_form", "mean_curvature", "riemann", "ricci", "scalar", "condition_number",
)  # fmt: skip


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def decoder_and_points(d=2, points=30):
    network = nn.Sequential(
        nn.Linear(d, 8), nn.SiLU(), nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 40)
    )
    return network.double(), torch.randn(points, d, dtype=torch.float64)


@pytest.mark.parametrize(
    ("d", "formula"),
    [(2, "gauss"), (3, "gauss"), pytest.param(2, "intrinsic", marks=pytest.mark.slow)],
)
def test_scalar_curvature_and_its_gradient(d, formula):
    decoder, z = decoder_and_points(d)

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, formula=formula, derivatives="fused")

    eager, graph = scalar(z), compiled(scalar)(z)
    scale = 1e3 * (1 + eager.detach().abs().max())
    assert_close(graph, eager, scale=scale)
    parameters = list(decoder.parameters())[:-1]
    one, other = (torch.autograd.grad(r.sum(), parameters) for r in (graph, eager))
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, scale=scale * (1 + b.abs().max()))


def test_the_whole_geometry():
    decoder, z = decoder_and_points()

    def everything(z):
        geometry = curvcore.pullback(decoder, z)
        return [getattr(geometry, name) for name in QUANTITIES]

    for name, one, other in zip(QUANTITIES, compiled(everything)(z), everything(z), strict=True):
        assert_close(one, other, scale=1e3 * (1 + other.detach().abs().max())), name


@pytest.mark.skipif(
    torch.__version__ < "2.7", reason="torch 2.6 makes no torch.Size of a dynamic shape"
)
@pytest.mark.parametrize("d", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_one_graph_of_any_number_of_points(d):
    """Under dynamic=True the latent dimension stays a constant; one graph serves all batches."""
    decoder, z = decoder_and_points(d)
    graphs = torch.compile(
        lambda z: curvcore.pullback(decoder, z, on_degenerate="flat").scalar,
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    expected = curvcore.scalar_curvature(decoder, z)
    scale = 1e3 * (1 + expected.detach().abs().max())
    with torch._dynamo.config.patch(error_on_recompile=True):
        for points in (30, 7, 19):
            assert_close(graphs(z[:points].clone()), expected[:points], scale=scale)


class Deviation(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(2, 6).double(), function

    def forward(self, z):
        return torch.cat([z, self.function(self.layer(z).tanh(), 1, keepdim=True)], 1)


@pytest.mark.parametrize("function", [torch.var, torch.std])
def test_deviations(function):
    decoder, z = Deviation(function), torch.randn(5, 2, dtype=torch.float64)

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, derivatives="fused")

    graph = torch.compile(scalar, fullgraph=True, backend="eager")(z)
    assert_close(graph, scalar(z), scale=1e3 * (1 + scalar(z).abs().max()))


def test_degenerate_points_stop_the_graph_or_are_nan():
    def line(z):
        return torch.cat([z[:, :1], z[:, :1] ** 2, 2 * z[:, :1]], 1)

    z = torch.randn(3, 2)
    with pytest.raises(RuntimeError, match=r"metric is degenerate.*on_degenerate='nan'"):
        compiled(lambda z: curvcore.scalar_curvature(line, z))(z)
    nan = compiled(lambda z: curvcore.scalar_curvature(line, z, on_degenerate="nan"))(z)
    assert nan.isnan().all()


def test_points_that_are_not_finite_stop_the_graph():
    decoder, z = decoder_and_points()
    z[3, 1] = torch.inf
    with pytest.raises(RuntimeError, match="not finite"):
        compiled(lambda z: curvcore.scalar_curvature(decoder, z))(z)


@pytest.mark.slow
def test_generated_code():
    """The default backend, which writes and builds C++."""
    decoder, z = decoder_and_points()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        graph = torch.compile(lambda z: curvcore.scalar_curvature(decoder, z), fullgraph=True)(z)
    eager = curvcore.scalar_curvature(decoder, z)
    assert_close(graph, eager, scale=1e3 * (1 + eager.detach().abs().max()))


def test_what_a_graph_makes_without_gradients_has_none_later():
    """There the last layer is not copied: it has its own gradient."""
    decoder, z = decoder_and_points()

    def scalar(z):
        with torch.no_grad():
            geometry = curvcore.pullback(decoder, z, on_degenerate="nan")
        return geometry.scalar

    assert not compiled(scalar)(z).requires_grad
    assert not scalar(z).requires_grad


@pytest.mark.skipif(
    torch.__version__ < "2.7", reason="torch 2.6 compiles no function that is given a local one"
)
def test_a_product_that_the_compiler_turns_round_is_refused():
    """x @ W becomes W @ x there, without error where W is square and there are as many points."""
    matrix, z = torch.randn(2, 2, dtype=torch.float64), torch.rand(2, 2, dtype=torch.float64)

    def scalar(z, product):
        def decoder(z):
            return torch.cat([z, torch.sin(product(z, matrix)).sum(1, keepdim=True)], 1)

        return curvcore.scalar_curvature(decoder, z, derivatives="fused")

    words = r"Write torch.matmul\(x, W\)"
    if torch.__version__ < "2.11":  # whose compilers may keep them to themselves
        words += "|Observed exception"
    with pytest.raises(Exception, match=words):
        compiled(scalar)(z, lambda x, w: x @ w)
    assert_close(compiled(scalar)(z, torch.matmul), scalar(z, torch.matmul), scale=1e3)
