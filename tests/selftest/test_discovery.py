"""The RES sampler without its taps: every stage is found, with the gradient that passes it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from gradprobe import Probe
from gradprobe.capture.gradient_stats import as_stats, statistics
from gradprobe.records.report import GradStats, Report
from gradprobe.selftest import res_sampler

SHAPE = (1, 2, 2, 8, 8)


class _Untapped(ast.NodeTransformer):
    """`tap(name, x, step, sigma)` becomes `x`, or a call of `hooked` with the same arguments."""

    def __init__(self, hooked: bool) -> None:
        self.hooked = hooked

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "tap":
            if not self.hooked:
                return node.args[1]
            node.func.id = "hooked"
        return node


def sampler_without_taps(folder: Path, hooked: Callable[..., Tensor] | None = None) -> ModuleType:
    """The sampler's own source with its taps taken out, as a module of its own."""
    source = Path(res_sampler.__file__).read_text(encoding="utf-8")
    tree = _Untapped(hooked is not None).visit(ast.parse(source))
    path = folder / f"plain_sampler_{hooked is not None}.py"
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if hooked is not None:
        module.__dict__["hooked"] = hooked
    return module


def denoiser(x: Tensor, sigma: float) -> Tensor:
    return 0.7 * x + 0.1


def run(sampler: ModuleType, denoise: Any, **settings: Any) -> tuple[Tensor, Tensor]:
    """The output, and z0 after backward."""
    config = sampler.SamplerConfig(**settings)
    z0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.ones(SHAPE)
    noise = torch.Generator().manual_seed(2)
    output = sampler.sample(denoise, z0, config, noise).output
    loss = mse_loss(output, target)
    loss.backward()
    return output, z0


MODES: dict[str, dict[str, Any]] = {
    "no step noise": {},
    "step noise from z0": {"step_noise": "from_z0", "s_churn": 1.0},
    "step noise drawn afresh": {"step_noise": "fresh", "s_churn": 1.0},
    "2ab": {"solver": "2ab"},
    "2mid": {"solver": "2mid"},
    "2mid, step noise from z0": {"solver": "2mid", "step_noise": "from_z0", "s_churn": 1.0},
}


def expected(settings: dict[str, Any]) -> list[tuple[str, int | None, int | None]]:
    """Name, step and call of each stage but step inputs, as the sampler's source has them."""
    calls = 2 if settings.get("solver") == "2mid" else 1
    noisy = settings.get("step_noise", "off") != "off"
    found: list[tuple[str, int | None, int | None]] = [
        ("z0", None, None),
        ("start_state", None, None),
    ]
    for step in range(4):
        found += [("step_noise", step, None)] if noisy else []
        found += [("denoised_output", step, call) for call in range(calls)]
    return [*found, ("final_output", None, None), ("loss", None, None)]


def traced(
    sampler: ModuleType, denoise: Any, settings: dict[str, Any]
) -> tuple[Report, Tensor, Tensor]:
    with Probe() as probe:
        output, z0 = run(sampler, denoise, **settings)
    return probe.report(), output, z0


@pytest.mark.parametrize("settings", MODES.values(), ids=MODES)
@pytest.mark.parametrize("denoise", [denoiser, lambda x, s: 0.7 * x + 0.1], ids=["def", "lambda"])
def test_every_stage_is_found(settings: dict[str, Any], denoise: Any, tmp_path: Path) -> None:
    report, _, _ = traced(sampler_without_taps(tmp_path), denoise, settings)
    seen = [(s.name, s.step, s.call) for s in report.stages if s.name != "step_input"]
    assert seen == expected(settings)
    assert report.verdict == "flows"
    assert report.counts.steps == 4
    assert report.counts.denoiser_calls == (9 if settings.get("solver") == "2mid" else 5)
    assert {s.source for s in report.stages} == {"discovered"}
    inputs = [s.step for s in report.stages if s.name == "step_input"]
    assert inputs == ([0, 1, 2, 3] if "step_noise" in settings else [1, 2, 3])
    assert report.unseen == ()


@pytest.mark.parametrize("settings", MODES.values(), ids=MODES)
def test_gradients_are_those_of_hooks_put_in_by_hand(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    by_hand: list[tuple[str, int | None, GradStats]] = []

    def hooked(name: str, x: Tensor, step: int | None = None, sigma: float | None = None) -> Tensor:
        if x.requires_grad:
            x.register_hook(lambda g: by_hand.append((name, step, as_stats(statistics(g)))))
        return x

    output, z0 = run(sampler_without_taps(tmp_path, hooked), denoiser, **settings)
    report, same_output, same_z0 = traced(sampler_without_taps(tmp_path), denoiser, settings)
    assert torch.equal(output, same_output)
    assert z0.grad is not None
    assert same_z0.grad is not None
    assert torch.equal(z0.grad, same_z0.grad)
    names = {name for name, _, _ in by_hand}
    measured = [(s.name, s.step, s.grad) for s in report.stages if s.name in names]
    # Backward passes them in another order than forward.
    assert sorted(repr(m) for m in measured if m[2]) == sorted(repr(m) for m in by_hand)
    assert len(by_hand) > 5
    assert report.stages[0].grad == as_stats(statistics(z0.grad))
