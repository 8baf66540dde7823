"""Straight-through estimators and their like are notes by name; what looks like one is a break."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.traced import Traced, trace

BEGIN = """
import torch
import torch.nn.functional as F

torch.manual_seed(0)
z0 = torch.randn(4, 3, requires_grad=True)
codes = torch.randn(16, 3)
x = z0 * 2.0
soft = x.softmax(-1)
"""
# The choice itself has a note too: it stands in the sum in its own right.
HARD = "hard = F.one_hot(soft.argmax(-1), 3).float()  # <- GP107\n"
END = """
loss = (y * y + y).sum()
loss.backward()
"""

ESTIMATORS = {
    "the offset detached": "y = x + (x.round() - x).detach()  # <- GP101",
    "the offset on a line of its own": "d = (x.round() - x).detach()  # <- GP101\ny = x + d",
    "turned round on two lines": "y = (x\n  - (x - x.round()).detach())  # <- GP101",
    "the offset first": "y = (x.round() - x).detach() + x  # <- GP101",
    "with .data": "y = x + (x.round() - x).data  # <- GP101",
    "added in place": "y = x.clone()\ny += (x.round() - x).detach()  # <- GP101",
    "turned round": "y = x - (x - x.round()).detach()  # <- GP101",
    "negated": "y = x + (-(x - x.round())).detach()  # <- GP101",
    "of a code book": (
        "q = codes[torch.cdist(x, codes).argmin(1)]\ny = x + (q - x).detach()  # <- GP101"
    ),
    "whose code book learns": (
        "codes.requires_grad_()\nq = codes[torch.cdist(x, codes).argmin(1)]\n"
        "y = q + (x - x.detach())  # <- GP101"
    ),
    "of a hard choice": HARD + "y = soft + (hard - soft).detach()  # <- GP101",
    "as gumbel_softmax writes it": HARD + "y = hard - soft.detach() + soft  # <- GP101",
    "the soft part before": HARD + "y = hard + soft - soft.detach()  # <- GP101",
    "with where": (
        "bit = torch.where(soft > 0.5, 1.0, 0.0)\ny = soft + (bit - soft).detach()  # <- GP101"
    ),
    "of a comparison": (
        "bit = (soft > 0.5).float()  # <- GP107\ny = soft + (bit - soft).detach()  # <- GP101"
    ),
    "both detached": "y = x + x.round().detach() - x.detach()  # <- GP101",
    "of bytes": (
        "q = (x * 127.5).to(torch.uint8).float() / 127.5  # <- GP106\n"
        "y = x + (q - x).detach()  # <- GP101"
    ),
    "the offset under no_grad": (
        "with torch.no_grad():\n    offset = x.round() - x  # <- GP102\ny = x + offset"
    ),
    "the hard part under no_grad": (
        "with torch.no_grad():\n    q = x.round()  # <- GP102\ny = x + (q - x).detach()  # <- GP101"
    ),
    "the hard part by numpy": (
        "q = torch.from_numpy(np.round(x.detach().numpy()))  # <- GP104\n"
        "y = x + (q - x).detach()  # <- GP101"
    ),
    "in another precision": "y = x + (x.half().round().float() - x).detach()  # <- GP101",
    "twice": (
        "y = x + (x.round() - x).detach()  # <- GP101\n"
        "y = y + (y.clamp(-1, 1) - y).detach()  # <- GP101"
    ),
}
CONSTANTS = {
    "a difference": "y = (x - x.detach()).exp()  # <- GP101",
    "a ratio": "y = x / x.detach()  # <- GP101",
    "a loss over itself": "of_x = x.pow(2).mean()\ny = of_x / of_x.detach()  # <- GP101",
    "a loss over its number": "of_x = x.pow(2).mean()\ny = of_x / of_x.item()  # <- GP104",
}
WITHOUT_A_BREAK = {
    "by torch": "y = F.gumbel_softmax(x, hard=True)",
    "a Function": """
class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, grad):
        return grad

