"""The stages of a run in one line, from the leaf to the root, and where between them it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from gradprobe.records.report import Leaf, Report, Stage
from gradprobe.render.plain import cropped
from gradprobe.render.states import (
    APART,
    LIVE,
    LOST,
    MISSED,
    MIXED,
    NOISE,
    NONFINITE,
    UNKNOWN,
    ZERO,
    States,
    common,
    in_order,
    on_the_way,
    worths,
)

_NAME_CELLS = 24
_MOST_NAMES = 6  # of one step
_MOST_PARTS = 12
_FEWEST = 3  # a leaf and a root alone are told by everything else
CUT = "cut"
_WORTHLESS = {ZERO: "-0->", NONFINITE: "-!->"}
_START, _INPUT = "start_state", "step_input"


@dataclass(frozen=True, slots=True)
class Word:
    """A piece that is not broken over lines, and what gradient does there.

    An `arrow` stands in front of what it leads to; its state `cut` is where gradient is lost.
    `off` is a stage that gradient does not come through though some goes past it.
    """

    text: str
    state: str
    arrow: bool = False
    off: bool = False
    before: str = ""

    @property
    def shown(self) -> str:
        """The text with what stands before it."""
        return f"{self.before}{'x ' if self.off else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of steps that look alike, and what each holds; a stage outside has no step."""

    names: tuple[Word, ...]
    first: int | None = None
    last: int | None = None

    @property
    def label(self) -> str:
        if self.first is None:
            return ""
        one = self.first == self.last
        return f"step {self.first}" if one else f"steps {self.first}-{self.last}"

    @property
    def state(self) -> str:
        return common(word.state for word in self.names)


def strip(report: Report) -> list[Word]:
    """The words of the strip, for the leaf that fared worst; none where there is too little.

    Steps stand in brackets. `-->` carries gradient, `--x..>` is where it is lost, and along `..>`
    there are values only; `-?->` is not known. Where none of the leaf's gradient is worth anything,
    `-0->` carries a zero and `-!->` what is not finite. A stage with an `x` lost it on a way of its
    own.
    """
    if not report.leaves:
        return []
    leaf = report.leaves[0]
    parts = _parts(report, leaf)
    if len(parts) < _FEWEST:
        return []
    codes = {f.code for f in report.findings if f.severity == "error" and f.leaf == leaf.name}
    cut = f"--x {cropped(codes.pop(), 8)}..>" if len(codes) == 1 else "--x..>"
    return list(_words(_bounded(parts), cut))


def _parts(report: Report, leaf: Leaf) -> list[_Part]:
    others = {other.name for other in report.leaves} - {leaf.name}
    way = on_the_way(report.stages, [leaf.name])
    stages = [s for s in in_order(way) if s.step is not None or s.name not in others]
    states = _states(report, leaf, stages)
    # Noise has its place in a step wherever it comes from; all else without the leaf is aside.
    stages = [s for s in stages if states[id(s)] != APART or s.name == NOISE]
    words = _Words(states)
    blocks = [(step, list(group)) for step, group in groupby(stages, key=lambda s: s.step)]
    runs = groupby(
        (block for step, group in blocks for block in _split(step, group)),
        key=lambda block: (block[0].step is None, words.of(block)),
    )
    found: list[_Part] = []
    for (bare, names), members in runs:
        alike = list(members)
        first, last = alike[0][0].step, alike[-1][0].step
        if bare:
            count = f" x{len(alike)}" if len(alike) > 1 else ""
            found.append(_Part((replace(names[0], text=names[0].text + count),)))
        elif first is not None and last is not None:
            found.append(_Part(names, first, last))
    return _with_start(found)


def _with_start(parts: Sequence[_Part]) -> list[_Part]:
    """The first step joined to those like it: it has no input, for that is the start state."""
    for index, (start, first, others) in enumerate(zip(parts, parts[1:], parts[2:], strict=False)):
        input_too = (replace(start.names[0], text=_INPUT), *first.names)
        if start.names[0].text == _START and others.names == input_too:
            joined = replace(others, first=first.first)
            return [*parts[: index + 1], joined, *parts[index + 3 :]]
    return list(parts)


def _split(step: int | None, group: list[Stage]) -> list[list[Stage]]:
    """The stages of one step together; each one outside of steps by itself."""
    return [[stage] for stage in group] if step is None else [group]


