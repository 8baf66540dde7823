"""No churn and a last sigma of exactly 0: step noise, made from z0 too, enters with scale zero."""

import torch
from _parts import Denoiser, noise
from _right import check

model = Denoiser().requires_grad_(False)
sigmas = torch.tensor([2.0, 1.0, 0.3, 0.0])


def loss_of(z, churn=0.0):
    x = z * sigmas[0]
    for number, (here, there) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        up = here * (1 + churn)
        fresh = z.roll(number + 1, dims=-1)  # the noise of the step is z0's, shifted
        x = x + (up**2 - here**2).sqrt() * fresh
        slope = (x - model(x, up.to(z.dtype).expand(1))) / up
        x = x + slope * (there - up)
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[model])
