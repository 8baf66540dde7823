"""Adam over z0 without zero_grad: every step uses the sum of all gradients so far."""

import torch
from _tiny import unet

from diffusers import DDIMScheduler

model = unet().requires_grad_(False).eval()
scheduler = DDIMScheduler(clip_sample=False)


def sample(z0):
    scheduler.set_timesteps(3)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return x


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.05)
for _ in range(3):
    loss = sample(z0).pow(2).mean()
    loss.backward()  # CULPRIT
    optimizer.step()
    print(f"loss {loss.item():.6f}")
