"""One buffer holds the state of every step; each step's network had saved the one before."""

import torch
from _parts import noise, unet

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(3)


def loss_of(z):
    state = torch.empty_like(z)
    state.copy_(z)
    total = 0
    for t in scheduler.timesteps:
        following = scheduler.step(model(state, t).sample, t, state).prev_sample
        total = total + state.square().mean()  # SAVED
        state.copy_(following)  # CULPRIT
    return total + (state - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
