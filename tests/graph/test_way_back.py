"""Whether a run leaves open what became of values that left torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.way_back import may_have_returned
from tests.traced import trace

START = """
import numpy as np
import torch

z0 = torch.linspace(-1.0, 2.0, 8).requires_grad_()
x = z0 * 80.0
"""
END = """
loss = x.pow(2).mean()
loss.backward()
"""

OPEN = {
    "a number that was computed with": "x = x * (x.std().item() / 3 + 1)",
    "a number of NumPy's": "s = x.detach().numpy().std()\nx = x / s",
    "an array": "x = x + torch.from_numpy(np.flip(x.detach().numpy()).copy())",
    "a list": "x = x + torch.tensor([v / 2 for v in x.tolist()])",
    "a number in keywords": "s = x.std().item() / 3\nx = torch.add(x, x, alpha=s)",
}
CLOSED = {
    "nothing left": "x = x * (1.0 / 3.0 + 1)",
    "it came back": "x = x / x.std().item()",
    "it left last": "x = x * (1.0 / 3.0 + 1)\nprint(x.std().item())",
    "numbers that people write": "print(x.std().item())\nx = x * 0.18215 + 1e-6",
    "integers": "print(x.argmax().item())\nx = x * (1.0 / 3.0)",
    "beside the way": "s = x.std().item() / 3\nunused = torch.ones(2) * s",
    "an index": "print(x.std().item())\nx = x[torch.tensor([1, 0])]",
}


def is_open(folder: Path, body: str) -> bool:
    return may_have_returned(dataflow(trace(folder, f"{START}{body}{END}").trace))


@pytest.mark.parametrize("name", OPEN)
def test_what_may_have_come_back(name: str, tmp_path: Path) -> None:
    assert is_open(tmp_path, OPEN[name])


@pytest.mark.parametrize("name", CLOSED)
def test_what_did_not_or_is_known(name: str, tmp_path: Path) -> None:
    assert not is_open(tmp_path, CLOSED[name])
