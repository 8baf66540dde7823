"""A Stable Diffusion pipeline called as everybody calls it."""

import torch
from _tiny import pipeline, prompt

pipe = pipeline()


def loss_of(z0):
    return pipe(latents=z0, output_type="latent", **prompt()).images.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
loss_of(z0).backward()
