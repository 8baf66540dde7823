"""z0 is optimised to convergence: 150 Adam iterations on a quadratic loss."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
sample_euler = sampling.sample_euler.__wrapped__


def loss_of(z):
    image = sample_euler(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (image - target.to(z.dtype)).square().mean()


target = torch.full((1, 3, 8, 8), 0.25)
z0 = noise()
optimizer = torch.optim.Adam([z0], lr=0.1)
for _ in range(150):
    optimizer.zero_grad()
    loss = loss_of(z0)
    loss.backward()
    before = z0.detach().clone()
    optimizer.step()
print(f"loss {loss.item():.3e}")
assert loss.item() < 1e-3
check(loss_of, z0, at=before, modules=[model], tolerance=1e-2)
