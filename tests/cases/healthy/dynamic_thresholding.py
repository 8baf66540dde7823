"""Imagen's dynamic thresholding: a quantile of the prediction bounds it, with gradient."""

import torch
from _parts import noise, unet
from _right import check

from diffusers import DDPMScheduler

model = unet()
scheduler = DDPMScheduler(
    num_train_timesteps=50,
    clip_sample=False,
    thresholding=True,
    dynamic_thresholding_ratio=0.9,
    sample_max_value=10.0,
    variance_type="fixed_small",
)
scheduler.set_timesteps(3)


def loss_of(z):
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(7)
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x, generator=generator).prev_sample
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
# In double precision the scheduler draws other noise: float32 throughout.
check(loss_of, z0, dtype=torch.float32, step=2e-3, tolerance=3e-2)
