"""Rules that users register, and operations that have none."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from curvcore.providers.fused import MissingRuleError
from curvcore.providers.fused.jet_tensor import RULES
from tests.support.immersions import graph
from tests.support.tolerance import assert_close


def custom(x):
    if torch.overrides.has_torch_function_unary(x):
        return torch.overrides.handle_torch_function(custom, (x,), x)
    return x.sin()


@pytest.fixture
def registered():
    @curvcore.rules.elementwise(custom)
    def _(x, y):
        yield torch.cos(x)
        yield -y
        yield -torch.cos(x)

    yield
    del RULES[custom]


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_points_that_equal_constants_are_no_constants(derivatives):
    """A kernel that takes z for its inputs would leave out how k(z, x) changes with z."""
    inputs = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64)

    def decoder(z):
        squares = (z[:, None] - inputs).square().sum(-1)
        if torch.equal(z, inputs):
            squares = squares.detach()
        return torch.exp(torch.stack([-squares, -squares / 3], 2).flatten(1))

    found = curvcore.jet(decoder, inputs, derivatives=derivatives)
    expected = curvcore.jet(decoder, inputs + 0, derivatives=derivatives)
    assert found.hessian.abs().amax() > 0.1
    assert_close(found.hessian, expected.hessian)


def test_what_is_detached_and_is_not_constant_is_found_out():
    with pytest.raises(curvcore.UnsupportedOperationError, match="without gradient"):
        curvcore.jet(graph(lambda z: z * z.detach()), torch.rand(3, 2), derivatives="fused")


def test_a_registered_rule_is_used(registered):
    z = torch.rand(3, 2, dtype=torch.float64)
    actual = curvcore.jet(graph(custom), z, 3, derivatives="fused")
    expected = curvcore.jet(graph(torch.sin), z, 3, derivatives="fused")
    assert_close(actual.third, expected.third)


def test_a_wrong_rule_is_found_out():
    @curvcore.rules.elementwise(custom)
    def _(x, y):
        yield torch.cos(x)
        yield y
        yield y

    try:
        with pytest.raises(curvcore.UnsupportedOperationError, match="differ"):
            curvcore.jet(graph(custom), torch.rand(3, 2), 2, derivatives="fused")
    finally:
        del RULES[custom]


def test_an_unknown_operation_is_named_with_the_way_out():
    with pytest.raises(MissingRuleError, match=r"no rule for .*bessel_j0.*curvcore\.rules"):
        curvcore.jet(graph(torch.special.bessel_j0), torch.rand(3, 2), derivatives="fused")


NORMS = {
    "vector_norm of order 0": lambda z: torch.linalg.vector_norm(z, 0, 1, True),
    "vector_norm of order inf": lambda z: torch.linalg.norm(z, torch.inf, 1, True),
    "vector_norm of order -inf": lambda z: F.normalize(z, -torch.inf),
    "matrix_norm of order 2": lambda z: torch.linalg.matrix_norm(square(z), 2)[:, None],
    "norm of order 1": lambda z: torch.linalg.norm(square(z), 1, (1, 2))[:, None],
    "norm of order 'nuc'": lambda z: torch.norm(square(z), "nuc", (1, 2))[:, None],
}


def square(z):
    return z[:, :, None] * z[:, None].sin()


@pytest.mark.filterwarnings("ignore::curvcore.FallbackWarning")
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize("message", NORMS)
def test_norms_that_are_piecewise_or_of_singular_values_have_no_rule(message):
    decoder, z = graph(NORMS[message]), torch.rand(3, 2, dtype=torch.float64)
    with pytest.raises(MissingRuleError, match=f"no rule for .*{message}\\. Write"):
        curvcore.jet(decoder, z, derivatives="fused")
    expected = curvcore.jet(decoder, z, derivatives="autodiff")
    assert torch.equal(curvcore.jet(decoder, z).hessian, expected.hessian)


def test_auto_falls_back_with_a_warning():
    decoder = graph(lambda z: torch.linalg.pinv(torch.eye(2) * 3 + z[:, None])[:, 0])
    z = torch.rand(3, 2)
    with pytest.warns(curvcore.FallbackWarning, match=r"no rule for .*pinv.*slower") as seen:
        scalar = curvcore.scalar_curvature(decoder, z)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert torch.equal(scalar, curvcore.scalar_curvature(decoder, z, derivatives="autodiff"))


@pytest.mark.parametrize("layer", [nn.Hardtanh, nn.ReLU6, nn.Hardswish])
def test_piecewise_linear_activations_are_refused_with_the_reason(layer):
    decoder = nn.Sequential(nn.Linear(2, 4), layer(), nn.Linear(4, 3))
    with pytest.raises(MissingRuleError, match=r"piecewise linear.*smooth activation"):
        curvcore.jet(decoder, torch.rand(3, 2), derivatives="fused")


def test_einsum_of_too_many_jets_says_what_to_do():
    decoder = graph(lambda z: torch.einsum("bi,bi,bi->bi", z, z.sin(), z.cos()))
    with pytest.raises(MissingRuleError, match=r"at most two operands.*has 3\. Split it"):
        curvcore.jet(decoder, torch.rand(3, 2), derivatives="fused")
