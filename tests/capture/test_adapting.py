"""Adapters that switch themselves on while the program runs."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradprobe import adapters
from gradprobe.capture.stage_selectors import Adapter
from gradprobe.errors import UnknownFormat
from gradprobe.records.sampling import StageMark
from tests.capture.pretend_library import Library, clock, installed, selector, traced

TEXT = """
def sample(model, x, sigmas):  # <- argument
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i])  # <- denoised
        d = (x - denoised) / sigmas[i]  # <- d
        x = x + d * (sigmas[i + 1] - sigmas[i])  # <- x
    return x

def states(model, x, sigmas):
    for i in range(len(sigmas) - 1):
        x = x + (model(x, sigmas[i]) - x) * 0.5  # <- state
        yield x

class Sampler:
    def sample(self, model, x, sigmas):
        def step(x, sigma):
            inner = model(x, sigma)  # <- closure
            return inner
        for sigma in sigmas:
            x = step(x, sigma)
        return x

def outermost(model, x, sigmas):
    return sample(model, x, sigmas) * 1.0

def lifetimes(x, watch):
    x = x * 2
    watch(x)
    x = x * 3
    watch(x)
    x = x * 4
    watch(x)
    return None
"""

ADAPTER = Adapter(
    "pretend",
    (
        selector("start_state", "sample", "x", keep="first of call"),
        selector("denoised_output", "sample", "denoised", sigma="sigmas[i]"),
        selector("d", "sample", "d"),
        selector("step_output", "sample", "x", keep="last of step"),
        selector("state", "states", "x"),
        selector("inner", "Sampler.sample.step", "inner", sigma="sigma"),
        selector("x", "lifetimes", "x"),
    ),
    (clock("sample", "i", step="i", sigma="sigmas[i]"),),
)

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0])


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.tracers: list[Any] = []

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.tracers.append(sys.gettrace())
        out: Tensor = self.inner(x) / (1 + sigma)
        return out


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with installed(tmp_path, TEXT, ADAPTER) as found:
        yield found


def start() -> Tensor:
    return torch.tensor([[0.5, -1.0, 2.0]], requires_grad=True)


def short(marks: tuple[StageMark, ...]) -> list[tuple[str, int | None, float | None]]:
    return [(mark.name, mark.step, mark.sigma) for mark in marks]


LOOP = [("start_state", None, None)] + [
    (name, step, sigma)
    for step, sigma in enumerate((8.0, 4.0, 2.0))
    for name in ("denoised_output", "d", "step_output")
]


def test_all_steps_of_a_function_that_is_met_while_it_runs(library: Library) -> None:
    sampling = library.load()
    model = Model()

    def program() -> None:
        sampling.sample(model, start() * 8.0, SIGMAS).sum().backward()

    trace = traced(program)
    assert short(trace.stages) == LOOP
    assert {mark.source for mark in trace.stages} == {"adapted"}
    assert {(m.device, m.is_leaf, m.version) for m in trace.stages} == {("cpu", False, 0)}
    lines = [mark.at.line for mark in trace.stages if mark.at]
    denoised, d, x = (library.line(mark) for mark in ("denoised", "d", "x"))
    assert lines == [library.line("argument")] + [denoised, d, x] * 3
    assert all(mark.grad is not None and mark.stats is not None for mark in trace.stages)
    assert [(tick.step, tick.sigma) for tick in trace.ticks] == [(0, 8.0), (1, 4.0), (2, 2.0)]
    assert trace.unseen == ()


def test_a_second_run_gives_the_same_records(library: Library) -> None:
    sampling = library.load()
    model = Model()

    def program() -> None:
        for _ in range(2):
            sampling.sample(model, start() * 8.0, SIGMAS).sum().backward()

    trace = traced(program)
    assert short(trace.stages) == LOOP * 2
    assert [tick.step for tick in trace.ticks] == [0, 1, 2] * 2


def test_ops_belong_to_the_step_that_their_tick_begins(library: Library) -> None:
    sampling = library.load()
    model = Model()
    trace = traced(lambda: sampling.sample(model, start() * 8.0, SIGMAS))
    firsts = [call.from_op for call in trace.calls if call.depth == 0]
    ends = [mark.at_op for mark in trace.stages if mark.name == "step_output"]
    begins = [tick.at_op for tick in trace.ticks]
    assert len(firsts) == len(ends) == len(begins) == 3
    assert all(b <= f < e for b, f, e in zip(begins, firsts, ends, strict=True))
    assert begins[1:] == ends[:-1]


def test_a_generator_a_method_and_a_closure(library: Library) -> None:
    sampling = library.load()
    model = Model()
    trace = traced(lambda: list(sampling.states(model, start() * 8.0, SIGMAS)))
    # The argument, then one state a turn.
    assert [mark.name for mark in trace.stages] == ["state"] * 4
    assert [mark.at.line for mark in trace.stages if mark.at][1:] == [library.line("state")] * 3
    trace = traced(lambda: sampling.Sampler().sample(model, start() * 8.0, SIGMAS))
    assert short(trace.stages) == [("inner", None, s) for s in (8.0, 4.0, 2.0, 1.0)]
    assert {mark.at.line for mark in trace.stages if mark.at} == {library.line("closure")}


def test_a_plain_function_as_the_model(library: Library) -> None:
    sampling = library.load()
    z0 = start()
    trace = traced(lambda: sampling.outermost(lambda x, s: x * 0.5, z0, SIGMAS))
    assert short(trace.stages) == LOOP
    # The leaf itself is what the argument held: it is measured as a leaf, and named by its owner.
    assert trace.stages[0].is_leaf is True
    assert [leaf.name for leaf in trace.leaves] == ["z0"]


@pytest.mark.parametrize("find_stages", ["declared", "none"])
def test_adapters_can_be_switched_off(library: Library, find_stages: str) -> None:
    sampling = library.load()
    before = sys.gettrace()
    model = Model()

    def program() -> None:
        sampling.sample(model, start() * 8.0, SIGMAS)

    trace = traced(program, find_stages=find_stages)
    assert trace.stages == trace.ticks == ()
    assert set(model.tracers) == {before}


def test_values_gradients_and_random_numbers_are_those_of_a_plain_run(library: Library) -> None:
    sampling = library.load()
    model = Model()

    def program() -> list[Tensor]:
        torch.manual_seed(0)
        z0 = start()
        out = sampling.sample(model, z0 * 8.0 + torch.randn(1, 3), SIGMAS) + torch.randn(1, 3)
        out.square().sum().backward()
        assert z0.grad is not None
        return [out.detach(), z0.grad, torch.get_rng_state()]

    plain = program()
    probed: list[Tensor] = []
    assert len(traced(lambda: probed.extend(program())).stages) == 10
    assert all(torch.equal(a, b) for a, b in zip(plain, probed, strict=True))


def test_no_tensor_outlives_its_variable(library: Library) -> None:
    sampling = library.load()
    alive: list[list[bool]] = []

    def program() -> None:
        refs: list[weakref.ref[Tensor]] = []
        alive.append([])

        def watch(x: Tensor) -> None:
            alive[-1].extend(ref() is not None for ref in refs)
            refs.append(weakref.ref(x))

        with torch.no_grad():
            sampling.lifetimes(torch.ones(3), watch)
        alive[-1].extend(ref() is not None for ref in refs)

    program()
    assert len(traced(program).stages) == 4
    assert alive[0] == alive[1] == [False] * 6


# While a module runs.


def test_a_module_runs_untraced_after_its_first_call(library: Library) -> None:
    sampling = library.load()
    before = sys.gettrace()
    model = Model()
    around: list[Any] = []

    def observed(x: Tensor, sigma: Tensor) -> Tensor:
        out: Tensor = model(x, sigma)
        around.append(sys.gettrace())
        return out

    traced(lambda: sampling.sample(observed, start() * 8.0, SIGMAS))
    if hasattr(sys, "monitoring"):
        assert set(model.tracers) | set(around) == {before}
    else:
        assert model.tracers[1:] == [before] * 2
        assert before not in around
        assert len(set(around)) == 1
    assert sys.gettrace() is before


def test_the_watch_goes_on_after_a_module_that_raised(library: Library) -> None:
    sampling = library.load()
    before = sys.gettrace()

    class Failing(Model):
        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            out = super().forward(x, sigma)
            if float(sigma) == 4.0:
                raise KeyError("inside")
            return out

    model = Failing()

    def caught(x: Tensor, sigma: Tensor) -> Tensor:
        try:
            out: Tensor = model(x, sigma)
        except KeyError:
            out = x * 0.25
        return out

    trace = traced(lambda: sampling.sample(caught, start() * 8.0, SIGMAS))
    assert short(trace.stages) == LOOP
    assert model.tracers[1:] == [before] * 2
    assert sys.gettrace() is before


def test_a_sampler_that_is_a_module_and_a_wrapper_around_the_model(tmp_path: Path) -> None:
    text = """
