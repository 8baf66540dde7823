"""With `ops="sampler"` each later call of a module is one op, and the program notices nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from gradprobe import Probe
from gradprobe.errors import UsageError
from gradprobe.records.report import Ops, Report


class Denoiser(nn.Module):
    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 1))
        self.times = 0
        self.fails_at = fails_at

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        self.times += 1
        if self.times == self.fails_at:
            raise KeyError("no such level")
        answer: Tensor = self.inner(x) * 0.1 + x / (1 + sigma)
        return answer


def sample(model: nn.Module, z0: Tensor, steps: int = 4) -> Tensor:
    x = z0 * 5.0
    for step in range(steps):
        sigma = 5.0 - step
        d = (x - model(x, sigma)) / sigma
        x = x - d
    return x


def run(model: nn.Module, **options: Any) -> tuple[Tensor, Tensor, Report]:
    torch.manual_seed(0)
    with Probe(**options) as probe:
        z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
        image = sample(model, z0)
        image.square().mean().backward()
    assert z0.grad is not None
    return image.detach(), z0.grad, probe.report()


def test_stages_and_gradients_are_those_of_a_whole_trace() -> None:
    image, grad, whole = run(Denoiser())
    same_image, same_grad, report = run(Denoiser(), ops="sampler")
    assert torch.equal(image, same_image)
    assert torch.equal(grad, same_grad)
    assert report.counts.ops < whole.counts.ops - 3 * 4  # of three calls, five ops each are one

    def rows(of: Report) -> list[Any]:
        return [
            (s.name, s.step, s.call, s.sigma, s.grad, s.grad_fn, s.connected) for s in of.stages
        ]

    assert rows(report) == rows(whole)
    assert report.counts.steps == 4
    assert report.counts.nodes == whole.counts.nodes
    assert report.verdict == "flows"


def test_what_is_inside_is_not_vouched_for() -> None:
    _, _, report = run(Denoiser(), ops="sampler")
    complete = report.leaves[0].layers.complete
    assert (complete.answer, complete.calls_live, complete.calls) == ("unknown", 1, 4)
    assert complete.sentence == (
        "gradient entered all 4 denoiser calls; the inside of 3 is not known"
    )
    assert any("ops='sampler'" in sentence for sentence in report.unseen)


def test_a_break_in_the_sampler_keeps_its_line() -> None:
    torch.manual_seed(0)
    with Probe(ops="sampler") as probe:
        z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
        x, model = z0 * 5.0, Denoiser()
        for sigma in (5.0, 4.0, 3.0):
            denoised = model(x, sigma).detach()  # the break
            x = x - (x - denoised) / sigma
        x.sum().backward()
    (finding,) = [f for f in probe.report().findings if f.severity != "note"]
    assert (finding.code, finding.at.file) == ("GP101", __file__)
    assert finding.at.source.endswith("# the break")


def test_a_module_that_raises_is_opened_again() -> None:
    model = Denoiser(fails_at=3)
    before = _get_current_function_mode_stack()
    with Probe(ops="sampler") as probe:
        z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
        with pytest.raises(KeyError, match="no such level"):
            sample(model, z0)
        after = len(probe._recorder.journal.head)
        (z0 * 2.0).sum().backward()
        assert len(probe._recorder.journal.head) > after
    assert _get_current_function_mode_stack() == before
    assert probe._recorder.mode.pauses == 0


def test_an_interrupt_inside_leaves_nothing_behind() -> None:
    class Interrupted(Denoiser):
        def forward(self, x: Tensor, sigma: float) -> Tensor:
            if self.times == 2:
                raise KeyboardInterrupt
            return super().forward(x, sigma)

    before = _get_current_function_mode_stack()
    with pytest.raises(KeyboardInterrupt), Probe(ops="sampler"):
        sample(Interrupted(), torch.randn(1, 3, 8, 8, requires_grad=True))
    assert _get_current_function_mode_stack() == before


class Counting(TorchFunctionMode):
    """The program's own mode."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_the_program_s_own_mode_sees_every_call() -> None:
    def calls(ops: Ops) -> int:
        z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
        with Probe(ops=ops), Counting() as mode:
            sample(Denoiser(), z0)
        return mode.calls

    assert calls("sampler") == calls("all") > 20


def test_a_module_that_calls_itself_is_closed_until_its_outer_call_ends() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.5))

        def forward(self, x: Tensor, depth: int = 1) -> Tensor:
            x = x * self.scale
            return self(x, depth - 1) if depth else x

    with Probe(ops="sampler") as probe:
        z0 = torch.randn(3, requires_grad=True)
        model = Twice()
        x = z0
        for _ in range(3):
            x = x + model(x)
        x.sum().backward()
    assert probe._recorder.mode.pauses == 0
    report = probe.report()
    assert report.verdict == "flows"
    assert z0.grad is not None
    assert torch.allclose(z0.grad, torch.full((3,), 1.25**3))


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="ops is 'few'; it is one of all, sampler"):
        Probe(ops="few")  # type: ignore[arg-type]
