"""The decoded image is handed to a reward as a PIL image."""

import numpy as np
import torch
from _sampling import Denoiser, image_loss, noise_levels
from PIL import Image

model = Denoiser()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


def to_pil(image):
    array = image[0].permute(1, 2, 0).detach().cpu().numpy()  # CULPRIT
    return Image.fromarray((array.clip(0, 1) * 255).astype(np.uint8))


def reward_input(picture):
    return torch.from_numpy(np.asarray(picture).copy()).float().permute(2, 0, 1)[None] / 255


def loss_of(z0):
    return image_loss(reward_input(to_pil(sample(z0))))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
