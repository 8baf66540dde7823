"""Averaged weights of diffusers' EMAModel are swapped out once backward has run."""

import sys

import torch
from _tiny import DDIMScheduler, unet
from diffusers.training_utils import EMAModel

model = unet()
ema = EMAModel(model.parameters(), decay=0.5, foreach=sys.argv[1] == "foreach")
with torch.no_grad():
    for p in model.parameters():
        p.mul_(2.0)  # training has moved on
scheduler = DDIMScheduler(clip_sample=False)


def loss_of(z0):
    ema.store(model.parameters())
    ema.copy_to(model.parameters())
    scheduler.set_timesteps(2)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    loss = (x - 0.3).pow(2).mean()
    return loss


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
ema.restore(model.parameters())
