"""k-diffusion's samplers tell their steps and stages as the table says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.adapters.absent import load_alone
from tests.adapters.k_diffusion.truth import HIGHEST, LOWEST, STEPS, TRUTHS
from tests.adapters.truth import holds

sampling: Any = load_alone("k_diffusion.sampling")
external: Any = load_alone("k_diffusion.external")


class Denoiser(nn.Module):
    """A small random denoiser of 3 channels, called with one noise level for each image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1)
        )

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma.view(-1, 1, 1, 1)
        keep = 1 / (1 + sigma**2)
        answer: Tensor = keep * x + sigma * keep.sqrt() * self.net(x * keep.sqrt())
        return answer


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return Denoiser()


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 3, 8, 8)


def _program(sampler: Callable[..., Tensor], model: nn.Module) -> Callable[[Tensor], Tensor]:
    sigmas = sampling.get_sigmas_karras(STEPS, LOWEST, HIGHEST)

    def program(z0: Tensor) -> Tensor:
        return sampler(model, z0 * sigmas[0], sigmas, disable=True)

    return program


@pytest.mark.parametrize("name", TRUTHS)
def test_steps_and_stages_are_those_of_the_table(name: str, model: Denoiser, z0: Tensor) -> None:
    report = holds(_program(getattr(sampling, name).__wrapped__, model), z0, TRUTHS[name])
    assert report.verdict == "flows"
