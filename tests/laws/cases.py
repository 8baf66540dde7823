"""The programs with known truth, as values.

A case is a program under tests/cases or examples, with its arguments; its truth, where it has one,
stands in the JSON file beside it. One JSON file may name several `runs`, each a list of arguments,
or `variants`: by its one argument what is true of a run in place of what is true of all.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases"
VERDICTS = {
    "none": ("broken",),
    "error": ("error",),
    "partial": ("partial",),
    "zero": ("zero",),
    "nan": ("nonfinite",),
    "flows": ("flows",),
}


@dataclass(frozen=True)
class Place:
    """A line of a file that is known by the end of its path."""

    file: str
    line: int

    def is_at(self, frame: dict[str, Any] | None) -> bool:
        """Whether a frame of a report (JSON) starts on this line."""
        return (
            frame is not None
            and frame["line"] == self.line
            and Path(frame["file"]).as_posix().endswith(f"/{self.file}")
        )


@dataclass(frozen=True)
class Case:
    """One run of one program."""

    program: Path
    args: tuple[str, ...] = ()
    truth: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        stem = (
            self.program.relative_to(ROOT).with_suffix("").as_posix().removeprefix("tests/cases/")
        )
        return "-".join([stem, *self.args])

    @property
    def missing(self) -> str | None:
        """A library that this case needs and this machine lacks."""
        needs = (self.truth or {}).get("requires") or _imports(self.program)
        return next((name for name in needs if importlib.util.find_spec(name) is None), None)

    @property
    def hides(self) -> bool:
        """Whether it is about code that was not seen: measuring every node shows nothing more."""
        return "hidden" in self.program.parts

    def places(self) -> list[Place]:
        """The guilty line, then the lines that are as good an answer. Empty when all is well."""
        if self.truth is None or self.truth["source"] is None:
            return []
        if "locate" in self.truth:
            locate = {k: v.format(*self.args) for k, v in self.truth["locate"].items()}
            return [Place(self.truth["file"], decorator_line(**locate))]
        found = [self.truth, *self.truth.get("also", [])]
        return [self.place_of(p) for p in found]

    def place_of(self, told: dict[str, Any]) -> Place:
        """The place of a `file`, a `line` and its `source` as a truth tells them."""
        return Place(told["file"], self._line(told["file"], told["line"], told["source"]))

    def _line(self, file: str, line: int, source: str) -> int:
        """`line`, or in another release of a library the nearest line with the same text."""
        own = self.program.parent / file
        path = own if own.exists() else _installed(file)
        lines = path.read_text(encoding="utf-8").splitlines()
        same = [n for n, text in enumerate(lines, 1) if text.strip().startswith(source)]
        if not same:
            raise LookupError(f"{path} no longer has the line {source!r}")
        return min(same, key=lambda n: abs(n - line))


def _imports(program: Path) -> list[str]:
    """The installed packages that a program imports at any depth of its own text."""
    names = []
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module.partition(".")[0])
    if "load_k_diffusion" in program.read_text(encoding="utf-8"):
        names.append("k_diffusion")
    return [name for name in names if not (program.parent / f"{name}.py").exists()]


def _installed(file: str) -> Path:
    package, _, rest = file.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0]) / rest


def decorator_line(module: str, function: str, decorator: str) -> int:
    """The line of `@decorator(...)` on a function or method, read from the installed source."""
    package, *rest = module.split(".")
    path = _installed("/".join([package, *rest]) + ".py")
    scope: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for name in function.split("."):
        owner = next(
            node
            for node in scope
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        )
        scope = owner.body
    for mark in owner.decorator_list:
        called = mark.func if isinstance(mark, ast.Call) else mark
        if ast.unparse(called) == decorator:
            return mark.lineno
    raise LookupError(f"{function} in {path} is not decorated with {decorator}")


@cache
def judged() -> tuple[Case, ...]:
    """Every run of every program whose truth is known."""
    found = []
    for path in sorted(CASES.rglob("*.json")):
        truth = json.loads(path.read_text(encoding="utf-8"))
        for name, own in truth.pop("variants", {}).items():
            found.append(Case(path.with_suffix(".py"), (name,), {**truth, **own}))
        if "expect" not in truth:
            continue
        for args in truth.get("runs", [[]]):
            found.append(Case(path.with_suffix(".py"), tuple(args), truth))
    return tuple(found)


@cache
def everything() -> tuple[Case, ...]:
    """The judged runs, the programs of tests/cases/behaviour, and the examples."""
    more = [*sorted((CASES / "behaviour").glob("*.py")), *sorted((ROOT / "examples").glob("*.py"))]
    return judged() + tuple(Case(path) for path in more if not path.name.startswith("_"))
