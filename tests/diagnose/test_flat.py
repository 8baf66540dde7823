"""GP106 and GP107 beside a way that carries gradient, and where all that is left are zeros."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traced import Traced, trace

HEAD = """
import torch
import torch.nn.functional as F

torch.manual_seed(0)
codebook = torch.randn(3, 4)
z0 = torch.randn(4, 3, requires_grad=True)
x = z0 * 2.0
"""
END = """
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""


def run(folder: Path, body: str) -> Traced:
    return trace(folder, HEAD + body + END, numerics="nodes")


@pytest.mark.parametrize(
    "body",
    [
        "x = x + 0.5 * F.one_hot(x.argmax(-1), 3).to(x.dtype)  # <- GP107",
        "x = torch.cat([x, 0.1 * (x > 0).to(x.dtype)])  # <- GP107",
        "d = (x > 0).to(x.dtype)  # <- GP107\nx = x - d / torch.tensor(3.0)",
    ],
)
def test_a_flat_value_that_is_a_part_of_the_result_is_a_loss(body: str, tmp_path: Path) -> None:
    found = run(tmp_path, body)
    assert found.report.verdict == "partial"
    assert (found.first.code, found.first.severity) == ("GP107", "warning")
    assert found.is_at(found.first.at, "GP107")


@pytest.mark.parametrize(
    "body",
    [
        "x = x * (x > 0).to(x.dtype)",
        "keep = (x > 0).to(x.dtype)\nx = x * keep + torch.full((4, 3), 0.3) * (1 - keep)",
        "x = torch.where(x > 0, x, 0.1 * x)",
        "x = x + (F.one_hot(x.argmax(-1), 3).to(x.dtype) @ codebook)[:, :3]",
        "x = x / (x > -9).to(x.dtype).sum()",
    ],
)
def test_a_flat_value_that_chooses_or_weighs_is_none(body: str, tmp_path: Path) -> None:
    report = run(tmp_path, body).report
    assert report.verdict == "flows"
    assert {found.severity for found in report.findings} <= {"note"}


LAST_STEP = "\ndirection = torch.tensor(0.0)\nx = 0.9 * clean + direction * x\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("clean = (0.5 * x).detach()  # <- GP101", "GP101"),
        ("clean = (0.5 * x > 0).to(x.dtype)  # <- GP107", "GP107"),
        ("clean = (9 * x).to(torch.int32) / 9  # <- GP106", "GP106"),
    ],
)
def test_a_cut_beside_a_factor_of_zero_is_what_lost_the_gradient(
    body: str, code: str, tmp_path: Path
) -> None:
    found = run(tmp_path, body + LAST_STEP)
    assert found.report.verdict == "zero"
    assert (found.first.code, found.first.severity) == (code, "error")
    assert found.is_at(found.first.at, code)
    assert [(f.code, f.severity) for f in found.report.findings[1:]] == [("GP304", "warning")]


def test_a_factor_of_zero_that_takes_all_stays_the_error(tmp_path: Path) -> None:
    found = run(tmp_path, "x = x + x.detach()\nx = x * 0.0  # <- GP304")
    assert found.report.verdict == "zero"
    assert (found.first.code, found.first.severity) == ("GP304", "error")
    assert found.is_at(found.first.at, "GP304")


def test_a_write_into_a_part_is_no_end_beside_another(tmp_path: Path) -> None:
    body = """
solution = torch.empty(2, 4, 3)
solution[0] = x
solution[1] = x * 0.0  # <- GP304
x = solution[1]
"""
    found = run(tmp_path, body)
    assert [f.code for f in found.report.findings] == ["GP304"]
    assert found.is_at(found.first.at, "GP304")
    assert found.first.severity == "error"


def test_a_cut_before_a_write_into_a_part_is_what_lost_the_gradient(tmp_path: Path) -> None:
    body = """
solution = torch.empty(2, 4, 3)
solution[0] = x
y = (x * 0.5).detach()  # <- GP101
solution[1] = y
x = solution[1]
"""
    found = run(tmp_path, body)
    assert found.report.verdict == "zero"
    assert (found.first.code, found.first.severity) == ("GP101", "error")
    assert found.is_at(found.first.at, "GP101")
