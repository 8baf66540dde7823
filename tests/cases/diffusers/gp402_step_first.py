"""zero_grad and step both run before backward: no step ever finds a gradient."""

import torch
from _tiny import unet

from diffusers import DPMSolverMultistepScheduler

model = unet().requires_grad_(False).eval()


def sample(z0):
    scheduler = DPMSolverMultistepScheduler()
    scheduler.set_timesteps(3)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return x


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.SGD([z0], lr=1.0, momentum=0.9)
for _ in range(3):
    loss = sample(z0).pow(2).mean()
    optimizer.zero_grad()
    optimizer.step()  # CULPRIT
    loss.backward()
    print(f"loss {loss.item():.6f}")
