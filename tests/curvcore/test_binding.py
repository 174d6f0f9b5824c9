"""Decoders as they are: what they return, the shape of their latents, what else they are given."""

import re
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    ExpTransform,
    Independent,
    NegativeBinomial,
    Normal,
    TransformedDistribution,
)

import curvcore
from curvcore.providers import memory

D = torch.float64
EPS = torch.finfo(D).eps


@dataclass
class Output:
    sample: torch.Tensor
    loss: float = 0.0


class Pair(NamedTuple):
    mean: torch.Tensor
    log_variance: torch.Tensor


class Conditional(nn.Module):
    """Latents (B, 2, 3), a label and a size of every point, and a scale of all."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.labels = nn.Embedding(3, 4)
        self.inner, self.outer = nn.Linear(11, 16), nn.Linear(16, 20)

    def forward(self, z, y, size, scale=1.0):
        h = torch.cat([z.flatten(1), self.labels(y), size[:, None].log()], 1)
        return Output(scale * self.outer(torch.tanh(self.inner(h))))


def network(d=2, outputs=6):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(d, 8), nn.Tanh(), nn.Linear(8, outputs)).double()


def points(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=D)


def conditions(count):
    generator = torch.Generator().manual_seed(3)
    y = torch.randint(3, (count,), generator=generator)
    return {"y": y, "size": 1 + torch.rand(count, generator=generator, dtype=D)}


def assert_equal(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).norm() <= 1e5 * EPS * expected.norm()


CHOICES = {
    "dict": (lambda x: {"out": x, "n": 3}, "out"),
    "dataclass": (Output, "sample"),
    "named tuple": (lambda x: Pair(x, 0 * x), "mean"),
    "tuple": (lambda x: (None, x), 1),
    "list": (lambda x: [x], -1),
    "normal": (lambda x: Normal(x, 1.0), "mean"),
    "independent": (lambda x: Independent(Normal(x, x.exp()), 1), "mean"),
    "function": (lambda x: Output(x), lambda output: output.sample),
}


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_a_part_of_the_output(name, derivatives):
    structure, choice = CHOICES[name]
    inner, z = network(), points(4, 2)
    expected = curvcore.scalar_curvature(inner, z)

    def decoder(z):
        return structure(inner(z))

    found = curvcore.scalar_curvature(decoder, z, output=choice, derivatives=derivatives)
    assert_equal(found, expected)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_probabilities_of_a_distribution(derivatives):
    inner, z = network(), points(4, 2)
    options = {"output": "probs", "derivatives": derivatives}
    found = curvcore.metric(lambda z: Bernoulli(logits=inner(z)), z, **options)
    assert_equal(found, curvcore.metric(lambda z: torch.sigmoid(inner(z)), z))
    found = curvcore.metric(lambda z: Categorical(logits=inner(z)), z, **options)
    assert_equal(found, curvcore.metric(lambda z: torch.softmax(inner(z), 1), z))


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (lambda x: {"out": x, "n": 3}, r"got dict\. Choose a part of it: output='out' \(\d, 6\)\."),
        (Output, r"got Output\. .* output='sample' \(\d, 6\)\."),
        (
            lambda x: (x, {"a": Output(x)}),
            r"got tuple\. .* output=0 \(\d, 6\), output=lambda output: output\[1\]\['a'\]\.sample ",
        ),
        (
            lambda x: {"x": x, "loss": x.mean(), "codes": (x > 0).long()},
            r"got dict\. Choose a part of it: output='x' \(\d, 6\)\.$",
        ),
        (
            lambda x: TransformedDistribution(Normal(x, 1.0), [ExpTransform()]),
            r"output=lambda output: output\.base_dist\.mean \(\d, 6\)",
        ),
        (lambda x: NegativeBinomial(x.exp(), logits=x), r"output='total_count' \(\d, 6\)"),
        (lambda x: Normal(x, 1.0), r"got Normal\. .* output='mean' \(\d, 6\), output='stddev'"),
        (lambda x: 3.0, r"got float\. Write output= a function"),
    ],
)
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
def test_errors_list_what_there_is(structure, message, derivatives):
    inner = network()
    with pytest.raises(curvcore.DecoderError, match=message):
        curvcore.jet(lambda z: structure(inner(z)), points(4, 2), derivatives=derivatives)


@pytest.mark.parametrize("choice", ["other", 7, "keys"])
def test_a_part_that_is_not_there(choice):
    inner = network()
    with pytest.raises(curvcore.DecoderError, match=r"which has no .* output='out' \(\d, 6\)"):
        curvcore.jet(lambda z: {"out": inner(z)}, points(4, 2), output=choice)


@pytest.mark.parametrize(
    ("structure", "choice", "message"),
    [
        (
            lambda x: (x, {"a": x, "b": [x]}),
            1,
            r"is a dict.* output=lambda output: output\[1\]\['a'\] \(\d, 6\), "
            r"output=lambda output: output\[1\]\['b'\]\[0\] ",
        ),
        (Output, "loss", r"'loss' of the decoder's Output is a float.* output='sample'"),
        (lambda x: Normal(x, 1.0), "sample", r"'sample' .* is a method.* output='mean'"),
        (lambda x: Output((x, x)), "sample", r"output=lambda output: output\.sample\[0\] "),
    ],
)
def test_a_part_that_is_no_tensor(structure, choice, message):
    inner = network()
    with pytest.raises(curvcore.DecoderError, match=message):
        curvcore.jet(lambda z: structure(inner(z)), points(4, 2), output=choice)


def test_what_errors_tell_to_write_works():
    inner, z = network(), points(4, 2)

    def decoder(z):
        return inner(z).tanh(), {"a": Output((inner(z), 3))}

    with pytest.raises(curvcore.DecoderError) as caught:
        curvcore.jet(decoder, z)
    told = re.search(r"output=(lambda .*?) \(", str(caught.value))[1]
    assert_equal(curvcore.metric(decoder, z, output=eval(told)), curvcore.metric(inner, z))


@pytest.mark.parametrize("options", [{"output": 1.5}, {"output": True}, {"latent_shape": (2, 0)}])
def test_what_cannot_be_bound(options):
    with pytest.raises(curvcore.InputError, match=next(iter(options))):
        curvcore.bind(network(), **options)


def one_by_one(decoder, z, inputs):
    """R with the inputs of every point fixed."""
    found = []
    for i in range(len(z)):
        own = {name: x[i : i + 1] for name, x in inputs.items()}

        def of_one(rows, own=own):
            expanded = {name: x.expand(len(rows)) for name, x in own.items()}
            return decoder(rows.reshape(-1, 2, 3), **expanded).sample

        found.append(curvcore.scalar_curvature(of_one, z[i : i + 1].flatten(1)))
    return torch.cat(found)


@pytest.mark.grid
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_inputs_of_every_point(derivatives, formula, chunk_size):
    decoder, z, inputs = Conditional().double(), points(7, 2, 3), conditions(7)
    found = curvcore.scalar_curvature(
        decoder, z, output="sample", derivatives=derivatives, formula=formula,
        chunk_size=chunk_size, **inputs,
    )  # fmt: skip
    assert_equal(found, one_by_one(decoder, z, inputs))


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_labels_of_every_point_as_indicators(derivatives):
    """one_hot, which looks at the labels."""
    inner, z, y = network(5), points(7, 2), conditions(7)["y"]

    def decoder(z, y, number=3):
        return torch.tanh(inner(torch.cat([z, nn.functional.one_hot(y, number).to(z)], 1)))

    found = curvcore.scalar_curvature(decoder, z, y=y, derivatives=derivatives)
    for point in range(7):
        own = partial(decoder, y=y[point : point + 1])
        assert_equal(found[point], curvcore.scalar_curvature(own, z[point : point + 1])[0])


def test_what_autodiff_cannot_do_row_by_row_is_an_error_of_its_own():
    inner, z, y = network(5), points(7, 2), conditions(7)["y"]

    def decoder(z, y):
        return inner(torch.cat([z, nn.functional.one_hot(y, int(y.max() + 3))[:, :3].to(z)], 1))

    with pytest.raises(curvcore.UnsupportedOperationError, match="nested forward mode"):
        curvcore.jet(decoder, z, y=y, derivatives="autodiff")


def test_bound_decoders_go_everywhere():
    decoder, z, inputs = Conditional().double(), points(7, 2, 3), conditions(7)
    bound = curvcore.bind(decoder, output="sample", scale=2.0, **inputs)
    expected = one_by_one(decoder, z, inputs) / 4
    assert_equal(curvcore.pullback(bound, z).scalar, expected)
    assert_equal(curvcore.pullback(bound, z, scale=1.0).scalar, expected * 4)
    own = {name: x[:1] for name, x in inputs.items()}
    first = curvcore.bind(decoder, output="sample", latent_shape=(2, 3), scale=1.0, **own)
    assert_equal(curvcore.scalar_curvature(first, z[:1].flatten(1)), expected[:1] * 4)
    assert_equal(curvcore.scalar_curvature(first, z[:1].flatten(1), scale=2.0), expected[:1])


def test_points_of_any_shape():
    inner = nn.ConvTranspose2d(1, 2, 3).double()

    def decoder(z):
        return torch.tanh(inner(z))

    z = points(3, 1, 2, 2)
    expected = curvcore.scalar_curvature(lambda z: decoder(z.reshape(-1, 1, 2, 2)), z.flatten(1))
    assert_equal(curvcore.scalar_curvature(decoder, z), expected)
    assert curvcore.metric(decoder, z).shape == (3, 4, 4)
    bound = curvcore.bind(decoder, latent_shape=(1, 2, 2))
    for points_ in (z, z.flatten(1)):
        assert_equal(curvcore.scalar_curvature(bound, points_), expected)
    with pytest.raises(curvcore.InputError, match=r"bound to latents \(B, 1, 2, 2\); got"):
        curvcore.metric(bound, z.reshape(3, 2, 2, 1))


@pytest.mark.parametrize("options", [{}, {"derivatives": "autodiff"}, {"chunk_size": 1}])
def test_a_tuple_of_each_row_is_told_as_one(options):
    inner, scale = network(2, 4), torch.arange(1.0, 5, dtype=D)[:, None]
    with pytest.raises(curvcore.DecoderError, match=r"got tuple\. Choose .* output=0 \(4, 4\)"):
        curvcore.pullback(
            lambda z, scale: (inner(z) * scale, z), points(4, 2), scale=scale, **options
        )


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_a_tensor_for_all_points_that_has_as_many_rows(derivatives):
    """Is never taken for one of every point."""
    inner, scale = network(2, 4), torch.arange(1.0, 5, dtype=D)

    def decoder(z, scale):
        return inner(z) * scale

    z = points(4, 2)
    with pytest.raises(curvcore.InputError, match="scale of 4 rows: taken for one row a point"):
        curvcore.metric(decoder, z, scale=scale, derivatives=derivatives)
    expected = curvcore.metric(lambda z: decoder(z, scale), z)
    assert_equal(curvcore.metric(partial(decoder, scale=scale), z), expected)
    assert_equal(curvcore.metric(decoder, z[:3], scale=scale), expected[:3])


def test_what_cannot_have_inputs_of_every_point_says_so():
    decoder = Conditional().double()
    bound = curvcore.bind(decoder, output="sample", **conditions(7))
    for function in (
        lambda z: curvcore.estimate_scalar_curvature(bound, z, curvcore.Hutchinson(4)),
        lambda z: curvcore.estimated_geometry(bound, z, curvcore.Hutchinson(4)),
        lambda z: curvcore.ricci_curvature(bound, z),
        lambda z: curvcore.scalar_curvature(bound, z, block_size=5),
    ):
        with pytest.raises(curvcore.InputError, match="y, size differs from point to point"):
            function(points(7, 2, 3))


def test_gradients_reach_inputs_and_parameters():
    decoder, z, inputs = Conditional().double(), points(5, 2, 3), conditions(5)
    inputs["size"].requires_grad_()
    z.requires_grad_()
    leaves = [z, inputs["size"], decoder.labels.weight]
    found = curvcore.scalar_curvature(decoder, z, output="sample", **inputs).sum()
    expected = one_by_one(decoder, z, inputs).sum()
    pairs = zip(*(torch.autograd.grad(x, leaves) for x in (found, expected)), strict=True)
    for one, other in pairs:
        assert_equal(one, other)


def test_a_decoder_that_is_bound_anew_is_compared_once(monkeypatch):
    compared, decoder, inputs = [], Conditional().double(), conditions(7)
    settle = memory.Record.settle

    def counted(record, *arguments):
        compared.append(1)
        settle(record, *arguments)

    monkeypatch.setattr(memory.Record, "settle", counted)
    for seed in range(5):
        z = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=D)
        curvcore.metric(decoder, z, output="sample", **inputs)
    assert len(compared) == 1


def test_methods_are_bound_with_their_modules():
    """Train mode of a module behind a method is seen."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5))

        def decode(self, z):
            return {"x": self.layers(z)}

    model = Model().double()
    with pytest.raises(curvcore.RowsNotIndependentError, match="train mode"):
        curvcore.metric(model.decode, points(4, 2), output="x")
    found = curvcore.metric(model.eval().decode, points(4, 2), output="x")
    assert_equal(found, curvcore.metric(model.layers, points(4, 2)))


def test_flat_points_for_a_decoder_of_images():
    convolution = nn.Sequential(nn.ConvTranspose2d(2, 3, 3), nn.Tanh())
    z = torch.randn(3, 18)
    for function in (curvcore.scalar_curvature, lambda f, z: curvcore.exponential_map(f, z, z)):
        with pytest.raises(RuntimeError) as error:
            function(convolution, z)
        assert "latent_shape=..." in error.value.__notes__[0]


def test_one_row_for_all_that_is_not_told_so():
    def labelled(z, label):
        return torch.cat([z, label], 1)

    bound = curvcore.bind(labelled, label=torch.ones(1, 1))
    with pytest.raises(curvcore.DecoderError, match=r"per_row=\['label'\]"):
        curvcore.scalar_curvature(bound, torch.randn(8, 2))
