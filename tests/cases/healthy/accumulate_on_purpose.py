"""Gradient accumulation: four rewards in turn, one backward each, then one step."""

import torch
from _parts import Classifier, noise, unet
from _right import check

from diffusers import DDIMScheduler

model, judge = unet(), Classifier(4)
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)


def sample(z):
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return x


def reward(z, number):
    return -judge(sample(z)).log_softmax(-1)[:, number].mean() / 4


def loss_of(z):
    return sum(reward(z, number) for number in range(4))


z0 = noise()
optimizer = torch.optim.AdamW([z0], lr=0.01)
optimizer.zero_grad(set_to_none=True)
for number in range(4):
    reward(z0, number).backward()
gradient, where = z0.grad.clone(), z0.detach().clone()
optimizer.step()
optimizer.zero_grad(set_to_none=True)
check(loss_of, z0, gradient, at=where, modules=[model, judge])
