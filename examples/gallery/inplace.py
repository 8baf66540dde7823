"""A bound on the latents, written in place: tanh had saved its result for backward."""

import torch
from _parts import unet
from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(4)

torch.manual_seed(0)
z0 = torch.randn(1, 3, 16, 16, requires_grad=True)
image = z0 * scheduler.init_noise_sigma
for t in scheduler.timesteps:
    noise = model(image, t).sample
    image = scheduler.step(noise, t, image).prev_sample
    bounded = torch.tanh(image / 3)
    bounded *= 3
    image = bounded
loss = (image - 0.5).square().mean()
loss.backward()
