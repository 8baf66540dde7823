"""A UNet all of whose modules have hooks that look, one of which clips."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from _sampling import image_loss

from diffusers import DDIMScheduler, UNet2DModel

torch.manual_seed(1)
model = UNet2DModel(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    layers_per_block=1,
    block_out_channels=(16, 16),
    norm_num_groups=8,
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
)
model.requires_grad_(False)
norms = []


def look(module, given, got):
    norms.append([None if grad is None else float(grad.norm()) for grad in given])


def clip(module, given, got):
    return tuple(None if grad is None else grad.clamp(-0.01, 0.01) for grad in given)


for module in model.modules():
    module.register_full_backward_hook(look)
model.mid_block.register_full_backward_hook(clip)
model.register_full_backward_pre_hook(lambda module, got: None)


def loss_of(z0):
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(3)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
        x.register_hook(torch.nan_to_num)
    return image_loss(x)


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
print(len(norms))
