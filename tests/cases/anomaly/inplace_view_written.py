"""The border of an ODE's solution is cleared through a view, after exp had saved the whole."""

import torch
from _parts import Denoiser, noise
from torchdiffeq import odeint

model = Denoiser().requires_grad_(False)


def slope(sigma, x):
    return (x - model(x, sigma.expand(1))) / sigma


def loss_of(z):
    x = odeint(slope, z * 2.0, torch.tensor([2.0, 0.3]), method="euler", options={"step_size": 0.5})
    image = x[-1].exp()  # SAVED
    border = image[..., 0]
    border.zero_()  # CULPRIT
    return (image - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
