"""Noise schedules, and the noise that the samplers draw."""

import torch


def noise_like(shape, device, repeat=False):
    if repeat:
        return torch.randn((1, *shape[1:]), device=device).expand(shape)
    return torch.randn(shape, device=device)


def spaced(num_ddim_timesteps, num_ddpm_timesteps):
    """Every so many'th timestep, from 1 on, lowest first."""
    return torch.arange(0, num_ddpm_timesteps, num_ddpm_timesteps // num_ddim_timesteps).numpy() + 1
