"""Geodesics and maps of decoders of which every row has inputs of its own."""

import pytest
import torch

import curvcore

D = torch.float64
Z = torch.tensor([[0.1, 0.2], [0.4, -0.3], [-0.2, 0.5]], dtype=D)
W = Z.flip(0) + 0.1
V = torch.tensor([[0.3, 0.1], [-0.2, 0.2], [0.1, -0.4]], dtype=D)
HEIGHT = torch.tensor([[2.0], [0.5], [1.0]], dtype=D)
PATH = torch.lerp(Z[:, None], W[:, None], torch.linspace(0, 1, 9, dtype=D)[:, None])


def bowl(z, height, unit=1.0):
    """A paraboloid, as high as is said for every point."""
    return torch.cat([unit * z, height * z.square().sum(1, keepdim=True)], 1)


def conformal(x):
    return torch.exp(-x.square().sum(1))


FUNCTIONS = {
    "geodesic": (lambda f, n: curvcore.geodesic(f, Z[n], W[n]), ("path", "length", "converged")),
    "geodesic from a path": (
        lambda f, n: curvcore.geodesic(f, Z[n], W[n], path=PATH[n], segments=8), ("path",),
    ),
    "exponential": (lambda f, n: curvcore.exponential_map(f, Z[n], V[n]), ("point", "converged")),
    "logarithm": (lambda f, n: curvcore.logarithm_map(f, Z[n], W[n]), ("vector", "length")),
    "transport": (lambda f, n: curvcore.parallel_transport(f, PATH[n], V[n]), None),
    "length": (lambda f, n: curvcore.path_length(f, PATH[n]), None),
    "curvature": (lambda f, n: curvcore.curvature_along(f, PATH[n]), ("scalar", "arc_length")),
}  # fmt: skip


LONG = ("exponential", "logarithm", "transport")


@pytest.mark.parametrize("ambient", [None, conformal], ids=["euclidean", "ambient"])
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in FUNCTIONS],
)
def test_every_row_is_that_of_its_own_inputs(name, ambient):
    function, parts = FUNCTIONS[name]
    together = function(curvcore.bind(bowl, height=HEIGHT, unit=0.5, ambient=ambient), slice(None))
    for n in range(3):
        one = curvcore.bind(bowl, height=HEIGHT[n].item(), unit=0.5, ambient=ambient)
        expected = function(one, slice(n, n + 1))
        for part in parts or [None]:
            found, known = (getattr(x, part) if part else x for x in (together, expected))
            torch.testing.assert_close(found[n : n + 1], known, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_gradients_in_inputs_of_rows():
    height = HEIGHT.clone().requires_grad_()
    point = curvcore.exponential_map(curvcore.bind(bowl, height=height), Z, V).point
    (gradient,) = torch.autograd.grad(point.sum(), height)
    step = 1e-3  # the solver's errors of 1e-9 are a millionth of it
    ends = [
        curvcore.exponential_map(curvcore.bind(bowl, height=HEIGHT + s), Z, V).point.sum(1)
        for s in (step, -step)
    ]
    torch.testing.assert_close(gradient[:, 0], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=0)


def test_all_pairs_have_no_one_input():
    with pytest.raises(curvcore.InputError, match="height differs from point to point"):
        curvcore.distance_matrix(curvcore.bind(bowl, height=HEIGHT), Z)


class Conditional(torch.nn.Module):
    """Of a label for each point, joined to it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(3, 2)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5)
        )

    def forward(self, z, y):
        return self.net(torch.cat([z, self.embedding(y)], 1))


LABELS = torch.tensor([2, 0, 1])


def test_one_row_for_all_points():
    decoder = Conditional().to(D)
    one = curvcore.bind(decoder, y=LABELS[:1], per_row=["y"])
    found = curvcore.scalar_curvature(one, Z)
    torch.testing.assert_close(found, curvcore.scalar_curvature(decoder, Z, y=LABELS[:1].expand(3)))
    expected = curvcore.scalar_curvature(decoder, Z, y=LABELS[:1], per_row="y")
    torch.testing.assert_close(found, expected)
    assert curvcore.geodesic(one, Z, W).converged.all()
    assert curvcore.exponential_map(one, Z[:1], V[:1]).converged.all()
    other = curvcore.bind(one, output=lambda x: 2 * x)
    torch.testing.assert_close(curvcore.metric(other, Z), 4 * curvcore.metric(one, Z))


def test_without_it_the_decoder_s_own_words_are_heard():
    with pytest.raises(curvcore.DecoderError, match=r"does not take z .*Sizes of tensors"):
        curvcore.pullback(Conditional().to(D), Z, y=LABELS[:1])


def test_what_is_for_all_points_may_have_as_many_rows():
    scale = torch.tensor([1.0, 2.0, 0.5], dtype=D)

    def scaled(z, scale):
        return scale * bowl(z, 1.0)

    known = curvcore.scalar_curvature(lambda z: scaled(z, scale), Z)
    found = curvcore.scalar_curvature(scaled, Z, scale=scale, per_row=[], chunk_size=1)
    torch.testing.assert_close(found, known)
    assert curvcore.distance_matrix(
        curvcore.bind(scaled, scale=scale, per_row=()), Z
    ).converged.all()
    for options in ({}, {"chunk_size": 1}, {"chunk_size": 2}):
        with pytest.raises(curvcore.InputError, match="taken for one row a point"):
            curvcore.scalar_curvature(scaled, Z, scale=scale, **options)


@pytest.mark.parametrize(
    ("names", "rows", "message"),
    [("label", LABELS, "no tensor of rows"), ("y", LABELS[:2], "a row for each of 3 points")],
)
def test_rows_that_are_not_there(names, rows, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.pullback(Conditional().to(D), Z, y=rows, per_row=names)


def test_rows_with_the_same_inputs_are_worked_on_together():
    calls = []

    def counted(z, y, scale):
        calls.append(len(z))
        return bowl(z, (1 + y)[:, None]) * scale[:, None]

    y, scale = torch.tensor([1, 0, 1]), torch.tensor([2.0, 2.0, 2.0], dtype=D)
    found = curvcore.path_length(curvcore.bind(counted, y=y, scale=scale), PATH)
    nodes = PATH.shape[1]
    # Of all once, to see whether rows belong to points; of one, how many numbers.
    assert sorted(n for n in calls if n > 1) == [3, nodes, 2 * nodes]
    for n in range(3):
        known = curvcore.path_length(lambda z, n=n: 2 * bowl(z, 1 + y[n]), PATH[n : n + 1])
        torch.testing.assert_close(found[n : n + 1], known)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_input_for_all_that_has_as_many_rows_by_chance(name):
    """Taken for one row a point it would be another decoder, and no one told."""
    context = torch.randn(3, 2, dtype=D, generator=torch.Generator().manual_seed(0))

    def attending(z, context):
        share = torch.softmax(z @ context.mT, 1)
        return torch.cat([z, torch.tanh(share @ context)], 1)

    function, _ = FUNCTIONS[name]
    with pytest.raises(curvcore.InputError, match=r"context of 3 rows.*per_row=\["):
        function(curvcore.bind(attending, context=context), slice(None))
