"""Who switched recording off: the region's opener by its line, and what holds after its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gradprobe.records.op import GRAD_OFF
from gradprobe.records.trace import Region
from tests.traced import Traced, trace

# Every program asks for the region of one op, marked `off` or `on`.
PREAMBLE = """
import contextlib
import torch

z0 = torch.ones(3, requires_grad=True)
x = z0 * 2.0
"""


def run(tmp_path: Path, body: str) -> Traced:
    return trace(tmp_path, PREAMBLE + body)


def region_at(traced: Traced, mark: str) -> Region | None:
    """The region of the op on a marked line; None where recording was on."""
    seen = traced.trace
    ops = [op for op in range(len(seen.ops)) if (f := seen.frame_of(op)) and traced.is_at(f, mark)]
    assert ops, f"no op on the line {mark}"
    off = {bool(seen.ops.flags_of(op) & GRAD_OFF) for op in ops}
    assert len(off) == 1
    if off == {False}:
        assert {seen.ops.region_of(op) for op in ops} == {0}
        return None
    (number,) = {seen.ops.region_of(op) for op in ops}
    return seen.regions[number]


OPENED: dict[str, tuple[str, str, str, str]] = {
    "with": (
        "with torch.no_grad():  # <- opens\n    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "with, made before": (
        "mode = torch.no_grad()\nwith mode:  # <- opens\n    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "decorator": (
        "@torch.no_grad()  # <- opens\ndef f():\n    return x.sin()  # <- off\n\nf()",
        "decorator",
        "torch.no_grad()",
        "f",
    ),
    "decorator without a call": (
        "@torch.no_grad  # <- opens\ndef f():\n    return x.sin()  # <- off\n\nf()",
        "decorator",
        "torch.no_grad()",
        "f",
    ),
    "one of several decorators": (
        "def plain(f):\n    return f\n\n\n@plain\n@torch.no_grad()  # <- opens\n@plain\n"
        "def f():\n    return x.sin()  # <- off\n\nf()",
        "decorator",
        "torch.no_grad()",
        "f",
    ),
    "decorated method": (
        "class Sampler:\n    @torch.no_grad()  # <- opens\n    def f(self):\n"
        "        return x.sin()  # <- off\n\nSampler().f()",
        "decorator",
        "torch.no_grad()",
        "Sampler.f",
    ),
    "decorated generator": (
        "@torch.no_grad()  # <- opens\ndef f():\n    for _ in range(2):\n"
        "        yield x.sin()  # <- off\n\nlist(f())",
        "decorator",
        "torch.no_grad()",
        "f",
    ),
    "call": (
        "torch.set_grad_enabled(False)  # <- opens\nx.sin()  # <- off",
        "call",
        "torch.set_grad_enabled(False)",
        "",
    ),
    "set_grad_enabled as with": (
        "with torch.set_grad_enabled(False):  # <- opens\n    x.sin()  # <- off",
        "with",
        "torch.set_grad_enabled(False)",
        "",
    ),
    "set_grad_enabled as decorator": (
        "@torch.set_grad_enabled(False)  # <- opens\ndef f():\n    return x.sin()  # <- off\n\nf()",
        "decorator",
        "torch.set_grad_enabled(False)",
        "f",
    ),
    "exit stack": (
        "with contextlib.ExitStack() as stack:\n"
        "    stack.enter_context(torch.no_grad())  # <- opens\n    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "inner of two": (
        "with torch.no_grad():\n    with torch.no_grad():  # <- opens\n        x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "outer after the inner": (
        "with torch.no_grad():  # <- opens\n    with torch.no_grad():\n        x.cos()\n"
        "    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "outer after enable_grad": (
        "with torch.no_grad():  # <- opens\n    with torch.enable_grad():\n        x.cos()\n"
        "    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "outer after an error": (
        "with torch.no_grad():  # <- opens\n    try:\n        with torch.no_grad():\n"
        "            raise KeyError\n    except KeyError:\n        x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "re-entered object": (
        "mode = torch.no_grad()\nwith mode:\n    x.cos()\n"
        "with mode:  # <- opens\n    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "one object within itself": (
        "mode = torch.no_grad()\nwith mode:  # <- opens\n    with mode:\n        x.cos()\n"
        "    x.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
    "suspended generator": (
        "def numbers():\n    with torch.no_grad():  # <- opens\n        yield 1\n        yield 2\n"
        "stream = numbers()\nnext(stream)\nx.sin()  # <- off",
        "with",
        "torch.no_grad()",
        "",
    ),
}


@pytest.fixture(autouse=True)
def recording_on() -> Iterator[None]:
    """Programs here may leave recording off."""
    yield
    torch.set_grad_enabled(True)


@pytest.mark.parametrize(("body", "how", "by", "decorated"), OPENED.values(), ids=OPENED)
def test_the_line_that_switched_recording_off(
    body: str, how: str, by: str, decorated: str, tmp_path: Path
) -> None:
    traced = run(tmp_path, body)
    assert traced.raised is None
    region = region_at(traced, "off")
    assert region is not None
    assert traced.is_at(region.opened_by, "opens"), region
    assert (region.mode, region.how, region.by) == ("no_grad", how, by)
    assert (region.decorated or "") == decorated


INFERENCE = {
    "with": "with torch.inference_mode():  # <- opens\n    x.sin()  # <- off",
    "decorator": "@torch.inference_mode()  # <- opens\ndef f():\n    x.sin()  # <- off\n\nf()",
    "enable_grad within": (
        "with torch.inference_mode():  # <- opens\n    with torch.enable_grad():\n"
        "        x.sin()  # <- off"
    ),
    "after no_grad within": (
        "with torch.inference_mode():  # <- opens\n    with torch.no_grad():\n        x.cos()\n"
        "    x.sin()  # <- off"
    ),
}


@pytest.mark.parametrize("body", INFERENCE.values(), ids=INFERENCE)
def test_the_line_that_began_inference_mode(body: str, tmp_path: Path) -> None:
    traced = run(tmp_path, body)
    region = region_at(traced, "off")
    assert region is not None
    assert traced.is_at(region.opened_by, "opens"), region
    assert (region.mode, region.by) == ("inference", "torch.inference_mode()")


ON = {
    "after with": "with torch.no_grad():\n    x.cos()\nx.sin()  # <- on",
    "after decorated": "@torch.no_grad()\ndef f():\n    x.cos()\n\nf()\nx.sin()  # <- on",
    "after an error": (
        "try:\n    with torch.no_grad():\n        raise KeyError\nexcept KeyError:\n    pass\n"
        "x.sin()  # <- on"
    ),
    "after calls": (
        "torch.set_grad_enabled(False)\nx.cos()\ntorch.set_grad_enabled(True)\nx.sin()  # <- on"
    ),
    "enable_grad within": (
        "with torch.no_grad():\n    with torch.enable_grad():\n        x.sin()  # <- on"
    ),
    "set_grad_enabled(True)": "with torch.set_grad_enabled(True):\n    x.sin()  # <- on",
    "inference_mode(False)": "with torch.inference_mode(False):\n    x.sin()  # <- on",
    "decorated factory": (
        "@torch.no_grad()\ndef make():\n    def f():\n        return x.sin()  # <- on\n"
        "    return f\n\nmake()()"
    ),
    "after torch's own no_grad": "torch.nn.init.normal_(torch.empty(3))\nx.sin()  # <- on",
    "after an optimiser": ("x.sum().backward()\ntorch.optim.Adam([z0]).step()\nx.sin()  # <- on"),
    "after an exit stack": (
        "with contextlib.ExitStack() as stack:\n    stack.enter_context(torch.no_grad())\n"
        "x.sin()  # <- on"
    ),
    "after a module was made": "torch.nn.Linear(3, 3)\nx.sin()  # <- on",
}


@pytest.mark.parametrize("body", ON.values(), ids=ON)
def test_recording_is_on_again(body: str, tmp_path: Path) -> None:
    traced = run(tmp_path, body)
    assert traced.raised is None
    assert region_at(traced, "on") is None


def test_torch_s_own_switch_is_laid_to_the_line_that_called_torch(tmp_path: Path) -> None:
    traced = run(
        tmp_path,
        "x.sum().backward()\ntorch.nn.utils.clip_grad_norm_([z0], 1.0)  # <- opens\n",
    )
    seen = traced.trace
    off = [op for op in range(len(seen.ops)) if seen.ops.flags_of(op) & GRAD_OFF]
    assert off
    assert all(traced.is_at(seen.frame_of(op), "opens") for op in off)
    for op in off:
        assert traced.is_at(seen.regions[seen.ops.region_of(op)].opened_by, "opens")


def test_what_was_off_before_the_probe_says_so(tmp_path: Path) -> None:
    with torch.no_grad():
        traced = run(tmp_path, "x.sin()  # <- off")
    region = region_at(traced, "off")
    assert region is not None
    assert (region.how, region.opened_by) == ("before", None)
    with torch.inference_mode():
        traced = run(tmp_path, "x.sin()  # <- off")
    region = region_at(traced, "off")
    assert region is not None
    assert (region.mode, region.how) == ("inference", "before")


@pytest.mark.parametrize("way", ["with", "call"])
def test_a_switch_outlives_the_probe_and_its_end_is_torch_s_own(way: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as outer:
        if way == "with":
            trace(tmp_path, "stack.enter_context(torch.no_grad())", given={"stack": outer})
        else:
            trace(tmp_path, "torch.set_grad_enabled(False)")
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled() == (way == "with")


def test_a_context_entered_before_the_probe_may_end_under_it(tmp_path: Path) -> None:
    mode = torch.no_grad()
    mode.__enter__()
    traced = trace(
        tmp_path,
        PREAMBLE + "mode.__exit__(None, None, None)\nx.sin()  # <- on",
        given={"mode": mode},
    )
    assert traced.raised is None
    assert region_at(traced, "on") is None
    assert torch.is_grad_enabled()
