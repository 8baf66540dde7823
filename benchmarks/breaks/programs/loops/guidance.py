"""Classifier-free guidance with a rescale, the two halves in one batch."""

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 8, 3, padding=1)
        self.prompt = nn.Linear(5, 8)
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor, prompt: Tensor) -> Tensor:
        hidden = self.image(x) + self.prompt(prompt)[:, :, None, None]
        return self.out(nn.functional.silu(hidden))


def guided(x: Tensor, weight: float) -> Tensor:
    doubled = torch.cat([x, x])
    answer = model(doubled, prompts)
    without, given = answer.chunk(2)
    mixed = without + weight * (given - without)
    rescaled = mixed * (given.std() / mixed.std())
    return 0.7 * rescaled + 0.3 * mixed


torch.manual_seed(0)
model = Denoiser()
model.requires_grad_(False)
prompts = torch.stack([torch.zeros(5), torch.randn(5)])
sigmas = [10.0, 4.0, 1.0, 0.2]
target = torch.randn(1, 3, 4, 4)
z0 = torch.randn(1, 3, 4, 4, requires_grad=True)

x = z0 * sigmas[0]
for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
    scale = (1 + sigma**2) ** -0.5
    eps = guided(x * scale, 3.0)
    x = x + (following - sigma) * eps
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
