"""The truths themselves: each is proven by plain torch, without gradprobe."""

from __future__ import annotations

import json
import re

import pytest

from tests.laws.cases import CASES, Case, decorator_line, judged
from tests.laws.conftest import Nursery


@pytest.mark.parametrize("case", judged(), ids=lambda case: case.name)
def test_plain_torch_shows_what_the_truth_expects(nursery: Nursery, case: Case) -> None:
    answer = nursery.run(case, "shown")
    assert case.truth is not None
    shown = answer["shown"]
    if shown == "itself":
        shown = json.loads(answer["stdout"].splitlines()[-1])["result"]
    assert shown == case.truth["expect"], answer


OPTIMISED = [case for case in judged() if "losses" in (case.truth or {})]


@pytest.mark.parametrize("case", OPTIMISED, ids=lambda case: case.name)
def test_plain_torch_shows_whether_the_updates_had_an_effect(nursery: Nursery, case: Case) -> None:
    assert case.truth is not None
    printed = nursery.run(case, "shown")["stdout"].splitlines()
    losses = [line for line in printed if line.startswith("loss ")]
    assert len(losses) > 2
    assert (len(set(losses)) == 1) == (case.truth["losses"] == "equal"), losses


@pytest.mark.parametrize("case", judged(), ids=lambda case: case.name)
def test_the_guilty_line_is_the_marked_line(case: Case) -> None:
    assert case.truth is not None
    guilty = case.program.parent / case.truth["file"]
    if case.truth["line"] is None or not guilty.exists():
        return
    line = guilty.read_text(encoding="utf-8").splitlines()[case.truth["line"] - 1]
    assert line.strip().startswith(case.truth["source"])
    if "real" not in guilty.parts:
        assert re.search(r"# CULPRIT\b", line)


def test_every_program_has_its_truth() -> None:
    programs = {
        path
        for path in CASES.rglob("*.py")
        if not path.name.startswith("_") and path.name != "kd_stub.py"
    }
    told = {case.program for case in judged()} | set((CASES / "behaviour").glob("*.py"))
    assert programs == told


def test_every_cut_has_a_breaking_and_a_healthy_program() -> None:
    rules = CASES / "rules"
    for number in range(101, 113):
        assert list(rules.glob(f"gp{number}_*.py")), number
        assert list(rules.glob(f"ok{number}_*.py")), number


def test_a_decorator_line_is_read_from_the_source() -> None:
    line = decorator_line("torch.optim.sgd", "SGD.step", "_use_grad_for_differentiable")
    import inspect

    import torch

    source, first = inspect.getsourcelines(torch.optim.SGD.step.__wrapped__)
    assert line == first
    assert source[0].strip() == "@_use_grad_for_differentiable"
    with pytest.raises(LookupError, match="not decorated"):
        decorator_line("torch.optim.sgd", "SGD.step", "torch.no_grad")
