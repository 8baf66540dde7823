"""When tensors that no op made are doubted: only where code may run that no function mode sees."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from gradprobe.capture import unseen_code
from gradprobe.capture.patches import Patches
from gradprobe.capture.unseen_code import UnseenCode
from tests.traced import Traced, trace

BEGIN = """
import threading, torch
from torch import Tensor
z0 = torch.randn(4, requires_grad=True)
x = z0 * 2.0
"""
END = "x = x + torch.Tensor([0.1])  # <- stranger\nx.square().mean().backward()\n"


def run(folder: Path, body: str) -> Traced:
    return trace(folder, BEGIN + body + END)


def doubted(seen: Traced) -> bool:
    (leaf,) = seen.report.leaves
    return leaf.layers.complete.answer == "unknown"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of its own, whatever else the tests run in."""
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()])


def test_where_all_code_is_seen_nothing_is_looked_up(tmp_path: Path) -> None:
    seen = run(tmp_path, "")
    assert not doubted(seen)
    assert seen.probe._recorder.memory.strangers._looked == 0
    assert seen.report.unseen == ()


BEGINS = {
    "a thread": "t = threading.Thread(target=lambda: None); t.start(); t.join()\n",
    "torch functions switched off": "with torch._C.DisableTorchFunction(): pass\n",
    "a tensor that wraps another": (
        "class Wrapped(Tensor):\n"
        "    __torch_dispatch__ = classmethod(lambda *given: None)\n"
        "Tensor._make_wrapper_subclass(Wrapped, (4,))\n"
    ),
}


@pytest.mark.parametrize("how", BEGINS)
def test_once_code_may_hide_what_it_may_have_made_is_doubted(how: str, tmp_path: Path) -> None:
    seen = run(tmp_path, BEGINS[how])
    assert doubted(seen)
    assert any(
        f"program.py:{seen.line('stranger')}" in s or "no op" in s for s in seen.report.unseen
    )


def test_what_was_there_before_is_not_doubted(tmp_path: Path) -> None:
    body = "early = torch.Tensor([0.2])\n" + BEGINS["a thread"] + "x = x * early\n"
    seen = trace(tmp_path, BEGIN + body + "x.square().mean().backward()\n")
    assert not doubted(seen)
    assert seen.probe._recorder.memory.strangers._looked == 2


def test_threads_that_run_already_may_hide_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.Thread()])
    assert doubted(run(tmp_path, ""))


def test_the_thread_of_a_progress_bar_hides_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = pytest.importorskip("tqdm").TMonitor
    assert not doubted(run(tmp_path, "from tqdm import tqdm\nfor _ in tqdm([1]): pass\n"))
    monkeypatch.setattr(threading, "enumerate", lambda: [monitor.__new__(monitor)])
    assert not doubted(run(tmp_path, ""))


def blur(image: Tensor) -> Tensor:
    """blur(image: torch.Tensor) -> torch.Tensor"""
    return image


def parse(text: str) -> str:
    """parse(text: str) -> str"""
    return text


@pytest.mark.parametrize(("function", "counts"), [(blur, True), (parse, False)])
@pytest.mark.parametrize("name", ["some_filters", "torch._some_filters"])
def test_an_extension_counts_whose_functions_take_tensors(
    function: Callable[..., object], counts: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(name)
    module.__file__ = f"/somewhere/{name}.so"
    module.call = function  # type: ignore[attr-defined]
    monkeypatch.setattr(unseen_code, "_seen", set())
    monkeypatch.setattr(unseen_code, "_found", set())
    monkeypatch.setitem(sys.modules, name, module)
    began: list[bool] = []
    patches = Patches()
    UnseenCode(lambda: began.append(True)).install(patches)
    patches.undo()
    assert bool(began) == (counts and not name.startswith("torch"))


def test_all_is_put_back() -> None:
    before = threading.Thread.start, Tensor._make_wrapper_subclass, torch._C.DisableTorchFunction
    patches = Patches()
    UnseenCode(lambda: None).install(patches)
    assert threading.Thread.start is not before[0]
    patches.undo()
    after = threading.Thread.start, Tensor._make_wrapper_subclass, torch._C.DisableTorchFunction
    assert after == before
