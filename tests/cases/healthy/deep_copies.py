"""Copies are made of the model, the optimiser's state and the noise, between two backwards."""

import copy
import io

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def loss_of(z, denoiser=None):
    x = sampling.sample_euler.__wrapped__(
        denoiser or model, z * sigmas[0], sigmas.to(z.dtype), disable=True
    )
    return (x - 0.25).square().mean()


z0 = noise()
optimizer = torch.optim.Adam([z0], lr=0.05)
loss_of(z0).backward()
optimizer.step()
twin, first_noise = copy.deepcopy(model), copy.deepcopy(z0)
saved = io.BytesIO()
torch.save({"z0": z0, "optimizer": optimizer.state_dict(), "model": model.state_dict()}, saved)
saved.seek(0)
state = torch.load(saved, weights_only=True)
optimizer.load_state_dict(state["optimizer"])
twin.load_state_dict(state["model"])
optimizer.zero_grad()
loss_of(z0, twin).backward()
assert torch.equal(first_noise, z0) and torch.equal(state["z0"], z0)
check(loss_of, z0, modules=[model])
