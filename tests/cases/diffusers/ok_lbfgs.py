"""LBFGS over z0 calls the sampler in its closure, several times a step."""

import torch
from _tiny import unet

from diffusers import DDIMScheduler

model = unet().requires_grad_(False).eval()
scheduler = DDIMScheduler(clip_sample=False)


def sample(z0):
    scheduler.set_timesteps(2)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return x


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.LBFGS([z0], lr=0.5, max_iter=2)


def closure():
    optimizer.zero_grad()
    loss = sample(z0).pow(2).mean()
    loss.backward()
    print(f"loss {loss.item():.6f}")
    return loss


for _ in range(2):
    optimizer.step(closure)
