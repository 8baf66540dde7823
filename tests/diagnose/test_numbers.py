"""What is said of gradients that became zero or not finite: the op, and the values that did it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradprobe.records.report import Finding
from tests.traced import Traced, trace

HEAD = """
import math
import torch
import torch.nn.functional as F

torch.manual_seed(0)
"""


def run(folder: Path, body: str) -> Traced:
    return trace(folder, HEAD + body, numerics="nodes")


def first(folder: Path, body: str, code: str) -> Finding:
    """The first finding, which must be of this code and on the line that is marked with it."""
    traced = run(folder, body)
    found = traced.first
    assert found.code == code, traced.report.headline
    assert traced.is_at(found.at, code), found.at
    assert found.certainty == "proven"
    return found


END = "\nloss = (x - 0.25).pow(2).mean()\nloss.backward()\n"


@pytest.mark.parametrize(
    ("start", "op", "said"),
    [
        ("2.0", "F.relu(-x.abs())", "derivative zero for all|at its bound everywhere"),
        ("2.0", "torch.tanh(x * 1e3)", "at its bound everywhere"),
        ("2.0", "torch.sigmoid(x.abs() * 1e4)", "at its bound everywhere \\(1\\)"),
        ("2.0", "x.clamp(min=1e6)", "lets 1e\\+06 to inf pass and was given 160"),
        ("2.0", "F.hardtanh(x)", "derivative zero for all it was given \\(160\\)"),
        ("2.0", "F.relu6(x)", "160"),
        ("2.0", "torch.where(x > 1e6, x, torch.ones(4))", "derivative zero for every element"),
        ("2.0", "torch.minimum(x, torch.ones(4))", "zero"),
        ("2.0", "x.masked_fill(x > 0, 1.0)", "zero"),
        ("2.0", "F.softmax(x * torch.tensor([1e4, 1.0, 1.0, 1.0]), dim=0)", "zero"),
    ],
)
def test_what_is_saturated_is_named_with_its_values(
    tmp_path: Path, start: str, op: str, said: str
) -> None:
    found = first(
        tmp_path,
        f"z0 = torch.full((4,), {start}, requires_grad=True)\n"
        f"x = z0 * 80.0\nx = {op}  # <- GP303{END}",
        "GP303",
    )
    assert re.search(said, found.message), found.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "s_churn = 0\ngamma = min(s_churn / 4, 0.4)\nx = 1 + z0 * gamma  # <- GP304",
            "gamma, which is 0 because s_churn is 0",
        ),
        ("eta = 0.0\nx = 1 + z0 * eta  # <- GP304", "multiplies by eta, which is 0;"),
        ("x = 1 + z0 * torch.zeros(4)  # <- GP304", "by a factor that is exactly 0"),
        (
            "model = torch.nn.Linear(4, 4)\ntorch.nn.init.zeros_(model.weight)\n"
            "x = model(z0)  # <- GP304",
            "the weights of .*linear are all zero",
        ),
        ("x = z0 - z0.detach()\nx = 1 + x.pow(2)  # <- GP304", "derivative of .*pow is zero"),
    ],
)
def test_what_multiplies_by_zero_is_named_with_its_reason(
    tmp_path: Path, body: str, said: str
) -> None:
    found = first(tmp_path, f"z0 = torch.randn(4, requires_grad=True)\n{body}{END}", "GP304")
    assert re.search(said, found.message), found.message
    assert found.message.endswith("connected, coefficient 0")


def test_where_the_factor_became_zero_is_shown(tmp_path: Path) -> None:
    traced = run(
        tmp_path,
        "z0 = torch.randn(4, requires_grad=True)\nsigma = torch.tensor(2.0)\n"
        f"scale = (sigma**2 - 4.0).sqrt()  # <- zero\nx = 1 + z0 * scale{END}",
    )
    (related,) = traced.first.related
    assert related.word == "made zero here"
    assert traced.is_at(related.at, "zero")


def test_beside_a_saturated_op_a_schedule_s_own_zero_is_a_warning(tmp_path: Path) -> None:
    traced = run(
        tmp_path,
        "z0 = torch.full((4,), 2.0, requires_grad=True)\nlast = 0.0\n"
        f"x = (z0 * 80.0).clamp(-1, 1) + z0 * last{END}",
    )
    assert [(f.code, f.severity) for f in traced.report.findings] == [
        ("GP303", "error"),
        ("GP304", "warning"),
    ]


@pytest.mark.parametrize(
    ("op", "start", "said"),
    [
        ("x.sqrt()", "torch.zeros(4)", "became Inf at element \\[0\\] \\(result 0\\)"),
        ("x.pow(0.5)", "torch.tensor([1.0, 0.0])", "input 0, exponent 0.5"),
        ("torch.acos(x)", "torch.tensor([0.5, 1.0])", "input 1"),
        ("torch.linalg.vector_norm(x - x)", "torch.ones(4)", ""),
        ("x.std(dim=1)", "torch.ones(2, 3)", ""),
        ("x.abs().log()", "torch.tensor([1.0, 0.0])", "gave Inf in the forward"),
        ("F.normalize(x, dim=0, eps=0.0)", "torch.zeros(4)", "gave NaN in the forward, from 0"),
        ("torch.where(x > 0, 1 / x, 0.0)", "torch.tensor([1.0, 0.0])", "gave Inf in the forward"),
        ("torch.exp(x * 1e3)", "torch.tensor([1.0, 0.0])", "from values between 0 and 1000"),
    ],
)
def test_where_a_gradient_stopped_being_finite(
    tmp_path: Path, op: str, start: str, said: str
) -> None:
    program = (
        f"z0 = {start}.requires_grad_()\nx = z0 * 1.0\nr = {op}  # <- GP302\n"
        "loss = r.sum()\nloss.backward()\n"
    )
    if not said:  # torch's derivative of a norm at zero is defined
        assert run(tmp_path, program).report.verdict in ("flows", "zero")
        return
    found = first(tmp_path, program, "GP302")
    assert re.search(said, found.message), found.message


def test_an_infinity_that_is_meant_is_no_birth(tmp_path: Path) -> None:
    """A mask of -inf before a softmax is healthy; a row that is all masked is NaN there."""
    program = """
