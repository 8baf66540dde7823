"""The same pipeline through __wrapped__, past its decorator."""

import torch
from _tiny import pipeline, prompt

pipe = pipeline()


def loss_of(z0):
    return (
        type(pipe)
        .__call__.__wrapped__(pipe, latents=z0, output_type="latent", **prompt())
        .images.pow(2)
        .mean()
    )


torch.manual_seed(0)
z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
loss_of(z0).backward()
