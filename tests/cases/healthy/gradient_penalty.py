"""A penalty on the norm of a gradient, as of WGAN-GP: double backward through the judge."""

import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier(1)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def loss_of(z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.requires_grad_()
        x = sampling.sample_euler.__wrapped__(
            model, z * sigmas[0], sigmas.to(z.dtype), disable=True
        )
        score = judge(x)
        (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        return score.mean() + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[model, judge])
