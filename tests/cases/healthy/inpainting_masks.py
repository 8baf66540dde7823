"""Inpainting: known pixels are written into the state at every step, in a buffer, by a mask."""

import torch
from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(3)
torch.manual_seed(3)
known, mask = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
mask[..., :3] = True
drawn = torch.randn(1, 3, 8, 8)


def loss_of(z):
    x, kept = z, []
    for t in scheduler.timesteps:
        noisy = scheduler.add_noise(known, drawn, t[None]).to(z.dtype)
        x = torch.where(mask, noisy, x)
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
        x[..., 0, :] = noisy[..., 0, :]
        kept.append(x)
    frames = torch.empty(3, 1, 3, 8, 8, dtype=z.dtype)
    for number, frame in enumerate(kept):
        frames[number] = frame
    return (frames - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
assert not z0.grad[..., :3].any()  # what the mask replaces has no part in the image
check(loss_of, z0, modules=[model])
