"""Step noise that is to be learned, in an ancestral sampler with eta = 0: its scale is zero."""

import torch
from _parts import Denoiser, k_diffusion_sampling

sampling = k_diffusion_sampling()
model = Denoiser()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)
sampler = sampling.sample_euler_ancestral.__wrapped__  # without its decorator

torch.manual_seed(0)
start = torch.randn(1, 3, 16, 16) * sigmas[0]
z0 = torch.randn(1, 3, 16, 16, requires_grad=True)
image = sampler(model, start, sigmas, eta=0.0, disable=True, noise_sampler=lambda high, low: z0)
loss = (image - 0.5).square().mean()
loss.backward()
