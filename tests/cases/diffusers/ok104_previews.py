"""A loop over a tiny UNet that logs by .item(), saves PIL previews and picks its steps by index."""

import numpy as np
import torch
from _tiny import unet
from diffusers.image_processor import VaeImageProcessor

from diffusers import EulerDiscreteScheduler

model = unet()
processor = VaeImageProcessor(vae_scale_factor=1)
log = []


def preview(x):
    image = processor.postprocess(x.detach(), output_type="pil")[0]
    return np.array(image.resize((4, 4))).mean()


def loss_of(z0):
    scheduler = EulerDiscreteScheduler()
    scheduler.set_timesteps(3)
    x = z0 * scheduler.init_noise_sigma
    for number, t in enumerate(scheduler.timesteps):
        predicted = model(scheduler.scale_model_input(x, t), t.item()).sample
        x = scheduler.step(predicted, t, x).prev_sample
        spread = x.std().item()
        log.append((number, round(spread * 2, 4), preview(x), float(x.mean())))
        if spread * 3 > 1e6:
            break
    return x.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
for line in log:
    print(*line)
