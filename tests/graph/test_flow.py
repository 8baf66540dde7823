"""Random programs: what is said of each leaf is what plain torch does without a probe."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from torch import Tensor

from gradprobe.graph.flow import Flow
from gradprobe.records.report import Leaf, Report
from tests.graph.random_programs import (
    LOSING,
    SELECTING,
    SILENT,
    SMOOTH,
    WRITING,
    leaves,
    programs,
)
from tests.thorough import examples
from tests.traced import trace

LEAVES = ("leaf_a", "leaf_b")
MADE = "".join(f"{name} = given_{name}.requires_grad_()\n" for name in LEAVES)
STEP = 1e-6

few = settings(
    max_examples=examples(50),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def plain(text: str, **moved: float) -> dict[str, Any]:
    """The names that a program leaves when it runs without a probe."""
    names = {"torch": torch, **leaves(**moved)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, "<plain>", "exec"), names)
    return names


def gradients(text: str) -> dict[str, Tensor | None]:
    """Each leaf's gradient, None where torch gives none; rejects programs that torch refuses."""
    try:
        names = plain(text)
    except RuntimeError:
        assume(False)
    wanted = [names[name] for name in LEAVES]
    try:
        found = torch.autograd.grad(names["loss"], wanted, allow_unused=True)
    except RuntimeError as error:
        assume("does not require grad" in str(error))
        found = (None, None)
    return dict(zip(LEAVES, found, strict=True))


def derivative(text: str, leaf: str) -> float:
    """How the root changes when a leaf moves along its direction: two plain runs."""
    moved = "by_" + leaf[-1]
    ahead, behind = (plain(text, **{moved: by})["loss"].detach() for by in (STEP, -STEP))
    return float((ahead - behind) / (2 * STEP))


@dataclass(frozen=True)
class Judged:
    """One leaf: what is said of it, and what torch does."""

    name: str
    said: Leaf
    report: Report
    flow: Flow
    grad: Tensor | None

    @property
    def zero(self) -> bool:
        return self.grad is None or not self.grad.any()


def judged(folder: Path, text: str) -> Iterator[Judged]:
    truth = gradients(text)
    start = {f"given_{k}": v.detach() for k, v in leaves().items() if k in LEAVES}
    run = trace(folder, MADE + text + "loss.backward()\n", given=start)
    said = {leaf.name: leaf for leaf in run.report.leaves}
    assert run.report.unseen == ()
    for name in LEAVES:
        assert name in said, run.report.headline
        yield Judged(name, said[name], run.report, run.flow(name), truth[name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@few
@given(text=programs(SMOOTH + SELECTING + 2 * WRITING + 2 * LOSING))
def test_a_leaf_is_connected_where_torch_gives_it_a_gradient(folder: Path, text: str) -> None:
    for leaf in judged(folder, text):
        assert leaf.said.layers.connected.answer == ("no" if leaf.grad is None else "yes")
        assert leaf.said.requires_grad
        if leaf.grad is not None:
            assert leaf.said.grad is not None
            assert leaf.said.grad.norm == pytest.approx(float(leaf.grad.norm()))
        # The same from the ops alone, without the measured gradient. A Function's backward that
        # gets None sees zeros, and a write beside a view gives the view a history: zeros too.
        if leaf.flow.reaches:
            assert leaf.grad is not None
        else:
            assert leaf.zero


@few
@given(text=programs(SMOOTH + SELECTING + 2 * WRITING + 2 * LOSING + SILENT))
def test_a_leaf_whose_values_change_the_root_is_said_to_be_used(folder: Path, text: str) -> None:
    for leaf in judged(folder, text):
        moved = plain(text, **{"by_" + leaf.name[-1]: 0.37})["loss"]
        if not torch.equal(moved, plain(text)["loss"]):
            assert leaf.flow.used, "it is said to be unused, and the root changes with it"


@few
@given(text=programs(SMOOTH + SELECTING + WRITING + LOSING + SILENT, longest=5))
def test_where_nothing_is_found_the_gradient_is_the_derivative(folder: Path, text: str) -> None:
    for leaf in judged(folder, text):
        if leaf.said.verdict != "flows" or leaf.report.findings or not leaf.flow.used:
            continue
        assert leaf.grad is not None
        along = leaves()["along_" + leaf.name[-1]]
        exact = float((leaf.grad * along).sum())
        assert derivative(text, leaf.name) == pytest.approx(exact, rel=1e-3, abs=1e-5)


@few
@given(text=programs(SMOOTH + SELECTING + WRITING))
def test_where_torch_follows_every_op_nothing_is_found(folder: Path, text: str) -> None:
    for leaf in judged(folder, text):
        if leaf.zero:
            continue
        assert leaf.said.verdict == "flows"
        assert [f for f in leaf.report.findings if f.leaf == leaf.name] == []
