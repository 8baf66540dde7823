"""A hook on a diffusers UNet reads what an activation was given."""

import torch
from _tiny import DDIMScheduler, unet

model = unet()
model.requires_grad_(False)
scheduler = DDIMScheduler(clip_sample=False)
seen = []


def watch(module, inputs, output):
    seen.append(inputs[0].data.clamp(-0.5, 0.5).mean())


model.conv_act.register_forward_hook(watch)


def loss_of(z0):
    scheduler.set_timesteps(3)
    x = z0
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return (x - 0.3).pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
