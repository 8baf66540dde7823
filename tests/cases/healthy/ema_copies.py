"""The noise and the denoiser are tuned together; ema_pytorch keeps an average of the denoiser."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check
from ema_pytorch import EMA

sampling = load_sampling()
model = Denoiser()
average = EMA(model, beta=0.9, update_after_step=0, update_every=1)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
mean_noise = torch.zeros(1, 3, 8, 8)


def loss_of(z, denoiser=None):
    x = sampling.sample_euler.__wrapped__(
        denoiser or model, z * sigmas[0], sigmas.to(z.dtype), disable=True
    )
    return (x - 0.25).square().mean()


z0 = noise()
optimizer = torch.optim.Adam([z0, *model.parameters()], lr=0.01)
for _ in range(4):
    optimizer.zero_grad()
    loss_of(z0).backward()
    optimizer.step()
    average.update()
    mean_noise.mul_(0.9).add_(z0.detach(), alpha=0.1)
    with torch.no_grad():
        print(f"loss of the average {float(loss_of(mean_noise, average)):.5f}")
optimizer.zero_grad()
loss_of(z0).backward()
check(loss_of, z0, modules=[model])
