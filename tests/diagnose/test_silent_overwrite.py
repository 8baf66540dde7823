"""GP202: a write that no version counter saw. What is right is told by finite differences."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.traced import Traced, trace

# The body of `run(z0)`, which returns the loss; `w` and `p` are a constant and a parameter.
WRONG = {
    "a result, through .data": """
        h = torch.exp(0.7 * z0)  # <- saved
        loss = (h * w).sum()
        h.data.clamp_(max=0.5)  # <- write
    """,
    "an input, through .data": """
        x = 2 * z0
        loss = x.sin().sum()  # <- saved
        x.data.mul_(0.3)  # <- write
    """,
    "the leaf itself": """
        loss = z0.pow(3).sum()  # <- saved
        z0.data.clamp_(-0.5, 0.5)  # <- write
    """,
    "a constant factor": """
        scale = w.clone()
        loss = (z0 * scale).sum()  # <- saved
        scale.data.zero_()  # <- write
    """,
    "a constant factor whose alias was kept": """
        scale = w.clone()
        loss = (z0 * scale.data).sum()  # <- saved
        scale.mul_(2)  # <- write
    """,
    "both factors": """
        x = 2 * z0
        loss = (x * x).sum()  # <- saved
        x.data.add_(1)  # <- write
    """,
    "a divisor": """
        x = z0 + 3
        loss = (w / x).sum()  # <- saved
        x.data[1:] *= 2  # <- write
    """,
    "a view of the data": """
        h = torch.sigmoid(z0)  # <- saved
        loss = (h * w).sum()
        flat = h.data.view(-1)
        flat[0] = 0.0  # <- write
    """,
    "the data of a view": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        x[1:].data.fill_(3.0)  # <- write
    """,
    "a view that was kept": """
        x = 2 * z0
        part = x[1:3]
        loss = x.sum() + part.square().sum()  # <- saved
        x.data.sub_(5)  # <- write
    """,
    "the detached data": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        x.detach().data.fill_(3.0)  # <- write
    """,
    "a weight, by copy_": """
        loss = torch.nn.functional.linear(z0, p).sum()  # <- saved
        p.data.copy_(torch.ones(4, 4, dtype=p.dtype))  # <- write
    """,
    "a weight, by an operator": """
        loss = torch.nn.functional.linear(z0, p).sum()  # <- saved
        p.data *= 0.9  # <- write
    """,
    "a convolution's weight": """
        loss = torch.nn.functional.conv1d(z0[None, None], p[:1, None, :3]).sum()  # <- saved
        p.data.neg_()  # <- write
    """,
    "another tensor in its place": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        x.data = torch.zeros_like(x)  # <- write
    """,
    "a parameter assigned": """
        loss = (z0 * p[0]).sum() + (z0 * p).sum()  # <- saved
        p.data = torch.zeros(4, 4, dtype=p.dtype)  # <- write
    """,
    "a result with no name left": """
        h = torch.tanh(z0)  # <- saved
        loss = (h + 1).sum()
        kept = h.data
        del h
        kept.zero_()  # <- write
    """,
    "an in-place op's result": """
        h = 0.5 * z0
        h.exp_()  # <- saved
        loss = (h * w).sum()
        h.data += 1  # <- write
    """,
    "normalised": """
        loss = (w * torch.nn.functional.layer_norm(z0, (4,), p[0])).sum()  # <- saved
        p.data.mul_(3)  # <- write
    """,
    "averaged weights swapped out before backward": """
        backup = p.data.clone()
        p.data.copy_(0.5 * backup)
        loss = torch.nn.functional.linear(z0, p).pow(2).sum()  # <- saved
        p.data.copy_(backup)  # <- write
    """,
}

