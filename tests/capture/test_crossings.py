"""Ways past the function mode: what they make is known, or it is said that it is not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch.overrides import TorchFunctionMode

from gradprobe.probe import Probe
from gradprobe.records.report import Report
from tests.traced import trace

START = """
import copy
import numpy as np
import torch

z0 = torch.linspace(-1.0, 2.0, 6).requires_grad_()
y = z0 * 2.0
"""

# What a healthy program does after its leaf is made, and that no op is seen to do in part.
KNOWN = {
    "a buffer": "w = torch.frombuffer(bytearray(b'abcd' * 6), dtype=torch.float32)",
    "an array": "w = torch.from_numpy(np.ones(6, dtype=np.float32))",
    "memory filled by out": "w = torch.empty(6); torch.add(torch.ones(6), 1.0, out=w)",
    "memory filled by parts": "w = torch.empty(6); w[:3] = 1.0; w[3:] = 2.0",
    "memory filled through views": "w = torch.empty(2, 3); a, b = w; a.fill_(1); b.fill_(1); "
    "w = w.view(6)",
    "memory without elements": "w = torch.cat([torch.empty(0), torch.ones(6)])",
    "memory for its shape": "w = torch.ones_like(torch.empty(6))",
    "memory for noise": "w = torch.empty(6).normal_()",
    "a deep copy": "w = copy.deepcopy(torch.ones(6))",
    "another type": "w = torch.ones(6).double().type(torch.float32)",
    "a gradient": "w = torch.autograd.grad(y.square().sum(), z0, retain_graph=True)[0]",
    "what .grad holds": "y.sum().backward(retain_graph=True); w = z0.grad * 1.0; z0.grad = None",
}


def complete(report: Report) -> str:
    (leaf,) = report.leaves
    return leaf.layers.complete.answer


@pytest.mark.parametrize("line", KNOWN.values(), ids=KNOWN)
def test_what_is_known_raises_no_doubt(tmp_path: Path, line: str) -> None:
    done = trace(tmp_path, START + line + "\nloss = (y * w).sum()\nloss.backward()\n")
    assert done.raised is None
    assert done.report.unseen == ()
    assert complete(done.report) == "yes"


def test_a_tensor_of_a_buffer_is_no_stranger(tmp_path: Path) -> None:
    seen = trace(tmp_path, START + KNOWN["a buffer"] + "\n(y * w).sum().backward()\n")
    assert seen.trace.strangers == {}
    # Where code that is not seen may run, as in a thread, it may have come from there.
    thread = "import threading; threading.Thread(target=int).start()\n"
    made = "w = torch.Tensor([1.0] * 6)\n(y * w).sum().backward()\n"
    unseen = trace(tmp_path, START + thread + made)
    assert complete(unseen.report) == "unknown"
    assert "`w` first used at" in unseen.report.unseen[0]


def test_a_tensor_from_before_the_leaf_is_no_stranger() -> None:
    w = torch.ones(6)
    with Probe() as probe:
        z0 = torch.linspace(-1.0, 2.0, 6).requires_grad_()
        (z0 * w).sum().backward()
    assert probe.report().unseen == ()


def test_a_deep_copy_of_what_the_leaf_made_is_a_copy_without_history(tmp_path: Path) -> None:
    text = START + "x = copy.deepcopy(y.data)  # <- here\nloss = (x + z0).sum()\nloss.backward()\n"
    done = trace(tmp_path, text)
    assert (done.first.code, done.first.severity) == ("GP101", "warning")
    assert done.is_at(done.first.at, "here")


def test_what_a_custom_op_writes_is_a_new_value(tmp_path: Path) -> None:
    done = trace(
        tmp_path,
        START
        + """
@torch.library.custom_op("crossings::double", mutates_args=("out",))
def double(out: torch.Tensor, x: torch.Tensor) -> None:
    out.copy_(x * 2)

out = torch.empty(6)
double(out, y.detach())  # <- here
loss = (out + z0).sum()
loss.backward()
""",
    )
    assert done.raised is None
    assert (done.first.code, done.first.severity) == ("GP101", "warning")
    assert done.is_at(done.first.at, "here")
    assert not any("memory was read" in said for said in done.report.unseen)


def test_what_a_queue_brings_back_is_told(tmp_path: Path) -> None:
    done = trace(
        tmp_path,
        START
        + """
import multiprocessing

line = multiprocessing.Queue()
line.put(y.detach())  # <- here
x = line.get()
loss = (x + z0).sum()
loss.backward()
""",
    )
    assert done.raised is None
    assert (done.first.code, done.first.certainty) == ("GP104", "suspected")
    assert "a pickle for another process" in done.first.message


def test_a_mode_that_was_on_before_is_told() -> None:
    class Mode(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            return func(*args, **(kwargs or {}))

    with Mode(), Probe() as probe:
        torch.ones(3, requires_grad=True).sum().backward()
    assert probe.report().unseen == (
        "a function mode of the program was on when the probe began: what it does to a call is "
        "not seen",
    )
    with torch.device("cpu"), Probe() as alone:
        torch.ones(3, requires_grad=True).sum().backward()
    assert alone.report().unseen == ()


def test_a_replayed_cuda_graph_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay of a stand-in, on any machine: it writes to memory as a graph does."""
    z0 = torch.linspace(-1.0, 2.0, 6).requires_grad_()
    static = torch.zeros(6)

    def replay(graph: object) -> None:
        with torch._C.DisableTorchFunction():
            static.copy_(z0.detach() * 2)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", replay)
    with Probe() as probe:
        torch.cuda.CUDAGraph.replay(object())  # type: ignore[arg-type]
        (static + z0).sum().backward()
    report = probe.report()
    assert report.unseen == ("a CUDA graph was replayed: what it computed was not seen",)
    assert complete(report) == "unknown"


def test_another_thread_leaves_the_records_of_this_one_alone() -> None:
    model = torch.nn.Linear(6, 6).requires_grad_(False)
    inside, outside = threading.Event(), threading.Event()

    def work() -> None:
        with torch.no_grad():
            inside.set()
            outside.wait()
            model(torch.ones(6))

    with Probe() as probe:
        z0 = torch.linspace(-1.0, 2.0, 6).requires_grad_()
        other = threading.Thread(target=work)
        other.start()
        inside.wait()
        grad_mode = probe._recorder.grad_mode
        assert grad_mode.region == 0
        with torch.no_grad():
            region = grad_mode.region
            outside.set()
            other.join()
            assert grad_mode.region == region != 0
        (z0 * 2).sum().backward()
    assert probe._recorder.modules.calls == []
    assert probe.report().verdict == "flows"
