"""Euler steps in the latents, the VAE's decoder, and a loss of the pixels."""

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.first(x))
        return self.last(hidden) * (1 + 1e-4 * t)


torch.manual_seed(0)
model = Denoiser()
vae = AutoencoderKL(
    block_out_channels=(8, 8),
    norm_num_groups=4,
    down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
    up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
    sample_size=8,
)
vae.eval().requires_grad_(False)
scheduler = EulerDiscreteScheduler()
scheduler.set_timesteps(3)
target = torch.randn(1, 3, 8, 8)
z0 = torch.randn(1, 4, 4, 4, requires_grad=True)

latents = z0 * scheduler.init_noise_sigma
for t in scheduler.timesteps:
    scaled = scheduler.scale_model_input(latents, t)
    noise = model(scaled, t)
    latents = scheduler.step(noise, t, latents).prev_sample
latents = latents / vae.config.scaling_factor
decoded = vae.decode(latents).sample
image = decoded / 2 + 0.5
loss = (image - target).square().mean()
loss.backward()
grad = z0.grad
