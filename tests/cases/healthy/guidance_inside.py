"""Classifier guidance: every step takes a gradient inside and keeps its graph for z0."""

import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier()
sigmas = sampling.get_sigmas_karras(3, 0.2, 2.0)


def guided(x, sigma, **kwargs):
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        denoised = model(x, sigma)
        likely = judge(denoised).log_softmax(-1)[:, 1].sum()
        (push,) = torch.autograd.grad(likely, x, create_graph=True)
    return denoised + push * sigma.view(-1, 1, 1, 1) ** 2


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(guided, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[model, judge])
