"""Curvature on boxes: that of their points, closed forms, degenerate points, work that goes on."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from verification import CertificationError, certify_region
from verification.regions import cells
from verification.regions.command import TORUS, torus

D = torch.float64


def sphere(z):
    u, v = z.unbind(1)
    return torch.stack([u.sin() * v.cos(), u.sin() * v.sin(), u.cos()], 1)


def network(activation, d=2, norm=False):
    torch.manual_seed(3)
    layers = [nn.Linear(d, 8), activation(), nn.Linear(8, 8)]
    layers += [nn.LayerNorm(8)] * norm
    return nn.Sequential(*layers, activation(), nn.Linear(8, 12)).to(D)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


DECODERS = {
    "tanh": lambda: network(nn.Tanh),
    "silu": lambda: network(nn.SiLU),
    "gelu": lambda: network(nn.GELU),
    "softplus": lambda: network(nn.Softplus),
    "sigmoid outputs": lambda: nn.Sequential(network(nn.Tanh), nn.Sigmoid()),
    "sine": lambda: network(Sine),
    "layer norm": lambda: network(nn.Tanh, norm=True),
    "d = 1": lambda: network(nn.Tanh, d=1),
    "d = 3": lambda: network(nn.Tanh, d=3),
    "float32": lambda: network(nn.SiLU).float(),
}


@pytest.mark.parametrize("name", DECODERS)
def test_curvature_on_boxes_holds_that_of_points(name):
    """Of dense samples of each box, R and √det g, beside what rounding does to them."""
    decoder = DECODERS[name]().double()
    d = int(name[-1]) if name.startswith("d =") else 2
    box = torch.tensor([[-0.1, 0.1] if d == 3 else [-0.3, 0.4]] * d, dtype=D)
    found = cells.examined(decoder, box, 3, *cells.whole(d, 64))
    assert found.are_regular.all()
    generator = torch.Generator().manual_seed(0)
    for n in range(0, len(found), 7):
        inside = torch.rand(40, d, dtype=D, generator=generator) * 2 - 1
        x = torch.from_numpy(found.centres[n]) + torch.from_numpy(found.halves[n]) * inside
        z = box.mean(1) + (box[:, 1] - box[:, 0]) / 2 * x
        geometry = curvcore.pullback(decoder, z)
        for bounds, values, slack in (
            (found.scalar[n], geometry.scalar, 100 * geometry.scalar_error + 1e-14),
            (found.density[n], geometry.volume_density, 1e-12 * geometry.volume_density),
        ):
            assert (bounds[0] <= values + slack).all()
            assert (values - slack <= bounds[1]).all()


def _tokens(z):
    """A last linear layer of width one, on tokens."""
    tokens = torch.stack([z[:, 0], z[:, 0].sin(), z[:, 0] ** 2], 1)[:, :, None]
    return F.linear(tokens, torch.tensor([[1.5], [-0.3], [0.8]], dtype=D))


def _constants(z):
    """Twice z, by a product of constants that floats would cancel."""
    ones, large = torch.ones(1, 3, dtype=D), torch.tensor([[1.0, 1e16, -1e16]], dtype=D)
    zero = torch.ones(1, dtype=D) * 2
    return z.sin() * (1 + F.linear(large, ones, zero - zero)[0])


def test_a_last_layer_on_tokens():
    box = torch.tensor([[0.5, 0.6]], dtype=D)
    low, high = certify_region(_tokens, box, goal="volume", seconds=5).volume_density
    z = torch.linspace(0.5, 0.6, 50, dtype=D)[:, None]
    known = curvcore.pullback(_tokens, z).volume_density
    assert low <= known.min() <= known.max() <= high
    assert high < 1.1 * low


def test_nothing_of_constants_is_rounded():
    """What torch makes of them is half of what they are; intervals cannot tell, and say so."""
    box = torch.tensor([[0.5, 0.6]], dtype=D)
    low, high = certify_region(_constants, box, goal="volume", seconds=0).volume_density
    assert low < 2 * math.cos(0.6) < 2 * math.cos(0.5) < high


def test_a_torus():
    """Closed forms, and Gauss and Bonnet's theorem: ∫R dμ = 0 but for what 2π is rounded by."""
    region = certify_region(torus, TORUS, relative=1e-3)
    assert region.reached
    assert region.is_immersion
    low, high = region.total_squared_curvature
    assert low < 48.85865966204012 < high < low + 2e-3 * 48.9
    low, high = region.volume
    assert low < 8 * math.pi**2 < high
    low, high = region.total_curvature
    assert low < 0 < high < 4 * math.pi  # of a sphere it would be 8π
    assert region.volume_density[0] > 0.9


def test_bounds_of_curvature_close_in():
    region = certify_region(torus, TORUS, goal="scalar", relative=3e-3)
    low, high = region.scalar
    assert -2.01 < low < -2
    assert 2 / 3 < high < 2 / 3 + 0.01


