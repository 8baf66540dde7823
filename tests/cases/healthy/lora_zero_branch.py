"""LoRA: a branch whose last factor is still zero stands beside each live layer."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check
from torch import nn

sampling = load_sampling()
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


class Adapted(nn.Module):
    """A frozen convolution and a low-rank addition to it, which starts at exactly zero."""

    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Conv2d(base.in_channels, rank, 1, bias=False)
        self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (x - 0.25).square().mean()


model = Denoiser()
model.net[0], model.net[2] = Adapted(model.net[0]), Adapted(model.net[2])
z0 = noise()
tuned = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW([z0, *tuned], lr=1e-3)
loss_of(z0).backward()
assert not model.net[0].down.weight.grad.any()  # its way to the loss leads through the zero
assert model.net[0].up.weight.grad.any()
gradient, where = z0.grad.clone(), z0.detach().clone()
check(loss_of, z0, gradient, at=where, modules=[model])
