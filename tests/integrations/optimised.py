"""A small loop over z0, its norms sent to loggers."""

from __future__ import annotations

from typing import Any

import torch

from gradprobe import Probe
from gradprobe.integrations.logger import Logger, log_to

TURNS = 3


def optimise(*loggers: Logger, **options: Any) -> list[float]:
    """The norms of z0's gradient, as torch has them."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh()).requires_grad_(False)
    z0 = torch.randn(2, 4, requires_grad=True)
    norms = []
    with Probe(watch=True, on_backward=log_to(*loggers, **options)):
        for _ in range(TURNS):
            x = z0 * 2.0
            for _ in range(2):
                x = x + 0.5 * net(x)
            z0.grad = None
            x.square().mean().backward()
            assert z0.grad is not None
            norms.append(float(z0.grad.norm()))
            with torch.no_grad():
                z0 -= 0.1 * z0.grad
    return norms
