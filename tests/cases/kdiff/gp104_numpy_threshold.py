"""Dynamic thresholding as many ports have it: NumPy's percentiles, of a copy on the host."""

import numpy as np
import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)


class Thresholded(Denoiser):
    """A denoiser whose images are scaled into their own percentiles."""

    def forward(self, x, sigma):
        image = super().forward(x, sigma)
        pixels = np.abs(image.detach().cpu().numpy())  # CULPRIT
        limit = max(0.01, float(np.percentile(pixels, [40, 60, 80]).mean()))
        return image.clamp(-limit, limit) / limit


model = Thresholded()


def loss_of(z0):
    start = z0 * sigmas[0]
    image = sampling.sample_dpmpp_2m.__wrapped__(model, start, sigmas, disable=True)
    return image.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
