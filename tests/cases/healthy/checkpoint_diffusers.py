"""diffusers' own gradient checkpointing of the blocks, which wants the model in train mode."""

from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet().train()
model.enable_gradient_checkpointing()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)


def loss_of(z):
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[model])
