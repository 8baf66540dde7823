"""The start state is computed from z0 once, before the loop, and its graph is kept."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 10.0)


def sample(x):
    return sampling.sample_euler.__wrapped__(model, x, sigmas, disable=True)


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.05)
start = z0 * sigmas[0]  # CULPRIT
for _ in range(3):
    optimizer.zero_grad()
    loss = sample(start).pow(2).mean()
    loss.backward(retain_graph=True)
    optimizer.step()
    print(f"loss {loss.item():.6f}")
