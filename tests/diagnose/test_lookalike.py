"""Of several tensors drawn like the leaf, the one is named that the sampler started from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traced import trace

PROGRAM = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
z0 = torch.randn(2, 4, requires_grad=True)
{before}
x = torch.randn_like(z0) * 2.0  # <- start
for step in range(3):
    x = x + 0.5 * (net(x) - x)
    {noise}
loss = (x {target}).square().mean()
loss.backward()
"""
OTHERS = {
    "nothing else": ("", "pass", ""),
    "a target": ("wanted = torch.randn(2, 4)", "pass", "- wanted"),
    "noise of each step": ("", "x = x + 0.1 * torch.randn(2, 4)", ""),
    # Deeper below the loss than the start is: a tree of draws, as a Brownian path has.
    "noise from a long way": (
        "def path():\n"
        "    drawn = torch.randn(2, 4)\n"
        "    for level in range(60): drawn = drawn * 0.9 + 0.1\n"
        "    return drawn\n",
        "x = x + 0.1 * path()",
        "",
    ),
    "noise drawn before": (
        "drawn = [torch.randn(2, 4) for _ in range(3)]",
        "x = x + 0.1 * drawn[step]",
        "",
    ),
}


@pytest.mark.parametrize("others", OTHERS)
def test_the_start_is_named_and_no_other_draw(others: str, tmp_path: Path) -> None:
    before, noise, target = OTHERS[others]
    traced = trace(tmp_path, PROGRAM.format(before=before, noise=noise, target=target))
    assert traced.report.verdict == "broken"
    assert traced.first.code == "GP109"
    assert traced.is_at(traced.first.opened_by, "start")
