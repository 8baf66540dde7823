"""A reward that prepares its input with CLIP's image processor, of the detached image."""

import torch
from _tiny import pipeline
from transformers import CLIPImageProcessor

decoder = pipeline().vae
prepare = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16, do_rescale=False)


def loss_of(z0):
    image = (decoder.decode(z0).sample[0] / 2 + 0.5).clamp(0, 1)
    pixels = prepare(images=image.detach().numpy(), return_tensors="pt")  # CULPRIT
    return pixels["pixel_values"].pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
loss_of(z0).backward()
