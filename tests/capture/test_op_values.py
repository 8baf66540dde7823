"""Which of its arguments' values an op's result depends on, where torch's own way is not plain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traced import trace

BEGIN = """
import torch
z0 = torch.randn(4, 3, requires_grad=True)
codes = torch.randn(3, 5)
x = z0 * 2.0
"""
END = """
loss = (y * y).sum()
loss.backward()
"""
CARRIED = {
    "x.type": "y = x.detach().type(torch.float64) + x",
    "apply_": "y = x.detach().clone().apply_(lambda v: 2 * v) + x",
    "map_": "y = x.detach().clone().map_(torch.ones(4, 3), lambda u, v: u * v) + x",
    "a draw about a mean": "y = torch.normal(x.detach(), 1.0) + x",
    "a draw of a rate": "y = torch.poisson(x.detach().exp()) + x",
    "a coin": "y = torch.bernoulli(x.detach().sigmoid()) + x",
    "a coin in place": "y = torch.empty_like(x).bernoulli_(x.detach().sigmoid()) + x",
}
GONE = {
    "[:]": "y = x.detach().clone()\ny[:] = z0",
    "[...]": "y = x.detach().clone()\ny[...] = z0",
    "out=": "y = x.detach().clone()\ntorch.sin(codes[0, :1], out=y)\ny = y + x",
    "new_tensor of a number": "y = x * x.new_tensor(0.5)",
    "new_tensor of a list": "y = x * x.new_tensor([0.5, 1.0, 2.0])",
    "new_tensor of another": "y = x * x.new_tensor(codes[:, 0])",
    "bernoulli_": "y = x.detach().bernoulli_(0.5) + x",
}
COPIES = {
    "new_tensor": ("y = x + codes.new_tensor(x)", "GP105"),
    "new_tensor of numbers": ("y = x + codes.new_tensor([float(v) for v in x[0]])", "GP104"),
}
DRAWS = {
    "Normal.sample": ("y = torch.distributions.Normal(x, 1.0).sample()", "GP102"),
    "multinomial": ("y = codes[torch.multinomial(x.softmax(-1), 1)[:, 0]]", "GP107"),
    "Categorical.sample": (
        "y = codes[torch.distributions.Categorical(logits=x).sample()]",
        "GP107",
    ),
}


@pytest.mark.parametrize("form", CARRIED)
def test_values_that_were_detached_before_are_followed(form: str, tmp_path: Path) -> None:
    report = trace(tmp_path, BEGIN + CARRIED[form] + END).report
    assert (report.verdict, [f.code for f in report.findings]) == ("partial", ["GP101"])
    assert report.unseen == ()


@pytest.mark.parametrize("form", GONE)
def test_what_was_overwritten_whole_is_of_no_account(form: str, tmp_path: Path) -> None:
    report = trace(tmp_path, BEGIN + GONE[form] + END).report
    assert (report.verdict, report.findings) == ("flows", ())


@pytest.mark.parametrize("form", DRAWS)
def test_a_sample_of_a_distribution_is_named(form: str, tmp_path: Path) -> None:
    text, code = DRAWS[form]
    run = trace(tmp_path, BEGIN + text + END)
    assert (run.report.verdict, run.first.code) == ("broken", code)
    assert run.first.at.line == 1 + next(
        n for n, line in enumerate(run.text.splitlines()) if line.startswith("y = ")
    )


@pytest.mark.parametrize("form", COPIES)
def test_a_copy_of_values_is_named(form: str, tmp_path: Path) -> None:
    text, code = COPIES[form]
    report = trace(tmp_path, BEGIN + text + END).report
    assert (report.verdict, [f.code for f in report.findings]) == ("partial", [code])


def test_a_draw_of_the_same_shape_writes_nothing(tmp_path: Path) -> None:
    text = "shown = x.detach()\ny = x + torch.randn_like(x) + 0.0 * shown.sum()"
    trace_ = trace(tmp_path, BEGIN + text + END).trace
    assert "write through shared memory" not in {callee.name for callee in trace_.ops.callees}


@pytest.mark.parametrize(
    "form",
    [
        "a, b = torch.broadcast_tensors(x, codes[0, 0])",
        "a, b = torch.meshgrid(x[0], codes[0], indexing='ij')",
        "a, b = torch.meshgrid([x[0], codes[0]], indexing='ij')",
        "a, b = torch.atleast_2d(x, codes)",
        "a, b = torch.atleast_2d((x, codes))",
        "a = torch.distributions.Normal(x, 1.0).rsample(); b = a.new_ones(1)",
    ],
)
def test_what_is_reshaped_beside_the_leaf_is_not_made_of_it(form: str, tmp_path: Path) -> None:
    report = trace(tmp_path, BEGIN + form + "\ny = a.sum() + b.sum()" + END).report
    assert (report.verdict, report.findings) == ("flows", ())
