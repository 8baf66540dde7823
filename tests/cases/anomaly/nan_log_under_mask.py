"""The log of a masked share is replaced by where: its gradient there is 0, and 0 / 0 is NaN."""

import torch
from _parts import noise, unet

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)
mask = torch.ones(1, 1, 8, 8)
mask[..., :2] = 0


def loss_of(z):
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    share = x.softmax(dim=1) * mask
    likely = share.log()  # CULPRIT
    return -torch.where(share > 0, likely, 0.0).mean()


z0 = noise()
loss_of(z0).backward()
