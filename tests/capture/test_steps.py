"""Clocks: what a step is, and in which step a stage was assigned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gradprobe.capture.stage_selectors import Adapter, Clock, Selector
from gradprobe.records.trace import Trace
from tests.capture.pretend_library import clock, installed, selector, traced

TEXT = """
class Scheduler:
    '''The update that a loop calls after its denoiser.'''

    def __init__(self, sigmas, calls=1):
        self.sigmas = sigmas
        self.calls = calls
        self.index = None

    def step(self, prediction, sample):
        if self.index is None:
            self.index = 0
        sigma = self.sigmas[self.index // self.calls]
        sample = sample * 1.0
        prev = sample - prediction * 0.1
        prev = prev + sigma * 0.0
        self.index = self.index + 1
        return prev

def heun(x, sigmas):
    for i in range(len(sigmas) * 2):
        x = x * 0.5
    return x

def pairs(x, times):
    for pair in zip(times[:-1], times[1:]):
        t0, t1 = pair
        x = x * 0.5
    return x

def tensors(x, times):
    for t in times:
        x = x * t
    after = x * 2
    return after

def nested(x, n):
    for i in range(3):
        x = x * 2
        if n:
            x = nested(x, n - 1)
    return x

def generator(x, sigmas):
    for i in range(len(sigmas)):
        x = x * 0.5
        yield x
        after = x * 2
        del after

def one_line(x):
    for i in range(3): x = x * 2
    return x
"""

SIGMAS = torch.tensor([4.0, 2.0, 1.0])


class Lab:
    """Runs functions of the library under an adapter made for the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, program: str, *what: Selector | Clock) -> Trace:
        adapter = Adapter(
            "pretend",
            tuple(one for one in what if isinstance(one, Selector)),
            tuple(one for one in what if isinstance(one, Clock)),
        )
        with installed(self.folder, TEXT, adapter) as library:
            names = {**vars(library.load()), "x": torch.ones(3, requires_grad=True) * 1.0}
            names |= {"sigmas": SIGMAS, "__name__": "__main__", "__spec__": None}
            return traced(lambda: exec(program, names))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def ticks(trace: Trace) -> list[tuple[int, float | None]]:
    return [(tick.step, tick.sigma) for tick in trace.ticks]


def steps(trace: Trace) -> list[tuple[str, int | None]]:
    return [(mark.name, mark.step) for mark in trace.stages]


def test_assignments_are_counted_without_a_path(lab: Lab) -> None:
    trace = lab(
        "tensors(x, sigmas)", clock("tensors", "t", sigma="t"), selector("x", "tensors", "x")
    )
    assert ticks(trace) == [(0, 4.0), (1, 2.0), (2, 1.0)]
    assert steps(trace) == [("x", None), ("x", 0), ("x", 1), ("x", 2)]
    assert [mark.sigma for mark in trace.stages] == [None, 4.0, 2.0, 1.0]


def test_what_is_assigned_after_the_loop_is_in_the_last_step_but_for_the_final_output(
    lab: Lab,
) -> None:
    trace = lab(
        "tensors(x, sigmas)",
        clock("tensors", "t"),
        selector("after", "tensors", "after"),
        selector("final_output", "tensors", "after"),
    )
    assert steps(trace) == [("after", 2), ("final_output", None)]


@pytest.mark.parametrize("step", ["i", None])
def test_two_denoiser_calls_a_step(lab: Lab, step: str | None) -> None:
    trace = lab("heun(x, sigmas)", clock("heun", "i", step=step, per=2), selector("x", "heun", "x"))
    assert ticks(trace) == [(0, None), (1, None), (2, None)]
    assert [step for _, step in steps(trace)] == [None, 0, 0, 1, 1, 2, 2]


def test_the_first_and_the_last_of_a_step(lab: Lab) -> None:
    trace = lab(
        "heun(x, sigmas)",
        clock("heun", "i", step="i", per=2),
        selector("first", "heun", "x", keep="first of step"),
        selector("last", "heun", "x", keep="last of step"),
        selector("start", "heun", "x", keep="first of call"),
        selector("end", "heun", "x", keep="last of call"),
    )
    names = ["first", "last"]
    assert steps(trace) == [
        ("start", None),
        *((name, step) for step in (0, 1, 2) for name in names),
        ("end", 2),
    ]
    at = {name: [m.at_op for m in trace.stages if m.name == name] for name in (*names, "end")}
    assert [b - a for a, b in zip(at["first"], at["last"], strict=True)] == [1, 1, 1]
    assert at["end"] == at["last"][-1:]


def test_a_pair_of_times(lab: Lab) -> None:
    trace = lab("pairs(x, sigmas)", clock("pairs", "pair", sigma="pair[1]"))
    assert ticks(trace) == [(0, 2.0), (1, 1.0)]
    trace = lab("pairs(x, [3, 2, 1])", clock("pairs", "t0", sigma="pair[1]", step="t0"))
    assert ticks(trace) == [(3, 2.0), (2, 1.0)]


