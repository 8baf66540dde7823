"""`assert_grad_flows(fn, z0)`: a function from z0 to its loss, in any test framework."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gradprobe
from gradprobe.errors import GradientLost, UsageError
from gradprobe.testing import assert_grad_flows

HERE = Path(__file__)


class Denoiser(nn.Linear):
    pass


MODEL = Denoiser(4, 4)
Z0 = torch.ones(2, 4)


def flowing(z0: Tensor) -> Tensor:
    x = z0
    for _ in range(3):
        x = x + 0.5 * (MODEL(x) - x)
    return x.square().sum()


def lost(z0: Tensor) -> Tensor:
    with torch.no_grad():
        x = MODEL(z0)
    return x.sum()


def round_the_denoiser(z0: Tensor) -> Tensor:
    return (MODEL(z0.detach()) + z0).sum()


def at(fn: object, line: int) -> str:
    return f"{HERE}:{fn.__code__.co_firstlineno + line}:"  # type: ignore[attr-defined]


def test_it_returns_the_report_and_leaves_everything_alone() -> None:
    report = assert_grad_flows(flowing, Z0, through=MODEL)
    assert (report.verdict, len(report.calls)) == ("flows", 3)
    assert Z0.grad is None
    assert not Z0.requires_grad
    assert MODEL.weight.grad is None


def test_a_loss_that_requires_no_grad_is_explained(tmp_path: Path) -> None:
    with pytest.raises(GradientLost) as failed:
        assert_grad_flows(lost, Z0, picture_dir=tmp_path)
    said = str(failed.value).splitlines()
    assert said[0].startswith("backward raised: element 0 of tensors does not require grad")
    assert said[1].startswith("GP102 grad-mode-off at ")
    assert f"opened by {at(lost, 1)}" in said[1]
    assert (tmp_path / "gradprobe-z0.svg").exists()


def test_a_gradient_that_goes_round_is_lost() -> None:
    with pytest.raises(GradientLost) as failed:
        assert_grad_flows(round_the_denoiser, Z0)
    said = str(failed.value)
    assert said.startswith("gradient of z0: partial; GP101 detached at ")
    assert at(round_the_denoiser, 1) in said
    assert_grad_flows(round_the_denoiser, Z0, allow="GP101")
    with pytest.raises(GradientLost, match=r"no call of 'Denoiser' was seen|misses 1 of 1 calls"):
        assert_grad_flows(round_the_denoiser, Z0, MODEL, allow="GP101")


def test_what_the_function_raises_goes_on() -> None:
    with pytest.raises(KeyError):
        assert_grad_flows(lambda z0: {}["loss"], Z0)
    with gradprobe.Probe(), pytest.raises(UsageError, match="already active"):
        assert_grad_flows(flowing, Z0)
