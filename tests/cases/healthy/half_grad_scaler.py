"""torch.amp.GradScaler on the CPU with bfloat16 autocast, diffusers UNet, two Adam steps."""

import torch
from _parts import noise, unet
from _right import check

from diffusers import EulerDiscreteScheduler

model = unet()
scheduler = EulerDiscreteScheduler(num_train_timesteps=100)


def loss_of(z):
    scheduler.set_timesteps(2)
    x = z * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=z.dtype == torch.float32):
            predicted = model(scheduler.scale_model_input(x, t), t).sample
        x = scheduler.step(predicted.to(z.dtype), t, x).prev_sample.to(z.dtype)
    return x.square().mean()


z0 = noise()
optimizer = torch.optim.Adam([z0], lr=0.01)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for _ in range(2):
    optimizer.zero_grad()
    loss = loss_of(z0)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    gradient, where = z0.grad.clone(), z0.detach().clone()
    torch.nn.utils.clip_grad_norm_([z0], 10.0)
    scaler.step(optimizer)
    scaler.update()
# bfloat16 has two digits: so has the gradient.
check(loss_of, z0, gradient, at=where, modules=[model], tolerance=0.1)
