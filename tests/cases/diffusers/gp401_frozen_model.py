"""The optimizer was given the parameters of the frozen UNet; the noise is what should change."""

import torch
from _tiny import unet

from diffusers import EulerDiscreteScheduler

model = unet().requires_grad_(False).eval()
scheduler = EulerDiscreteScheduler()


def sample(z0):
    scheduler.set_timesteps(3)
    x = z0 * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        x = scheduler.step(model(scaled, t).sample, t, x).prev_sample
    return x


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)  # CULPRIT
for _ in range(3):
    optimizer.zero_grad()
    z0.grad = None
    loss = sample(z0).pow(2).mean()
    loss.backward()
    optimizer.step()
    print(f"loss {loss.item():.6f}")
