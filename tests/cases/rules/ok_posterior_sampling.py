"""Diffusion posterior sampling: every step takes its own gradient with respect to its state."""

import torch
from _sampling import Denoiser, noise_levels

model = Denoiser()
torch.manual_seed(0)
measurement = torch.randn(1, 3, 4, 4)
sigmas = noise_levels()
x = torch.randn(1, 3, 8, 8) * sigmas[0]
for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
    x = x.detach().requires_grad_()
    denoised = model(x, here)
    residual = measurement - torch.nn.functional.avg_pool2d(denoised, 2)
    (gradient,) = torch.autograd.grad(residual.norm(), x)
    slope = (x - denoised) / here
    x = x + slope * (there - here) - 0.1 * gradient
print(f"mean {float(x.mean()):.6f}")
