"""What is kept of a module call: its noise level, and its output's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradprobe.capture.build import build
from gradprobe.probe import Probe
from gradprobe.records.report import ValueStats
from gradprobe.records.sampling import ModuleCall


class Model(nn.Module):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        every = (*args, *kwargs.values())
        out = next(t for t in every if isinstance(t, Tensor) and t.requires_grad) * 1.0
        return (out, None)


X = torch.tensor([[1.0, 3.0]])
ARGUMENTS: dict[str, tuple[Callable[[Any, Tensor], Any], float | None]] = {
    "a number": (lambda m, x: m(x, 0.5), 0.5),
    "a whole number": (lambda m, x: m(x, 981), 981.0),
    "a tensor of one element": (lambda m, x: m(x, torch.tensor(0.25)), 0.25),
    "a batch": (lambda m, x: m(x, torch.tensor([0.75, 0.75])), 0.75),
    "a column": (lambda m, x: m(x, torch.full((1, 1, 1, 1), 4.0)), 4.0),
    "a keyword": (lambda m, x: m(x, timestep=torch.tensor([7])), 7.0),
    "time first": (lambda m, x: m(torch.tensor(0.125), x), 0.125),
    "after another input": (lambda m, x: m(x, torch.ones(2, 3), 2.0), 2.0),
    "a flag is none": (lambda m, x: m(x, True, None, "text"), None),
    "a second state is none": (lambda m, x: m(x, x.sum()), None),
    "alone": (lambda m, x: m(x), None),
}


def calls(program: Callable[[], Any]) -> tuple[ModuleCall, ...]:
    with Probe() as probe:
        program()
    return build(probe._recorder).calls


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_noise_level_is_the_first_number_that_is_no_state(name: str) -> None:
    call, sigma = ARGUMENTS[name]
    [seen] = calls(lambda: call(Model(), X.clone().requires_grad_() * 1.0))
    assert seen.sigma == sigma


def test_the_first_output_s_values_and_device() -> None:
    [seen] = calls(lambda: Model()(X.clone().requires_grad_() * 2.0, 1.0))
    assert (seen.stats, seen.device) == (ValueStats(4.0, 2.0, 6.0, 0), "cpu")


def test_a_call_that_raised_has_none() -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor, sigma: float) -> Tensor:
            raise KeyError("inside")

    def program() -> None:
        with pytest.raises(KeyError):
            Failing()(X, 0.5)

    [seen] = calls(program)
    assert (seen.stats, seen.device, seen.sigma) == (None, None, 0.5)
