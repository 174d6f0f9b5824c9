"""Recurrent layers, as sequences and as cells, by their equations."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers import primitives
from tests.support.referees import finite_differences_with_error
from tests.support.tolerance import assert_close

PROVIDERS = ["fused", "autodiff"]
OPTIONS = {
    "time first": {},
    "batch first": {"batch_first": True},
    "layers": {"num_layers": 2, "batch_first": True},
    "both ways": {"bidirectional": True, "num_layers": 2},
    "no biases": {"bias": False, "bidirectional": True, "batch_first": True},
    "dropout in eval mode": {"num_layers": 2, "dropout": 0.5},
    "projected": {"proj_size": 2, "num_layers": 2, "bidirectional": True},
}
KINDS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
LAYERS = [(k, o) for k in KINDS for o in OPTIONS if k == "lstm" or o != "projected"]
CASES = [  # both providers run the same equations
    (k, o, d) for k, o in LAYERS for d in PROVIDERS if d == "fused" or o in ("layers", "projected")
]


class Sequences(nn.Module):
    """z ↦ (z, all that a recurrent layer says to three steps made of z)."""

    def __init__(self, kind, options, seed):
        super().__init__()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.lift = nn.Linear(2, 3 * 2)
            self.layer = KINDS[kind](2, 3, **options)
        self.double().eval()

    def forward(self, z):
        steps = self.lift(z).reshape(-1, 3, 2)
        time_first = not self.layer.batch_first
        output, state = self.layer(steps.transpose(0, 1) if time_first else steps)
        parts = [output.transpose(0, 1) if time_first else output]
        parts += [h.transpose(0, 1) for h in (state if isinstance(state, tuple) else (state,))]
        return torch.cat([z, *(part.flatten(1) for part in parts)], 1)


def points(seed, batch=3):
    return torch.randn(batch, 2, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.grid
@pytest.mark.parametrize(("kind", "options", "derivatives"), CASES)
def test_derivatives_are_those_of_differences(kind, options, derivatives):
    decoder, z = Sequences(kind, OPTIONS[options], 1), points(2)
    jet = curvcore.jet(decoder, z, 3, derivatives=derivatives)
    assert_close(jet.value, decoder(z))
    for order, array in enumerate(jet.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


@pytest.mark.grid
@pytest.mark.parametrize("derivatives", PROVIDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_curvature_are_those_of_differences(kind, derivatives):
    """In a latent coordinate and in a parameter that only later steps see."""
    decoder, z = Sequences(kind, OPTIONS["layers"], 3), points(4, batch=1)
    weight = decoder.layer.weight_hh_l1

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, derivatives=derivatives).sum()

    of_z, of_weight = torch.autograd.grad(scalar(z.requires_grad_()), [z, weight])

    def moved(tensor, index, step):
        with torch.no_grad():
            tensor[index] += step
            result = scalar(z)
            tensor[index] -= step
        return result

    for tensor, gradient in ((z, of_z), (weight, of_weight)):
        index = (0, 1)
        near, far = (
            (moved(tensor, index, h) - moved(tensor, index, -h)) / (2 * h) for h in (1e-4, 2e-4)
        )
        assert (gradient[index] - near).abs() <= (near - far).abs() + 1e-8 * gradient.abs().max()


CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


@pytest.mark.grid
@pytest.mark.parametrize("derivatives", PROVIDERS)
@pytest.mark.parametrize("begins_at_zero", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_unrolled_is_the_sequence(kind, begins_at_zero, derivatives):
    decoder = Sequences(kind, OPTIONS["batch first"], 5)
    cell = CELLS[kind](2, 3).double()
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data = getattr(decoder.layer, f"{name}_l0").data

    def start(z):
        h = torch.zeros(len(z), 3, dtype=z.dtype)
        state = (h, h) if kind == "lstm" else h
        return None if begins_at_zero else state

    def unrolled(z):
        state, outputs = start(z), []
        for step in decoder.lift(z).reshape(-1, 3, 2).unbind(1):
            state = cell(step, state)
            outputs.append(state[0] if kind == "lstm" else state)
        ends = state if kind == "lstm" else (state,)
        return torch.cat([z, *outputs, *ends], 1)

    z = points(6)
    expected = curvcore.jet(decoder, z, 3, derivatives=derivatives)
    found = curvcore.jet(unrolled, z, 3, derivatives=derivatives)
    for one, other in zip(found.arrays(), expected.arrays(), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_depends_on_z_and_steps_that_do_not(kind):
    """The latent point is where the layer begins; what it reads is a constant."""
    decoder = Sequences(kind, {"num_layers": 1}, 7)
    given = points(8, batch=4)[:, None]

    def begun(z):
        h = decoder.lift(z)[None, :, :3].contiguous()
        state = (h, h.sin()) if kind == "lstm" else h
        return torch.cat([z, decoder.layer(given.expand(-1, len(z), -1), state)[0][-1]], 1)

    z = points(9)
    jets = [curvcore.jet(begun, z, 3, derivatives=derivatives) for derivatives in PROVIDERS]
    for one, other in zip(*(jet.arrays() for jet in jets), strict=True):
        assert_close(one, other)


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize(
    "layer", [nn.RNN(2, 3, nonlinearity="relu"), nn.RNNCell(2, 3, True, "relu")]
)
def test_with_relu_they_have_the_values_of_torch(layer):
    layer, steps = layer.double(), points(10, batch=5)
    steps = steps[:, None] if isinstance(layer, nn.RNN) else steps
    with primitives.PrimitiveOperations():
        found = layer(steps)
    found, expected = (x if isinstance(x, tuple) else (x,) for x in (found, layer(steps)))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("derivatives", PROVIDERS)
def test_active_dropout_between_layers_is_refused(derivatives):
    decoder = Sequences("gru", OPTIONS["dropout in eval mode"], 1).train()
    with pytest.raises(curvcore.RowsNotIndependentError, match=r"p = 0\.5.*decoder\.eval\(\)"):
        curvcore.jet(decoder, points(1), derivatives=derivatives)


@pytest.mark.parametrize("derivatives", PROVIDERS)
def test_packed_sequences_are_refused_with_the_way_out(derivatives):
    layer = nn.GRU(2, 3).double()

    def decoder(z):
        packed = nn.utils.rnn.PackedSequence(z, torch.tensor([len(z)]))
        return torch.cat([z, layer(packed)[0].data], 1)

    with pytest.raises(curvcore.UnsupportedOperationError, match=r"packed sequence.*padded"):
        curvcore.jet(decoder, points(1), derivatives=derivatives)
