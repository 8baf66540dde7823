"""Runs the rules over a view and folds what they say into findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import cast

from gradprobe.diagnose.by_design import as_meant
from gradprobe.diagnose.rule import Draft, Rule
from gradprobe.diagnose.rules import RULES
from gradprobe.diagnose.turning import instead_of
from gradprobe.graph.view import View
from gradprobe.records.report import BY_CAUSE, SEVERITIES, Finding, Severity
from gradprobe.records.source import Frame, Related

_MOST_RELATED = 8
_ZEROS = frozenset({"GP303", "GP304"})
_LAST_RESORT, _UNUSED = "GP114", "GP109"
ALSO = "also lost here"  # the word for places behind a finding


def rules() -> Iterator[Rule]:
    """Every rule, in order of priority."""
    for place in RULES.values():
        yield cast(Rule, import_module(place))


def findings_of(view: View) -> list[Finding]:
    """All findings of one view, worst first, then in order of time."""
    fatal = instead_of(view)
    drafts = _ranked(_claimed(view, fatal), fatal)
    shown = [(rule, d) for rule, d in drafts if d.of is None or not d.of.hidden]
    shown.sort(key=lambda pair: pair[1].severity == "note")  # where both are at one place
    behind = [(rule, d) for rule, d in drafts if d.of is not None and d.of.hidden]
    folded: dict[tuple[str, ...], tuple[int, Finding]] = {}
    times = Counter(_key(rule, draft) for rule, draft in shown)
    for rule, draft in shown:
        key = _key(rule, draft)
        if key not in folded:
            folded[key] = (_when(draft), _finding(view, rule, draft, times[key], fatal))
    ordered = sorted(
        folded.values(), key=lambda pair: (SEVERITIES.index(pair[1].severity), pair[0])
    )
    found = [finding for _, finding in ordered]
    places = {_key(rule, draft): draft for rule, draft in behind if _key(rule, draft) not in folded}
    return _with_hidden(found, list(places.values()))


def _claimed(view: View, fatal: frozenset[int]) -> list[tuple[Rule, Draft]]:
    """The drafts of all rules, each break's from the first rule that explains it."""
    claimed: set[tuple[int, int]] = set()
    drafts: list[tuple[Rule, Draft]] = []
    for rule in rules():
        mine: set[tuple[int, int]] = set()
        if rule.CODE == _LAST_RESORT and _is_explained(view, drafts, fatal):
            continue
        for draft in rule.check(view):
            if draft.of is not None:
                mark = (draft.of.cut.op, draft.of.cut.result)
                if mark in claimed:
                    continue
                mine.add(mark)
            meant = as_meant(view, draft)
            if meant is None or not _hidden(draft):
                drafts.append((rule, meant or draft))
        claimed |= mine
    return drafts


def _ranked(drafts: list[tuple[Rule, Draft]], fatal: frozenset[int]) -> list[tuple[Rule, Draft]]:
    """Where a cut is why nothing but zeros arrives, what gave the zeros is no error."""
    cuts = (d for _, d in drafts if d.of is not None and d.severity is None and not d.of.hidden)
    if not any(d.of is not None and d.of.cut.result in fatal for d in cuts):
        return drafts
    return [
        (rule, replace(draft, severity="warning"))
        if rule.CODE in _ZEROS and draft.severity == "error"
        else (rule, draft)
        for rule, draft in drafts
    ]


def _is_explained(view: View, drafts: list[tuple[Rule, Draft]], fatal: frozenset[int]) -> bool:
    """Whether there is an error, or it is said that nothing that feeds the root uses the leaf."""
    return any(
        _severity(view, draft, fatal) == "error" or rule.CODE == _UNUSED
        for rule, draft in drafts
        if not _hidden(draft)
    )


def _hidden(draft: Draft) -> bool:
    return draft.of is not None and draft.of.hidden


def _severity(view: View, draft: Draft, fatal: frozenset[int]) -> Severity:
    """A loss is an error where it leaves nothing: of all gradient, or of all but zeros."""
    if draft.severity is not None:
        return draft.severity
    alone = draft.of is not None and draft.of.cut.result in fatal
    return "error" if view.total or alone else "warning"


def _key(rule: Rule, draft: Draft) -> tuple[str, ...]:
    """Repeats of one place are one finding; so are all the ops that one cause took."""
    cause = draft.opened_by
    if cause is not None and rule.CODE in BY_CAUSE:
        return rule.CODE, cause.file, str(cause.line)
    return rule.CODE, draft.at.file, str(draft.at.line)


def _when(draft: Draft) -> int:
    if draft.of is not None:
        return draft.of.cut.op
    return -1 if draft.op is None else draft.op


def _finding(view: View, rule: Rule, draft: Draft, times: int, fatal: frozenset[int]) -> Finding:
    op, step = _when(draft), draft.step
    if step is None and op >= 0:
        step = view.steps.of(op)
    return Finding(
        code=rule.CODE,
        name=rule.NAME,
        severity=_severity(view, draft, fatal),
        certainty=draft.certainty,
        leaf=view.leaf.name,
        at=draft.at,
        opened_by=draft.opened_by,
        related=draft.related,
        stage=view.stage_at(op),
        step=step,
        count=view.occurrences(draft.of) if draft.of is not None else max(draft.count, times),
        message=draft.message,
        fix=draft.fix,
    )


def _with_hidden(found: list[Finding], behind: list[Draft]) -> list[Finding]:
    """Cuts behind the first on the same way are listed with it: they show after the fix."""
    if not found or not behind:
        return found
    known = {(f.at.file, f.at.line) for f in found}
    places: list[Frame] = []
    for draft in behind:
        place = draft.opened_by or draft.at
        if (place.file, place.line) not in known:
            known.add((place.file, place.line))
            places.append(place)
    more = tuple(Related(ALSO, place) for place in places[:_MOST_RELATED])
    first = found[0]
    return [_replace_related(first, (*first.related, *more)), *found[1:]]


def _replace_related(finding: Finding, related: tuple[Related, ...]) -> Finding:
    return replace(finding, related=related)
