"""A noise against a discriminator, which sees the noise's image detached, as in every GAN."""

import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier(1).requires_grad_(True)
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
for _ in range(3):
    fake = sample(z0)
    of_judge.zero_grad()
    (softplus(-judge(real)) + softplus(judge(fake.detach()))).mean().backward()
    of_judge.step()
    of_noise.zero_grad()
    loss = softplus(-judge(fake)).mean()
    loss.backward()
    gradient, where = z0.grad.clone(), z0.detach().clone()
    of_noise.step()
check(loss_of, z0, gradient, at=where, modules=[model, judge])
