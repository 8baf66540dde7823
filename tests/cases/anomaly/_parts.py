"""Models and samplers of the folders beside, for programs that go wrong in backward."""

import sys
from pathlib import Path

import torch

for folder in ("diffusers", "kdiff"):
    sys.path.append(str(Path(__file__).parents[1] / folder))

from _k_diffusion import Denoiser, load_sampling

__all__ = ["Denoiser", "load_sampling", "noise", "unet"]


def unet(**changes):
    """A random, frozen UNet2DModel of diffusers."""
    from _tiny import unet as tiny

    return tiny().eval().requires_grad_(False)


def noise(*shape):
    """The initial noise: a leaf that wants its gradient."""
    torch.manual_seed(0)
    return torch.randn(shape or (1, 3, 8, 8), requires_grad=True)
