"""A UNet in train mode with dropout: the gradient is that of the draws that were made."""

import torch
from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet(dropout=0.2).train()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)


def loss_of(z):
    torch.manual_seed(7)
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
# In double precision dropout draws other masks: float32 throughout.
check(loss_of, z0, dtype=torch.float32, step=1e-2, tolerance=2e-2)
