"""z0 and a discriminator, each with an optimizer of its own; the second looks at z0 detached."""

import torch
from _sampling import Denoiser, noise_levels
from torch import nn

model = Denoiser()
judge = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


torch.manual_seed(0)
real = torch.randn(1, 3, 8, 8)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
for_z0 = torch.optim.Adam([z0], lr=0.05)
for_judge = torch.optim.Adam(judge.parameters(), lr=0.01)
for _ in range(3):
    for_judge.zero_grad()
    (judge(sample(z0).detach()) - judge(real)).mean().backward()
    for_judge.step()
    for_z0.zero_grad()
    loss = -judge(sample(z0)).mean()
    loss.backward()
    for_z0.step()
    print(f"loss {loss.item():.6f}")
