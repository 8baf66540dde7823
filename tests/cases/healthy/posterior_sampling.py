"""Diffusion posterior sampling over a diffusers scheduler: a gradient in every step, none after."""

import torch
from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(3)
seen = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(5))
x = noise()
for t in scheduler.timesteps:
    x = x.detach().requires_grad_()

    def residual_of(x, t=t):
        step = scheduler.step(model(x, t).sample, t, x)
        return (seen - torch.nn.functional.avg_pool2d(step.pred_original_sample, 2)).norm()

    step = scheduler.step(model(x, t).sample, t, x)
    residual = (seen - torch.nn.functional.avg_pool2d(step.pred_original_sample, 2)).norm()
    (gradient,) = torch.autograd.grad(residual, x)
    last = x
    x = step.prev_sample - 0.1 * gradient
print(f"residual {residual.item():.4f}")
check(residual_of, last, gradient, modules=[model])
