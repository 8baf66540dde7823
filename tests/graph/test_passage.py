"""What is said of each denoiser call, against plain torch: hooks on what it gave, and its graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.passage import passage
from gradprobe.records.report import Answer
from tests.graph.random_programs import BEGIN, LOSING, SELECTING, SMOOTH, WRITING, leaves
from tests.thorough import examples
from tests.traced import trace

LEAVES = ("leaf_a", "leaf_b")
MADE = "".join(f"{name} = given_{name}.requires_grad_()\n" for name in LEAVES)

# `autograd.grad`, by which the oracle asks, refuses reentrant checkpoints. A write to what einsum
# gave for one operand, a view that it does not tell of, is not seen in that operand.
APART = ("reentrant=True", "'ij->ji'")


def without(*ops: str) -> tuple[str, ...]:
    return tuple(op for op in ops if not any(part in op for part in APART))


# Modules give a clone: a hook on a view does not see gradient that goes past it, by its base.
INSIDE = without(*4 * SMOOTH, *SELECTING, *WRITING, *LOSING)
CALLS = (
    "{o} = model({a}, {b})",
    "{o} = {a} - 0.3 * model({b}, {a})",
    "{o} = {a} + model({a}.detach(), {b}.detach())",
    "{o} = {a} + model({a}, {b}).detach()",
    "with torch.no_grad(): {o} = model({a}, {b})",
    "{o}, kept = pair({a}, {b}); {o} = {o} + 0.1 * kept",
    "{o}, kept = pair({b}, {a})",
)
MODELS = """
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3, 3, dtype=torch.float64))

    def forward(self, x0, x1):
        x2 = self.scale * 0.5
{body}
        return {last}.clone()


class Pair(Model):
    def forward(self, x0, x1):
        return super().forward(x0.clone(), x1), x0  # which is only handed on


model, pair = Model(), Pair()
"""

few = settings(
    max_examples=examples(40),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Two to four calls of a random module, among random ops."""
    inside = _ops(draw, INSIDE, 4)
    body, names = _lines(inside, ["x0", "x1", "x2"], "        ", written=0)
    outside = without(*SMOOTH, *WRITING, *LOSING[:2], *16 * CALLS)
    chosen = _ops(draw, outside, 6)
    lines, made = _lines(chosen, [*LEAVES, "x0", "x1", "x2", "x3"], "", written=2)
    models = MODELS.format(body="\n".join(body), last=names[-1])
    root = f"loss = (weights * ({made[-1]} + 0.5 * {made[-2]})).sum()\n"
    return BEGIN + models + "\n".join(lines) + "\n" + root


def _ops(draw: st.DrawFn, ops: Sequence[str], most: int) -> list[tuple[str, int, int]]:
    number = st.sampled_from((0, 0, 0, 1, 1, 2, 3))
    chosen = st.lists(st.tuples(st.sampled_from(ops), number, number), min_size=1, max_size=most)
    return draw(chosen)


def _lines(
    ops: Sequence[tuple[str, int, int]], names: list[str], indent: str, written: int
) -> tuple[list[str], list[str]]:
    """Each op as one line of text, and all names; those from `written` on may be written to."""
    lines = []
    for op, first, second in ops:
        new = f"y{len(names)}"
        lines.append(
            indent
            + op.format(
                a=names[-1 - first % len(names)],
                b=names[-1 - second % len(names)],
                m=names[-1 - first % (len(names) - written)],
                o=new,
            )
        )
        if "{o}" in op:
            names.append(new)
    return lines, names


@dataclass
class Seen:
    """What torch shows of one call.

    `entered`: gradient of the root came to what it gave. `left`: from there it can go on to the
    leaf. Each says None for nothing, False for a gradient of zeros only (a Function whose backward
    is given None sees zeros), True for more.
    """

    entered: bool | None
    left: dict[str, bool | None]


def oracle(text: str) -> list[Seen]:
    """The calls of the program's modules in order, in a plain run with hooks."""
    names: dict[str, Any] = {"torch": torch, **leaves()}
    seen: list[Seen] = []
    asking = True  # hooks run when the oracle asks for a gradient too

    def returned(module: nn.Module, args: tuple[Tensor, ...], output: Any) -> None:
        call = Seen(None, dict.fromkeys(LEAVES))
        seen.append(call)
        given = output if isinstance(output, tuple) else (output,)
        made = [tensor for tensor in given if not any(tensor is a for a in args)]
        for tensor in made or given:
            if tensor.requires_grad:
                watch(tensor, call)

    def watch(tensor: Tensor, call: Seen) -> None:
        wanted = [names[name] for name in LEAVES]
        ways = torch.autograd.grad(
            tensor, wanted, torch.ones_like(tensor), retain_graph=True, allow_unused=True
        )

        def came(grad: Tensor | None) -> None:
            if asking or grad is None:  # None: of a Function whose backward gave none
                return
            call.entered = bool(call.entered) or bool(grad.any())
            for name, way in zip(LEAVES, ways, strict=True):
                if way is not None:
                    more = bool(grad.any()) and bool(way.any())
                    call.left[name] = bool(call.left[name]) or more

        tensor.register_hook(came)

    handle = nn.modules.module.register_module_forward_hook(returned)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(text, "<plain>", "exec"), names)
            asking = False
            if names["loss"].requires_grad:
                names["loss"].backward()
    finally:
        handle.remove()
    return seen


