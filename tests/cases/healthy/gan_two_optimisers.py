"""A noise against a discriminator: two optimisers in turn, requires_grad_ switched to and fro."""

import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier(1)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
softplus = torch.nn.functional.softplus


def sample(z):
    return sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)


def loss_of(z):
    return softplus(-judge(sample(z))).mean()


z0 = noise()
real = torch.rand(1, 3, 8, 8)
of_noise = torch.optim.Adam([z0], lr=0.05)
of_judge = torch.optim.Adam(judge.parameters(), lr=1e-3)
for _ in range(4):
    # The discriminator's turn: the image is a constant.
    judge.requires_grad_(True)
    z0.requires_grad_(False)
    fake = sample(z0).detach()
    of_judge.zero_grad()
    (softplus(-judge(real)) + softplus(judge(fake))).mean().backward()
    of_judge.step()
    # The noise's turn: the discriminator is frozen.
    judge.requires_grad_(False)
    z0.requires_grad_(True)
    of_noise.zero_grad()
    loss_of(z0).backward()
    gradient, where = z0.grad.clone(), z0.detach().clone()
    of_noise.step()
check(loss_of, z0, gradient, at=where, modules=[model, judge])
