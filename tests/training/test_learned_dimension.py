"""A LearnedPotential of no given d follows the latent space that it is used on."""

import copy
import io

import pytest
import torch
from torch import nn

from tests.training.surfaces import sphere
from training.errors import TrainingError
from training.functionals import LearnedPotential, PerelmanF, PerelmanW
from training.measures import UniformTorus
from training.models import AutoEncoder, MLPAutoEncoder
from training.module import RegularizedAutoEncoder
from training.terms import Term

D = 5
Z = torch.rand(9, 2)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("latent", ["plane", "torus"])
def test_it_has_as_many_variables_as_the_model(d, latent):
    potential = LearnedPotential(periodic=latent == "torus")
    assert potential.d is None
    terms = {"w": Term(PerelmanW(potential), 1e-3, UniformTorus())}
    RegularizedAutoEncoder(MLPAutoEncoder(D, d, (8,), latent=latent), terms)
    assert potential.d == d


def test_it_asks_the_encoder_of_a_model_that_does_not_say():
    """In evaluation mode, so that statistics do not change."""
    encoder = nn.Sequential(nn.Linear(D, 7), nn.BatchNorm1d(7), nn.Dropout(), nn.Linear(7, 3))
    before = copy.deepcopy(encoder.state_dict())
    terms = {"f": Term(PerelmanF(potential := LearnedPotential()), 1e-3)}
    RegularizedAutoEncoder(AutoEncoder(encoder, nn.Linear(3, D)), terms)
    assert potential.d == 3
    assert encoder.training
    for name, value in before.items():
        assert torch.equal(encoder.state_dict()[name], value)


@pytest.mark.parametrize("periodic", [False, True])
def test_it_has_the_numbers_that_it_had_with_that_dimension(periodic):
    torch.manual_seed(7)
    layers = [nn.Linear(4 if periodic else 2, 32), nn.Linear(32, 32), nn.Linear(32, 1, bias=False)]
    expected = [parameter for layer in layers for parameter in layer.parameters()]
    for d in (2, None):
        torch.manual_seed(7)
        found = LearnedPotential(d, periodic=periodic)
        PerelmanF(found)(sphere(), Z)
        assert all(map(torch.equal, found.parameters(), expected))


def test_an_optimiser_made_before_the_first_step_trains_it():
    """In a loop of one's own."""
    functional = PerelmanF(LearnedPotential(), direction="descend")
    optimiser = torch.optim.Adam(functional.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        loss = functional(sphere(), Z)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.any() for p in functional.parameters())
    assert losses[-1] < losses[0]


def test_a_first_look_without_gradients_does_not_spoil_it():
    functional = PerelmanF(LearnedPotential().double())
    with torch.inference_mode():
        expected = functional(sphere(), Z.double())
    loss = functional(sphere(), Z.double())
    loss.backward()
    assert loss.item() == expected.item()
    assert all(
        p.dtype == torch.float64 and p.grad.isfinite().all() for p in functional.parameters()
    )


def test_a_state_dict_is_loaded_before_and_after():
    trained = LearnedPotential(2, periodic=True)
    for other in (LearnedPotential(periodic=True), LearnedPotential(2, periodic=True)):
        other.load_state_dict(trained.state_dict())
        assert other.d == 2
        other = copy.deepcopy(other)
        torch.testing.assert_close(other(Z), trained(Z))
        torch.testing.assert_close(PerelmanF(other)(sphere(), Z), PerelmanF(trained)(sphere(), Z))
    again = LearnedPotential(2, periodic=True)
    again.load_state_dict(other.state_dict())
    torch.testing.assert_close(again(Z), trained(Z))


def test_copies_and_pickles_do_not_know_it_either():
    potential = LearnedPotential()
    buffer = io.BytesIO()
    torch.save(potential, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(potential), torch.load(buffer, weights_only=False)):
        other.build(3)
        assert other.d == 3
    assert potential.d is None


def test_once_it_is_known_it_is_kept():
    seen, loaded = (PerelmanF(LearnedPotential()) for _ in range(2))
    seen(sphere(), Z)
    loaded.load_state_dict(seen.state_dict())
    for functional in (seen, loaded):
        with pytest.raises(TrainingError, match=r"is of 2 variables; latent points have 3"):
            functional(lambda z: torch.cat([z, z[:, :1] ** 2], 1), torch.rand(9, 3))