z0 = torch.randn(2, 3, requires_grad=True)
mask = torch.tensor([[False, True, False], [{last}]])
scores = z0 * 2.0 + torch.zeros(2, 3).masked_fill(mask, -math.inf)
x = torch.softmax(scores, dim=-1)  # <- GP302
loss = (x * torch.arange(3.0)).sum()
loss.backward()
"""
    healthy = run(tmp_path, program.format(last="False, False, True"))
    assert (healthy.report.verdict, healthy.report.findings) == ("flows", ())
    found = first(tmp_path, program.format(last="True, True, True"), "GP302")
    assert "gave NaN in the forward" in found.message


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_is_blamed_only_where_it_is_the_reason(tmp_path: Path, dtype: str) -> None:
    program = """
z0 = torch.full((4,), {start}, requires_grad=True)
x = (z0 * 1.0).to(torch.{dtype})
x = x.clamp(-1.0, 1.0)  # <- GP303
loss = x.mean()
loss.backward()
"""
    found = first(tmp_path, program.format(start=3.0, dtype=dtype), "GP303")
    assert "was given 3" in found.message
    assert run(tmp_path, program.format(start=0.5, dtype=dtype)).report.verdict == "flows"


def test_without_node_numbers_the_report_says_how_to_get_them(tmp_path: Path) -> None:
    body = HEAD + f"z0 = torch.full((4,), 2.0, requires_grad=True)\nx = (z0 * 80).clamp(-1, 1){END}"
    found = trace(tmp_path, body).first
    assert found.code == "GP114"
    assert 'Probe(numerics="nodes")' in found.fix


def test_a_step_that_changes_the_gradient_s_size_is_a_note_with_both_norms(tmp_path: Path) -> None:
    traced = run(
        tmp_path,
        """
model = torch.nn.Linear(4, 4)
z0 = torch.randn(1, 4, requires_grad=True)
x = z0 * 80.0
for sigma in (80.0, 20.0, 1e-6, 1.0):
    x = x + model(x) / sigma  # <- GP306
loss = x.pow(2).mean()
loss.backward()
""",
    )
    notes = [f for f in traced.report.findings if f.code == "GP306"]
    assert [(f.severity, f.at.line) for f in notes] == [("note", traced.line("GP306"))]
    assert notes[0].message.startswith("step 2 multiplied the norm of the gradient by ")
    assert traced.report.verdict == "flows"


def test_a_stage_with_coefficient_zero_is_told_of_and_is_no_break(tmp_path: Path) -> None:
    traced = trace(
        tmp_path,
        HEAD
        + """
import gradprobe
z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
noise = gradprobe.tap("step_noise", z0 * 2.0, step=3)
x = x + noise * 0.0
loss = x.pow(2).mean()
loss.backward()
""",
    )
    (leaf,) = traced.report.leaves
    assert (leaf.verdict, leaf.layers.healthy.answer) == ("flows", "yes")
    assert leaf.layers.healthy.sentence.endswith(
        "connected with coefficient 0 at step_noise of step 3"
    )


def test_a_gradient_that_was_not_finite_on_its_way_is_not_healthy(tmp_path: Path) -> None:
    traced = trace(
        tmp_path,
        HEAD
        + """
import gradprobe
z0 = torch.ones(4, requires_grad=True)
x = gradprobe.tap("masked", torch.relu(z0 - 1.0))
loss = z0.sum() + x.sqrt().sum()
loss.backward()
""",
    )
    (leaf,) = traced.report.leaves
    assert leaf.layers.healthy.answer == "no"
    assert leaf.layers.healthy.sentence.endswith("but NaN or Inf at masked")


@pytest.mark.parametrize(
    ("op", "word"), [("x.clamp(max=-1e9)", "zero"), ("(x * 0.0).abs().pow(0.5)", "nan/inf")]
)
def test_the_table_tells_connected_and_worthless_from_cut(
    tmp_path: Path, op: str, word: str
) -> None:
    traced = run(
        tmp_path,
        f"import gradprobe\nz0 = torch.ones(4, requires_grad=True)\n"
        f'x = gradprobe.tap("start_state", z0 * 80.0)\nx = {op}{END}',
    )
    rows = traced.report.render("text").splitlines()
    assert any(re.match(rf"\s+start_state\s+{word}\s", row) for row in rows), rows
    assert any(re.match(rf"\s+z0\s+{word}\s", row) for row in rows), rows
