"""Which layers of a decoder go by one kernel, and that the result is right whatever is between."""

import itertools

import pytest
import torch
from torch import nn

import curvcore
from curvcore import kernels
from curvcore.providers.fused import hidden_layers
from curvcore.providers.fused.jet_tensor import JetTensor
from tests.support.tolerance import assert_close

FACTOR = 600  # of eps: see test_hidden_stack


class MLP(nn.Module):
    """Three hidden layers, and what a subclass does between them."""

    def __init__(self, activation=nn.Tanh):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.last, self.activation = nn.Linear(8, 5), activation()

    def forward(self, z):
        h = self.activation(self.first(z))
        h = self.activation(self.second(h))
        return self.last(self.activation(self.third(h)))


class OneNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            *itertools.chain(*((nn.Linear(n, 8), nn.SiLU()) for n in (2, 8, 8))), nn.Linear(8, 5)
        )

    def forward(self, z):
        return self.net(2 * z)


class Residual(MLP):
    def forward(self, z):
        h = self.activation(self.second(self.activation(self.first(z))))
        return self.last(h + self.activation(self.third(h)))


class Shared(MLP):
    def forward(self, z):
        h = self.activation(self.second(self.activation(self.first(z))))
        return self.last(self.activation(self.second(h)))


class Mixed(MLP):
    def forward(self, z):
        h = torch.sigmoid(self.second(torch.sigmoid(self.first(z))))
        return self.last(torch.tanh(self.third(h)))


class Reshaped(MLP):
    def forward(self, z):
        h = self.activation(self.second(self.activation(self.first(z))))
        return self.last(self.activation(self.third(h).view(-1, 2, 4)).flatten(1))


class InPlace(MLP):
    """An activation that works in place, and one that no kernel has."""

    def forward(self, z):
        h = nn.functional.silu(self.second(self.activation(self.first(z))), inplace=True)
        return self.last(nn.functional.mish(self.third(h)))


class WithoutKernel(MLP):
    def __init__(self):
        super().__init__(nn.Mish)


class Looking(MLP):
    """A hook that sees what is between the layers, and one that replaces it."""

    def __init__(self):
        super().__init__()
        self.second.register_forward_hook(lambda module, args, output: 2 * output)
        self.third.register_forward_pre_hook(lambda module, args: args[0] + args[0].mean(1, True))


class Normalised(MLP):
    def __init__(self):
        super().__init__()
        nn.utils.parametrizations.weight_norm(self.second)


class EndsInActivation(MLP):
    def forward(self, z):
        return self.activation(self.third(self.activation(self.first(z))))


# Decoders, and how many layers every launch of a pass takes.
DECODERS = {
    MLP: [3],
    OneNet: [3],
    Residual: [2],
    Shared: [3],
    Mixed: [2],
    Reshaped: [2],
    InPlace: [],
    WithoutKernel: [],
    Looking: [],
    Normalised: [3],
    EndsInActivation: [2],
}


@pytest.fixture
def sizes(launches, monkeypatch):
    """How many layers every launch takes."""
    from curvcore.kernels import hidden_stack

    seen, launch = [], hidden_stack.forward
    monkeypatch.setattr(
        hidden_stack,
        "forward",
        lambda x, rows, weights, *args, **kwargs: (
            seen.append(1 + len(weights)) or launch(x, rows, weights, *args, **kwargs)
        ),
    )
    return seen


def made(kind, device):
    torch.manual_seed(0)
    return kind().to(device)


def derivatives(decoder, z):
    """Jacobian and Hessian, and the gradients of a sum of them."""
    jet = curvcore.jet(decoder, z, derivatives="fused")
    total = sum((array * array).sum() for array in jet.arrays())
    wanted = [p for p in (z, *decoder.parameters()) if p.requires_grad]
    found = torch.autograd.grad(total, wanted, allow_unused=True)
    return *jet.arrays(), *found


def check(decoder, z, monkeypatch):
    found = derivatives(decoder, z)
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    exact = z.detach().double().requires_grad_(z.requires_grad)
    expected = derivatives(decoder.double(), exact)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other.any():
            assert_close(one.double(), other, scale=other.abs().max() / 2**-29, factor=FACTOR)


@pytest.mark.parametrize("kind", DECODERS)
def test_decoders(kind, device, sizes, monkeypatch):
    decoder, z = made(kind, device), torch.randn(9, 2, device=device, requires_grad=True)
    curvcore.jet(decoder, z, derivatives="fused")  # compared with torch's own derivatives
    sizes.clear()
    check(decoder, z, monkeypatch)
    assert sizes == DECODERS[kind]


@pytest.mark.parametrize("trainable", [(), ("second.weight",), ("first.bias", "third.weight")])
@pytest.mark.parametrize("of_points", [True, False])
def test_gradients_of_some_parameters(trainable, of_points, device, launches, monkeypatch):
    if not trainable and not of_points:
        return
    decoder = made(MLP, device)
    for name, parameter in decoder.named_parameters():
        parameter.requires_grad_(name in trainable)
    z = torch.randn(9, 2, device=device, requires_grad=of_points)
    check(decoder, z, monkeypatch)
    assert len(launches["adjoint"]) == 1


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode, device, sizes):
    decoder, z = made(MLP, device), torch.randn(9, 2, device=device)
    expected = curvcore.scalar_curvature(decoder, z)
    sizes.clear()
    with mode():
        found = curvcore.scalar_curvature(decoder, z)
    assert sizes == [3]
    assert not found.requires_grad
    assert torch.equal(found, expected)