# The write itself is not seen: `left` marks where the memory began to be shared.
OUTSIDE = {
    "numpy": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        x.detach().numpy()[...] = 0  # <- left
    """,
    "a result that lives": """
        global h
        h = torch.exp(z0)  # <- saved
        loss = (h * w).sum()
        pixels = h.detach().numpy()  # <- left
        pixels[1:] *= 0.5
    """,
    "a part of it": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        x[0].detach().numpy()[...] = 3  # <- left
    """,
    "from_numpy": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        torch.from_numpy(x.detach().numpy()).mul_(2)  # <- left
    """,
    "DLPack": """
        x = 2 * z0
        loss = x.cos().sum()  # <- saved
        torch.from_dlpack(x.detach()).mul_(2)  # <- left
    """,
}

RIGHT = {
    "an array that is only read": """
        x = 2 * z0
        loss = x.cos().sum()
        pixels = 255 * x.detach().numpy()
    """,
    "an array that was copied": """
        x = 2 * z0
        loss = x.cos().sum()
        pixels = x.detach().numpy().copy()
        pixels[...] = 0
    """,
    "an array that is written before": """
        noise = w.clone()
        noise.numpy()[...] = 0.5
        loss = (z0 * noise).cos().sum()
    """,
    "an array of what no derivative needs": """
        x = z0 + 1
        loss = (x * 2).sum()
        x.detach().numpy()[...] = 0
    """,
    "a write before the op": """
        x = 2 * w
        x.data.clamp_(-1, 1)
        loss = (z0 * x).sum()
    """,
    "a write that changes nothing": """
        h = torch.exp(0.7 * z0)
        loss = (h * w).sum()
        h.data.clamp_(min=0.0)
    """,
    "its own values copied": """
        x = 2 * z0
        loss = x.cos().sum()
        x.data.copy_(x)
    """,
    "its own memory assigned": """
        x = 2 * z0
        loss = x.cos().sum()
        x.data = x.data
    """,
    "what no derivative needs": """
        x = z0 + 1
        loss = (x + w).sum() + (3.0 * x).sum()
        x.data.zero_()
    """,
    "what only the other factor needs": """
        x = 2 * z0
        loss = (x * p[0]).sum()
        x.data.zero_()
    """,
    "what only the weight's gradient needs": """
        x = 2 * z0
        loss = torch.nn.functional.linear(x, p).sum()
        x.data.zero_()
    """,
    "another part of the memory": """
        x = 2 * z0
        first, second = x.chunk(2)
        loss = first.cos().sum() + second.sum()
        second.data.zero_()
    """,
    "another tensor in place of a result": """
        h = torch.exp(0.7 * z0)
        loss = (h + w).sum()
        h.data = torch.zeros_like(h)
    """,
    "another tensor in place of a transposed weight": """
        loss = torch.nn.functional.linear(z0, p).sum()
        p.data = torch.zeros(4, 4, dtype=p.dtype)
    """,
    "a copy": """
        h = torch.exp(0.7 * z0)
        loss = (h * w).sum()
        h.data.clone().zero_()
        h.detach().clone().zero_()
    """,
    "weights swapped and put back": """
        loss = torch.nn.functional.linear(z0, p).pow(2).sum()
        backup = p.data.clone()
        p.data.copy_(0.5 * backup)
        with torch.no_grad():
            torch.nn.functional.linear(z0, p)
        p.data.copy_(backup)
    """,
    "weights read through .data": """
        loss = torch.nn.functional.linear(z0, p).sum()
        average = 0.9 * p.data
        average.add_(p.data)
    """,
    "an op that is on no way from the leaf": """
        h = torch.exp(p)
        loss = (z0 * 2).sum() + h.sum()
        h.data.zero_()
    """,
}
AROUND = """
import torch

def run(z0):
    torch.manual_seed(0)
    w = torch.linspace(0.5, 2.0, 4, dtype=torch.float64)
    p = torch.nn.Parameter(torch.rand(4, 4, dtype=torch.float64))
{body}
    return loss

z0 = torch.tensor([-0.8, -0.3, 0.4, 0.9], dtype=torch.float64, requires_grad=True)
start = z0.detach().clone()
loss = run(z0)
loss.backward()
"""


def program(body: str) -> str:
    body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return AROUND.format(body=body)


def is_right(run: Traced) -> bool:
    """Whether the gradient that arrived is the derivative of what the program computes."""
    start, arrived = run.names["start"], run.names["z0"].grad
    step = 1e-6
    slopes = []
    for unit in torch.eye(len(start), dtype=start.dtype):
        ends = [run.names["run"]((start + sign * step * unit).clone()) for sign in (1, -1)]
        slopes.append((ends[0] - ends[1]).detach() / (2 * step))
    numeric: Tensor = torch.stack(slopes)
    return torch.allclose(arrived, numeric, rtol=1e-5, atol=1e-6)


def found(run: Traced) -> list[tuple[str, str]]:
    return [(f.code, f.severity) for f in run.report.findings]


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_wrong_gradient_is_found_with_the_write_and_the_op(body: str, tmp_path: Path) -> None:
    run = trace(tmp_path, program(body))
    assert run.raised is None
    assert not is_right(run)
    first = run.first
    assert (first.code, first.name, first.severity) == ("GP202", "silent-overwrite", "error")
    assert run.is_at(first.at, "write"), first.at
    assert run.is_at(first.opened_by, "saved"), first.opened_by
    assert first.certainty == "proven"
    assert run.report.verdict in ("partial", "zero")
    if run.report.verdict == "partial":
        assert run.report.headline.startswith(
            f"partial: gradient reaches z0, and is wrong; GP202 silent-overwrite at "
            f"{run.path.name}:{run.line('write')}: "
        )
        (z0,) = [leaf for leaf in run.report.leaves if leaf.name == "z0"]
        assert z0.layers.connected.answer == z0.layers.complete.answer == "yes"
        assert z0.layers.healthy.answer == "no"


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_a_right_gradient_is_left_alone(body: str, tmp_path: Path) -> None:
    run = trace(tmp_path, program(body))
    assert run.raised is None
    assert is_right(run)
    assert [f for f in run.report.findings if f.leaf == "z0"] == []
    (z0,) = [leaf for leaf in run.report.leaves if leaf.name == "z0"]
    assert z0.verdict == "flows"


@pytest.mark.parametrize("body", OUTSIDE.values(), ids=OUTSIDE)
def test_a_write_outside_of_torch_is_suspected_where_the_memory_left(
    body: str, tmp_path: Path
) -> None:
    run = trace(tmp_path, program(body))
    assert run.raised is None
    assert not is_right(run)
    assert (run.first.code, run.first.severity) == ("GP202", "error")
    assert run.first.certainty == "suspected"
    assert run.is_at(run.first.at, "left"), run.first.at
    assert run.is_at(run.first.opened_by, "saved"), run.first.opened_by
    (z0,) = [leaf for leaf in run.report.leaves if leaf.name == "z0"]
    assert z0.verdict in ("partial", "zero")


def test_a_state_that_is_clamped_without_effect_is_only_noted(tmp_path: Path) -> None:
    body = """
        x = z0 * 1.5
        for _ in range(3):
            x = x - 0.1 * torch.tanh(x)
            x.data.clamp_(-4, 4)  # <- write
        loss = x.square().sum()
    """
    run = trace(tmp_path, program(body))
    assert is_right(run)
    assert found(run) == [("GP101", "note")]
    assert run.is_at(run.first.at, "write")
    assert run.report.verdict == "flows"


def test_one_step_of_many_that_is_clamped_is_a_break(tmp_path: Path) -> None:
    body = """
        x = z0 * 1.5
        for _ in range(3):
            x.data.clamp_(-1.2, 1.2)  # <- write
            x = x + 0.01
        x.data.clamp_(-2, 2)
        loss = x.square().sum()
    """
    run = trace(tmp_path, program(body))
    assert not is_right(run)
    assert run.report.verdict == "partial"
    assert ("GP101", "warning") in found(run)
    assert run.is_at(run.first.at, "write")


def test_values_of_the_leaf_copied_through_data_are_a_break(tmp_path: Path) -> None:
    body = """
        x = 0.5 * z0
        y = z0 * z0
        x.data.copy_(y)  # <- write
        loss = x.square().sum()
    """
    run = trace(tmp_path, program(body))
    assert not is_right(run)
    assert ("GP202", "error") not in found(run)
    assert run.report.verdict == "partial"


def test_repeats_of_one_line_are_counted(tmp_path: Path) -> None:
    body = """
        x = z0
        for _ in range(4):
            h = torch.sigmoid(x)
            x = x + 0.1 * h
            h.data.clamp_(max=0.4)  # <- write
        loss = x.square().sum()
    """
    run = trace(tmp_path, program(body))
    assert not is_right(run)
    assert [(f.code, f.count) for f in run.report.findings] == [("GP202", 4)]
    assert run.is_at(run.first.at, "write")


def test_where_only_a_threshold_counts_it_is_a_note(tmp_path: Path) -> None:
    body = """
        h = torch.relu(z0)
        loss = (h + w).sum()
        h.data.mul_(2)  # <- write
    """
    run = trace(tmp_path, program(body))
    assert is_right(run)
    assert found(run) == [("GP202", "note")]
    assert run.first.certainty == "suspected"
    assert run.is_at(run.first.at, "write")
    assert run.report.verdict == "flows"


def test_what_an_unknown_op_may_keep_is_a_note(tmp_path: Path) -> None:
    body = """
        x = z0 * 2
        loss = torch.special.entr(x + 5).sum() + torch.special.entr(x.abs()).sum() * 0
        loss = loss + torch.special.zeta(w + 2, w + 1).sum()
        y = x + 5
        loss = loss + torch.special.entr(y).sum()
        y.data.mul_(2)  # <- write
    """
    run = trace(tmp_path, program(body))
    assert found(run) == [("GP202", "note")]
    assert run.first.certainty == "suspected"
    assert run.is_at(run.first.at, "write")


def test_a_second_pass_through_what_was_written_between(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.tensor([0.2, 0.9], requires_grad=True)
        h = torch.exp(z0)  # <- saved
        loss = h.sum()
        loss.backward(retain_graph=True)
        first = z0.grad.clone()
        h.data.zero_()  # <- write
        z0.grad = None
        loss.backward()
        """,
    )
    assert not torch.equal(run.names["first"], run.names["z0"].grad)
    assert run.first.code == "GP202"
    assert run.is_at(run.first.at, "write")
    assert run.is_at(run.first.opened_by, "saved")


