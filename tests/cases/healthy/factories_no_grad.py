"""Functions under no_grad make what a sampler needs: noise levels, timesteps, masks, statistics."""

import torch
from _parts import load_sampling, noise, unet
from _right import check

from diffusers import EulerDiscreteScheduler

sampling = load_sampling()
model = unet()


@torch.no_grad()
def make_scheduler(steps):
    scheduler = EulerDiscreteScheduler(num_train_timesteps=100, use_karras_sigmas=True)
    scheduler.set_timesteps(steps)
    return scheduler


@torch.no_grad()
def make_levels(like):
    return sampling.get_sigmas_karras(3, 0.1, 2.0).to(like)


@torch.no_grad()
def make_mask(like):
    mask = torch.zeros_like(like)
    mask[..., : like.shape[-1] // 2] = 1.0
    return mask


@torch.inference_mode()
def describe(x):
    return {"mean": x.mean().item(), "largest": x.abs().amax().item()}


@torch.no_grad()
def make_sampler(steps):
    """What is made under no_grad runs later, with recording on."""
    scheduler = make_scheduler(steps)
    known = torch.full((1, 3, 8, 8), 0.2)

    def sample(z):
        scheduler.set_timesteps(steps)
        mask = make_mask(z)
        x = z * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            predicted = model(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(predicted, t, x).prev_sample
            x = mask * x + (1 - mask) * known.to(x)
            seen.append(describe(x.detach()))
        return x

    return sample


def loss_of(z):
    x = sample(z)
    levels = make_levels(z)
    return sum((x / (1 + level) - 0.25).square().mean() for level in levels)


seen = []
sample = make_sampler(3)
z0 = noise()
loss_of(z0).backward()
print(f"{len(seen)} steps")
check(loss_of, z0, modules=[model])
