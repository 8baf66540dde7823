"""DDIM over a small UNet of diffusers, with the update written out."""

import torch
from diffusers import UNet2DModel

torch.manual_seed(0)
unet = UNet2DModel(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    layers_per_block=1,
    block_out_channels=(8, 8),
    norm_num_groups=4,
    attention_head_dim=4,
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
)
unet.eval().requires_grad_(False)
alphas = torch.linspace(0.05, 0.999, 4)
target = torch.randn(1, 3, 8, 8)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)

x = z0 * 1.0
for step, (alpha, following) in enumerate(zip(alphas[:-1], alphas[1:], strict=True)):
    eps = unet(x, 900 - 300 * step).sample
    clean = (x - (1 - alpha).sqrt() * eps) / alpha.sqrt()
    direction = (1 - following).sqrt() * eps
    x = following.sqrt() * clean + direction
image = 0.5 * x + 0.5
loss = (image - target).square().mean()
loss.backward()
grad = z0.grad
