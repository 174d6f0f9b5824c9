"""Inputs are left alone, and so is torch's global state, also after an error."""

import contextlib
import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import curvcore
from tests.support.immersions import random_points
from tests.support.parametrisation import every_case, every_formula
from tests.support.tolerance import assert_identical


def state(decoder):
    return {name: tensor.clone() for name, tensor in decoder.state_dict().items()}


def assert_unchanged(decoder, before):
    after = decoder.state_dict()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name


def global_state():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        len(torch.overrides._get_current_function_mode_stack()),
    )


@pytest.mark.grid
@every_case
@every_formula
def test_decoder_and_points_are_untouched(case, formula):
    decoder, z = case.decoder(), case.points()
    before, points = state(decoder), z.clone()
    modes = [module.training for module in decoder.modules()]
    seed, settings = torch.get_rng_state(), global_state()
    curvcore.pullback(decoder, z, formula=formula).scalar.sum()
    assert_unchanged(decoder, before)
    assert_identical(z, points)
    assert modes == [module.training for module in decoder.modules()]
    assert torch.equal(torch.get_rng_state(), seed)
    assert global_state() == settings


@pytest.mark.slow
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_no_warning_of_torch_reaches_the_user(derivatives):
    """From torch 2.14 on its first forward derivative gives one."""
    code = (
        "import warnings, torch, curvcore; warnings.simplefilter('error'); "
        "f = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5)); "
        f"curvcore.scalar_curvature(f, torch.rand(3, 2), derivatives={derivatives!r})"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


def test_gradients_are_neither_made_nor_cleared():
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
    z = torch.rand(3, 2, requires_grad=True)
    curvcore.scalar_curvature(decoder, z)
    assert all(p.grad is None for p in decoder.parameters())
    assert z.grad is None
    for p in (*decoder.parameters(), z):
        p.grad = torch.ones_like(p)
    curvcore.scalar_curvature(decoder, z)
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in (*decoder.parameters(), z))


def test_frozen_parameters_stay_frozen():
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).requires_grad_(False)
    assert not curvcore.scalar_curvature(decoder, torch.rand(3, 2)).requires_grad
    assert not any(p.requires_grad for p in decoder.parameters())


def test_train_mode_is_kept_where_it_does_no_harm():
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 3)).train()
    curvcore.scalar_curvature(decoder, torch.rand(3, 2))
    assert all(module.training for module in decoder.modules())


IN_TRAIN_MODE = {  # modules that would write to their buffers
    "instance_norm": lambda: nn.Sequential(
        nn.Linear(2, 8),
        nn.Unflatten(1, (2, 4)),
        nn.InstanceNorm1d(2, track_running_stats=True),
        nn.Flatten(),
    ),
    "spectral_norm": lambda: nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(2, 8), n_power_iterations=50), nn.Tanh()
    ),
    "batch_norm": lambda: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8)),
}


@pytest.mark.parametrize("name", IN_TRAIN_MODE)
def test_buffers_are_not_written_in_train_mode(name):
    """Whether curvature comes out or an error, the decoder is the same afterwards."""
    torch.manual_seed(0)
    decoder = IN_TRAIN_MODE[name]().double().train()
    before = state(decoder)
    with contextlib.suppress(curvcore.CurvatureError):
        curvcore.scalar_curvature(decoder, random_points(0, 2))
    assert_unchanged(decoder, before)


IN_PLACE = {  # wrapping or clamping z changes nothing within the domain, but is written to z
    "remainder": lambda z: z.remainder_(4.0),
    "clamp": lambda z: z.clamp_(0.0, 4.0),
    "scaling": lambda z: z.mul_(0.5),
}


@pytest.mark.parametrize("change", IN_PLACE.values(), ids=IN_PLACE)
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
def test_a_decoder_that_works_in_place_does_not_reach_the_points(change):
    def decoder(z):
        change(z)
        return torch.cat([z, z.square()], 1)

    z = torch.tensor([[0.5, 5.0], [-3.0, 1.0]], dtype=torch.float64)
    before = z.clone()
    expected = curvcore.metric(lambda z: decoder(z.clone()), z)
    assert_identical(curvcore.metric(decoder, z), expected)
    assert_identical(z, before)


def test_a_failure_restores_the_global_state():
    settings = global_state()

    def fails(z):
        raise KeyError("mine")

    for decoder in (fails, lambda z: z.sum(0), lambda z: torch.rand_like(z)):
        with pytest.raises((KeyError, curvcore.CurvatureError)):
            curvcore.scalar_curvature(decoder, random_points(0, 2))
    assert global_state() == settings


def test_forward_hooks_run_and_copies_agree():
    """The decoder is called, not taken apart."""
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    doubled = copy.deepcopy(decoder)
    doubled.register_forward_hook(lambda module, inputs, output: 2 * output)
    z = random_points(0, 2)
    assert_identical(curvcore.metric(doubled, z), 4 * curvcore.metric(decoder, z))
