"""What a test can ask of a report; a failure is the diagnosis: stage, step, place, cause, fix.

Each raises `GradientLost`, which is an `AssertionError`. With `picture_dir` the run is drawn there
as SVG, and the message names the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from gradprobe.errors import GradientLost
from gradprobe.records.report import SEVERITIES, Leaf, Report, Severity, Stage
from gradprobe.testing.diagnosis import diagnosis, fact, lost, record_of

_MOST = 5  # places that a message lists


def assert_flows(
    report: Report,
    leaf: str = "z0",
    root: str | None = None,
    picture_dir: Path | None = None,
    *,
    through: object = None,
) -> None:
    """Pass if gradient flows from the root to every leaf of that name, over every path.

    A path whose findings are all allowed may be lost, as long as gradient arrives by another.
    `root`, where it is given, must be the name of the tensor that backward started at. `through`
    is the denoiser (a module or a function, or its name): each of its calls must be live then, so
    that gradient came into it and went on towards the leaf. Raises `GradientLost` with code, file
    and line of the loss; without one, where no leaf or no call is of that name.
    """
    __tracebackhide__ = True
    named = leaves_of(report, leaf)
    if root is not None and (report.root is None or report.root.name != root):
        started = "nothing" if report.root is None else repr(report.root.name)
        raise GradientLost(
            f"backward started at {started}, not at {root!r}; "
            f"to follow another tensor, name it at the start: root={root!r}"
        )
    for seen in named:
        if not flows(report, seen):
            raise GradientLost("\n".join(lost(report, seen, picture_dir)))
    if through is not None:
        _live(report, leaf, name_of(through), picture_dir)


def assert_complete(
    report: Report,
    leaf: str = "z0",
    *,
    calls: int | None = None,
    picture_dir: Path | None = None,
) -> None:
    """Pass if gradient went through every denoiser call between leaf and root.

    A gradient that exists does not say so: it may have gone round the denoiser. `calls`, where it
    is given, must be the number of those calls; without any the assertion fails. Raises
    `GradientLost`, which names the dead calls and where they were made.
    """
    __tracebackhide__ = True
    for seen in leaves_of(report, leaf):
        complete = seen.layers.complete
        if complete.answer != "yes":
            lines = [f"gradient of {leaf} is not complete: {complete.sentence}"]
            lines += bounded([*_dead_calls(report, leaf)], "calls")
            raise GradientLost("\n".join([*lines, *diagnosis(report, leaf, picture_dir)]))
        if complete.calls is None:
            raise GradientLost(
                f"no denoiser call was found between {leaf} and the root; "
                "name the denoiser at the start: denoiser='...'"
            )
        if calls is not None and complete.calls != calls:
            raise GradientLost(
                f"{complete.calls} denoiser calls were found between {leaf} and the root, "
                f"not {calls}"
            )


def assert_records(
    report: Report, stage: str, *, steps: Iterable[int] | None = None, count: int | None = None
) -> tuple[Stage, ...]:
    """Pass if there are hook records of the stage, and return them in order.

    `steps`, where it is given, are the steps that have one or more, in order, and no others;
    `count` is how many records there are in all. Raises `GradientLost` with what there was.
    """
    __tracebackhide__ = True
    found = tuple(record for record in report.stages if record.name == stage)
    if not found:
        names = list(dict.fromkeys(record.name for record in report.stages))
        near = get_close_matches(stage, names, n=3) or names
        said = [f"; {sentence}" for sentence in report.unseen if f"selector {stage}=" in sentence]
        raise GradientLost(
            f"no stage named {stage!r} was recorded{''.join(said)}; "
            f"there are {', '.join(near) or 'none'}"
        )
    if steps is not None:
        seen, wanted = list(dict.fromkeys(record.step for record in found)), list(steps)
        if seen != wanted:
            missing = [step for step in wanted if step not in seen]
            lacks = f"none at {_listed(missing)}; " if missing else ""
            raise GradientLost(
                f"stage {stage!r} was recorded at steps {_listed(seen)}, not {_listed(wanted)}: "
                f"{lacks}the last is {record_of(found[-1])}"
            )
    if count is not None and len(found) != count:
        raise GradientLost(
            f"stage {stage!r} has {len(found)} records, not {count}; "
            f"the last is {record_of(found[-1])}"
        )
    return found


def assert_healthy(
    report: Report,
    *stages: str,
    leaf: str = "z0",
    max_zero_fraction: float = 1.0,
    picture_dir: Path | None = None,
) -> None:
    """Pass if the gradient at every stage is finite and not all zero.

    `stages` are the names of stages of which every record must have had a gradient; without any,
    all records that had one count, and `leaf` must be among them. A gradient of which more than
    `max_zero_fraction` of the elements are zero fails too. Raises `GradientLost` with stage, step
    and place of each record that is ill.
    """
    __tracebackhide__ = True
    records = [r for name in stages for r in assert_records(report, name)]
    if not stages:
        leaves_of(report, leaf)
        records = [r for r in report.stages if r.grad is not None or r.name == leaf]
    sick = [f"{record_of(r)}: {why}" for r in records if (why := _illness(r, max_zero_fraction))]
    if sick:
        lines = bounded(sick, "records")
        raise GradientLost("\n".join([*lines, *diagnosis(report, leaf, picture_dir)]))


def assert_no_findings(
    report: Report, at_least: Severity = "warning", *, picture_dir: Path | None = None
) -> None:
    """Pass if there is no finding of that severity or a worse one, but for those allowed.

    Raises `GradientLost` with code, file and line of each.
    """
    __tracebackhide__ = True
    counting = SEVERITIES[: SEVERITIES.index(at_least) + 1]
    found = [f for f in report.findings if f.severity in counting and not f.allowed]
    if found:
        lines = [f"{len(found)} finding{'s' * (len(found) > 1)}, the first for {found[0].leaf}"]
        lines += bounded([fact(finding) for finding in found[1:]], "findings")
        lines[1:1] = diagnosis(report, found[0].leaf, picture_dir)
        raise GradientLost("\n".join(lines))


def name_of(denoiser: object) -> str:
    """What the denoiser goes by in a report: a module's class, a function's name."""
    if isinstance(denoiser, str):
        return denoiser
    return getattr(denoiser, "__name__", None) or type(denoiser).__name__


def _live(report: Report, leaf: str, denoiser: str, picture_dir: Path | None) -> None:
    __tracebackhide__ = True
    if not any(call.name == denoiser for call in report.calls):
        names = ", ".join(dict.fromkeys(call.name for call in report.calls)) or "none"
        raise GradientLost(
            f"no call of {denoiser!r} was seen between {leaf} and the root (calls of: {names}); "
            f"name the denoiser at the start: denoiser={denoiser!r}"
        )
    dead = [*_dead_calls(report, leaf, denoiser)]
    if dead:
        every = sum(call.name == denoiser for call in report.calls)
        lines = [f"gradient of {leaf} misses {len(dead)} of {every} calls of {denoiser}"]
        lines += [*bounded(dead, "calls"), *diagnosis(report, leaf, picture_dir)]
        raise GradientLost("\n".join(lines))


def leaves_of(report: Report, name: str) -> list[Leaf]:
    """The leaves of that name. Raises `GradientLost` where there is none."""
    __tracebackhide__ = True
    named = [seen for seen in report.leaves if seen.name == name]
    if not named:
        names = ", ".join(sorted({seen.name for seen in report.leaves})) or "none"
        raise GradientLost(
            f"no leaf named {name!r} was seen (leaves: {names}); "
            f"if it never required grad, name it at the start: leaves=[{name!r}]"
        )
    return named


def flows(report: Report, leaf: Leaf) -> bool:
    """Whether gradient arrives over every way but those whose loss is accepted."""
    if leaf.verdict == "flows":
        return True
    # A line that two leaves lost is one finding of one of them: so all of the report's count here.
    accepted = any(f.allowed for f in report.findings) and report.worst() in (None, "note")
    accepted &= all(one.severity == "note" for one in report.left_out)
    return leaf.verdict == "partial" and accepted


def _dead_calls(report: Report, leaf: str, denoiser: str | None = None) -> Iterator[str]:
    for call in report.calls:
        if denoiser not in (None, call.name):
            continue
        left = call.left.get(leaf, "unknown")
        if call.entered == left == "yes":
            continue
        step = "" if call.step is None else f"step {call.step}, "
        place = "" if call.at is None else f" ({call.at.place})"
        yield (
            f"{step}call {call.call} of {call.name}{place}: "
            f"gradient entered: {call.entered}, left towards {leaf}: {left}"
        )


def _illness(record: Stage, max_zero_fraction: float) -> str | None:
    grad = record.grad
    if grad is None:
        connected = [leaf for leaf, answer in record.connected.items() if answer == "yes"]
        kept = f", though it is connected to {', '.join(connected)}" if connected else ""
        return f"no gradient arrived{kept}"
    if grad.nonfinite or not math.isfinite(grad.norm):
        return f"{grad.nonfinite} elements of its gradient are NaN or Inf"
    if grad.abs_max == 0:
        return "its gradient is exactly zero"
    if grad.zero_fraction > max_zero_fraction:
        return f"{grad.zero_fraction:.1%} of its gradient is zero"
    return None


def bounded(lines: list[str], what: str) -> list[str]:
    """The first lines, and how many more there are of `what`."""
    more = len(lines) - _MOST
    return [*lines[:_MOST], *([f"and {more} more {what}"] if more > 0 else [])]


def _listed(steps: Iterable[int | None]) -> str:
    return ", ".join("none" if step is None else str(step) for step in steps) or "none"
