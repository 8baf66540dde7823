"""What the program calls its leaves, operands and root, read from its source."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import torch

from gradprobe.errors import UnknownName, UsageError
from tests.traced import trace

LEAVES = {
    "assigned": ("z0 = torch.randn(3, requires_grad=True)", "z0"),
    "annotated": ("z0: torch.Tensor = torch.randn(3, requires_grad=True)", "z0"),
    "method after": ("z0 = torch.randn(3)\nz0.requires_grad_()", "z0"),
    "chain": ("z0 = torch.randn(3).mul(2.0).requires_grad_(True)", "z0"),
    "setter": ("z0 = torch.randn(3)\nz0.requires_grad = True", "z0"),
    "over lines": ("z0 = (\n    torch.randn(3)\n    .requires_grad_()\n)", "z0"),
    "tuple": ("other, z0 = 1.0, torch.randn(3, requires_grad=True)", "z0"),
    "first of several targets": ("z0 = start = torch.randn(3, requires_grad=True)", "z0"),
    "attribute": (
        "class Run: pass\nrun = Run()\nrun.z0 = torch.randn(3, requires_grad=True)\nz0 = run.z0",
        "run.z0",
    ),
    "item": ("h = {}\nh['z0'] = torch.randn(3).requires_grad_()\nz0 = h['z0']", "h['z0']"),
    "returned": (
        "def make():\n    return torch.randn(3, requires_grad=True)\nz0 = make()",
        "z0",
    ),
    "returned twice": (
        "def make():\n    return torch.randn(3).requires_grad_()\n"
        "def again(n):\n    return make()\nz0 = again(3)",
        "z0",
    ),
    "lambda": ("make = lambda: torch.randn(3, requires_grad=True)\nz0 = make()", "z0"),
    "named inside": (
        "def make():\n    noise = torch.randn(3).requires_grad_()\n    return noise\nz0 = make()",
        "noise",
    ),
    "parameter": ("z0 = torch.nn.Parameter(torch.randn(3))", "z0"),
    "conditional": ("z0 = torch.randn(3, requires_grad=True) if True else None", "z0"),
    "Chinese": ("噪声 = torch.randn(3, requires_grad=True)\nz0 = 噪声", "噪声"),
    "walrus": ("if (z0 := torch.randn(3, requires_grad=True)) is not None: pass", "z0"),
}


@pytest.mark.parametrize(("lines", "name"), LEAVES.values(), ids=LEAVES)
def test_a_leaf_is_called_what_it_was_assigned_to(lines: str, name: str, tmp_path: Path) -> None:
    run = trace(tmp_path, f"import torch\n{lines}\nloss = (z0 * 2.0).sum()\nloss.backward()\n")
    assert run.raised is None
    (leaf,) = run.report.leaves
    assert leaf.name == name
    assert leaf.at is not None
    assert leaf.at.file == str(run.path)
    assert "randn" in leaf.at.source or "requires_grad" in leaf.at.source
    assert run.report.root is not None
    assert (run.report.root.name, run.report.root.how) == ("loss", "backward")


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("y = z0 * 2.0", "z0"),
        ("y = 80.0 * z0", "z0"),
        ("y = 1.0 - z0", "z0"),
        ("y = torch.add(z0, 1.0)", "z0"),
        ("y = torch.add(other, z0)", "z0"),
        ("y = other + z0", "z0"),
        ("y = other.add(z0)", "z0"),
        ("y = torch.nn.functional.silu(z0)", "z0"),
        ("y = z0[0]", "z0"),
        ("y = -z0", "z0"),
        ("y = held.z0.sin()", "held.z0"),
        ("y = torch.stack([z0, z0])", None),
    ],
)
def test_a_tensor_from_before_is_called_what_its_first_use_calls_it(
    use: str, name: str | None, tmp_path: Path
) -> None:
    leaf = torch.ones(3, requires_grad=True)
    run = trace(
        tmp_path,
        f"other = torch.ones(3)\n{use}\nloss = y.sum()\nloss.backward()\n",
        given={"z0": leaf, "held": types.SimpleNamespace(z0=leaf)},
    )
    assert run.raised is None
    (mark,) = run.report.leaves
    if name is not None:
        assert mark.name == name
    assert mark.verdict == "flows"


ROOTS = {
    "loss.backward()": ("loss", "backward"),
    "(loss * 2).backward()": ("loss * 2", "backward"),
    "torch.autograd.backward(loss)": ("loss", "backward"),
    "torch.autograd.backward([loss])": ("[loss]", "backward"),
    "torch.autograd.grad(loss, z0)": ("loss", "grad"),
    "grad, = torch.autograd.grad(outputs=loss, inputs=[z0])": (None, "grad"),
    "out.loss.backward()": ("out.loss", "backward"),
}


@pytest.mark.parametrize("line", ROOTS, ids=ROOTS)
def test_the_root_is_called_what_backward_was_called_on(line: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        "import types\nz0 = torch.ones(3, requires_grad=True)\nloss = (z0 * 2).sum()\n"
        f"out = types.SimpleNamespace(loss=loss)\n{line}  # <- root\n",
    )
    assert run.raised is None
    name, how = ROOTS[line]
    root = run.report.root
    assert root is not None
    assert root.how == how
    assert run.is_at(root.at, "root")
    if name is not None:
        assert root.name == name
    assert run.report.verdict == "flows"


TWO = """
import torch

