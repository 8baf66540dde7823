"""k-diffusion's Euler sampler as installed: its decorator turns gradient off for the whole run."""

import torch
from _parts import Denoiser, k_diffusion_sampling

sampling = k_diffusion_sampling()
model = Denoiser()
sigmas = sampling.get_sigmas_karras(6, 0.1, 10.0)

torch.manual_seed(0)
z0 = torch.randn(1, 3, 16, 16, requires_grad=True)
image = sampling.sample_euler(model, z0 * sigmas[0], sigmas, disable=True)
loss = (image - 0.5).square().mean()
loss.backward()
