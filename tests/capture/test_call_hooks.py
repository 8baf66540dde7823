"""While a module's call is closed only that module has our hooks, and after it none has."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradprobe import Probe
from gradprobe.capture.torch_internals import global_module_hooks


class Net(nn.Module):
    """Notes at each of its calls which hooks torch goes through for its layers."""

    def __init__(self, raises_at: int | None = None) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.seen: list[int] = []
        self.raises_at = raises_at

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(global_module_hooks()["forward"]))
        if len(self.seen) == self.raises_at:
            raise ValueError("once")
        hidden: Tensor = self.inner(x)
        return hidden.tanh()


def hooks_of(module: nn.Module) -> list[int]:
    return [
        len(hooks)
        for hooks in (
            module._forward_pre_hooks,
            module._forward_hooks,
            module._forward_hooks_always_called,
        )
    ]


def run(net: nn.Module, steps: int = 4) -> Tensor:
    x = torch.ones(2, 4, requires_grad=True) * 1.0
    for _ in range(steps):
        x = x + net(x)
    return x


def test_layers_of_a_closed_call_are_called_without_hooks() -> None:
    net = Net()
    before = len(global_module_hooks()["forward"])
    with Probe(ops="sampler"):
        run(net)
        assert len(global_module_hooks()["forward"]) == before + 1
    assert net.seen == [before + 1, before, before, before]  # the first call is looked into
    assert len(global_module_hooks()["forward"]) == before
    assert hooks_of(net) == [0, 0, 0]


def test_what_a_call_that_raised_leaves_is_gone_with_the_next() -> None:
    net = Net(raises_at=3)
    with Probe(ops="sampler") as probe:
        with pytest.raises(ValueError, match="once"):
            run(net)
        ops = len(probe._recorder.journal.head)
        run(net)
        calls = probe._recorder.modules.calls
        assert [call.closed for call in calls if call.depth == 0] == [False] + [True] * 6
        assert len(probe._recorder.journal.head) - ops == 10  # of each step the call and the sum
        assert probe._recorder.mode.pauses == 0
    assert hooks_of(net) == [0, 0, 0]


def test_a_probe_that_ends_after_a_raise_leaves_no_hook() -> None:
    net = Net(raises_at=3)
    with pytest.raises(ValueError, match="once"), Probe(ops="sampler"):
        run(net)
    assert hooks_of(net) == [0, 0, 0]


def test_an_interrupt_inside_leaves_no_hook() -> None:
    class Interrupted(Net):
        def forward(self, x: Tensor) -> Tensor:
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().forward(x)

    net = Interrupted()
    before = len(global_module_hooks()["forward"])
    with pytest.raises(KeyboardInterrupt), Probe(ops="sampler"):
        run(net)
    assert hooks_of(net) == [0, 0, 0]
    assert len(global_module_hooks()["forward"]) == before


def test_the_program_s_own_hooks_run_as_they_do_without_a_probe() -> None:
    def told(probe: Any) -> list[str]:
        net, heard = Net(), []
        net.register_forward_pre_hook(lambda module, args: heard.append("before"))
        net.register_forward_hook(lambda module, args, out: heard.append("after"))
        net.inner.register_forward_hook(lambda module, args, out: heard.append("inner"))
        net.register_full_backward_hook(lambda module, came, gone: heard.append("backward"))
        with probe:
            run(net).sum().backward()
        return heard

    assert told(Probe(ops="sampler")) == told(torch.enable_grad())


def test_a_hook_that_cuts_what_a_closed_call_gives_is_named() -> None:
    net = Net()
    net.register_forward_hook(lambda module, args, out: out.detach())  # <- GP101
    with Probe(ops="sampler") as probe:
        z0 = torch.ones(2, 4, requires_grad=True)
        x = z0 * 1.0
        for _ in range(3):
            x = x + net(x)
        x.sum().backward()
    found = [f for f in probe.report().findings if f.code == "GP101"]
    assert found
    assert all(f.at.source.endswith("# <- GP101") for f in found)


def test_between_the_calls_a_module_can_be_saved() -> None:
    net = Net()
    with Probe(ops="sampler"):
        run(net)
        torch.save(net, io.BytesIO())


def test_a_compiled_module_is_closed_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        net = torch.jit.trace(nn.Linear(4, 4), torch.ones(2, 4))
    with Probe(ops="sampler") as probe:
        run(net).sum().backward()
    assert [call.closed for call in probe._recorder.modules.calls] == [False, True, True, True]
