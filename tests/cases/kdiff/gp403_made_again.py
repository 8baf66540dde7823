"""Each turn wraps the same noise in a new Parameter, so what the last step did is gone."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 10.0)


def loss_of(z0):
    sample = sampling.sample_heun.__wrapped__
    return sample(model, z0 * sigmas[0], sigmas, disable=True).pow(2).mean()


torch.manual_seed(0)
noise = torch.randn(1, 3, 8, 8)
for _ in range(3):
    z0 = torch.nn.Parameter(noise.detach().clone())  # CULPRIT
    optimizer = torch.optim.Adam([z0], lr=0.05)
    loss = loss_of(z0)
    loss.backward()
    optimizer.step()
    print(f"loss {loss.item():.6f}")