def test_a_version_that_was_counted_is_left_to_torch(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.tensor([0.2, 0.9], requires_grad=True)
        h = torch.exp(z0)  # <- saved
        h.data.mul_(2)
        h.detach().mul_(2)  # <- write
        h.sum().backward()
        """,
    )
    assert run.raised is not None
    assert run.first.code == "GP201"
    assert run.is_at(run.first.at, "write")


def test_a_solver_that_writes_past_the_counter_by_design_is_healthy(tmp_path: Path) -> None:
    pytest.importorskip("torchdiffeq")
    body = """
        from torchdiffeq import odeint

        times = torch.tensor([0.0, 1.0], dtype=torch.float64)
        slope = lambda t, x: torch.sin(x) * w - x
        loss = odeint(slope, z0, times, method="dopri5", options={"max_num_steps": 99})[-1].sum()
    """
    run = trace(tmp_path, program(body))
    assert run.raised is None
    assert [f for f in run.report.findings if f.code == "GP202"] == []
    assert run.report.verdict == "flows"


def test_what_a_checkpoint_computes_again_is_not_called_wrong(tmp_path: Path) -> None:
    body = """
        from torch.utils.checkpoint import checkpoint

        def block(x):
            h = torch.tanh(x)
            out = h * 3
            h.data.mul_(0.5)  # <- write
            return out

        loss = checkpoint(block, 2 * z0, use_reentrant=False).sum()
    """
    run = trace(tmp_path, program(body))
    assert is_right(run)
    assert found(run) == [("GP202", "note")]
    assert run.first.certainty == "suspected"
    assert run.report.verdict == "flows"


def test_weights_on_the_way_are_compared_each_for_itself(tmp_path: Path) -> None:
    body = """
        scale, shift = w.clone(), w.clone()
        loss = (z0 * scale * shift).sum()  # <- saved
        torch._foreach_mul_([scale.data, shift.data], [1.0, 2.0])  # <- write
    """
    run = trace(tmp_path, program(body))
    assert not is_right(run)
    assert run.first.code == "GP202"
    assert run.first.certainty == "proven"
    assert run.is_at(run.first.at, "write")
    assert run.is_at(run.first.opened_by, "saved")
