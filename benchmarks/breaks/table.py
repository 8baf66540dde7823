"""The result: counts by library and operator, and the list of what was missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.breaks.bench import Done
from benchmarks.breaks.mutants import Judged
from benchmarks.breaks.operators import OPERATORS
from benchmarks.breaks.truth import COUNTS

ROOT = Path(__file__).parents[2]
RESULT = Path(__file__).parent / "result.json"
PAGE = ROOT / "docs" / "breaks.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
SCORES = ("named", "first", "code")
BOUNDS = {"named": 0.99, "first": 0.97, "code": 0.97}
LEAST = 0.9  # of each operator


@dataclass(frozen=True, slots=True)
class Cell:
    """So many mutants, and how many of them were named, named first, and given the right code."""

    mutants: int
    named: int
    first: int
    code: int

    @classmethod
    def of(cls, judged: Iterable[Judged]) -> Cell:
        scores = [one.score for one in judged if one.score is not None]
        return cls(len(scores), *(sum(getattr(s, n) for s in scores) for n in SCORES))

    def share(self, score: str) -> float:
        right: int = getattr(self, score)
        return right / self.mutants if self.mutants else 1.0


def result_of(done: Sequence[Done], seed: int) -> dict[str, Any]:
    """Plain data: what `result.json` holds."""
    judged = [one for task in done for one in task.judged]
    counted = [one for one in judged if one.truth in COUNTS]
    libraries = sorted({one.mutant.library for one in counted})
    return {
        "seed": seed,
        "healthy": {
            "runs": sum(task.healthy for task in done),
            "alarms": {task.program: task.alarm for task in done if task.alarm is not None},
        },
        "unfit": [task.unfit for task in done if task.unfit is not None],
        "total": asdict(Cell.of(counted)),
        "not_counted": dict(sorted(Counter(o.truth for o in judged if o not in counted).items())),
        "truths": dict(sorted(Counter(one.truth for one in counted).items())),
        "libraries": {
            name: asdict(Cell.of(one for one in counted if one.mutant.library == name))
            for name in libraries
        },
        "operators": {
            operator: {
                **asdict(Cell.of(one for one in counted if one.mutant.operator == operator)),
                "by_library": {
                    name: asdict(
                        Cell.of(
                            one
                            for one in counted
                            if (one.mutant.operator, one.mutant.library) == (operator, name)
                        )
                    )
                    for name in libraries
                },
            }
            for operator in OPERATORS
            if any(one.mutant.operator == operator for one in counted)
        },
        "elsewhere": sum(bool(one.score and one.score.elsewhere) for one in counted),
        "misses": [_miss(one) for one in counted if not _is_right(one)],
    }


def _is_right(one: Judged) -> bool:
    assert one.score is not None
    return all(getattr(one.score, name) for name in SCORES)


def _miss(one: Judged) -> dict[str, Any]:
    assert one.score is not None
    return {
        "mutant": one.mutant.name,
        "function": one.mutant.function,
        "text": one.mutant.text,
        "truth": one.truth,
        "missed": [name for name in SCORES if not getattr(one.score, name)],
        "said": one.score.said,
    }


def rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The heads and rows of the table: `named / mutants` by library, then the three shares."""
    libraries = list(result["libraries"])
    table = []
    for operator, cell in result["operators"].items():
        inner = [_fraction(cell["by_library"][name]) for name in libraries]
        table.append([operator, ", ".join(OPERATORS[operator].codes), *inner, *_shares(cell)])
    last = [_fraction(result["libraries"][name]) for name in libraries]
    table.append(["all", "", *last, *_shares(result["total"])])
    return ["break", "code", *libraries, *SCORES], table


def _fraction(cell: dict[str, int]) -> str:
    return f"{cell['named']}/{cell['mutants']}" if cell["mutants"] else "-"


def _shares(cell: dict[str, Any]) -> list[str]:
    return [f"{100 * cell[name] / cell['mutants']:.1f} %" for name in SCORES]


def summary(result: dict[str, Any]) -> list[str]:
    """What stands under the table."""
    healthy, total = result["healthy"], result["total"]
    left_out = ", ".join(f"{n} {truth}" for truth, n in result["not_counted"].items()) or "none"
    return [
        f"{total['mutants']} mutants: "
        + ", ".join(f"{name} {total[name]}" for name in SCORES)
        + f"; {result['elsewhere']} with a finding on another line too",
        f"tried and not counted: {left_out}",
        f"{healthy['runs']} healthy runs: {len(healthy['alarms'])} false alarms",
        *(f"broken bound: {one}" for one in broken_bounds(result)),
    ]


def broken_bounds(result: dict[str, Any]) -> list[str]:
    """Which of the bounds do not hold."""
    total = result["total"]
    found = [f"unfit program: {reason}" for reason in result["unfit"]]
    found += [f"false alarm: {name}: {said}" for name, said in result["healthy"]["alarms"].items()]
    found += [
        f"{name} {share:.1%} of all, should be {bound:.0%}"
        for name, bound in BOUNDS.items()
        if (share := total[name] / max(total["mutants"], 1)) < bound
    ]
    found += [
        f"{name} {share:.1%} of {operator}, should be {LEAST:.0%}"
        for operator, cell in result["operators"].items()
        for name in SCORES
        if (share := cell[name] / cell["mutants"]) < LEAST
    ]
    return found


def markdown(result: dict[str, Any]) -> str:
    """What stands in the page."""
    heads, table = rows(result)
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in table]
    lines += ["", *(f"- {line}" for line in summary(result)), "", "What was missed:", ""]
    for miss in result["misses"]:
        what = ", ".join(miss["missed"])
        text = " ".join(miss["text"].split())
        lines.append(f"- `{miss['mutant']}` ({what}): `{text}`; said: {miss['said']}")
    return "\n".join(lines if result["misses"] else [*lines[:-2], "Nothing was missed."])


def write_page(result: dict[str, Any]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    text = "\n".join([before + BEGIN, markdown(result), END + rest.partition(END)[2]])
    PAGE.write_text(text, encoding="utf-8")