def test_layers_without_gradients_before_others_with(device, sizes):
    decoder = made(OneNet, device).net
    with torch.no_grad():
        hidden = decoder[:4](JetTensor.coordinates(torch.randn(9, 2, device=device), 2))
    output = decoder[4:6](hidden).stack
    assert sizes == [2]
    output.sum().backward()
    assert [p.grad is not None for p in decoder[:6].parameters()] == 4 * [False] + 2 * [True]


class Decaying(MLP):
    """Changes a weight that it has used."""

    def forward(self, z):
        h = self.activation(self.first(z))
        with torch.no_grad():
            self.first.weight.mul_(1.0)
        return self.last(self.activation(self.second(h)))


def test_weights_changed_on_the_way_are_noticed(device, launches):
    decoder, z = made(Decaying, device), torch.randn(9, 2, device=device)
    with pytest.raises(curvcore.CurvatureError, match="changes weights in place"):
        curvcore.scalar_curvature(decoder, z)


def test_weights_may_change_afterwards(device, launches):
    decoder, z = made(MLP, device), torch.randn(9, 2, device=device)
    expected = curvcore.jet(decoder, z).jacobian
    jet = curvcore.jet(decoder, z)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(2)
    assert torch.equal(jet.jacobian, expected)


def test_weights_that_are_not_plain_float32_tensors_go_layer_by_layer(device, sizes):
    decoder, z = made(MLP, device), torch.randn(9, 2, device=device)
    expected = curvcore.jet(decoder, z).jacobian

    class Tagged(torch.Tensor):
        pass

    weight = decoder.second.weight.detach()
    del decoder.second.weight
    decoder.second.weight = weight.as_subclass(Tagged)
    sizes.clear()
    found = curvcore.jet(decoder, z, derivatives="fused").jacobian
    assert not sizes
    assert_close(found.as_subclass(torch.Tensor), expected)
    source = JetTensor.coordinates(z, 2)
    mixed = nn.Sequential(*made(OneNet, device).net[:3], nn.SiLU())
    mixed[2].double()
    with pytest.raises(RuntimeError, match="dtype"):  # torch's
        _ = mixed(source).value
    source = JetTensor.coordinates(z.double(), 2)
    layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
    assert layers.to(device).double()(source).layer is None


def test_widths(device, sizes, monkeypatch):
    """The kernel is taken where it pays."""
    monkeypatch.undo()
    monkeypatch.setattr(hidden_layers, "_precision", lambda: "ieee")
    source = JetTensor.coordinates(torch.randn(3, 2, device=device), 2)

    def is_gathered(width):
        return nn.Sequential(nn.Linear(2, width), nn.Tanh()).to(device)(source).layer is not None

    assert [is_gathered(width) for width in (1, 32, 33, 128)] == [True, True, False, False]
    monkeypatch.setattr(hidden_layers, "_precision", lambda: "tf32x3")
    assert [is_gathered(width) for width in (33, 128, 129)] == [True, True, False]


def test_precision_is_that_which_the_user_chose_for_products(monkeypatch):
    assert hidden_layers._precision() == "ieee"
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    try:
        matmul.allow_tf32 = True
        assert hidden_layers._precision() == "tf32x3"
    finally:
        matmul.allow_tf32 = before


@pytest.mark.parametrize(
    ("activation", "mode"), [(nn.SiLU(), torch.enable_grad), (nn.Tanh(), torch.no_grad)], ids=str
)
def test_what_does_not_go_along_is_computed_at_once(activation, mode, device, launches):
    """So that layers of many kinds do not wait for each other in a long row."""
    source = JetTensor.coordinates(torch.randn(3, 2, device=device), 2)
    hidden = nn.Sequential(nn.Linear(2, 8), nn.Tanh()).to(device)(source)
    assert hidden.layer is not None
    with mode():
        output = nn.Sequential(nn.Linear(8, 8), activation).to(device)(hidden)
    assert hidden.layer is None
    assert output.layer is not None


def test_asking_for_dtype_and_device_computes_nothing(device, launches):
    layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8)).to(device)
    hidden = layers(JetTensor.coordinates(torch.randn(3, 2, device=device), 2))
    assert (hidden.dtype, hidden.device.type, hidden.shape) == (torch.float32, device, (3, 8))
    assert hidden.pending[0].layer is not None


def test_layers_in_autocast_go_one_by_one(device, launches):
    source = JetTensor.coordinates(torch.randn(3, 2, device=device), 2)
    layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh()).to(device)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert layers(source).layer is None


def test_weights_of_inference_mode(device, sizes):
    """Their changes are not counted."""
    with torch.inference_mode():
        decoder = made(MLP, device)
    z = torch.randn(9, 2, device=device)
    with torch.no_grad():
        found = curvcore.scalar_curvature(decoder, z, derivatives="fused")
    assert not sizes
    assert torch.isfinite(found).all()