def first():
    x = torch.randn(3, requires_grad=True)
    return (x * 2.0).sum()

def second():
    x = torch.randn(3, requires_grad=True)
    return (x * 3.0).sum()

z0 = torch.randn(3)
loss = first() + second() + z0.sum()
loss.backward()
"""


def test_an_ambiguous_leaf_is_refused_with_the_forms_that_are_not(tmp_path: Path) -> None:
    run = trace(tmp_path, TWO, leaves=["x"])
    with pytest.raises(UsageError) as refused:
        run.probe.report()
    file = run.path.name
    assert str(refused.value) == (
        f"--leaf x matches several variables: choose one of {file}:first:x, {file}:second:x"
    )


@pytest.mark.parametrize("function", ["first", "second"])
@pytest.mark.parametrize("full", [True, False])
def test_a_leaf_by_file_function_and_variable(function: str, full: bool, tmp_path: Path) -> None:
    file = str(tmp_path / "sampler.py") if full else "sampler.py"
    run = trace(tmp_path, TWO, leaves=[f"{file}:{function}:x"], file="sampler.py")
    (leaf,) = run.report.leaves
    assert leaf.name == "x"
    assert leaf.at is not None
    assert leaf.at.function == function
    assert leaf.verdict == "flows"


def test_a_tensor_that_should_have_required_grad_can_be_named(tmp_path: Path) -> None:
    run = trace(tmp_path, TWO, leaves=["z0"])
    (leaf,) = run.report.leaves
    assert (leaf.name, leaf.requires_grad, leaf.verdict) == ("z0", False, "broken")
    assert run.first.code == "GP108"
    assert run.first.at.source == "z0 = torch.randn(3)"


def test_several_leaves_can_be_named(tmp_path: Path) -> None:
    text = """
    import torch
    a = torch.ones(3, requires_grad=True)
    b = torch.ones(3, requires_grad=True)
    c = torch.ones(3, requires_grad=True)
    loss = (a * b * c).sum()
    loss.backward()
    """
    run = trace(tmp_path, text, leaves=["c", "a"])
    assert {leaf.name for leaf in run.report.leaves} == {"a", "c"}
    assert {leaf.name for leaf in trace(tmp_path, text, leaves="b").report.leaves} == {"b"}


@pytest.mark.parametrize("what", ["leaf", "root"])
def test_an_unknown_name_is_answered_with_the_nearest(what: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        "latents = torch.ones(3, requires_grad=True)\nloss = (latents * 2.0).sum()\n",
        leaves=["latent"] if what == "leaf" else [],
        root="loess" if what == "root" else None,
    )
    near = "latents" if what == "leaf" else "loss"
    with pytest.raises(UnknownName, match=rf"no {what} named .* did you mean {near}"):
        run.probe.report()


def test_a_named_root_needs_no_backward(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.ones(3, requires_grad=True)
        x = z0 * 2.0
        loss = x.detach().sum()  # <- lost
        """,
        root="loss",
    )
    assert run.report.root is not None
    assert (run.report.root.name, run.report.root.how) == ("loss", "named")
    assert run.report.verdict == "broken"
    assert run.first.code == "GP101"
    assert run.is_at(run.first.at, "lost")
    healthy = trace(
        tmp_path, "z0 = torch.ones(3, requires_grad=True)\nloss = (z0 * 2.0).sum()\n", root="loss"
    )
    assert healthy.report.verdict == "flows"
