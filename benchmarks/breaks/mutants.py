"""The mutants of one program: which statement gets which break, and what came of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.breaks.operators import OPERATORS, Operator
from benchmarks.breaks.overlay import text_of
from benchmarks.breaks.programs import Program
from benchmarks.breaks.run import Changed, Ended, Stage
from benchmarks.breaks.score import Line, Score, false_alarm, score
from benchmarks.breaks.sites import VALUE_KINDS, Site, sites_of, watched
from benchmarks.breaks.truth import COUNTS, Truth, truth_of
from gradprobe.records.report import Report

TRIES = 5  # statements that one operator is tried on, until one of them counts
_LIBRARY_FIRST = 0.4  # how much later a script's own statements are drawn than its library's


class Unfit(Exception):
    """A program that has no gradient to lose."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break in one statement of one program."""

    program: str
    library: str
    operator: str
    file: str
    function: str
    line: int
    text: str

    @property
    def name(self) -> str:
        return f"{self.program}:{self.file}:{self.line}:{self.operator}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant, what plain torch shows of it, and how gradprobe did where it counts."""

    mutant: Mutant
    truth: Truth
    score: Score | None = None


class Workbench:
    """One program, its texts, and a folder for its changed copies."""

    def __init__(self, program: Program, seed: int, folder: Path | None = None) -> None:
        self.program = program
        self.seed = seed
        self.texts = {"": program.text, **{m: text_of(m) for m in program.modules}}
        self.healthy = Changed(program.text)
        self._folder = folder
        self._healed: dict[str, Ended] = {}

    @cached_property
    def live(self) -> list[Site]:
        """The statements for which a break is meant: the values that send gradient to z0."""
        every = [s for module, text in self.texts.items() for s in sites_of(module, text)]
        alive = self._alive(every)
        return [s for n, s in enumerate(every) if s.kind not in VALUE_KINDS or n in alive]

    def alarm(self) -> str | None:
        """What gradprobe wrongly says of the healthy program. Raises `Unfit`."""
        with self._stage(self.healthy) as stage:
            ended = stage.plain()
            if ended.raised is not None:
                raise Unfit(f"{self.program.name} raised {ended.raised!r}")
            if ended.grad is None or not ended.grad.any() or not ended.grad.isfinite().all():
                raise Unfit(f"{self.program.name} has no gradient")
            return false_alarm(stage.traced())

    def mutants(self, operators: Sequence[Operator]) -> Iterator[Judged]:
        """For each operator the first statement on which it counts, and those before that."""
        for operator in operators:
            for site in self.drawn(operator):
                judged = self.judge(site, operator)
                yield judged
                if judged.truth in COUNTS:
                    break

    def drawn(self, operator: Operator) -> list[Site]:
        """The statements that an operator is tried on, in an order that the seed decides."""
        chance = random.Random(f"{self.seed} {self.program.name} {operator.name}")
        fit = [site for site in self.live if site.kind in operator.kinds]
        weights = {s: chance.random() + _LIBRARY_FIRST * (not s.module) for s in fit}
        return sorted(fit, key=weights.__getitem__)[:TRIES]

    def judge(self, site: Site, operator: Operator) -> Judged:
        mutant = self.mutant(site, operator)
        with suppress(SyntaxError):
            with self._stage(self.changed(site, operator.healed_text(self._text(site), site))) as s:
                healed = s.plain()
            with self._stage(self.broken(site, operator)) as stage:
                broken = stage.plain()
                truth = truth_of(broken, healed, operator.shows)
                if truth not in COUNTS:
                    return Judged(mutant, truth)
                message = None if broken.raised is None else str(broken.raised)
                line = Line(str(stage.file(site.module)), site.whole.line, site.whole.end_line)
                codes = operator.right_codes(message)
                return Judged(
                    mutant, truth, score(stage.traced(operator.leaf), line, operator.frame, codes)
                )
        return Judged(mutant, "invalid")

    def healthy_report(self, leaf: str | None = None) -> Report:
        """What gradprobe says of the program as it is."""
        with self._stage(self.healthy) as stage:
            return stage.traced(leaf)

    def report(self, site: Site, operator: Operator) -> Report:
        with self._stage(self.broken(site, operator)) as stage:
            return stage.traced(operator.leaf)

    def mutant(self, site: Site, operator: Operator) -> Mutant:
        lines = operator.broken_text(self._text(site), site).splitlines()
        return Mutant(
            program=self.program.name,
            library=self.program.library,
            operator=operator.name,
            file=site.module.rpartition(".")[2] + ".py" if site.module else "program.py",
            function=site.function,
            line=site.whole.line,
            text="\n".join(lines[site.whole.line - 1 : site.whole.end_line]),
        )

    def broken(self, site: Site, operator: Operator) -> Changed:
        return self.changed(site, operator.broken_text(self._text(site), site))

    def changed(self, site: Site, text: str) -> Changed:
        compile(text, "program.py", "exec", dont_inherit=True)
        if not site.module:
            return Changed(text)
        return Changed(self.program.text, {site.module: (text, {site.function})})

    def find(self, file: str, line: int, operator: str) -> tuple[Site, Operator]:
        """The place of a mutant by its name. Raises `KeyError` where there is none."""
        for site in self.live:
            one = OPERATORS[operator]
            mutant = self.mutant(site, one)
            if (mutant.file, mutant.line) == (file, line) and site.kind in one.kinds:
                return site, one
        raise KeyError(f"{self.program.name} has no break {operator} at {file}:{line}")

    def _text(self, site: Site) -> str:
        return self.texts[site.module]

    def _alive(self, sites: Sequence[Site]) -> set[int]:
        """The numbers of the sites whose values a gradient that is not all zero came to."""
        alive: set[int] = set()

        def watch(number: int, value: Any) -> Any:
            if isinstance(value, Tensor) and value.grad_fn is not None:
                hooked: Any = value  # torch leaves `register_hook` without types
                hooked.register_hook(lambda grad: alive.add(number) if grad.any() else None)
            return value

        texts = {m: watched(t, sites, m) for m, t in self.texts.items()}
        functions = {m: {s.function for s in sites if s.module == m} for m in self.program.modules}
        changed = Changed(texts[""], {m: (texts[m], f) for m, f in functions.items()})
        with self._stage(changed) as stage:
            ended = stage.watched(watch)
        if ended.raised is not None:
            raise Unfit(f"{self.program.name} watched: {ended.raised!r}")
        return alive

    def _stage(self, changed: Changed) -> _Scratch:
        return _Scratch(changed, self._folder)


class _Scratch:
    """A stage in a folder that is thrown away."""

    def __init__(self, changed: Changed, folder: Path | None) -> None:
        self._changed = changed
        self._kept = tempfile.TemporaryDirectory(prefix="breaks-", dir=folder)

    def __enter__(self) -> Stage:
        return Stage(Path(self._kept.name) / "stage", self._changed)

    def __exit__(self, *error: object) -> None:
        self._kept.cleanup()
