"""Watching from start to stop: torch is afterwards exactly what it was, whatever happened."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules import module as nn_module
from torch.overrides import _get_current_function_mode_stack

import gradprobe
from gradprobe import stage_marks
from gradprobe.capture.patches import Patches
from gradprobe.capture.torch_internals import global_module_hooks
from gradprobe.errors import UsageError

PATCHED: dict[str, tuple[Any, str]] = {
    "no_grad enter": (torch.no_grad, "__enter__"),
    "no_grad exit": (torch.no_grad, "__exit__"),
    "enable_grad enter": (torch.enable_grad, "__enter__"),
    "set_grad_enabled": (torch.set_grad_enabled, "__init__"),
    "inference_mode enter": (torch.inference_mode, "__enter__"),
    "inference_mode exit": (torch.inference_mode, "__exit__"),
    "Function.apply": (torch.autograd.Function, "apply"),
    "Parameter": (torch.nn.Parameter, "__new__"),
    "from_numpy": (torch, "from_numpy"),
    "compile": (torch, "compile"),
    "the engine": (torch.autograd, "_engine_run_backward"),
    "tap": (stage_marks, "_listener"),
}


def state() -> dict[str, Any]:
    """What a probe touches: the very objects, hooks, and modes."""
    found = {name: vars(owner).get(key, "none") for name, (owner, key) in PATCHED.items()}
    found["hooks"] = {name: list(hooks) for name, hooks in global_module_hooks().items()}
    found["backward hooks"] = list(nn_module._global_backward_hooks)
    found["always called"] = list(nn_module._global_forward_hooks_always_called)
    found["with kwargs"] = list(nn_module._global_forward_hooks_with_kwargs)
    found["modes"] = _get_current_function_mode_stack()
    found["grad"] = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    return found


def healthy() -> None:
    layer = torch.nn.Linear(3, 3)
    z0 = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        z0.sum()
    gradprobe.tap("x", layer(z0)).sum().backward()


def failing() -> None:
    with torch.no_grad():
        torch.ones(3) @ torch.ones(4)


def failing_in_a_module() -> None:
    torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(5, 6))(torch.ones(3))


def failing_in_a_function() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            raise KeyError("forward")

    Wrong.apply(torch.ones(3, requires_grad=True))


def failing_in_backward() -> None:
    loss = torch.ones(3, requires_grad=True).exp().sum()
    loss.backward()
    loss.backward()


def interrupted() -> None:
    raise KeyboardInterrupt


ENDINGS: dict[Callable[[], None], type[BaseException] | None] = {
    healthy: None,
    failing: RuntimeError,
    failing_in_a_module: RuntimeError,
    failing_in_a_function: KeyError,
    failing_in_backward: RuntimeError,
    interrupted: KeyboardInterrupt,
}


@pytest.mark.parametrize(("program", "error"), ENDINGS.items())
def test_everything_is_put_back(program: Callable[[], None], error: Any) -> None:
    before = state()
    probe = gradprobe.Probe()
    if error is None:
        with probe:
            program()
    else:
        with pytest.raises(error), probe:
            program()
    after = state()
    for name, what in before.items():
        same = what is after[name] or what == after[name]
        assert same, f"{name} is not what it was"
    probe.report()


def test_every_replaced_name_is_replaced_while_it_watches() -> None:
    before = state()
    with gradprobe.Probe():
        during = state()
    assert {name for name in PATCHED if during[name] is before[name]} == set()
    assert len(during["modes"]) == len(before["modes"]) + 1
    assert all(
        len(hooks) == len(before["hooks"][name]) + 1 for name, hooks in during["hooks"].items()
    )


def test_a_second_probe_is_refused_and_the_first_goes_on() -> None:
    with gradprobe.Probe() as first:
        with pytest.raises(UsageError, match="already active"):
            gradprobe.Probe().start()
        with pytest.raises(UsageError, match="already active"), gradprobe.Probe():
            raise AssertionError("the block of a refused probe ran")
        z0 = torch.ones(3, requires_grad=True)
        loss = (z0 * 2.0).sum()
        loss.backward()
    assert first.report().verdict == "flows"
    with gradprobe.Probe() as second:
        pass
    assert second.report().verdict == "no-root"


def test_the_program_s_own_hooks_and_modes_are_kept() -> None:
    calls: list[str] = []
    handle = nn_module.register_module_forward_hook(lambda *_: calls.append("forward"))
    before = state()
    try:
        with gradprobe.Probe():
            torch.nn.Linear(2, 2)(torch.ones(2))
        assert calls == ["forward"]
        assert state()["hooks"] == before["hooks"]
    finally:
        handle.remove()


def test_patches_put_back_inherited_own_and_class_methods() -> None:
    class Base:
        def method(self) -> str:
            return "base"

        @classmethod
        def make(cls) -> str:
            return cls.__name__

    class Derived(Base):
        pass

    before = dict(vars(Base)), dict(vars(Derived))
    patches = Patches()
    patches.method(Derived, "method", lambda original: lambda self: "seen " + original(self))
    patches.method(Derived, "method", lambda original: lambda self: "twice " + original(self))
    patches.class_method(Base, "make", lambda original: lambda cls: "seen " + original(cls))
    assert Derived().method() == "twice seen base"
    assert Base().method() == "base"
    assert Derived.make() == "seen Derived"
    patches.undo()
    assert (dict(vars(Base)), dict(vars(Derived))) == before
    assert (Derived().method(), Derived.make()) == ("base", "Derived")


def test_records_stay_small() -> None:
    z0 = torch.ones(2, requires_grad=True)
    with gradprobe.Probe() as probe:
        x = z0
        for _ in range(2_000):
            x = x * 1.001
        x.sum().backward()
    cost = probe.report().cost
    assert 0 < cost.record_bytes / probe.report().counts.ops < 100
    assert cost.traced_seconds > 0


def test_compiled_code_runs_eagerly_and_that_is_said(tmp_path: Path) -> None:
    program = tmp_path / "compiled.py"
    program.write_text(
        textwrap.dedent(
            """
            import torch, gradprobe

            @torch.compile
            def before(x):
                return x.sin()

            with gradprobe.Probe() as probe:
                z0 = torch.ones(3, requires_grad=True)
                step = torch.compile(lambda x: before(x).detach() + 0.1 * x)
                loss = step(z0).sum()
                loss.backward()
            report = probe.report()
            print(report.verdict, report.findings[0].code, report.findings[0].at.line)
            print("\\n".join(report.unseen))
            """
        ).lstrip("\n")
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "partial GP101 9",
        "code under torch.compile ran eagerly while it was traced",
    ]
