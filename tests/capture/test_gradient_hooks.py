"""The program's own gradient hooks: what they changed is known, and they notice nothing."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

import gradprobe
from gradprobe.capture.build import build
from gradprobe.records.backward import HookChange


def changes(probe: gradprobe.Probe, number: int = -1) -> tuple[HookChange, ...]:
    return build(probe._recorder).passes[number].hooks


def leaf() -> torch.Tensor:
    return torch.linspace(0.5, 2.0, 4).requires_grad_()


def test_every_way_to_register_a_hook_is_seen() -> None:
    grads: list[Any] = []

    def half(*args: Any) -> Any:
        given = args[1] if isinstance(args[0], torch.nn.Module) else args[0]
        return tuple(g * 0.5 for g in given) if isinstance(given, tuple) else given * 0.5

    def drop(parameter: torch.Tensor) -> None:
        parameter.grad = None

    module = torch.nn.SiLU()
    with gradprobe.Probe() as probe:
        z0 = leaf()
        x = z0 * 2
        x.register_hook(half)
        y = x.exp()
        y.grad_fn.register_prehook(half)
        y.grad_fn.register_hook(half)
        module.register_full_backward_hook(half)
        module.register_full_backward_pre_hook(half)
        everywhere = torch.nn.modules.module.register_module_full_backward_hook(half)
        root = module(y)
        torch.autograd.graph.register_multi_grad_hook((root,), lambda given: given[0].mul_(3))
        torch.autograd.graph.register_multi_grad_hook((y,), grads.append, mode="any")
        z0.register_hook(half)
        z0.register_post_accumulate_grad_hook(drop)
        root.sin().sum().backward()
        everywhere.remove()
    seen = changes(probe)
    assert [c.on for c in seen] == [
        *("tensor", "module", "module", "module"),
        *("node", "node", "tensor", "tensor", "accumulated"),
    ]
    ratios = [c.after.norm / c.before.norm for c in seen if c.after is not None]
    assert ratios == pytest.approx([3.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert seen[-1].after is None
    assert not seen[-1].taken
    assert z0.grad is None
    assert len(grads) == 1
    places = [(c.at.function.rpartition(".")[2], c.registered is not None) for c in seen if c.at]
    assert places == [("<lambda>", True), *[("half", True)] * 7, ("drop", True)]
    here = Path(__file__).read_text(encoding="utf-8").splitlines()
    for change in seen:
        assert change.at is not None
        assert change.registered is not None
        assert change.at.source == here[change.at.line - 1]
        assert "register_" in change.registered.source


def test_a_gradient_is_known_by_what_it_is_of() -> None:
    with gradprobe.Probe() as probe:
        z0 = leaf()
        w = torch.ones(4, requires_grad=True)
        x = z0 * w
        x.grad_fn.register_hook(lambda given, got: (given[0] * 0, given[1]))
        x.exp().sum().backward()
    (change,) = changes(probe)
    trace = build(probe._recorder)
    assert change.value in next(m for m in trace.leaves if m.name == "z0").values
    assert z0.grad.abs().max() == 0
    assert w.grad.abs().max() > 0


@pytest.mark.parametrize("text", ["None", "g", "g.clone()", "g * 1.0"])
def test_a_hook_that_changes_nothing_is_silent(text: str) -> None:
    with gradprobe.Probe() as probe:
        x = leaf() * 2
        x.register_hook(eval(f"lambda g: {text}"))
        x.sum().backward()
    assert changes(probe) == ()


@pytest.mark.parametrize("text", ["g.zero_()", "g.data.zero_()", "g.mul_(0) and None or None"])
def test_a_write_to_the_gradient_is_seen(text: str) -> None:
    def hook(g: torch.Tensor) -> None:
        exec(text.replace(" and None or None", ""))

    with gradprobe.Probe() as probe:
        z0 = leaf()
        x = z0 * 2
        x.register_hook(hook)
        x.exp().sum().backward()
    (change,) = changes(probe)
    assert change.after is not None
    assert (change.before.norm > 0, change.after.norm) == (True, 0)


def test_the_one_of_several_hooks_that_did_it_is_named() -> None:
    def first(g: torch.Tensor) -> None: ...

    def second(g: torch.Tensor) -> torch.Tensor:
        return torch.full_like(g, float("nan"))

    with gradprobe.Probe() as probe:
        x = leaf() * 2
        for hook in (first, second, first):
            x.register_hook(hook)
        x.sum().backward()
    (change,) = changes(probe)
    assert change.name.endswith("second")
    assert change.after is not None
    assert change.after.nonfinite == 4


def test_a_hook_from_before_the_probe_is_seen_on_a_leaf_and_on_a_module() -> None:
    z0 = leaf()
    z0.register_hook(lambda g: g * 0)
    module = torch.nn.SiLU()
    module.register_full_backward_hook(lambda module, given, got: (given[0] * 0,))
    with gradprobe.Probe() as probe:
        z0.requires_grad_()
        module(z0 * 2).sum().backward()
        z0.exp().sum().backward()
    for number, on in ((0, "module"), (1, "tensor")):
        (change,) = changes(probe, number)
        assert (change.on, change.registered) == (on, None)
        assert change.at is not None


def test_the_program_sees_its_own_hooks_alone_outside_of_backward() -> None:
    seen: list[Any] = []

    def hook(g: torch.Tensor) -> None:
        handles[0].remove()

    def other(g: torch.Tensor) -> None:
        seen.append(g)

    with gradprobe.Probe():
        z0 = leaf()
        x = z0 * 2
        handles = [x.register_hook(hook), x.register_hook(other)]
        before = list(x._backward_hooks.items())
        assert [hook for _, hook in before] == [hook, other]
        x.sum().backward(retain_graph=True)
        assert list(x._backward_hooks.items()) == before[1:]
        x.sum().backward()
        handles[1].remove()
        assert not x._backward_hooks
    assert len(seen) == 2


def test_a_hook_that_raises_leaves_nothing_behind() -> None:
    def hook(parameter: torch.Tensor) -> None:
        raise LookupError("no gradient for you")

    modes = torch.overrides._get_current_function_mode_stack()
    with gradprobe.Probe() as probe:
        z0 = leaf()
        z0.register_post_accumulate_grad_hook(hook)
        z0.register_hook(lambda g: g * 2)
        with pytest.raises(LookupError, match="no gradient for you"):
            z0.exp().sum().backward()
        assert [len(z0._backward_hooks), len(z0._post_accumulate_grad_hooks)] == [1, 1]
    assert torch.overrides._get_current_function_mode_stack() == modes
    assert len(changes(probe)) == 1


def test_what_a_hook_holds_dies_with_its_graph() -> None:
    class Held: ...

    with gradprobe.Probe():
        held = Held()
        ref = weakref.ref(held)
        x = leaf() * 2
        x.register_hook(lambda g, held=held: None)
        root = x.sum()
        root.backward()
        del held, x, root
        gc.collect()
        assert ref() is None


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("p.grad = None", False),
        ("p.grad.zero_()", False),
        ("p.grad is not None and p.grad.shape; p.grad = None", False),
        ("kept.append(p.grad); p.grad = None", True),
        ("kept.append(p.grad.clone()); p.grad = None", True),
        ("optimizer.step(); optimizer.zero_grad()", True),
        ("optimizer.step(); optimizer.zero_grad(set_to_none=False)", True),
        ("optimizer.zero_grad()", False),
        ("optimizer.zero_grad(set_to_none=False)", False),
    ],
)
def test_whether_a_gradient_was_used_before_it_was_dropped(text: str, taken: bool) -> None:
    kept: list[torch.Tensor] = []
    with gradprobe.Probe() as probe:
        z0 = leaf()
        optimizer = torch.optim.Adam([z0])
        names = {"kept": kept, "optimizer": optimizer}
        z0.register_post_accumulate_grad_hook(lambda p: exec(text, {**names, "p": p}))
        z0.exp().sum().backward()
    (change,) = changes(probe)
    assert change.taken is taken


def test_a_double_backward_and_a_checkpoint_keep_their_hooks() -> None:
    from torch.utils.checkpoint import checkpoint

    def inner(x: torch.Tensor) -> torch.Tensor:
        y = x.exp()
        y.register_hook(lambda g: g * 2)
        return y.sin()

    def run(reentrant: bool) -> torch.Tensor:
        z0 = leaf()
        (slope,) = torch.autograd.grad(
            checkpoint(inner, z0 * 0.1, use_reentrant=reentrant).sum()
            if not reentrant
            else inner(z0 * 0.1).sum(),
            z0,
            create_graph=True,
        )
        slope.register_hook(lambda g: g * 3)
        slope.pow(2).sum().backward()
        assert z0.grad is not None
        return z0.grad

    for reentrant in (False, True):
        plain = run(reentrant)
        with gradprobe.Probe() as probe:
            assert torch.equal(run(reentrant), plain)
        assert probe.report().verdict == "flows"
        assert not [s for s in probe.report().unseen if "hook" in s]