def test_a_piece_of_a_sphere():
    box = torch.tensor([[0.5, 1.0], [0.0, 1.0]], dtype=D)
    region = certify_region(sphere, box, goal="volume", relative=1e-6)
    area = math.cos(0.5) - math.cos(1.0)
    assert region.volume[0] < area < region.volume[1] < region.volume[0] * (1 + 3e-6)
    assert region.scalar[0] < 2 < region.scalar[1]
    assert region.total_squared_curvature[0] < 4 * area < region.total_squared_curvature[1]


def test_a_degenerate_point_is_found():
    def folded(z):
        return torch.stack([z[:, 0], z[:, 0] * z[:, 1], z[:, 1] ** 2], 1)

    box = torch.tensor([[-0.7, 1.0], [-0.9, 1.0]], dtype=D)
    region = certify_region(folded, box, goal="immersion", seconds=3)
    assert not region.is_immersion
    assert not region.reached
    assert region.scalar == (-math.inf, math.inf)
    holds = (region.doubtful[..., 0] <= 0) & (region.doubtful[..., 1] >= 0)
    assert holds.all(1).any()
    assert region.doubtful.abs().amax() < 0.1


def test_work_goes_on_from_a_file(tmp_path):
    file = tmp_path / "torus.npz"
    first = certify_region(torus, TORUS, relative=1e-3, seconds=0, state=file)
    assert not first.reached
    assert first.examined == first.boxes == 64
    second = certify_region(torus, TORUS, relative=1e-3, state=file)
    whole = certify_region(torus, TORUS, relative=1e-3)
    assert second.total_squared_curvature == whole.total_squared_curvature
    assert second.examined == whole.examined
    third = certify_region(torus, TORUS, relative=1e-3, seconds=0, state=file)
    assert third.reached
    assert third.examined == second.examined

    def wavy(z):
        """Which is the torus at the middle and the ends of the box."""
        return torus(z) + 0.1 * torch.sin(z[:, :1]) ** 2

    for other in (lambda z: 2 * torus(z), wavy):
        with pytest.raises(CertificationError, match="another decoder"):
            certify_region(other, TORUS, state=file)
    file.write_text("nothing")
    with pytest.raises(CertificationError, match="is not a state"):
        certify_region(torus, TORUS, state=file)


@pytest.mark.slow
def test_processes_find_the_same():
    decoder, box = network(nn.Tanh), torch.tensor([[-1.0, 1.0]] * 2, dtype=D)
    one, two = (certify_region(decoder, box, goal="volume", jobs=jobs) for jobs in (1, 2))
    assert one.volume == two.volume


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": torch.ones(2)}, r"must be \(d, 2\)"),
        ({"box": TORUS.flip(1)}, "low < high"),
        ({"goal": "area"}, "goal must be one of volume"),
        ({"relative": 2}, "relative must be"),
        ({"degree": 0}, "degree must be"),
        ({"jobs": 0}, "jobs must be a positive integer"),
        ({"jobs": 2, "decoder": lambda z: torus(z)}, "jobs=2 takes a decoder that can be pickled"),
        ({"decoder": lambda z: torch.special.i0(z)}, "no exact version of"),
        ({"decoder": curvcore.bind(torus, ambient=lambda x: x)}, "Euclidean space"),
    ],
)
def test_errors(change, message):
    arguments = {"decoder": torus, "box": TORUS, **change}
    with pytest.raises(curvcore.CurvatureError, match=message):
        certify_region(**arguments)


# --- python -m verification.regions ---------------------------------------------------------------


def command(*arguments):
    from typer.testing import CliRunner

    from verification.regions.command import app

    return CliRunner().invoke(app, [*arguments, "--jobs", "1"], env={"COLUMNS": "200"})


@pytest.fixture
def of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_bowl.py").write_text(
        "import torch\n\ndef build():\n"
        "    return lambda z: torch.cat([z, (z * z).sum(1, keepdim=True)], 1)\n"
    )
    np.save("points.npy", np.array([[0.0, -1.0], [1.0, 1.0]]))
    return "--decoder", "my_bowl:build", "--points", "points.npy"


def test_ones_own_decoder(of_ones_own):
    result = command(*of_ones_own, "--goal", "scalar")
    assert result.exit_code == 0, result.output
    assert "my_bowl:build" in result.output
    assert "to 8." in result.output  # R = 8/(1 + 4|z|²)²


def test_a_goal_that_is_not_reached(of_ones_own):
    result = command(*of_ones_own, "--relative", "1e-9", "--seconds", "0")
    assert result.exit_code == 1
    assert "Not all goals were reached" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--decoder", "my_bowl:build"), "go together"), (("--goal", "area"), "goal must be one of")],
)
def test_bad_usage(of_ones_own, arguments, message):
    result = command(*(of_ones_own if arguments[0] == "--goal" else ()), *arguments)
    assert result.exit_code == 2
    assert message in result.output
