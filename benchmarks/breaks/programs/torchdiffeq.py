"""torchdiffeq: a velocity field, solved from z0 by each of its methods."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.script import both

# With the options that keep the adaptive ones to a few steps.
METHODS = {
    "euler": "",
    "midpoint": "",
    "heun2": "",
    "heun3": "",
    "rk4": "",
    "explicit_adams": "",
    "implicit_adams": "",
    "dopri5": ", rtol=1e-3, atol=1e-4, options={'max_num_steps': 40}",
    "dopri8": ", rtol=1e-3, atol=1e-4, options={'max_num_steps': 40}",
    "bosh3": ", rtol=1e-2, atol=1e-3, options={'max_num_steps': 40}",
    "fehlberg2": ", rtol=1e-2, atol=1e-3, options={'max_num_steps': 40}",
    "adaptive_heun": ", rtol=1e-2, atol=1e-3, options={'max_num_steps': 40}",
}
_IMPL = "torchdiffeq._impl"
# Not `misc`, which chooses step sizes: the library keeps gradient out of most of them itself.
_FILES = ("solvers", "rk_common", "fixed_grid", "fixed_adams", "interp", "odeint")

_SETUP = """\
import torch
from torch import nn
from torchdiffeq import odeint


class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, t, y):
        joined = torch.cat([y, t.expand(len(y), 1)], dim=1)
        velocity = self.net(joined)
        return velocity - 0.1 * y


torch.manual_seed(0)
model = Velocity()
grid = torch.linspace(0.0, 1.0, 5)
target = torch.randn(2, 4)
"""

_WAY = """
x = z0 * 2.0
solution = odeint(model, x, grid, method={method!r}{options})
last = solution[-1]
loss = (last - target).square().mean()
"""


def programs() -> Iterator[Program]:
    for method, options in METHODS.items():
        yield from both(
            "torchdiffeq",
            method,
            setup=_SETUP,
            shape="2, 4",
            way=_WAY.format(method=method, options=options),
            modules=tuple(f"{_IMPL}.{file}" for file in _FILES),
        )
