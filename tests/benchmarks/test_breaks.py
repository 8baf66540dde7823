"""The break bench: where breaks are put, what counts as one, and what counts as naming it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.breaks.bench import Done
from benchmarks.breaks.mutants import Judged, Mutant, Workbench
from benchmarks.breaks.operators import OPERATORS, Operator
from benchmarks.breaks.places import Span, Text
from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.by_hand import programs as by_hand
from benchmarks.breaks.programs.res import programs as res
from benchmarks.breaks.run import Ended
from benchmarks.breaks.score import Line, Score, false_alarm, score
from benchmarks.breaks.sites import VALUE_KINDS, sites_of, watched
from benchmarks.breaks.table import PAGE, RESULT, Cell, broken_bounds, markdown, result_of
from benchmarks.breaks.truth import truth_of
from tests.traced import trace

SCRIPT = """\
import torch

def step(x, größe):
    d = (
        x - größe
    ) * 0.5
    x += d; y: torch.Tensor = x * 2
    return y

z0 = torch.randn(4, requires_grad=True)
x = z0 * 3.0
x = step(x, 1.0)
loss = x.square().mean()
loss.backward()
"""
PROGRAMS = {program.name: program for program in (*by_hand(), *res())}


def test_an_edit_counts_columns_in_bytes_and_keeps_lines() -> None:
    text = "ä = 'ö' + f(\n    x)\n"
    value: Any = ast.parse(text).body[0]
    value = value.value
    span = Span(value.lineno, value.col_offset, value.end_lineno, value.end_col_offset)
    assert Text(text).at(span) == "'ö' + f(\n    x)"
    assert Text(text).replaced([(span, "g(\n)")]) == "ä = g(\n)\n"


def test_every_statement_that_holds_a_value_is_a_site() -> None:
    found = [(s.kind, s.function, s.whole.line, s.whole.end_line) for s in sites_of("", SCRIPT)]
    assert found == [
        ("assign", "step", 4, 6),
        ("augmented", "step", 7, 7),
        ("assign", "step", 7, 7),
        ("return", "step", 8, 8),
        ("leaf", "", 10, 10),
        ("assign", "", 11, 11),
        ("start", "", 11, 11),
        ("assign", "", 12, 12),
        ("assign", "", 13, 13),
        ("backward", "", 14, 14),
    ]


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_a_break_compiles_and_moves_no_line(operator: Operator) -> None:
    texts = (SCRIPT, PROGRAMS["by_hand/descent_adam"].text)
    made = 0
    for text in texts:
        for site in sites_of("", text):
            if site.kind not in operator.kinds:
                continue
            broken = operator.broken_text(text, site)
            lines, before = broken.splitlines(), text.splitlines()
            first, last = site.whole.line - 1, site.whole.end_line
            assert lines[:first] == before[:first]
            assert lines[last:] == before[last:]
            assert lines[first:last] != before[first:last]
            compile(operator.healed_text(text, site), "program.py", "exec")
            try:
                compile(broken, "program.py", "exec")
            except SyntaxError:  # `a; with b: c` is none: such a mutant is left out
                assert ";" in before[first]
                continue
            made += 1
    assert made


def test_watching_values_changes_nothing_else() -> None:
    sites = sites_of("", SCRIPT)
    seen = []
    names: dict[str, Any] = {
        "__watch_site__": lambda number, value: seen.append(sites[number].kind) or value
    }
    torch.manual_seed(0)
    exec(watched(SCRIPT, sites, ""), names)
    plain: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(SCRIPT, plain)
    assert torch.equal(names["z0"].grad, plain["z0"].grad)
    assert set(seen) == VALUE_KINDS


def ended(*grad: float, losses: tuple[float, ...] = (), raised: str | None = None) -> Ended:
    given = torch.tensor(grad) if grad else None
    return Ended(given, list(losses), None if raised is None else RuntimeError(raised))


NO_GRAD = "element 0 of tensors does not require grad and does not have a grad_fn"


@pytest.mark.parametrize(
    ("broken", "shows", "truth"),
    [
        (ended(1.0, 2.0), "gradient", "same"),
        (ended(1.0, 2.1), "gradient", "wrong"),
        (ended(0.0, 0.0), "gradient", "zero"),
        (ended(1.0, float("nan")), "gradient", "nonfinite"),
        (ended(), "gradient", "none"),
        (ended(raised=NO_GRAD), "gradient", "raised"),
        (ended(raised="The size of tensor a must match"), "gradient", "invalid"),
        (ended(1.0, 2.1), "zero", "same"),
        (ended(0.0, 0.0), "zero", "zero"),
        (ended(losses=(2.0, 2.0, 2.0)), "descent", "idle"),
        (ended(losses=(2.0, 1.9, 1.8)), "descent", "same"),
    ],
)
def test_truth_is_what_plain_torch_left(broken: Ended, shows: Any, truth: str) -> None:
    healed = ended(1.0, 2.0, losses=(2.0, 1.5, 1.0))
    assert truth_of(broken, healed, shows) == truth


def test_a_twin_without_gradient_proves_nothing() -> None:
    assert truth_of(ended(), ended(0.0), "gradient") == "invalid"
    assert truth_of(ended(), ended(raised=NO_GRAD), "gradient") == "invalid"


BREAKS = """
import torch
z0 = torch.randn(4, requires_grad=True)
x = z0 * 2.0
with torch.no_grad():  # <- opens
    x = x + 1.0  # <- lost
    y = x * 2.0
