"""All programs and breaks, spread over worker processes; one seed gives the same mutants again."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context

import torch

from benchmarks.breaks.mutants import Judged, Unfit, Workbench
from benchmarks.breaks.operators import OPERATORS
from benchmarks.breaks.programs import Program, catalogue

SEED = 0
SHARE = 0.25  # of the operators that fit a program, how many it gets


@dataclass(frozen=True, slots=True)
class Task:
    """One program, and the operators that it gets."""

    program: str
    operators: tuple[str, ...]
    seed: int
    healthy: bool = True  # whether the unchanged program is run too


@dataclass(slots=True)
class Done:
    """What came of a task. `alarm` is what was wrongly said of the healthy program."""

    program: str
    judged: list[Judged] = field(default_factory=list)
    healthy: bool = False
    alarm: str | None = None
    unfit: str | None = None


def fits(program: Program, operator: str) -> bool:
    return program.descent == (OPERATORS[operator].shows == "descent")


def tasks(
    seed: int = SEED,
    share: float = SHARE,
    only: Sequence[str] = (),
    sample: int | None = None,
) -> list[Task]:
    """What is to be done. `only` holds names of operators, libraries or programs.

    With a `sample` there are so many breaks, and no healthy runs but of the programs concerned.
    """
    chance = random.Random(seed)
    programs = catalogue()
    pairs = [
        (program, name)
        for program in programs
        for name in OPERATORS
        if fits(program, name) and chance.random() < share
    ]
    known = {*OPERATORS, *(p.library for p in programs), *(p.name for p in programs)}
    if unknown := [name for name in only if name not in known]:
        raise KeyError(f"no operator, library or program is named {unknown[0]!r}")
    for kind in (OPERATORS, {p.library for p in programs}, {p.name for p in programs}):
        chosen = set(only) & set(kind)
        if chosen:
            pairs = [(p, o) for p, o in pairs if chosen & {p.library, p.name, o}]
    if sample is not None:
        pairs = chance.sample(pairs, min(sample, len(pairs)))
    partly = bool(only) or sample is not None
    every = [Task(p.name, tuple(o for q, o in pairs if q.name == p.name), seed) for p in programs]
    return [task for task in every if task.operators or not partly]


def perform(task: Task) -> Done:
    """Run one program and its mutants, in this process."""
    done = Done(task.program)
    bench = Workbench(_programs()[task.program], task.seed)
    try:
        if task.healthy:
            done.alarm = bench.alarm()
            done.healthy = True
        done.judged = list(bench.mutants([OPERATORS[name] for name in task.operators]))
    except Unfit as reason:
        done.unfit = str(reason)
    return done


def perform_all(
    todo: Sequence[Task], workers: int, tell: Callable[[Done], None] = lambda done: None
) -> list[Done]:
    """Every task, in the order given."""
    by_name: dict[str, Done] = {}
    # Each worker begins afresh: a forked torch hangs, and a traced one is no clean beginning.
    with get_context("spawn").Pool(workers, _begin) as pool:
        for done in pool.imap_unordered(perform, todo):
            tell(done)
            by_name[done.program] = done
    return [by_name[task.program] for task in todo]


@cache
def _programs() -> dict[str, Program]:
    return {program.name: program for program in catalogue()}


def _begin() -> None:
    """One thread each, and libraries that the collector need not look through every time."""
    torch.set_num_threads(1)
    _programs()
    gc.collect()
    gc.freeze()
