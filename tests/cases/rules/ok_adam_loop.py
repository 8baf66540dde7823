"""Five Adam iterations on z0."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.05)
for _ in range(5):
    optimizer.zero_grad()
    loss = loss_of(z0)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([z0], 1.0)
    optimizer.step()
    print(f"loss {loss.item():.6f}")
