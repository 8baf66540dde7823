"""The noise of an earlier run is loaded from a file, with its flag, and optimised further."""

import io

import torch
from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)
file = io.BytesIO()
torch.save({"z0": noise(), "seed": torch.tensor(3), "mask": torch.ones(1, 3, 8, 8)}, file)
file.seek(0)


def loss_of(z):
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return (mask * (x - 0.25)).square().mean()


mask = torch.load(file, weights_only=True)["mask"]
file.seek(0)
z0 = torch.load(file, weights_only=True)["z0"]
assert z0.requires_grad
loss_of(z0).backward()
check(loss_of, z0, modules=[model])
