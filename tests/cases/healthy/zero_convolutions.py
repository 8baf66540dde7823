"""ControlNet's zero convolutions: the control's branch adds exactly nothing before training."""

import torch
from _parts import noise
from _right import check
from _tiny import pipeline

from diffusers import ControlNetModel, DDIMScheduler

model = pipeline().unet.eval().requires_grad_(False)
control = ControlNetModel.from_unet(model, conditioning_embedding_out_channels=(8, 16))
control.eval().requires_grad_(False)
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)
torch.manual_seed(3)
prompt, hint = torch.randn(1, 7, 16), torch.rand(1, 3, 16, 16)


def loss_of(z):
    x, words, picture = z, prompt.to(z.dtype), hint.to(z.dtype)
    for t in scheduler.timesteps:
        down, middle = control(x, t, words, picture, return_dict=False)
        assert not any(d.any() for d in down)
        predicted = model(
            x,
            t,
            words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        x = scheduler.step(predicted, t, x).prev_sample
    return (x - 0.25).square().mean()


z0 = noise(1, 4, 8, 8)
loss_of(z0).backward()
check(loss_of, z0, modules=[model, control])
