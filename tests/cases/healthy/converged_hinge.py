"""A hinge loss is satisfied after some iterations: from then on the gradient is exactly zero."""

import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier()
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
sample_euler = sampling.sample_euler.__wrapped__


def loss_of(z):
    image = sample_euler(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    scores = judge(image)
    return torch.relu(0.5 + scores[:, 1:].amax() - scores[:, 0]).sum()


z0 = noise()
optimizer = torch.optim.Adam([z0], lr=0.1)
losses = []
for _ in range(40):
    optimizer.zero_grad()
    loss = loss_of(z0)
    loss.backward()
    losses.append(loss.item())
    if len(losses) == 1:
        gradient, where = z0.grad.clone(), z0.detach().clone()
    optimizer.step()
print(f"loss {losses[0]:.3f}, then {losses[-1]:.3f}")
assert losses[0] > 0 and losses[-1] == 0
assert not z0.grad.any()  # there is nothing left to improve
check(loss_of, z0, gradient, at=where, modules=[model, judge])
