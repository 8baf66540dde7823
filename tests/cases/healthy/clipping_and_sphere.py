"""ReNO: clipped gradients, a norm regulariser, the best noise kept, z0 put back on its sphere."""

import torch
from _parts import Classifier, noise, unet
from _right import check

from diffusers import LCMScheduler

model, judge = unet(), Classifier()
scheduler = LCMScheduler()


def loss_of(z):
    scheduler.set_timesteps(1)
    t = scheduler.timesteps[0]
    image = scheduler.step(model(z, t).sample, t, z).denoised
    radius = z.norm()
    size = z.numel()
    regulariser = radius.square() / 2 - (size - 1) * radius.log()
    return judge(image).logsumexp(-1).mean() + 0.01 * regulariser


z0 = noise()
optimizer = torch.optim.SGD([z0], lr=1.0, momentum=0.9, nesterov=True)
best, least = None, float("inf")
for _ in range(6):
    optimizer.zero_grad()
    loss = loss_of(z0)
    loss.backward()
    gradient, where = z0.grad.clone(), z0.detach().clone()
    torch.nn.utils.clip_grad_norm_([z0], 0.1)
    optimizer.step()
    with torch.no_grad():
        z0.mul_(z0.numel() ** 0.5 / z0.norm())
    if loss.item() < least:
        best, least = z0.detach().clone(), loss.item()
print(f"least loss {least:.4f}, its noise {best.norm().item():.3f}")
check(loss_of, z0, gradient, at=where, modules=[model, judge])
