"""DDIM by the scheduler of diffusers, differentiable in the starting noise."""

from collections.abc import Callable

from diffusers import DDIMScheduler
from torch import Tensor


def sample(model: Callable[[Tensor, Tensor], Tensor], z0: Tensor, steps: int = 4) -> Tensor:
    """The sample that `model`, which predicts noise, makes of `z0` (B, C, H, W), same shape."""
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(steps)
    x_T = scheduler.init_noise_sigma * z0
    x = x_T
    for t in scheduler.timesteps:
        noise = model(x, t)
        x = scheduler.step(noise, t, x).prev_sample
    return x
