"""torchsde: an Ito SDE solved plainly and by its adjoint, over the same Brownian motion."""

import torch
import torchsde
from _parts import Denoiser, noise
from _right import check
from torch import nn


class Reverse(nn.Module):
    """A reverse-time SDE with constant noise, its state flat as torchsde wants it."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self):
        super().__init__()
        self.model = Denoiser().requires_grad_(False)

    def f(self, t, y):
        x = y.view(-1, 3, 8, 8)
        sigma = (2.0 - 1.7 * t).to(y.dtype).expand(len(x))
        return ((self.model(x, sigma) - x) / sigma.view(-1, 1, 1, 1)).flatten(1)

    def g(self, t, y):
        return torch.full_like(y, 0.1)


def loss_of(z, solve=torchsde.sdeint):
    y = z.flatten(1) * 2.0
    path = torchsde.BrownianInterval(
        0.0, 1.0, size=y.shape, dtype=torch.float32, entropy=9, levy_area_approximation="none"
    )
    found = solve(sde, y, torch.tensor([0.0, 1.0]), bm=path, dt=0.1, method="midpoint")
    return (found[-1] - 0.25).square().mean()


sde = Reverse()
z0 = noise()
loss_of(z0).backward()
plain = z0.grad.clone()
z0.grad = None
loss_of(z0, torchsde.sdeint_adjoint).backward()
assert torch.allclose(z0.grad, plain, rtol=0.3, atol=1e-3)  # it solves backwards in coarse steps
check(loss_of, z0, plain, dtype=torch.float32, step=1e-2, tolerance=2e-2)
