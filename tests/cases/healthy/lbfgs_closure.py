"""LBFGS calls its closure several times a step; each call is a forward and a backward."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def loss_of(z):
    x = sampling.sample_heun.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (x - 0.25).square().sum()


z0 = noise()
optimizer = torch.optim.LBFGS(
    [z0], lr=0.5, max_iter=4, history_size=4, line_search_fn="strong_wolfe"
)


def closure():
    optimizer.zero_grad()
    loss = loss_of(z0)
    loss.backward()
    return loss


for _ in range(3):
    print(f"loss {float(optimizer.step(closure)):.5f}")
closure()
check(loss_of, z0, modules=[model], tolerance=1e-2)
