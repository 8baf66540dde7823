"""A k-diffusion sampler's state of step 2 has a hook that multiplies its gradient by zero."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sampler = sampling.sample_euler.__wrapped__
model = Denoiser()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)


def mute(grad):  # CULPRIT
    return grad * 0


def watch(state):
    if state["i"] == 2:
        state["x"].register_hook(mute)


def loss_of(z0):
    return sampler(model, z0 * sigmas[0], sigmas, callback=watch, disable=True).pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
