"""Gradient recording was off.

Inside `torch.no_grad()`, under `@torch.no_grad()`, or after `torch.set_grad_enabled(False)`, torch
computes values and writes no graph. The tensor that comes out has no grad_fn, whatever went in.

Most samplers' own entry points are decorated this way: k-diffusion's `sample_*`, the `__call__`
of every diffusers pipeline. Some modules switch gradient off when they are imported, and a
generator that is suspended inside `no_grad` leaves it off for whoever consumes it. The finding
names the first op that was lost and, as its cause, the line that switched recording off.

Call the undecorated function (`sample_euler.__wrapped__(...)`,
`type(pipe).__call__.__wrapped__(pipe, ...)`), or move the `with torch.no_grad()` so that it does
not cover the way to the loss.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.regions import drafts
from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View

CODE = "GP102"
NAME = "grad-mode-off"

BREAKS = """
import torch

@torch.no_grad()  # <- opens
def step(x):
    return x - 0.1 * (x - 0.7 * x)  # <- GP102

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
for _ in range(3):
    x = step(x)
loss = x.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

def step(x):
    return x - 0.1 * (x - 0.7 * x)

@torch.no_grad()
def make_step():
    return step

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
step_again = make_step()
for _ in range(3):
    x = step_again(x)
    with torch.no_grad():
        shown = x.abs().max()
loss = x.pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Ops on the way from leaf to root that ran while recording was off."""
    return drafts(view, inference=False)