def _states(report: Report, leaf: Leaf, stages: Sequence[Stage]) -> dict[int, str]:
    """The state of each stage, by `id()`."""
    told = States.told_by(report)
    states = [told.of(stage, leaf.name) for stage in stages]
    if leaf.verdict in ("zero", "nonfinite"):  # elsewhere a zero is some branch's own
        states = worths(stages, states)
    return dict(zip(map(id, stages), states, strict=True))


@dataclass(frozen=True, slots=True)
class _Words:
    states: dict[int, str]

    def of(self, block: Sequence[Stage]) -> tuple[Word, ...]:
        """What a step holds, in order; of the same name in the same state, how many."""
        counts: dict[tuple[str, str], int] = {}
        for stage in block:
            key = stage.name, self.states[id(stage)]
            counts[key] = counts.get(key, 0) + 1
        words = [
            Word(cropped(name, _NAME_CELLS) + (f" x{count}" if count > 1 else ""), state)
            for (name, state), count in counts.items()
        ]
        if len(words) > _MOST_NAMES:
            rest = words[_MOST_NAMES - 1 :]
            words[_MOST_NAMES - 1 :] = [Word(f"{len(rest)} more", common(w.state for w in rest))]
        return tuple(words)


def _bounded(parts: Sequence[_Part]) -> list[_Part]:
    """The two ends, and the parts around the first loss; dots stand for what is left out."""
    if len(parts) <= _MOST_PARTS:
        return list(parts)
    lost = next((i for i, part in enumerate(parts) if part.state in (LOST, MIXED)), 0)
    ends, around = _MOST_PARTS // 3, range(lost - 1, lost + 2)
    kept = [i for i in range(len(parts)) if i < ends or i in around or i >= len(parts) - ends]
    found: list[_Part] = []
    for before, index in zip([-1, *kept], kept, strict=False):
        if index > before + 1:
            hidden = common(part.state for part in parts[before + 1 : index])
            found.append(_Part((Word("...", hidden),)))
        found.append(parts[index])
    return found


def _words(parts: Sequence[_Part], cut: str) -> Iterator[Word]:
    before = ""
    for part, following in zip(parts, [*(p.state for p in parts[1:]), ""], strict=True):
        if before:
            yield _arrow(before, part.state, cut)
        breaks_off = part.state == MIXED and following == LOST and _breaks_off(part)
        yield from _inside(part, cut if breaks_off else "")
        before = LOST if breaks_off else part.state


def _arrow(before: str, after: str, cut: str) -> Word:
    if before == LOST:  # what is live behind it is so by another way
        return Word("..>", LOST, arrow=True)
    if after == LOST:
        return Word(cut, CUT, arrow=True)
    if before in _WORTHLESS:  # what comes to a stage is what runs back along the arrow behind it
        return Word(_WORTHLESS[before], before, arrow=True)
    return Word("-->", LIVE, arrow=True) if after != UNKNOWN else Word("-?->", UNKNOWN, arrow=True)


def _breaks_off(part: _Part) -> bool:
    """Whether gradient stops once within a step: from some stage on all are lost."""
    told = [word.state == LOST for word in part.names if word.state != APART]
    return any(told) and told == sorted(told)


def _inside(part: _Part, cut: str) -> Iterator[Word]:
    """A part's words; where gradient breaks off within it, the arrow `cut` stands in between."""
    words = [word if cut else _marked(word, part.state) for word in part.names]
    states = [word.state for word in words]
    turn = states.index(LOST) if cut else len(words)
    for index, word in enumerate(words):
        last = index == len(words) - 1
        start = f"[{part.label}: " if part.label and not index else ""
        end = "]" if part.label and last else "" if last or index + 1 == turn else ","
        if index == turn:
            yield Word(cut, CUT, True)
        yield replace(word, text=f"{word.text}{end}", before=start)


def _marked(word: Word, around: str) -> Word:
    """A word with the mark that it needs where the arrow to its part says something else."""
    if word.state == MISSED or (word.state == LOST and around != LOST):
        return replace(word, off=True)
    if word.state == MIXED:
        return replace(word, text=f"{word.text} partly")
    unknown = word.state == UNKNOWN and around != UNKNOWN
    return replace(word, text=f"{word.text} ?") if unknown else word
