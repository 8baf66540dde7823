"""Small, randomly initialised networks of real libraries; nothing is downloaded."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from torch import Tensor, nn


def unet() -> UNet2DModel:
    """A UNet with attention for images of 3x16x16."""
    torch.manual_seed(1)
    model = UNet2DModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
    )
    return model.requires_grad_(False)


def unet_with_prompt() -> UNet2DConditionModel:
    """The same for latents of 4x8x8, with cross-attention to a prompt of width 16."""
    torch.manual_seed(1)
    model = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
    )
    return model.requires_grad_(False)


class Denoiser(nn.Module):
    """A UNet as k-diffusion calls it, with the scalings of Karras et al. (arXiv 2206.00364)."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = unet()

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma[:, None, None, None]
        skip, out, into = 1 / (s**2 + 1), s / (s**2 + 1).sqrt(), 1 / (s**2 + 1).sqrt()
        return skip * x + out * self.unet(into * x, sigma.log() / 4).sample


def k_diffusion_sampling() -> types.ModuleType:
    """k_diffusion.sampling; the package itself also wants torchvision, which samplers never use."""
    if importlib.util.find_spec("torchvision") is None:
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
        sys.modules["torchvision.transforms"].functional = sys.modules[
            "torchvision.transforms.functional"
        ]
    found = importlib.util.find_spec("k_diffusion")
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["k_diffusion"] = package
    return importlib.import_module("k_diffusion.sampling")
