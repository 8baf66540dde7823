"""The outline: which lines each step ran, what gradient did there, and what their ops keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gradprobe.graph import outline as parts
from gradprobe.graph import outline_blocks as blocks
from gradprobe.records import codec
from gradprobe.records.outline import Outline, Part
from gradprobe.records.picture import State
from tests.traced import Traced, trace

SAMPLER = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.full((6, 6), 0.1), requires_grad=False)

    def forward(self, x):
        return torch.tanh(x @ self.a)  # <- net

model = Net()
z0 = torch.randn(3, 6, requires_grad=True)
x = z0 * 2.0  # <- start
for step in range({steps}):
    denoised = model(x)
    x = x + 0.1 * ({state} - x).sin()  # <- move
loss = x.square().mean()  # <- loss
loss.backward()
"""


def run(folder: Path, state: str = "denoised", steps: int = 5) -> Traced:
    return trace(folder, SAMPLER.format(steps=steps, state=state))


def lines(outline: Outline, part: Part) -> dict[str, State]:
    """The source of each line of a part, with its state."""
    body = outline.bodies[part.body]
    return {x.source.strip(): x.state for n in body for x in outline.blocks[n].lines}


def test_steps_have_numbers_and_what_is_around_them_has_none(tmp_path: Path) -> None:
    outline = run(tmp_path).report.outline
    assert [part.step for part in outline.parts] == [None, 0, 1, 2, 3, 4, None]
    assert {part.state for part in outline.parts} == {"live"}
    assert [part.ops for part in outline.parts] == [1, 6, 6, 6, 6, 6, 2]
    assert outline.left_out == 0


def test_steps_that_did_the_same_share_their_lines(tmp_path: Path) -> None:
    outline = run(tmp_path).report.outline
    assert len({part.body for part in outline.parts[1:-1]}) == 1
    assert len(outline.bodies) == 3


def test_a_line_stands_in_its_function_with_its_columns(tmp_path: Path) -> None:
    traced = run(tmp_path)
    outline = traced.report.outline
    [net] = [block for block in outline.blocks if block.function == "Net.forward"]
    assert outline.files[net.file] == str(traced.path)
    tanh = net.lines[-1]
    assert (tanh.op, tanh.count, tanh.line) == ("tanh", 1, traced.line("net"))
    assert tanh.source[tanh.col : tanh.end_col] == "torch.tanh(x @ self.a)"


def test_the_op_that_loses_gradient_is_marked(tmp_path: Path) -> None:
    outline = run(tmp_path, "denoised.detach()").report.outline
    states = lines(outline, outline.parts[2])
    assert states["return torch.tanh(x @ self.a)  # <- net"] == "live"
    move = "x = x + 0.1 * (denoised.detach() - x).sin()  # <- move"
    [block] = [b for b in outline.blocks if any(x.op == "detach" for x in b.lines)]
    assert [x.state for x in block.lines if x.op == "detach"] == ["cut"]
    assert move in states
    assert outline.parts[2].state == "cut"


def test_what_lies_behind_an_op_that_made_it_zero_is_zero(tmp_path: Path) -> None:
    text = SAMPLER.format(steps=5, state="denoised").replace("loss = x", "x = x * 0.0\nloss = x")
    outline = trace(tmp_path, text, numerics="nodes").report.outline
    assert {part.state for part in outline.parts[:-1]} == {"zero"}


def kept_by_torch(text: str) -> int:
    """Bytes of all tensors that autograd saved, each memory once, without parameters."""
    seen: dict[int, torch.Tensor] = {}
    names: dict[str, Any] = {"__name__": "__main__"}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter) and not tensor.is_leaf:
            seen.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        exec(compile(text, "<program>", "exec"), names)
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


def test_saved_bytes_are_those_that_autograd_keeps(tmp_path: Path) -> None:
    outline = run(tmp_path).report.outline
    told = [part.saved_bytes or 0 for part in outline.parts]
    assert sum(told) == kept_by_torch(SAMPLER.format(steps=5, state="denoised")) > 0
    assert len(set(told[1:-1])) == 1


def test_a_long_run_is_bounded_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_MOST_PARTS", 4)
    monkeypatch.setattr(blocks, "_MOST_LINES", 3)
    monkeypatch.setattr(blocks, "_MOST_BODIES", 1)
    outline = run(tmp_path).report.outline
    assert len(outline.parts) == 4
    assert sum(len(block.lines) for block in outline.blocks) <= 3
    assert len(outline.bodies) == 1
    assert outline.left_out > 3


def test_a_saved_report_grows_by_less_than_a_third(tmp_path: Path) -> None:
    data = codec.to_dict(run(tmp_path, steps=20).report)
    whole = len(json.dumps(data, indent=2))
    del data["outline"]
    assert whole < 4 / 3 * len(json.dumps(data, indent=2))


def test_a_leaf_that_is_not_used_has_no_parts(tmp_path: Path) -> None:
    text = (
        "z0 = torch.ones(2, requires_grad=True)\ntorch.ones(2, requires_grad=True).sum().backward()"
    )
    assert trace(tmp_path, text, leaves=["z0"]).report.outline.parts == ()
