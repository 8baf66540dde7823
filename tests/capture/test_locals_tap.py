"""Stage selectors: every assignment of a chosen local, in order, and nothing else changes."""

from __future__ import annotations

import bdb
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

from gradprobe.capture.gradient_stats import as_stats, statistics
from gradprobe.capture.line_events import Lines
from gradprobe.capture.stage_selectors import Selector, parse
from gradprobe.errors import UsageError
from gradprobe.probe import Probe
from gradprobe.records.report import Stage
from tests.capture.monitored import CASES
from tests.fresh_environment import ROOT
from tests.traced import marked

SAMPLER = """
import torch

def closure(z):
    scale = 0.5
    def step(x):
        y = x * scale  # <- closure
        return y + 1
    return step(z)

class Sampler:
    def sample(self, x):
        for i in range(4):
            x = (
                x * 0.9  + i
            )
            d = x.sin()  # <- d
        return x + d

def points(x):
    for i in range(3):
        y = x * i  # <- generator
        yield y

def drain(x):
    return sum(points(x))

def power(x, n):
    y = x * 2  # <- recursive
    return y if n == 0 else power(y, n - 1) + y

def outer(x):
    kept = x * 2  # <- cell
    def inner():
        nonlocal kept
        kept = kept * 3
        return kept
    r = inner()
    return r + kept

def failing(x):
    y = x * 2
    try:
        y = y * 3
        raise ValueError("inside")
    except ValueError:
        y = y * 5
    y = y * 7
    raise KeyError("outside")

def same_line(x):
    y = None
    y = x
    y = y
    y.mul_(1.0)
    y = x
    y = y + 1
    return y

def several(x):
    a, b = x * 2, x * 3
    for c in (a, b):
        pass
    with torch.enable_grad() as nothing:
        e = f = a + b
    a += 1
    if (g := f + 1) is not None:
        del g
    return c + e
"""


