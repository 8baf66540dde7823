"""What the trainers train: noise in front of a small real denoiser, with or without a break."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch
from torch import nn


def unet() -> nn.Module:
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    ).requires_grad_(False)  # fmt: skip


class Sampled(nn.Module):
    """Holds z0; its loss is that of three DDIM steps from there."""

    def __init__(self, breaks: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.z0 = nn.Parameter(torch.randn(1, 1, 8, 8))
        self.unet = unet()
        self.breaks = breaks

    def forward(self) -> torch.Tensor:
        scheduler = diffusers.DDIMScheduler()
        scheduler.set_timesteps(3)
        x = self.z0 * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            seen = x.detach() if self.breaks else x  # the break
            x = scheduler.step(self.unet(seen, t).sample, t, x).prev_sample
        return x.square().mean()


_LINES = Path(__file__).read_text(encoding="utf-8").splitlines()
BREAK = next(number for number, line in enumerate(_LINES, 1) if line.endswith("# the break"))
