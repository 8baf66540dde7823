"""The findings, each with its lines, what happened, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.records.picture import State
from gradprobe.records.report import WRONG, Finding, Report, Severity
from gradprobe.render.html.markup import code, shown, state_tag, tag

_MOST = 100
_MOST_RELATED = 12
_SEVERITIES: dict[Severity, tuple[State, str]] = {
    "error": ("cut", "\u00d7"),
    "warning": ("partial", "~"),
    "note": ("unknown", "i"),
}


def findings(report: Report, base: str | None) -> str:
    """The section of findings, worst first as the report has them."""
    found = report.findings
    if not found:
        body = tag("p", "Nothing was found that loses gradient or makes it wrong.", class_="faint")
    else:
        body = "".join(_finding(number, one, base) for number, one in enumerate(found[:_MOST]))
    if len(found) > _MOST:
        more = f"{len(found) - _MOST} more findings; the JSON report has them all."
        body += tag("p", more, class_="faint")
    left = "".join(
        tag("li", f"{one.count} {one.severity} {shown(one.code, 12)}, not asked for")
        for one in report.left_out
    )
    body += tag("ul", left, class_="faint") if left else ""
    title = tag("h2", f"Findings {tag('span', str(len(found)), class_='count')}")
    return tag("section", title + body, id="findings", tabindex="-1")


def places(finding: Finding, base: str | None) -> Iterator[str]:
    """The line to blame first, and the op that was lost where that is another."""
    cause = finding.opened_by
    if cause is None or cause == finding.at:
        yield code(finding.at, base)
        return
    wrong = finding.code in WRONG
    yield code(cause, base, "saved at" if wrong else "cause")
    yield code(finding.at, base, "written at" if wrong else "lost at")


def _finding(number: int, finding: Finding, base: str | None) -> str:
    state, mark = _SEVERITIES["note" if finding.allowed else finding.severity]
    title = tag("h3", shown(f"{finding.code} {finding.name}", 80))
    how = state_tag(state, f"{mark} {finding.severity}, {finding.certainty}")
    show = tag("button", "Show in picture", type="button", data_finding=str(number), hidden=True)
    parts = [
        tag("div", [title, how, tag("span", shown(_facts(finding)), class_="facts"), show]),
        tag("p", shown(finding.message)),
        *places(finding, base),
        tag("p", f"{tag('strong', 'Fix')} {shown(finding.fix)}", class_="fix"),
    ]
    related = [code(one.at, base, one.word) for one in finding.related[:_MOST_RELATED]]
    if related:
        summary = tag("summary", f"related lines: {len(finding.related)}")
        parts.append(tag("details", [summary, *related]))
    return tag("article", parts, id=f"finding-{number + 1}", tabindex="-1", data_state=state)


def _facts(finding: Finding) -> str:
    told = [f"leaf {finding.leaf[:60]}"]
    if finding.stage:
        told.append(f"stage {finding.stage[:60]}")
    if finding.step is not None:
        told.append(f"step {finding.step}")
    if finding.count > 1:
        told.append(f"{finding.count} times")
    if finding.verified is not None:
        told.append("verified by a second run" if finding.verified else "a second run disagrees")
    if finding.allowed:
        told.append("allowed" + (f": {finding.reason}" if finding.reason else ""))
    return ", ".join(told)
