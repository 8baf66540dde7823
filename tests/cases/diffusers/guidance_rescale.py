"""Guidance rescaling over a UNet whose last layer is zero, as it is before training: 0 / 0."""

import torch
from _tiny import unet
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from diffusers import DDIMScheduler

model = unet()
torch.nn.init.zeros_(model.conv_out.weight)
torch.nn.init.zeros_(model.conv_out.bias)
scheduler = DDIMScheduler(clip_sample=False)


def loss_of(z0):
    scheduler.set_timesteps(2)
    x = z0
    for t in scheduler.timesteps:
        predicted = model(x, t).sample
        noise = rescale_noise_cfg(predicted, predicted, guidance_rescale=0.7)
        x = scheduler.step(noise, t, x).prev_sample
    return (x - 0.25).pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
