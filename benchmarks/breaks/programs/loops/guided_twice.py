"""Guidance with a call for each half, a negative prompt, and clipping by a percentile."""

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 8))

    def forward(self, x: Tensor, prompt: Tensor) -> Tensor:
        joined = torch.cat([x, prompt], dim=1)
        return self.net(joined)


torch.manual_seed(0)
model = Denoiser()
positive, negative = torch.randn(2, 4), torch.randn(2, 4)
target = torch.randn(2, 8)
z0 = torch.randn(2, 8, requires_grad=True)

x = z0 * 3.0
for sigma in (3.0, 1.5, 0.75):
    wanted = model(x, positive)
    unwanted = model(x, negative)
    clean = unwanted + 2.0 * (wanted - unwanted)
    bound = clean.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    limited = clean / bound
    d = (x - limited) / sigma
    x = x - d * sigma / 2
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