from torch import nn

class Sampler(nn.Module):
    def forward(self, model, x, sigmas):
        for sigma in sigmas:
            x = model(x, sigma)
        return x

class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, sigma):
        scaled = x / (1 + sigma)
        return self.inner(scaled, sigma)
"""
    adapter = Adapter(
        "pretend", (selector("x", "Sampler.forward", "x"), selector("in", "Wrapper.*", "scaled"))
    )
    with installed(tmp_path, text, adapter) as library:
        sampling = library.load()
        model = Model()
        sampler, wrapper = sampling.Sampler(), sampling.Wrapper(model)

        def program() -> None:
            for _ in range(2):
                sampler(wrapper, start() * 8.0, SIGMAS)

        trace = traced(program)
    assert [mark.name for mark in trace.stages] == (["x"] + ["in", "x"] * 4) * 2
    assert model.tracers[1:] == [sys.gettrace()] * 7  # inside the wrapper it is quiet


def test_a_declared_selector_inside_the_model_is_seen_in_every_call(library: Library) -> None:
    sampling = library.load()
    model = Model()
    place = f"{Path(__file__).name}:Model.forward:out"
    trace = traced(
        lambda: sampling.sample(model, start() * 8.0, SIGMAS), stages={"prediction": place}
    )
    names = [mark.name for mark in trace.stages]
    assert names.count("prediction") == 3
    assert names.count("d") == 3


def test_a_declared_selector_of_code_that_a_module_runs_later(library: Library) -> None:
    sampling = library.load()

    class Late(Model):
        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            out = super().forward(x, sigma)
            return out if len(self.tracers) < 3 else late(out)

    def late(x: Tensor) -> Tensor:
        kept = x * 2
        return kept + 1

    place = f"{Path(__file__).name}:test_a_declared_selector_of_code_that_a_module_runs_later.late"
    trace = traced(
        lambda: sampling.sample(Late(), start() * 8.0, SIGMAS), stages={"kept": f"{place}:kept"}
    )
    assert [mark.name for mark in trace.stages].count("kept") == 1
    assert trace.unseen == ()


# Adapters that fail, and other tracers.


def test_an_adapter_that_cannot_be_loaded_costs_its_stages(tmp_path: Path) -> None:
    with installed(tmp_path, TEXT, None) as library:
        sampling = library.load()
        model = Model()
        trace = traced(lambda: sampling.sample(model, start() * 8.0, SIGMAS))
    assert trace.stages == ()
    assert trace.unseen == (
        "the adapter for pretend_library was not used: "
        "AttributeError(\"module 'pretend_adapter' has no attribute 'ADAPTER'\")",
    )


def test_an_adapter_with_a_path_that_is_none_is_refused(tmp_path: Path) -> None:
    adapter = Adapter("pretend", (selector("d", "sample", "d", sigma="sigmas[i"),))
    with installed(tmp_path, TEXT, adapter) as library:
        sampling = library.load()
        trace = traced(lambda: sampling.sample(Model(), start() * 8.0, SIGMAS))
    assert trace.stages == ()
    assert trace.unseen == (
        "the adapter for pretend_library was not used: "
        "ValueError(\"no path into variables: 'sigmas[i'\")",
    )


def test_a_tracer_that_the_program_installed_before_the_library_ran(library: Library) -> None:
    sampling = library.load()
    before = sys.gettrace()
    model = Model()

    def seen_by_a_tracer(probed: bool) -> tuple[list[int], int]:
        lines: list[int] = []

        def tracer(frame: FrameType, event: str, arg: Any) -> Any:
            if frame.f_code.co_filename != str(library.path):
                return None
            lines.append(frame.f_lineno)
            return tracer

        def program() -> None:
            sys.settrace(tracer)
            sampling.sample(model, start() * 8.0, SIGMAS)
            assert sys.gettrace() is tracer or probed

        try:
            if not probed:
                program()
                return lines, 0
            marks = traced(program).stages
            assert sys.gettrace() is tracer
            return lines, len(marks)
        finally:
            sys.settrace(before)

    plain, _ = seen_by_a_tracer(probed=False)
    lines, count = seen_by_a_tracer(probed=True)
    assert len(plain) > 12
    assert lines == plain
    assert count == 10


def test_a_tracer_that_is_installed_inside_a_module_takes_over(library: Library) -> None:
    sampling = library.load()
    before = sys.gettrace()

    def nothing(frame: FrameType, event: str, arg: Any) -> None:
        return None

    class Debugged(Model):
        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            if float(sigma) == 4.0:
                sys.settrace(nothing)
            return super().forward(x, sigma)

    try:
        trace = traced(lambda: sampling.sample(Debugged(), start() * 8.0, SIGMAS))
        assert sys.gettrace() is nothing
    finally:
        sys.settrace(before)
    assert trace.unseen == (
        "another tracing function took over: later stages of selectors are absent",
    )
    assert short(trace.stages)[:4] == LOOP[:4]


# The registries.


def test_a_package_comes_before_a_file_and_neither_is_nothing() -> None:
    assert adapters.adapter_for("nowhere", "nothing.py") is None
    with pytest.raises(UnknownFormat):
        adapters.packages.load("nowhere")
    for registry in (adapters.packages, adapters.files):
        for key in registry:
            adapter = registry.load(key)
            assert isinstance(adapter, Adapter)
            assert {one.source for one in adapter.selectors} == {"adapted"}
            pair = (key, "nothing.py") if registry is adapters.packages else ("nowhere", key)
            assert adapters.adapter_for(*pair) is adapter
