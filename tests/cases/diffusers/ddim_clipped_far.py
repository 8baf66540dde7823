"""DDIM with clip_sample on, and z0 so large that every pixel of the prediction is clipped."""

import torch
from _tiny import unet

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=True, set_alpha_to_one=True)


def loss_of(z0):
    scheduler.set_timesteps(1)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return (x - 0.25).pow(2).mean()


z0 = torch.full((1, 3, 8, 8), 60.0, requires_grad=True)
loss_of(z0).backward()
