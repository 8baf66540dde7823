"""Classifier-free guidance that saves memory on its unconditional branch: part of the gradient."""

import torch
from _parts import unet_with_prompt
from diffusers import DDIMScheduler

model = unet_with_prompt()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(4)

torch.manual_seed(0)
empty, prompt = torch.zeros(1, 7, 16), torch.randn(1, 7, 16)
z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
latents = z0 * scheduler.init_noise_sigma
for t in scheduler.timesteps:
    without = model(latents, t, empty).sample.detach()
    given = model(latents, t, prompt).sample
    guided = without + 7.5 * (given - without)
    latents = scheduler.step(guided, t, latents).prev_sample
loss = latents.square().mean()
loss.backward()
