"""Nothing dies later under the probe: no tensor, storage, node or saved value is kept alive."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

import gradprobe
from gradprobe.records.numerics import NUMERICS, Numerics
from tests.laws.cases import ROOT
from tests.thorough import thorough


class Payload:
    """Something that lives exactly as long as one node of the autograd graph."""


class Carrying(torch.autograd.Function):
    """The identity, whose node carries a payload."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, payload: Payload) -> Tensor:
        ctx.payload = payload
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class Register:
    """Notes at moments which of the things shown to it are alive."""

    def __init__(self) -> None:
        self.watched: dict[str, Callable[[], bool]] = {}
        self.notes: list[tuple[str, dict[str, bool], int]] = []

    def watch(self, name: str, tensor: Tensor) -> Tensor:
        reference = weakref.ref(tensor)
        storage = StorageWeakRef(tensor.untyped_storage())
        self.watched[f"{name} tensor"] = lambda: reference() is not None
        self.watched[f"{name} storage"] = lambda: not storage.expired()
        return tensor

    def node(self, name: str, x: Tensor) -> Tensor:
        payload = Payload()
        reference = weakref.ref(payload)
        self.watched[f"{name} node"] = lambda: reference() is not None
        return Carrying.apply(x, payload)

    def note(self, moment: str) -> None:
        tensors = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
        alive = {name: is_alive() for name, is_alive in self.watched.items()}
        self.notes.append((moment, alive, tensors))


def steps_with_graph(register: Register) -> None:
    z0 = torch.randn(2, 3, requires_grad=True)
    x = z0
    for step in range(3):
        x = register.watch(f"state {step}", register.node(f"step {step}", (x * 2).tanh()))
        register.note(f"after step {step}")
    loss = register.watch("loss", x.sum())
    del x
    register.note("before backward")
    loss.backward()
    register.note("after backward")
    del loss
    register.note("after the loss")
    assert z0.grad is not None
    register.watch("gradient", z0.grad)
    z0.grad = None
    register.note("after zero_grad")
    del z0
    register.note("after the leaf")


def steps_without_graph(register: Register) -> None:
    z0 = torch.randn(2, 3, requires_grad=True)
    with torch.no_grad():
        x = z0 * 2
        for step in range(3):
            x = register.watch(f"state {step}", x.tanh() + 1)
            register.note(f"after step {step}")
    y = register.watch("detached", z0.detach())
    w = register.watch("copy", torch.tensor(z0.tolist()))
    del x, y, w
    register.note("at the end")


def views_and_writes(register: Register) -> None:
    z0 = torch.randn(4, 3, requires_grad=True)
    base = register.watch("base", torch.zeros(4, 3))
    view = register.watch("view", base[:, :2])
    view.copy_(z0[:, :2])
    base.mul_(2)
    register.note("written")
    del base
    register.note("base name gone, view holds it")
    view.sum().backward()
    del view
    register.note("view gone")
    host = register.watch("host", torch.from_numpy(z0.detach().numpy()))
    del host
    register.note("host gone")


def failing_backward(register: Register) -> None:
    z0 = torch.randn(2, 3, requires_grad=True)
    x = register.node("exp", z0.exp())
    x = register.watch("exp", x.exp())
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()
    register.note("after the error")
    del x
    register.note("after its input")


def optimiser_loop(register: Register) -> None:
    z0 = torch.randn(2, 3, requires_grad=True)
    optimizer = torch.optim.Adam([z0])
    for step in range(3):
        optimizer.zero_grad()
        loss = register.watch(f"loss {step}", register.node(f"loss {step}", (z0 * 2).pow(2)).sum())
        loss.backward()
        optimizer.step()
        register.note(f"after iteration {step}")
    grads = torch.autograd.grad((z0 * 3).sum(), z0)
    register.watch("functional gradient", grads[0])
    del grads, optimizer, loss
    register.note("at the end")


PROGRAMS = [
    steps_with_graph,
    steps_without_graph,
    views_and_writes,
    failing_backward,
    optimiser_loop,
]


def life(
    program: Callable[[Register], None], probe: AbstractContextManager[Any]
) -> list[tuple[str, dict[str, bool], int]]:
    register = Register()
    gc.collect()
    gc.disable()  # what dies must die by its reference count, as it does without a probe
    start = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
    try:
        with probe:
            program(register)
        register.note("after the probe")
    finally:
        gc.enable()
    return [(moment, alive, tensors - start) for moment, alive, tensors in register.notes]


@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_everything_dies_when_it_dies_without_a_probe(
    program: Callable[[Register], None], numerics: Numerics
) -> None:
    life(program, nullcontext())  # torch imports some of its own modules late
    plain = life(program, nullcontext())
    probe = gradprobe.Probe(numerics=numerics)
    assert life(program, probe) == plain
    assert probe.report().counts.ops > 0


@pytest.mark.parametrize("numerics", ["stages", pytest.param("nodes", marks=thorough)])
def test_a_chain_of_200_000_nodes_is_diagnosed_drawn_and_freed(numerics: Numerics) -> None:
    program = """
        import gc, sys, torch, gradprobe
        with gradprobe.Probe(numerics=sys.argv[1]) as probe:
            z0 = torch.zeros(2, requires_grad=True)
            x = z0
            for step in range(200_000):
                x = x + 1
            loss = x.sum()
            loss.backward()
        report = probe.report()
        assert report.verdict == "flows", report.headline
        assert report.counts.nodes is None or report.counts.nodes >= 200_000, report.counts
        assert "<svg" in report.render("svg")
        del loss, x
        gc.collect()
        print("freed", float(z0.grad.sum()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), numerics],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "freed 2.0\n", "")
