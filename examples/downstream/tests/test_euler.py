import pytest
import torch
from noise_search import Guided, euler, search
from noise_search.euler import noise_levels

from gradprobe.testing import assert_grad_flows


class Denoiser(torch.nn.Conv2d):
    def forward(self, x, sigma, condition):
        known = 0.0 if condition is None else condition
        return torch.tanh(super().forward(x / (1 + sigma**2).sqrt()) + known)


@pytest.fixture
def guided():
    torch.manual_seed(0)
    return Guided(Denoiser(4, 4, 3, padding=1), torch.full((1, 4, 1, 1), 0.5))


@pytest.mark.gradprobe(leaf="z0", root="loss", numerics="nodes")
def test_gradient_reaches_the_noise(guided):
    z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
    loss = (euler(guided, z0, noise_levels(6)) - 1.0).square().mean()
    loss.backward()


def test_fifty_steps_stay_connected(guided, gradprobe):
    with gradprobe.start(leaves="z0", numerics="nodes"):
        z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
        loss = euler(guided, z0, noise_levels(50)).square().mean()
        loss.backward()
    gradprobe.assert_matches_snapshot()
    gradprobe.assert_no_cut()
    gradprobe.assert_finite("denoised_output")
    gradprobe.assert_grad_norm("z0", between=(1e-6, 1e3))


def test_any_framework(guided):
    z0, sigmas = torch.randn(1, 4, 8, 8), noise_levels(4)
    assert_grad_flows(lambda z: euler(guided, z, sigmas, churn=0.1).mean(), z0)


@pytest.mark.gradprobe(leaf="z0", numerics="nodes")
def test_each_round_of_the_search_gets_its_gradient(guided):
    sigmas, start = noise_levels(4), torch.randn(1, 4, 8, 8)
    found = search(lambda z: euler(guided, z, sigmas), lambda image: -image.square(), start)
    assert not torch.equal(found, start)