def answers(folder: Path, text: str, leaf: str) -> list[tuple[Answer, Answer]]:
    """Entered and left, of every module call of the traced program."""
    start = {f"given_{k}": v.detach() for k, v in leaves().items() if k in LEAVES}
    run = trace(folder, MADE + text + "loss.backward()\n", given=start)
    way = passage(dataflow(run.trace), run.flow(leaf))
    outermost = [call for call in run.trace.calls if call.depth == 0]
    return [(way.entered(call), way.left(call)) for call in outermost]


def agrees(said: Answer, shown: bool | None) -> bool:
    return shown is not None if said == "yes" else said == "no" and not shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("passages")


@few
@given(text=programs())
def test_entered_and_left_are_what_torch_shows(folder: Path, text: str) -> None:
    try:
        truth = oracle(text)
    except RuntimeError:
        assume(False)
    assume(truth)
    for leaf in LEAVES:
        said = answers(folder, text, leaf)
        assert len(said) == len(truth)
        for (entered, left), shown in zip(said, truth, strict=True):
            event(f"entered {entered}, left {left}")
            assert agrees(entered, shown.entered), (entered, shown)
            assert agrees(left, shown.left[leaf]), (left, shown)


SMALL = """
from torch.utils.checkpoint import checkpoint


class FirstOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x + y

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3, 3, dtype=torch.float64))

    def forward(self, x):
        return self.scale * x.sin()


class Scripted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.jit.script(model)

    def forward(self, x, detached=False):
        return self.inner(x.detach() if detached else x) + 0.0 * x.detach()


class Same(torch.nn.Module):
    def forward(self, x):
        return x


class Keeps(Model):
    def forward(self, x):
        return super().forward(self.kept)


model, same, keeps = Model(), Same(), Keeps()
x = leaf_a + 0.1 * leaf_b
"""
KNOWN: dict[str, tuple[str, list[tuple[Answer, Answer]]]] = {
    "a call": ("x = x + model(x)", [("yes", "yes")]),
    "inside a reentrant checkpoint": (
        "x = x + checkpoint(model, x, use_reentrant=True)",
        [("yes", "yes")],
    ),
    "a reentrant checkpoint that does not know of the leaf": (
        "x = x + checkpoint(lambda y: model(x) * y, torch.ones(3, 3), use_reentrant=True)",
        [("no", "no")],
    ),
    "a reentrant checkpoint of two calls": (
        "x = x + checkpoint(lambda y: model(model(y)), x, use_reentrant=True)",
        [("yes", "yes"), ("yes", "yes")],
    ),
    "inside a checkpoint of the newer kind": (
        "x = x + checkpoint(model, x, use_reentrant=False)",
        [("yes", "yes")],
    ),
    "compiled code that took what is connected": (
        "x = torch.jit.script(model)(x)",
        [("yes", "yes")],
    ),
    "compiled code that took a detached tensor": (
        "x = x + Scripted()(x, detached=True)",
        [("yes", "unknown")],
    ),
    "compiled code inside": ("x = x + Scripted()(x)", [("yes", "yes")]),
    "a module that gives what it took": ("x = 2.0 * same(x)", [("yes", "yes")]),
    "a tensor that the module held": (
        "keeps.kept = x\nx = x + keeps(x.detach())",
        [("yes", "yes")],
    ),
    "a write that autograd does not follow": (
        "y = model(x)\nwith torch.no_grad(): x.add_(y)",
        [("no", "no")],
    ),
    "a Function that gives no gradient for it": (
        "x = FirstOnly.apply(x, model(x))",
        [("no", "no")],
    ),
    "a Function that gives a gradient for it": (
        "x = FirstOnly.apply(model(x), x)",
        [("yes", "yes")],
    ),
    "before a cut, and after it": (
        "x = model(x)\nx = model(x.detach()) + 0.1 * leaf_a",
        [("no", "no"), ("yes", "no")],
    ),
}


@pytest.mark.parametrize(("body", "expected"), KNOWN.values(), ids=KNOWN)
def test_where_a_call_is_hard_to_see(
    body: str, expected: list[tuple[Answer, Answer]], tmp_path: Path
) -> None:
    text = SMALL + body + "\nloss = x.sum()\n"
    assert answers(tmp_path, text, "leaf_a") == expected
