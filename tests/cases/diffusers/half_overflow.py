"""A loss scale that is too large for float16: the gradient is infinite where it becomes half."""

import torch
from _tiny import unet

from diffusers import DDIMScheduler

model = unet().half()
scheduler = DDIMScheduler(clip_sample=False)


def loss_of(z0):
    scheduler.set_timesteps(2)
    x = z0.half()
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    image = x.float()  # CULPRIT
    return (image - 0.25).pow(2).mean() * 2.0**40


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
