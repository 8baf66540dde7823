"""`denoiser=` takes a class, a variable, an attribute or a function; what is unknown is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradprobe.records.report import Report
from tests.traced import trace

PROGRAM = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return 0.5 * self.inner(x).tanh()


class Guided(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = Net()

    def forward(self, x):
        return 2.0 * self.network(x) - x * 0.1


def preconditioned(x):
    return 0.9 * guide(x * 0.5)


guide = Guided()
z0 = torch.ones(4, requires_grad=True)
x = z0 * 3.0
for step in range(3):
    x = x - 0.3 * preconditioned(x)
x.square().sum().backward()
"""


def report(folder: Path, name: str | None) -> Report:
    return trace(folder, PROGRAM, denoiser=name).report


@pytest.mark.parametrize(
    ("name", "called"),
    [
        (None, "Guided"),
        ("Guided", "Guided"),
        ("guide", "Guided"),
        ("Net", "Net"),
        ("network", "Net"),
        ("preconditioned", "preconditioned"),
    ],
)
def test_it_is_found_by_any_of_its_names(name: str | None, called: str, tmp_path: Path) -> None:
    found = report(tmp_path, name)
    assert [(c.name, c.step) for c in found.calls] == [(called, 0), (called, 1), (called, 2)]
    denoised = [s for s in found.stages if s.name == "denoised_output"]
    assert [s.step for s in denoised] == [0, 1, 2]
    assert all(s.grad is not None and s.grad.norm > 0 for s in denoised)
    assert found.unseen == ()


def test_an_unknown_name_is_said_with_the_nearest(tmp_path: Path) -> None:
    found = report(tmp_path, "Giuded")
    assert found.calls == ()
    assert found.unseen == (
        "denoiser 'Giuded': nothing of that name was called between leaf and root; nearest: Guided",
    )
    assert found.verdict == "flows"
