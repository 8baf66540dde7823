"""A k-diffusion callback that logs numbers, plots and saves previews, and gives nothing back."""

import math

import numpy as np
import torch
from _k_diffusion import Denoiser, load_sampling
from PIL import Image

sampling = load_sampling()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)
model = Denoiser()
curve = np.zeros(4)
previews = []


def callback(info):
    denoised = info["denoised"]
    curve[info["i"]] = denoised.std().item() * 2
    print(f"{info['i']} {math.sqrt(denoised.var().item()):.4f} {float(denoised.mean()):+.4f}")
    pixels = denoised.detach()[0].permute(1, 2, 0).numpy()
    low, high = pixels.min(), pixels.max()
    shown = (pixels - low) / (high - low)
    preview = Image.fromarray((shown * 255).round().astype(np.uint8)).resize((4, 4))
    previews.append(np.asarray(preview).mean())
    if denoised.abs().max().item() > 1e4:
        raise RuntimeError("diverged")


def loss_of(z0):
    start = z0 * sigmas[0]
    image = sampling.sample_euler.__wrapped__(model, start, sigmas, callback=callback, disable=True)
    return image.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss = loss_of(z0)
loss.backward()
print(curve, previews, {"loss": loss.item(), "last": float(curve[-1])})