loss = (x + y).sum()
loss.backward()
"""


def test_a_finding_counts_by_line_order_and_code(tmp_path: Path) -> None:
    traced = trace(tmp_path, BREAKS)
    file, opens, lost = str(traced.path), traced.line("opens"), traced.line("lost")

    def given(line: int, frame: Any, *codes: str, name: str = file) -> Score:
        where = Line(name, line, line)
        return score(traced.report, where, frame, codes)

    right = given(opens, "opened_by", "GP102")
    assert (right.named, right.first, right.code, right.elsewhere) == (True, True, True, 0)
    assert given(lost, "at", "GP102").code
    for wrong in (
        given(lost, "opened_by", "GP102"),
        given(opens, "at", "GP102"),
        given(opens, "opened_by", "GP102", name="/elsewhere/program.py"),
    ):
        assert (wrong.named, wrong.first, wrong.code, wrong.elsewhere) == (False, False, False, 1)
    other = given(opens, "opened_by", "GP101")
    assert (other.named, other.first, other.code) == (True, True, False)


def test_a_note_names_nothing_and_is_no_alarm(tmp_path: Path) -> None:
    text = """
        import torch
        z0 = torch.randn(4, requires_grad=True)
        x = z0 * (z0 > 0).float()  # <- note
        loss = x.sum()
        loss.backward()
    """
    traced = trace(tmp_path, text)
    assert [f.severity for f in traced.report.findings] == ["note"]
    where = Line(str(traced.path), traced.line("note"), traced.line("note"))
    assert not score(traced.report, where, "at", ["GP107"]).named
    assert false_alarm(traced.report) is None
    assert false_alarm(trace(tmp_path, BREAKS).report) is not None


def test_the_result_counts_and_says_which_bound_is_broken() -> None:
    mutant = Mutant("p/q", "p", "detach", "program.py", "f", 3, "x = y.detach()")
    right = Judged(mutant, "none", Score(True, True, True, "broken", 0))
    missed = Judged(mutant, "wrong", Score(False, False, False, "flows, no finding", 0))
    same = Judged(mutant, "same")
    result = result_of([Done("p/q", [right, missed, same], healthy=True)], seed=0)
    assert result["total"] == {"mutants": 2, "named": 1, "first": 1, "code": 1}
    assert result["not_counted"] == {"same": 1}
    assert [miss["mutant"] for miss in result["misses"]] == ["p/q:program.py:3:detach"]
    assert "named 50.0% of detach, should be 90%" in broken_bounds(result)
    assert "| detach | GP101 | 1/2 | 50.0 % | 50.0 % | 50.0 % |" in markdown(result)
    alarmed = result_of([Done("p/q", [right], healthy=True, alarm="partial")], seed=0)
    assert broken_bounds(alarmed) == ["false alarm: p/q: partial"]
    assert Cell.of([right, same]) == Cell(1, 1, 1, 1)


SAMPLE = [
    ("res/2mid-from_z0", "detach"),
    ("res/2mid-from_z0", "no_grad"),
    ("res/2ab-off", "none_function"),
    ("res/1euler-off", "zero_factor"),
    ("res/1euler-off", "stale_draw"),
    ("by_hand/guidance", "saved_result"),
    ("by_hand/dit", "inference_mode"),
    ("by_hand/descent_adam", "wrong_tensor"),
]


@pytest.mark.parametrize(("name", "operator"), SAMPLE)
def test_a_break_is_found_on_its_line(name: str, operator: str, tmp_path: Path) -> None:
    bench = Workbench(PROGRAMS[name], seed=1, folder=tmp_path)
    last = list(bench.mutants([OPERATORS[operator]]))[-1]
    assert last.score is not None, last.truth
    assert (last.score.named, last.score.first, last.score.code) == (True, True, True), last
    # The library is as it was.
    again = Workbench(PROGRAMS[name], seed=1, folder=tmp_path)
    assert [s.whole for s in again.live] == [s.whole for s in bench.live]


def test_a_healthy_program_is_left_in_peace(tmp_path: Path) -> None:
    program: Program = PROGRAMS["res/2mid-from_z0"]
    assert Workbench(program, seed=0, folder=tmp_path).alarm() is None


def test_the_page_holds_the_stored_result() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert markdown(result) in PAGE.read_text(encoding="utf-8")
    assert result["total"]["mutants"] >= 500
    assert result["healthy"]["runs"] >= 60
    assert not result["unfit"]
