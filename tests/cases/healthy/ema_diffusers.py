"""diffusers' EMAModel: parameters are swapped for their average, judged, and swapped back."""

import torch
from _parts import noise, unet
from _right import check
from diffusers.training_utils import EMAModel

from diffusers import DDIMScheduler

model = unet().requires_grad_(True)
average = EMAModel(model.parameters(), decay=0.9)
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)


def loss_of(z):
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return (x - 0.25).square().mean()


z0 = noise()
optimizer = torch.optim.AdamW([{"params": [z0]}, {"params": model.parameters(), "lr": 1e-4}])
for _ in range(2):
    loss_of(z0).backward()
    optimizer.step()
    optimizer.zero_grad()
    average.step(model.parameters())
average.store(model.parameters())
average.copy_to(model.parameters())
with torch.no_grad():
    print(f"loss of the average {float(loss_of(z0)):.5f}")
average.restore(model.parameters())
loss_of(z0).backward()
check(loss_of, z0, modules=[model])