def test_a_step_that_cannot_be_read_is_none(lab: Lab) -> None:
    trace = lab("heun(x, sigmas)", clock("heun", "i", step="x.nothing"))
    assert trace.ticks == ()


def test_each_call_of_a_recursive_function_counts_its_own(lab: Lab) -> None:
    trace = lab("nested(x, 1)", clock("nested", "i"), selector("x", "nested", "x"))
    inner = [0, 1, 2]
    assert [step for step, _ in ticks(trace)] == [0, *inner, 1, *inner, 2, *inner]
    # Before its own first step, the inner call lies in a step of the outer one.
    assert [step for _, step in steps(trace)] == [
        None,
        *(0, 0, *inner, 0),
        *(1, 1, *inner, 1),
        *(2, 2, *inner, 2),
    ]


def test_a_generator_goes_on_in_the_step_that_it_was_left_in(lab: Lab) -> None:
    trace = lab(
        "for state in generator(x, sigmas): state * 3",
        clock("generator", "i", step="i"),
        selector("after", "generator", "after"),
    )
    assert steps(trace) == [("after", 0), ("after", 1), ("after", 2)]


def test_a_loop_in_one_line(lab: Lab) -> None:
    trace = lab("one_line(x)", clock("one_line", "i", step="i"), selector("x", "one_line", "x"))
    assert [step for step, _ in ticks(trace)] == [0, 1, 2]
    assert [step for _, step in steps(trace)] == [None, 0, 1, 2]


LOOP = """
scheduler = Scheduler(sigmas, {calls})
for turn in range({turns}):
    predicted = x * 0.5
    x = scheduler.step(predicted, x)
x = x * 3
"""
OUTPUTS = (
    selector("input", "Scheduler.step", "sample", keep="first of call"),
    selector("step_output", "Scheduler.*", "prev", keep="last of call"),
)


def test_steps_that_end_in_a_function_that_the_loop_calls(lab: Lab) -> None:
    trace = lab(
        LOOP.format(calls=1, turns=3),
        clock("Scheduler.step", "prev", sigma="self.sigmas[self.index]", ends=True),
        *OUTPUTS,
    )
    assert ticks(trace) == [(0, 4.0), (1, 2.0), (2, 1.0)]
    assert steps(trace) == [(name, n) for n in range(3) for name in ("input", "step_output")]
    assert [mark.sigma for mark in trace.stages] == [4.0, 4.0, 2.0, 2.0, 1.0, 1.0]
    ends = [mark.at_op for mark in trace.stages if mark.name == "step_output"]
    assert [tick.at_op for tick in trace.ticks] == [0, *ends[:-1]]


def test_calls_that_find_the_same_number_share_a_step_that_ends(lab: Lab) -> None:
    trace = lab(
        LOOP.format(calls=2, turns=5),
        clock("Scheduler.step", "prev", step="self.index", sigma="sigma", per=2, ends=True),
        *OUTPUTS,
    )
    assert ticks(trace) == [(0, 4.0), (1, 2.0), (2, 1.0)]
    assert [step for _, step in steps(trace)] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_a_stage_of_the_loop_is_in_the_step_that_ends_after_it(lab: Lab, tmp_path: Path) -> None:
    text = TEXT + "\ndef loop(x, sigmas):\n    scheduler = Scheduler(sigmas)\n"
    text += "    for turn in sigmas:\n        predicted = x * 0.5\n"
    text += "        x = scheduler.step(predicted, x)\n    image = x * 2\n    return image\n"
    adapter = Adapter(
        "pretend",
        (selector("predicted", "loop", "predicted"), selector("image", "loop", "image")),
        (clock("Scheduler.step", "prev", ends=True),),
    )
    with installed(tmp_path, text, adapter) as library:
        loop = library.load().loop
        trace = traced(lambda: loop(torch.ones(3, requires_grad=True), SIGMAS))
    assert steps(trace) == [("predicted", 0), ("predicted", 1), ("predicted", 2), ("image", None)]


def test_patterns_in_places_and_functions(lab: Lab) -> None:
    everywhere = Selector("x", "pretend_*", "*", "x", keep="first of call")
    in_files = Selector("x", "pret*.py", "h*n", "x", keep="first of call")
    other = Selector("x", "pretend.*", "heun", "x")
    assert len(lab("heun(x, sigmas); tensors(x, sigmas)", everywhere).stages) == 2
    assert len(lab("heun(x, sigmas); tensors(x, sigmas)", in_files).stages) == 1
    assert lab("heun(x, sigmas); tensors(x, sigmas)", other).stages == ()