y = Round.apply(x)
""",
}
BREAKS = {
    "nothing live": "y = (x.round() - x).detach() + x.detach()  # <- GP101",
    "the hard part alone": "y = codes[torch.cdist(x, codes).argmin(1)]  # <- GP107",
    "of another tensor": "other = z0 * 3.0\ny = other + (x.round() - x).detach()  # <- GP101",
    "scaled": "y = x + 0.5 * (x.round() - x).detach()  # <- GP101",
    "of the same sign": HARD + "y = x + (x + hard).detach()  # <- GP101",
    "used elsewhere too": (
        "offset = (x.round() - x).detach()  # <- GP101\ny = (x + offset) * offset.abs().mean()"
    ),
    "a step from x": ("ahead = x + 0.1 * x.sin()\ny = x + (ahead - x).detach()  # <- GP101"),
    "what a step computes, detached": (
        "denoised = (x - 0.5 * x.sin()).detach()  # <- GP101\ny = x + (x - denoised) / 2.0"
    ),
    "momentum": "ahead = x + z0\ny = ahead + (ahead - x).detach()  # <- GP101",
    "over a statistic": "y = x / x.detach().norm()  # <- GP101",
    "under itself": "y = x.detach() / x.sigmoid()  # <- GP101",
    "an integer of it": "y = x - x.int() + 0.1 * x.to(torch.uint8)  # <- GP106",
}


def run(folder: Path, text: str) -> Traced:
    return trace(folder, BEGIN + text + END, given={"np": np})


def places(traced: Traced, severities: tuple[str, ...]) -> list[tuple[str, int]]:
    found = [f for f in traced.report.findings if f.severity in severities]
    return sorted((f.code, f.at.line) for f in found)


def marked(traced: Traced) -> list[tuple[str, int]]:
    lines = enumerate(traced.text.splitlines(), 1)
    return sorted((line.split("# <- ")[1], n) for n, line in lines if "# <- " in line)


@pytest.mark.parametrize("form", ESTIMATORS)
def test_an_estimator_is_a_note_that_names_it(form: str, tmp_path: Path) -> None:
    traced = run(tmp_path, ESTIMATORS[form])
    assert places(traced, ("note",)) == marked(traced)
    assert len(traced.report.findings) == len(marked(traced))
    assert all("a straight-through estimator" in f.message for f in traced.report.findings)
    assert traced.report.verdict == "flows"
    leaf = next(leaf for leaf in traced.report.leaves if leaf.name == "z0")
    assert leaf.layers.complete.answer == "yes"


@pytest.mark.parametrize("form", CONSTANTS)
def test_a_constant_made_for_its_gradient_is_a_note(form: str, tmp_path: Path) -> None:
    traced = run(tmp_path, CONSTANTS[form])
    assert places(traced, ("note",)) == marked(traced)
    (found,) = traced.report.findings
    assert "by value and passes gradient" in found.message
    assert traced.report.verdict == "flows"


@pytest.mark.parametrize("form", WITHOUT_A_BREAK)
def test_an_estimator_that_torch_knows_of_is_clean(form: str, tmp_path: Path) -> None:
    report = run(tmp_path, WITHOUT_A_BREAK[form]).report
    assert (report.verdict, report.findings) == ("flows", ())


@pytest.mark.parametrize("form", BREAKS)
def test_what_only_looks_like_an_estimator_is_a_break(form: str, tmp_path: Path) -> None:
    traced = run(tmp_path, BREAKS[form])
    assert places(traced, ("error", "warning")) == marked(traced)
    assert traced.report.verdict in ("broken", "partial")


@pytest.mark.parametrize("lost", ["lost", "lost + 0.5 * lost", "2.0 - lost"])
def test_what_is_added_to_an_estimator_is_no_part_of_it(lost: str, tmp_path: Path) -> None:
    text = f"""
lost = x.sin().detach()  # <- GP101
rounded = x + (x.round() - x).detach()
y = rounded + x.cos() + {lost}
"""
    traced = run(tmp_path, text)
    assert places(traced, ("warning",)) == marked(traced)
    assert places(traced, ("note",)) == [("GP101", marked(traced)[0][1] + 1)]


def test_a_break_beside_an_estimator_under_one_no_grad_is_named(tmp_path: Path) -> None:
    text = """
with torch.no_grad():
    offset = x.round() - x
    lost = x.sin()
y = x + offset + lost
"""
    traced = run(tmp_path, text)
    assert [(f.code, f.severity) for f in traced.report.findings] == [
        ("GP102", "warning"),
        ("GP102", "note"),
    ]
    assert traced.report.findings[0].at.source.strip() == "lost = x.sin()"
