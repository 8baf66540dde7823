"""A k-diffusion callback that makes its preview in the denoiser's own memory."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)


class Bounded(Denoiser):
    """A denoiser whose images lie between -1 and 1."""

    def forward(self, x, sigma):
        return torch.tanh(super().forward(x, sigma))


model = Bounded()
previews = []


def preview(info):
    previews.append(info["denoised"].data.add_(1).mul_(0.5))  # CULPRIT


def loss_of(z0):
    start = z0 * sigmas[0]
    image = sampling.sample_euler.__wrapped__(model, start, sigmas, callback=preview, disable=True)
    return image.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