class Program:
    """The functions of a text that lies in a file of its own."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text.lstrip("\n")
        path.write_text(self.text, encoding="utf-8")
        self.names: dict[str, Any] = {"__name__": "pretend.sampler"}
        exec(compile(self.text, str(path), "exec"), self.names)

    def line(self, mark: str) -> int:
        return marked(self.text, mark)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "sampler.py", SAMPLER)


def leaf() -> Tensor:
    return torch.tensor([0.5, -1.0, 2.0], requires_grad=True)


def stages(probe: Probe) -> list[Stage]:
    """The records that selectors gave."""
    assert probe._recorder.locals is not None
    names = {selector.name for selector in probe._recorder.locals.search.selectors}
    return [stage for stage in probe.records if stage.name in names]


def run(call: Callable[[Tensor], Tensor], *selectors: str) -> tuple[Probe, list[Tensor]]:
    """Run forward and backward under a probe; the assigned tensors are heard as well."""
    z0 = leaf()
    heard: list[Tensor] = []
    with Probe(stages=selectors) as probe:
        assert probe._recorder.locals is not None
        told = probe._recorder.locals.told

        def tell(selector: Selector, value: Any, frame: FrameType, at: int) -> bool:
            heard.append(value.detach().clone())
            return told(selector, value, frame, at)

        probe._recorder.locals.told = tell
        loss = call(z0).sum()
        loss.backward()
    return probe, heard


X = torch.tensor([0.5, -1.0, 2.0])


def test_a_closure_s_local(program: Program) -> None:
    probe, heard = run(program.names["closure"], "y=sampler.py:closure.step:y")
    [stage] = stages(probe)
    assert stage.at is not None
    assert (stage.at.file, stage.at.line, stage.at.col, stage.at.end_col) == (
        str(program.path),
        program.line("closure"),
        8,
        9,
    )
    assert (stage.name, stage.step, stage.grad_fn) == ("y", None, "MulBackward0")
    assert torch.equal(heard[0], X * 0.5)


@pytest.mark.parametrize(
    "selector",
    [
        "y=sampler.py:closure.<locals>.step:y",
        "y=pretend.sampler:closure.step:y",
        "y=./sampler.py:closure.step:y",
    ],
)
def test_a_function_is_named_in_several_ways(program: Program, selector: str) -> None:
    probe, _ = run(program.names["closure"], selector)
    assert [stage.name for stage in stages(probe)] == ["y"]
    assert probe.report().unseen == ()


def test_a_path_s_ending_begins_at_a_folder(program: Program) -> None:
    folder = program.path.parent.name
    probe, _ = run(program.names["closure"], f"y={folder}/sampler.py:closure.step:y")
    assert len(stages(probe)) == 1
    probe, _ = run(program.names["closure"], "y=ampler.py:closure.step:y")
    assert stages(probe) == []


def test_a_loop_in_a_method_gives_one_record_a_turn_in_order(program: Program) -> None:
    sampler = program.names["Sampler"]()
    probe, heard = run(
        sampler.sample, "x=sampler.py:Sampler.sample:x", "d=sampler.py:Sampler.sample:d"
    )
    seen = stages(probe)
    # The argument is bound once, then each turn assigns both.
    assert [stage.name for stage in seen] == ["x"] + ["x", "d"] * 4
    assert {s.at.line for s in seen if s.name == "d" and s.at} == {program.line("d")}
    x = X
    expected = [x]
    for i in range(4):
        x = x * 0.9 + i
        expected += [x, x.sin()]
    assert all(torch.equal(a, b) for a, b in zip(heard, expected, strict=True))


def test_a_generator_s_local(program: Program) -> None:
    probe, heard = run(program.names["drain"], "y=sampler.py:points:y")
    assert [s.at.line for s in stages(probe) if s.at] == [program.line("generator")] * 3
    assert [h.tolist() for h in heard] == [(X * i).tolist() for i in range(3)]


def test_each_call_of_a_recursive_function_has_its_own(program: Program) -> None:
    probe, heard = run(lambda z: program.names["power"](z, 3), "y=sampler.py:power:y")
    assert [s.at.line for s in stages(probe) if s.at] == [program.line("recursive")] * 4
    assert [h.tolist() for h in heard] == [(X * 2**n).tolist() for n in (1, 2, 3, 4)]


def test_a_cell_that_an_inner_function_assigns(program: Program) -> None:
    probe, heard = run(program.names["outer"], "kept=sampler.py:outer:kept")
    assert [h.tolist() for h in heard] == [(X * 2).tolist(), (X * 6).tolist()]
    assert stages(probe)[0].at is not None
    assert stages(probe)[0].at.line == program.line("cell")
    # By its own name, the inner function assigns it once: what it began with is not its doing.
    probe, heard = run(program.names["outer"], "kept=sampler.py:outer.inner:kept")
    assert [h.tolist() for h in heard] == [(X * 6).tolist()]


def test_exceptions_in_the_function(program: Program) -> None:
    def call(z: Tensor) -> Tensor:
        with pytest.raises(KeyError, match="outside"):
            program.names["failing"](z)
        return z

    _, heard = run(call, "y=sampler.py:failing:y")
    assert [h.tolist() for h in heard] == [(X * n).tolist() for n in (2, 6, 30, 210)]


def test_only_another_object_is_an_assignment(program: Program) -> None:
    _, heard = run(lambda z: program.names["same_line"](z * 1), "y=sampler.py:same_line:y")
    assert [h.tolist() for h in heard] == [X.tolist(), (X + 1).tolist()]


@pytest.mark.parametrize(
    ("variable", "factors"),
    [("a", [2]), ("b", [3]), ("c", [2, 3]), ("e", [5]), ("f", [5])],
)
def test_every_way_to_bind_a_name(program: Program, variable: str, factors: list[int]) -> None:
    # `a += 1` writes into the same tensor.
    probe, heard = run(program.names["several"], f"v=sampler.py:several:{variable}")
    assert [h.tolist() for h in heard] == [(X * n).tolist() for n in factors]
    for stage in stages(probe):
        assert stage.at is not None
        assert stage.at.expression.startswith(variable)


def test_a_variable_of_a_running_function_and_of_a_generator_begun_before() -> None:
    def points(x: Tensor) -> Iterator[Tensor]:
        for i in range(3):
            y = x + i
            yield y

    before = sys.gettrace()
    z0 = leaf()
    x = z0 * 2
    here = f"{Path(__file__).name}:test_a_variable_of_a_running_function_and_of_a_generator"
    generator = points(z0)
    next(generator)
    with Probe(stages=[f"x={here}_begun_before:x", f"y={here}_begun_before.points:y"]) as probe:
        x = x * 3
        next(generator)
        x = x * 4
    x = x * 5
    next(generator)
    assert [stage.name for stage in probe.records] == ["x", "y", "x"]
    assert sys._getframe().f_trace is None or before is not None
    assert not isinstance(sys._getframe().f_trace, Lines)
    assert x is not None


def test_a_leaf_first_met_in_a_selected_argument_keeps_its_name(program: Program) -> None:
    z0 = leaf()

    def named(*selectors: str) -> list[str]:
        with Probe(stages=selectors) as probe:
            program.names["power"](z0, 2).sum().backward()
        return [seen.name for seen in probe.report().leaves]

    assert named("x=sampler.py:power:x") == named() == ["z0"]


def test_a_module_s_variable(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    code = compile("x = z * 2\nfor i in range(2):\n    x = x * 2\n", str(path), "exec")
    with Probe(stages=["x=script.py:<module>:x"]) as probe:
        exec(code, {"z": leaf()})
    assert [stage.at.line for stage in probe.records if stage.at] == [1, 3, 3]


# What the probe must not change.


def test_values_gradients_and_random_numbers_are_those_of_a_plain_run(program: Program) -> None:
    def everything(*selectors: str) -> list[Tensor]:
        torch.manual_seed(3)
        z0 = leaf()
        noisy = z0 + torch.randn(3)
        sampler = program.names["Sampler"]()
        if selectors:
            with Probe(stages=selectors):
                out = sampler.sample(noisy) + torch.randn(3)
                out.sum().backward()
        else:
            out = sampler.sample(noisy) + torch.randn(3)
            out.sum().backward()
        assert z0.grad is not None
        return [out.detach(), z0.grad, torch.get_rng_state()]

    plain = everything()
    probed = everything("x=sampler.py:Sampler.sample:x", "d=sampler.py:Sampler.sample:d")
    assert all(torch.equal(a, b) for a, b in zip(plain, probed, strict=True))


def test_gradient_statistics_are_those_of_hooks_put_in_by_hand(program: Program) -> None:
    grads: dict[int, Tensor] = {}

    def by_hand(x: Tensor) -> Tensor:
        for i in range(4):
            x = x * 0.9 + i
            d = x.sin()
            x.register_hook(lambda g, i=i: grads.update({i: g}))
        return x + d

    by_hand(leaf()).sum().backward()
    probe, _ = run(program.names["Sampler"]().sample, "x=sampler.py:Sampler.sample:x")
    measured = [stage.grad for stage in stages(probe)[1:]]
    assert measured == [as_stats(statistics(grads[i])) for i in range(4)]


def test_a_tap_put_in_by_hand_says_the_same(program: Program) -> None:
    text = SAMPLER.replace("d = x.sin()", "d = gradprobe.tap('d', x.sin())")
    tapped = Program(program.path.with_name("tapped.py"), "import gradprobe\n" + text)
    z0 = leaf()
    with Probe() as probe:
        tapped.names["Sampler"]().sample(z0).sum().backward()
    by_hand = [s for s in probe.records if s.name == "d"]
    selected, _ = run(program.names["Sampler"]().sample, "d=sampler.py:Sampler.sample:d")
    for a, b in zip(by_hand, stages(selected), strict=True):
        assert (a.shape, a.dtype, a.grad_fn, a.requires_grad, a.connected, a.grad) == (
            b.shape,
            b.dtype,
            b.grad_fn,
            b.requires_grad,
            b.connected,
            b.grad,
        )


def test_no_tensor_outlives_its_variable_by_more_than_a_line(tmp_path: Path) -> None:
    text = """
    def rebinding(x, watch):
        watch(x, "x")
        x = x * 2
        watch(x, "argument gone")
        x = x * 3
        watch(x, "first gone")
        y = x
        del x
        y = y * 2
        watch(y, "second gone")
        return y
    """
    program = Program(tmp_path / "lifetimes.py", textwrap.dedent(text))

    def alive(*selectors: str) -> list[list[bool]]:
        refs: list[weakref.ref[Tensor]] = []
        seen = []

        def watch(tensor: Tensor, _: str) -> None:
            seen.append([ref() is not None for ref in refs])
            refs.append(weakref.ref(tensor))

        with torch.no_grad(), Probe(stages=selectors):
            program.names["rebinding"](torch.ones(3), watch)
        seen.append([ref() is not None for ref in refs])
        return seen

    plain = alive()
    assert plain == [[], [False], [False] * 2, [False] * 3, [False] * 4]
    assert alive("x=lifetimes.py:rebinding:x", "y=lifetimes.py:rebinding:y") == plain
    # A function that nobody chose is called while the tracer is there.
    assert alive("x=lifetimes.py:absent:x") == plain


def test_what_the_program_sees_of_its_own_locals_stays(tmp_path: Path) -> None:
    text = """
    def f(x, g):
        names = locals()
        g()
        return sorted(names)
    """
    program = Program(tmp_path / "own.py", textwrap.dedent(text))
    for selector in ("x=own.py:f:x", "x=own.py:other:x"):
        with Probe(stages=[selector]):
            found = program.names["f"](leaf(), lambda: None)
        assert set(found) >= {"g", "x"}


def test_only_the_probe_s_thread_is_watched(program: Program) -> None:
    sampler = program.names["Sampler"]()
    with Probe(stages=["d=sampler.py:Sampler.sample:d"]) as probe:
        other = threading.Thread(target=sampler.sample, args=(leaf(),))
        other.start()
        other.join()
        sampler.sample(leaf())
    assert [stage.name for stage in probe.records] == ["d"] * 4


# Other tracers.


def test_without_selectors_no_tracer_is_installed() -> None:
    before = sys.gettrace()
    with Probe():
        assert sys.gettrace() is before
    assert sys.gettrace() is before


def test_the_tracer_is_gone_afterwards_also_after_an_exception(program: Program) -> None:
    before = sys.gettrace()
    with (
        pytest.raises(KeyError, match="outside"),
        Probe(stages=["y=sampler.py:failing:y"]),
    ):
        program.names["failing"](leaf())
    assert sys.gettrace() is before


COVERED = """
import json, sys
import coverage, torch
from gradprobe.probe import Probe

