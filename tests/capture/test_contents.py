"""Checksums of what tensors hold, memory that is shared, the program's own saved-tensor hooks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from gradprobe.capture.contents import Contents
from gradprobe.probe import Probe
from gradprobe.records.op import UNCOUNTED
from tests.traced import trace

VIEWS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.t(),
    "a column": lambda x: x[:, 1],
    "a block": lambda x: x[1:3, 1:],
    "one element": lambda x: x[0, 0],
    "expanded": lambda x: x[:1].expand(4, 5),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_changed_element_changes_the_sum_and_no_other_does(name: str) -> None:
    contents = Contents()
    for row in range(4):
        for column in range(5):
            x = torch.rand(4, 5)
            view = VIEWS[name](x)
            before, values = contents.of(view), view.clone()
            assert before is not None
            assert contents.of(view) == before
            x[row, column] += 1e-3
            assert (contents.of(view) == before) == torch.equal(view, values)


@pytest.mark.parametrize(
    "tensor",
    [torch.empty(0), torch.empty(3, device="meta"), torch.rand(3, 3).to_sparse()],
    ids=["empty", "meta", "sparse"],
)
def test_what_has_no_memory_has_no_sum(tensor: torch.Tensor) -> None:
    assert Contents().of(tensor) is None


def test_no_more_is_summed_up_than_a_run_may_cost() -> None:
    contents = Contents()
    contents.left = 100
    assert contents.of(torch.rand(20)) is not None
    assert contents.of(torch.rand(20)) is None
    assert contents.of(torch.rand(5)) is not None


# Whether `x` counts the write, as torch says.
WRITES = [
    "x.data.mul_(2)",
    "x.detach().mul_(2)",
    "x[1:].data.mul_(2)",
    "x.detach().data.mul_(2)",
    "x.data.view(-1)[0] = 3",
    "x.data += 1",
    "x.detach().view(2, 2)[0] = 3",
    "torch._foreach_add_([x.data], 1.0)",
    "torch._foreach_add_([x.detach()], 1.0)",
]


@pytest.mark.parametrize("line", WRITES)
def test_a_write_is_uncounted_where_the_version_stands_still(line: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""
z0 = torch.rand(4, requires_grad=True)
x = z0 * 2
x.data
before = x._version
{line}
counted = x._version > before
""",
    )
    assert run.raised is None
    ops = run.trace.ops
    reached = [n for n in range(len(ops)) if ops.callee_of(n).name == "write through shared memory"]
    flags = {bool(ops.flags_of(n) & UNCOUNTED) for n in reached if len(ops.outputs_of(n))}
    assert run.names["counted"] == (flags == {False})


def test_the_hooks_of_torch_are_put_back() -> None:
    before = dict(vars(saved_tensors_hooks))
    with Probe(), saved_tensors_hooks(lambda x: x, lambda x: x):
        torch.ones(2, requires_grad=True).exp().sum().backward()
    assert dict(vars(saved_tensors_hooks)) == before


def test_only_ops_within_hooks_are_said_to_be(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        from torch.autograd.graph import saved_tensors_hooks

        z0 = torch.rand(4, requires_grad=True)
        x = z0.sin()
        with saved_tensors_hooks(lambda x: x, lambda x: x):
            y = x.cos()
            with saved_tensors_hooks(lambda x: x, lambda x: x):
                y = y.tan()
            y = y.exp()
        y.sum().backward()
        """,
    )
    ops = run.trace.ops
    ((first, end),) = run.trace.hooked
    names = [ops.callee_of(n).name for n in range(first, end)]
    assert names == ["Tensor.cos", "Tensor.tan", "Tensor.exp"]


def test_memory_that_is_gone_is_not_looked_at(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.rand(4, requires_grad=True)
        for _ in range(40):
            x = z0 + 1
            array = x.detach().numpy()
            array[...] = 0
            del x, array
        loss = z0.sin().sum()
        loss.backward()
        """,
    )
    assert run.raised is None
    assert run.trace.passes[0].altered == ()
    assert run.report.verdict == "flows"
