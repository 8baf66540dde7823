"""Previews of every step: decoded under no_grad, made bytes, written as PNG, logged as numbers."""

import io

import numpy as np
import torch
from _parts import noise, unet
from _right import check
from PIL import Image

from diffusers import EulerDiscreteScheduler

model = unet()
scheduler = EulerDiscreteScheduler(num_train_timesteps=100)
shown = []


def preview(x):
    with torch.no_grad():
        pixels = (x[0].clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    shown.append(len(file.getvalue()))


def loss_of(z):
    scheduler.set_timesteps(3)
    x = z * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        step = scheduler.step(model(scheduler.scale_model_input(x, t), t).sample, t, x)
        x = step.prev_sample
        preview(step.pred_original_sample)
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
print(f"{len(shown)} previews")
check(loss_of, z0, modules=[model])
