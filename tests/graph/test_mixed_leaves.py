"""Random programs of many ops over leaves of several kinds: two runs of plain torch are the oracle.

Of each leaf: gradient reaches it just if torch gives it one, and its values reach the root just if
other values change the root.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from torch import Tensor

from tests.graph.mixed_programs import (
    EVERY,
    LEAVES,
    LIVE,
    LOST,
    PARTIAL,
    SILENT,
    given_to,
    programs,
)
from tests.graph.mixed_programs import text_of as text_of_ops
from tests.thorough import examples, thorough
from tests.traced import Traced, trace

TRACKED = ("leaf_a", "leaf_b")

few = settings(
    max_examples=examples(20),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def plain(text: str, moved: str | None = None) -> dict[str, Any]:
    """The names that a program leaves when it runs without a probe."""
    names: dict[str, Any] = {"torch": torch, **given_to(moved)}
    for leaf in TRACKED:
        names[leaf].requires_grad_()
    leaves = {name: names[name] for name in LEAVES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, "<plain>", "exec"), names)
    return {**names, **leaves}


def gradients(names: dict[str, Any]) -> dict[str, Tensor | None]:
    """Each leaf's gradient; None where torch gives none."""
    found: dict[str, Tensor | None] = dict.fromkeys(LEAVES)
    if names["loss"].requires_grad:
        wanted = [names[leaf] for leaf in TRACKED]
        grads = torch.autograd.grad(names["loss"], wanted, allow_unused=True)
        found.update(zip(TRACKED, grads, strict=True))
    return found


def probed(folder: Path, text: str) -> Traced:
    made = "".join(
        f"{leaf} = given_{leaf}" + ".requires_grad_()" * (leaf in TRACKED) + "\n" for leaf in LEAVES
    )
    values = {f"given_{leaf}": value for leaf, value in given_to().items()}
    return trace(folder, made + text + "loss.backward()\n", leaves=LEAVES, given=values)


def runs(text: str) -> dict[str, Any]:
    """A plain run, unless torch refuses the program or its backward."""
    try:
        names = plain(text)
        gradients(names)
    except RuntimeError:
        assume(False)
    return plain(text)


def unlike(text: str, leaf: str, loss: Tensor) -> bool:
    """Whether other values of a leaf change the root in any bit."""
    return not torch.equal(plain(text, moved=leaf)["loss"], loss)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@few
@given(text=programs(EVERY))
def test_a_leaf_is_connected_just_if_torch_gives_it_a_gradient(folder: Path, text: str) -> None:
    truth = gradients(runs(text))
    run = probed(folder, text)
    said = {leaf.name: leaf for leaf in run.report.leaves}
    assert set(said) == set(LEAVES)
    assert run.report.unseen == ()
    for name, grad in truth.items():
        assert said[name].layers.connected.answer == ("no" if grad is None else "yes")


@few
@given(text=programs(LIVE + LOST + PARTIAL))
def test_the_ops_alone_tell_where_gradient_goes(folder: Path, text: str) -> None:
    """Zeros are as good as None where a write beside a view gives that a history."""
    truth = gradients(runs(text))
    run = probed(folder, text)
    for name, grad in truth.items():
        if run.flow(name).reaches:
            assert grad is not None
        else:
            assert grad is None or not grad.any()


@few
@given(text=programs(LIVE + LOST + SILENT))
def test_a_leaf_is_used_just_if_its_values_change_the_root(folder: Path, text: str) -> None:
    loss = runs(text)["loss"]
    run = probed(folder, text)
    for leaf in LEAVES:
        assert run.flow(leaf).used == unlike(text, leaf, loss), leaf


@few
@given(text=programs(EVERY))
def test_a_leaf_whose_values_change_the_root_is_used(folder: Path, text: str) -> None:
    loss = runs(text)["loss"]
    run = probed(folder, text)
    for leaf in LEAVES:
        if unlike(text, leaf, loss):
            assert run.flow(leaf).used, leaf


@thorough
@pytest.mark.parametrize(
    ("ops", "least"), [(LIVE + LOST + SILENT, 100), (PARTIAL, 25)], ids=["whole", "partial"]
)
def test_the_programs_are_of_many_ops(ops: tuple[str, ...], least: int, folder: Path) -> None:
    """Counted by the names of torch functions, each seen in a program that torch runs."""
    nothing = {callee.name for callee in probed(folder, text_of_ops([], 0)).trace.ops.callees}
    seen = set()
    for op in ops:
        run = probed(folder, text_of_ops([(op, 1, 0)], 0))
        assert run.raised is None or "does not require grad" in str(run.raised)
        seen |= {callee.name for callee in run.trace.ops.callees}
    assert len(seen - nothing) >= least
