"""EDM's second-order sampler with churn, over a preconditioned network."""

import torch
from torch import Tensor, nn


class Preconditioned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.GroupNorm(2, 8),
            nn.SiLU(),
            nn.Conv2d(8, 3, 3, padding=1),
        )

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        skip = 0.25 / (sigma**2 + 0.25)
        out = sigma * 0.5 / (sigma**2 + 0.25) ** 0.5
        scaled = x / (sigma**2 + 0.25) ** 0.5
        inner = self.net(scaled)
        return skip * x + out * inner


torch.manual_seed(0)
model = Preconditioned()
sigmas = [8.0, 3.0, 1.0, 0.3]
target = torch.randn(1, 3, 6, 6)
z0 = torch.randn(1, 3, 6, 6, requires_grad=True)

x = z0 * sigmas[0]
for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
    lifted = 1.2 * sigma
    noise = (lifted**2 - sigma**2) ** 0.5 * torch.randn(1, 3, 6, 6)
    x_hat = x + noise
    d = (x_hat - model(x_hat, lifted)) / lifted
    x_next = x_hat + (following - lifted) * d
    d_next = (x_next - model(x_next, following)) / following
    x = x_hat + (following - lifted) * (d + d_next) / 2
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