path, *selectors = sys.argv[1:]
cov = coverage.Coverage(data_file=None, branch=True, include=[path])
names = {"__name__": "pretend.sampler"}
exec(compile(open(path).read(), path, "exec"), names)
leaf = lambda: torch.ones(3, requires_grad=True)
cov.start()
before = sys.gettrace()
with Probe(stages=selectors) as probe:
    for name in ("drain", "outer", "several"):
        names[name](leaf())
    names["power"](leaf(), 3)
    names["Sampler"]().sample(leaf())
    try:
        names["failing"](leaf())
    except KeyError:
        pass
assert sys.gettrace() is before and before is not None
cov.stop()
arcs = sorted(cov.get_data().arcs(path))
print(json.dumps([type(before).__name__, arcs, [stage.name for stage in probe.records]]))
"""


@pytest.mark.parametrize("core", ["ctrace", "pytrace"])
def test_coverage_measures_the_same_lines(program: Program, core: str) -> None:
    def measured(*selectors: str) -> tuple[str, list[list[int]], list[str]]:
        # In a process of its own: these tests may be measured themselves.
        done = subprocess.run(
            [sys.executable, "-c", COVERED, str(program.path), *selectors],
            env={**os.environ, "PYTHONPATH": str(ROOT), "COVERAGE_CORE": core},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        kind, arcs, names = json.loads(done.stdout)
        return kind, arcs, names

    kind, plain, _ = measured()
    assert kind == {"ctrace": "CTracer", "pytrace": "method"}[core]
    assert len(plain) > 30
    chosen = ["Sampler.sample:d", "points:y", "power:y", "outer:kept", "failing:y"]
    _, probed, names = measured(*(f"{c[0]}=sampler.py:{c}" for c in chosen))
    assert probed == plain
    assert {name: names.count(name) for name in set(names)} == {"S": 4, "p": 7, "o": 2, "f": 4}


class Debugger(bdb.Bdb):
    """Stops where it is told to, does as it is told, and notes where it was."""

    def __init__(self, then: str) -> None:
        super().__init__()
        self.then = then
        self.lines: list[int] = []

    def user_line(self, frame: FrameType) -> None:
        if frame.f_code.co_filename.endswith("sampler.py"):
            self.lines.append(frame.f_lineno)
        if self.then == "step":
            self.set_step()
        elif self.then == "next":
            self.set_next(frame)
        else:
            if self.then == "continue without breaks":
                self.clear_all_breaks()
            self.set_continue()


@pytest.mark.parametrize("then", ["step", "next", "continue", "continue without breaks"])
def test_a_debugger_stops_where_it_did(program: Program, then: str) -> None:
    def debugged(*selectors: str) -> tuple[list[int], list[str]]:
        debugger = Debugger(then)
        debugger.reset()
        debugger.botframe = sys._getframe()
        assert debugger.set_break(str(program.path), program.line("d")) is None
        debugger.set_continue()
        sys.settrace(debugger.trace_dispatch)
        try:
            with Probe(stages=selectors) as probe:
                program.names["Sampler"]().sample(leaf())
                program.names["drain"](leaf())
        finally:
            sys.settrace(None)
            debugger.clear_all_breaks()
        return debugger.lines, [stage.name for stage in probe.records]

    before = sys.gettrace()
    try:
        plain, _ = debugged()
        probed, names = debugged("d=sampler.py:Sampler.sample:d", "y=sampler.py:points:y")
    finally:
        sys.settrace(before)
    assert plain == probed
    assert plain.count(program.line("d")) == (1 if then == "continue without breaks" else 4)
    assert names == ["d"] * 4 + ["y"] * 3


def test_a_debugger_can_step_out_into_a_watched_function(program: Program) -> None:
    text = SAMPLER.replace("x * 0.9  + i", "halve(x)") + "\ndef halve(x):\n    return x / 2\n"
    stepped = Program(program.path, text)

    def debugged(*selectors: str) -> list[int]:
        debugger = Debugger("step")
        debugger.reset()
        debugger.botframe = sys._getframe()
        debugger.set_break(str(program.path), len(stepped.text.splitlines()))
        debugger.set_continue()
        sys.settrace(debugger.trace_dispatch)
        try:
            with Probe(stages=selectors):
                stepped.names["Sampler"]().sample(leaf())
        finally:
            sys.settrace(None)
            debugger.clear_all_breaks()
        return debugger.lines

    before = sys.gettrace()
    try:
        plain = debugged()
        assert stepped.line("d") in plain
        assert debugged("d=sampler.py:Sampler.sample:d") == plain
    finally:
        sys.settrace(before)


def test_a_tracer_that_the_program_installs_wins_and_that_is_said(program: Program) -> None:
    before = sys.gettrace()

    def nothing(frame: FrameType, event: str, arg: Any) -> None:
        return None

    try:
        with Probe(stages=["d=sampler.py:Sampler.sample:d"]) as probe:
            sys.settrace(nothing)
            program.names["Sampler"]().sample(leaf())
        assert sys.gettrace() is nothing
    finally:
        sys.settrace(before)
    assert "another tracing function took over: later stages of selectors are absent" in (
        probe.report().unseen
    )


# Selectors that cannot be, and selectors that matched nothing.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x=",
        "x=f:y",
        "=a.py:f:y",
        "x=:f:y",
        "x=.py:f:y",
        "x=a.py::y",
        "x=a.py:f:",
        "x=a b:f:y",
        "x=a.py:f:y.z",
        "x=a.py:f..g:y",
        "x=a.txt/b:f:y",
    ],
)
def test_a_malformed_selector_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Probe(stages=[text])
    assert str(refused.value) == (
        f"stage selector {text!r} is not NAME=FILE_OR_MODULE:FUNCTION:VARIABLE; "
        "for example denoised=k_diffusion/sampling.py:sample_euler:denoised"
    )


def test_a_mapping_a_list_and_a_text_mean_the_same() -> None:
    [one] = parse({"x": "pkg/a.py:C.f.<locals>.g:y"})
    assert one == Selector("x", "pkg/a.py", "C.f.g", "y", source="declared")
    assert parse("x=pkg/a.py:C.f.g:y") == parse(["x=pkg/a.py:C.f.g:y"] * 2) == (one,)


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        (
            "d=sampler.py:Sampler.sampel:d",
            "no function Sampler.sampel in sampler.py; nearest: Sampler.sample, Sampler",
        ),
        ("d=sampler.py:Sampler.sample:dd", "no variable dd in Sampler.sample; nearest: d"),
        ("d=sampler.py:Sampler.sample:i", "no tensor was assigned to i in Sampler.sample"),
        ("d=sampler.py:closure.step:y", "closure.step in sampler.py was not called"),
        ("d=sampelr.py:f:x", "no code of sampelr.py ran; nearest: sampler.py"),
        ("d=pretend.sample:f:x", "no code of pretend.sample ran; nearest: pretend.sampler"),
        ("d=qqqq.py:f:x", "no code of qqqq.py ran"),
    ],
)
def test_a_selector_that_matched_nothing_is_named(tmp_path: Path, selector: str, why: str) -> None:
    path = tmp_path / "sampler.py"
    with Probe(stages=[selector, "x=sampler.py:Sampler.sample:x"]) as probe:
        names: dict[str, Any] = {"__name__": "pretend.sampler"}
        exec(compile(SAMPLER, str(path), "exec"), names)
        names["Sampler"]().sample(leaf())
    assert probe.report().unseen == (f"stage selector {selector}: {why}",)


# A real library, and Python's later way to see lines.


def test_the_stages_of_a_real_sampler() -> None:
    program = """
    import json, sys, torch
    from _k_diffusion import Denoiser, load_sampling
    from gradprobe.probe import Probe

    sampling, model = load_sampling(), Denoiser()
    def sample():
        z0 = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
        z0.requires_grad_()
        sampler = sampling.sample_euler.__wrapped__
        x = sampler(model, z0 * 10, sampling.get_sigmas_karras(4, 0.1, 10.0), disable=True)
        x.square().sum().backward()
        return z0.grad
    plain = sample()
    place = "k_diffusion/sampling.py:sample_euler"
    stages = {"denoised": place + ":denoised", "d": place + ":d"}
    with Probe(stages=stages, find_stages="declared") as probe:
        assert torch.equal(sample(), plain)
    print(json.dumps([
        [s.name, s.at.source.strip(), s.shape, list(s.connected.values()), s.grad is not None]
        for s in probe.records if s.name in ("denoised", "d")
    ]))
    print(json.dumps([s for s in probe.report().unseen if "selector" in s]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT / "tests" / "cases" / "kdiff",
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    records, unseen = map(json.loads, done.stdout.splitlines())
    shape, yes = [1, 3, 8, 8], ["yes"]
    assert (
        records
        == [
            ["denoised", "denoised = model(x, sigma_hat * s_in, **extra_args)", shape, yes, True],
            ["d", "d = to_d(x, sigma_hat, denoised)", shape, yes, True],
        ]
        * 4
    )
    assert unseen == []


def interpreter_with_monitoring() -> str | None:
    if sys.version_info >= (3, 12):
        return sys.executable
    installed = Path("~/.pyenv/versions").expanduser().glob("3.1[2-9]*/bin/python")
    return next(map(str, sorted(installed)), None) or shutil.which("python3.12")


@pytest.mark.parametrize("case", CASES)
def test_by_sys_monitoring(case: str) -> None:
    python = interpreter_with_monitoring()
    if python is None:
        pytest.skip("no Python 3.12 or later is installed here")
    subprocess.run(
        [python, str(Path(__file__).with_name("monitored.py")), case],
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=60,
    )
