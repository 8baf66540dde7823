"""Euler steps over a small UNet, each call of it in a checkpoint."""

import torch
from diffusers import UNet2DModel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
unet = UNet2DModel(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    layers_per_block=1,
    block_out_channels=(8, 8),
    norm_num_groups=4,
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
)
unet.eval()
target = torch.randn(1, 3, 8, 8)


def velocity(x: Tensor, t: Tensor) -> Tensor:
    raw = unet(x, t).sample
    scaled = raw * (1 + 1e-3 * t)
    return scaled - 0.1 * x


z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
x = z0 * 1.0
for step in range(3):
    t = torch.tensor(float(900 - 300 * step))
    v = checkpoint(velocity, x, t, use_reentrant=False)
    moved = v / 3
    x = x + moved
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
