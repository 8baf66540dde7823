"""Adam is made over z0; a second z0, in another memory format, is what the loop samples from."""

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
optimizer = torch.optim.Adam([z0], lr=0.05)  # CULPRIT
z0 = z0.detach().to(memory_format=torch.channels_last).requires_grad_()
for _ in range(3):
    optimizer.zero_grad()
    loss = sample(z0).pow(2).mean()
    loss.backward()
    optimizer.step()
    print(f"loss {loss.item():.6f}")
