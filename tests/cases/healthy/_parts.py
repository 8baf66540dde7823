"""The models and samplers that the programs of this folder share, from the folders beside it."""

import sys
from pathlib import Path

import torch
from torch import nn

sys.path += [str(Path(__file__).parents[1] / "diffusers"), str(Path(__file__).parents[1] / "kdiff")]

from _k_diffusion import Denoiser, load_sampling

__all__ = ["Classifier", "Denoiser", "load_sampling", "noise", "unet"]


def unet(**changes):
    """A random, frozen UNet2DModel of diffusers."""
    from _tiny import UNet2DModel

    torch.manual_seed(1)
    settings = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (16, 16),
        "norm_num_groups": 8,
        "attention_head_dim": 8,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DModel(**{**settings, **changes}).eval().requires_grad_(False)


def noise(*shape, **options):
    """The initial noise: a leaf that wants its gradient."""
    torch.manual_seed(0)
    return torch.randn(shape or (1, 3, 8, 8), requires_grad=True, **options)


class Classifier(nn.Module):
    """A small random classifier of noisy images."""

    def __init__(self, classes=4):
        super().__init__()
        torch.manual_seed(2)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(128, classes),
        )
        self.requires_grad_(False)

    def forward(self, x):
        return self.net(x)
