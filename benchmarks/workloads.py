"""What is run: a convolutional UNet over Euler steps, and a chain of tiny ops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """A residual block: norm, SiLU, convolution, twice, shifted by the noise level's embedding."""

    def __init__(self, channels_in: int, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(4, channels_in)
        self.conv_in = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.shift = nn.Linear(embedding, channels)
        self.norm_out = nn.GroupNorm(4, channels)
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        h = self.conv_in(nn.functional.silu(self.norm_in(x)))
        h = h + self.shift(embedded)[:, :, None, None]
        out: Tensor = self.skip(x) + self.conv_out(nn.functional.silu(self.norm_out(h)))
        return out


class UNet(nn.Module):
    """A denoiser of three resolutions, about 1.5 million parameters at width 48."""

    def __init__(self, channels: int = 4, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        widths = (width, 2 * width, 3 * width)
        down = itertools.pairwise((width, *widths))
        self.down = nn.ModuleList(Block(a, b, width) for a, b in down)
        self.middle = Block(widths[-1], widths[-1], width)
        up = itertools.pairwise((*reversed(widths), width))
        self.up = nn.ModuleList(Block(2 * a, b, width) for a, b in up)
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        embedded = self.embed(sigma.log().reshape(1, 1))
        h = self.stem(x)
        kept = []
        for block in self.down:
            h = block(h, embedded)
            kept.append(h)
            h = nn.functional.avg_pool2d(h, 2)
        h = self.middle(h, embedded)
        for block, skip in zip(self.up, reversed(kept), strict=True):
            h = nn.functional.interpolate(h, scale_factor=2.0)
            h = block(torch.cat([h, skip], dim=1), embedded)
        out: Tensor = self.head(h)
        return out


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run, and where. `side` is the latents' height and width."""

    width: int = 48
    side: int = 64
    steps: int = 10
    tiny_ops: int = 6_000
    long_steps: int = 50
    device: str = "cpu"


FULL = Size()
SMALL = Size(width=8, side=8, steps=2, tiny_ops=60, long_steps=3)


def euler_over_unet(size: Size) -> tuple[Callable[[], Tensor], int]:
    """A run of `size.steps` Euler steps, forward and backward, and the UNet's parameter count."""
    torch.manual_seed(0)
    unet = UNet(width=size.width).requires_grad_(False).to(size.device)
    sigmas = torch.linspace(5.0, 0.5, size.steps + 1, device=size.device)
    start = torch.randn(1, 4, size.side, size.side, device=size.device)

    def run() -> Tensor:
        z0 = start.clone().requires_grad_()
        x = z0 * sigmas[0]
        for sigma, following in itertools.pairwise(sigmas):
            denoised = unet(x, sigma)
            x = x + (x - denoised) / sigma * (following - sigma)
        loss = x.square().mean()
        torch.autograd.backward(loss)
        _finish(size.device)
        return loss

    return run, sum(p.numel() for p in unet.parameters())


def chain_of_tiny_ops(size: Size) -> Callable[[], Tensor]:
    """A forward run of `size.tiny_ops` ops over a 1x2x2x8x8 tensor: all overhead, no arithmetic."""
    torch.manual_seed(0)
    start = torch.randn(1, 2, 2, 8, 8, device=size.device)

    def run() -> Tensor:
        z0 = start.clone().requires_grad_()
        x = z0
        for _ in range(size.tiny_ops // 2):
            x = x * 0.7
            x = x + 0.1
        _finish(size.device)
        return x

    return run


def _finish(device: str) -> None:
    """Wait for what a device was given to do, so that its time is part of the run's."""
    if device != "cpu":
        torch.accelerator.synchronize()
