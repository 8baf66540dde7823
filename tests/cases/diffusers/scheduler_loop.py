"""A hand-written loop over a tiny UNet2DModel; the scheduler is named on the command line."""

import sys

import torch
from _tiny import unet

import diffusers

model = unet()
name, *flags = sys.argv[1:]


def loss_of(z0):
    torch.manual_seed(2)
    scheduler = getattr(diffusers, name)(**dict.fromkeys(flags, False))
    scheduler.set_timesteps(4)
    x = z0 * getattr(scheduler, "init_noise_sigma", 1.0)
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(model(scaled, t).sample, t, x).prev_sample
    return x.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
