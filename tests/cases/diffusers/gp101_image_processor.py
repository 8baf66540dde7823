"""The decoded image is postprocessed to NumPy, as a pipeline returns it, and scored from there."""

import torch
from _tiny import pipeline
from diffusers.image_processor import VaeImageProcessor

decoder = pipeline().vae
processor = VaeImageProcessor(vae_scale_factor=1)


def reward(image):
    shades = image.mean(axis=-1) * 2 - 1
    return torch.from_numpy(shades).pow(2).mean()


def loss_of(z0):
    image = decoder.decode(z0 * 3.0).sample
    return reward(processor.postprocess(image.detach(), output_type="np"))  # CULPRIT


torch.manual_seed(0)
z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
loss_of(z0).backward()
