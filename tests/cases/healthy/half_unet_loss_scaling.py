"""A float16 UNet: the loss is scaled up before backward, the gradient down before the step."""

import torch
from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet().half()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)
SCALE = 2.0**12


def loss_of(z):
    x = z
    for t in scheduler.timesteps:
        predicted = model(x.to(model.dtype), t).sample.to(z.dtype)
        x = scheduler.step(predicted, t, x).prev_sample
    return x.square().mean()


z0 = noise()
optimizer = torch.optim.SGD([z0], lr=0.1)
(loss_of(z0) * SCALE).backward()
z0.grad.div_(SCALE)
gradient, where = z0.grad.clone(), z0.detach().clone()
if gradient.isfinite().all():
    optimizer.step()
# Half precision has three digits: so has the gradient.
check(loss_of, z0, gradient, at=where, modules=[model], tolerance=2e-2)
