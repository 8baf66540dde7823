"""What of the findings counts: those asked for and not accepted; and what no longer fits is told.

Findings are accepted by a comment on their line, by an entry of `allow`, or by the baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gradprobe.diagnose import allow, comments
from gradprobe.diagnose.allow import Allowed
from gradprobe.diagnose.choice import Choice, counted, told
from gradprobe.diagnose.engine import ALSO
from gradprobe.records.baseline import Baseline, Entry, names
from gradprobe.records.report import SEVERITIES, AllowedBy, Finding, LeftOut
from gradprobe.records.source import Remark


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user wants of findings: which to report, and which are accepted."""

    allowed: tuple[Allowed, ...] = ()
    choice: Choice = field(default_factory=Choice)
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """The findings of a report: those that count first, then those accepted, each worst first.

    `more` are those among them that are of other passes; `left` were not asked for; `sentences` say
    what the reader would else not see.
    """

    shown: list[Finding]
    more: list[Finding]
    left: list[Finding]
    sentences: list[str]

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        return counted(self.left)


def weigh(
    findings: Sequence[Finding],
    beside: Sequence[Finding],
    terms: Terms,
    remarks: Sequence[Remark],
    ran: Collection[str],
) -> Weighed:
    """Choose, accept, and tell what is stale.

    `beside` are findings of passes that fared no worse than those reported. One that counts is
    shown where nothing as bad does: what was accepted must not hide it. `ran` are the files of the
    ops between leaves and roots.
    """
    said, wrong = comments.read(remarks)
    every = [*findings, *beside]
    chosen, _ = terms.choice.split(every)
    marked = _marked(chosen, said, terms)
    own = {id(finding) for finding in findings}
    pairs = list(zip(chosen, marked, strict=True))
    shown = [after for before, after in pairs if id(before) in own]
    more = [after for before, after in pairs if id(before) not in own]
    if not _is_new(terms.baseline):
        worst = min(map(_rank, shown), default=len(SEVERITIES))
        more = [finding for finding in more if _rank(finding) < worst]
    _, left = terms.choice.split(findings)
    shown = sorted([*shown, *more], key=lambda f: (f.allowed, SEVERITIES.index(f.severity)))
    sentences = [*wrong, *_stale(chosen, said, terms, ran), *told(counted(left))]
    return Weighed(shown, more, left, sentences)


def _rank(finding: Finding) -> int:
    """How bad it is; a finding that is accepted is not."""
    return len(SEVERITIES) if finding.allowed else SEVERITIES.index(finding.severity)


def _is_new(baseline: Baseline | None) -> bool:
    return baseline is not None and baseline.new


def _marked(
    findings: Sequence[Finding], said: Sequence[comments.Comment], terms: Terms
) -> list[Finding]:
    """The findings in their order, those accepted marked with what accepts them."""
    by: dict[int, tuple[AllowedBy, str | None]] = {}
    for comment in said:
        for number in comment.accepts(findings):
            by.setdefault(number, ("comment", comment.reason))
    for number, finding in enumerate(findings):
        if any(entry.covers(finding) for entry in terms.allowed):
            by.setdefault(number, ("entry", None))
    for number in _in_baseline(findings, terms.baseline):
        by.setdefault(number, ("baseline", None))
    return [
        replace(finding, allowed=True, allowed_by=by[n][0], reason=by[n][1]) if n in by else finding
        for n, finding in enumerate(findings)
    ]


def _in_baseline(findings: Sequence[Finding], baseline: Baseline | None) -> Iterator[int]:
    """Those that the baseline accepts: as many as it says, and none that is worse than it says.

    Where one more line says the same, which of them is new cannot be told, and none is accepted.
    """
    if baseline is None:
        return
    known = {entry.key: entry for entry in baseline.entries}
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, finding in enumerate(findings):
        alike.setdefault(baseline.entry_of(finding).key, []).append(number)
    for key, numbers in alike.items():
        entry = known.get(key)
        if entry is not None and len(numbers) <= entry.count:
            yield from (n for n in numbers if not _is_worse(findings[n], entry))


def _is_worse(finding: Finding, entry: Entry) -> bool:
    return SEVERITIES.index(finding.severity) < SEVERITIES.index(entry.severity)


def _stale(
    findings: Sequence[Finding],
    said: Sequence[comments.Comment],
    terms: Terms,
    ran: Collection[str],
) -> Iterator[str]:
    """What accepts a finding that is no longer there.

    What a finding hides from view behind it may be there: it is looked up by its place alone.
    """
    codes = {c.code for c in said} | {a.code for a in terms.allowed}
    entries = () if terms.baseline is None else terms.baseline.entries
    codes |= {entry.code for entry in entries}
    behind = [
        replace(finding, code=code, at=related.at, opened_by=None)
        for finding in findings
        for related in finding.related
        if related.word == ALSO
        for code in sorted(codes)
    ]
    seen = [*findings, *behind]
    asked = [comment for comment in said if terms.choice.takes(comment.code)]
    yield from comments.stale(asked, seen, ran)
    yield from allow.stale(seen, [a for a in terms.allowed if terms.choice.takes(a.code)])
    if terms.baseline is not None and not terms.baseline.shared:
        yield from _outgrown(findings, seen, terms)


def _outgrown(findings: Sequence[Finding], seen: Sequence[Finding], terms: Terms) -> Iterator[str]:
    """What of the baseline does not fit: entries without a finding, and findings that grew."""
    baseline = terms.baseline
    assert baseline is not None
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        alike.setdefault(baseline.entry_of(finding).key, []).append(finding)
    known = {baseline.entry_of(finding).key for finding in seen}
    asked = [entry for entry in baseline.entries if terms.choice.takes(entry.code)]
    gone = [entry for entry in asked if entry.key not in known]
    if gone:
        verb = "matches" if len(gone) == 1 else "match"
        yield (
            f"baseline {baseline.path}: {len(gone)} of {len(baseline.entries)} {verb} no finding "
            f"of this run ({', '.join(names(gone))}); if fixed, write it again (--write-baseline)"
        )
    for entry in asked:
        same = alike.get(entry.key, [])
        if len(same) > entry.count:
            yield (
                f"baseline {baseline.path}: {entry} was there {entry.count} times and is there "
                f"{len(same)} times; which is new cannot be told"
            )
        elif any(_is_worse(finding, entry) for finding in same):
            yield f"baseline {baseline.path}: {entry} was accepted as {_a(entry)}, and is worse now"


def _a(entry: Entry) -> str:
    return f"an {entry.severity}" if entry.severity == "error" else f"a {entry.severity}"
