"""The top of the page: the verdict in one sentence, the line to blame, and the run in one strip."""

from __future__ import annotations

from html import escape

from gradprobe.records.picture import State
from gradprobe.records.report import Answer, Finding, Leaf, Report, Verdict
from gradprobe.render.chips import Chip, chips
from gradprobe.render.html.findings import places
from gradprobe.render.html.markup import shown, state_tag, tag
from gradprobe.render.looks import LOOKS

_MOST_LEAVES = 4
_VERDICTS: dict[Verdict, tuple[State, str]] = {
    "flows": ("live", "\u2713"),
    "partial": ("partial", "~"),
    "broken": ("cut", "\u00d7"),
    "zero": ("zero", "0"),
    "nonfinite": ("nonfinite", "!"),
    "error": ("cut", "\u00d7"),
    "no-root": ("unknown", "?"),
}
_ANSWERS: dict[Answer, tuple[State, str]] = {
    "yes": ("live", "\u2713"),
    "no": ("cut", "\u00d7"),
    "unknown": ("unknown", "?"),
}
_OF_LOOK = {id(look): state for state, look in LOOKS.items()}
_OF_COLOR = {look.text: state for state, look in LOOKS.items()}


def lead(report: Report, base: str | None) -> str:
    """The first screen: what happened, where, and what to do."""
    state, mark = _VERDICTS[report.verdict]
    badge = tag("p", f"{mark} {report.verdict}", class_="verdict", data_state=state)
    parts = [badge, _headline(report)]
    first = next((f for f in report.findings if f.severity != "note" and not f.allowed), None)
    if first is not None:
        parts.append(_first(first, base))
    parts += [_leaf(leaf, len(report.leaves) > 1) for leaf in report.leaves[:_MOST_LEAVES]]
    left = len(report.leaves) - _MOST_LEAVES
    if left > 0:
        parts.append(tag("p", f"{left} more leaves; the JSON report has them all.", class_="faint"))
    return tag("div", parts, class_="lead") + strip(report)


def _headline(report: Report) -> str:
    """The one sentence; where it goes on to name a finding, that is a line of its own."""
    sentence = report.headline.removeprefix(f"{report.verdict}: ")
    what, semicolon, where = sentence.partition("; ")
    if not report.findings or not where.startswith(report.findings[0].code):
        return tag("h1", shown(sentence))
    return tag("h1", shown(what) + tag("span", semicolon, class_="spoken")) + tag(
        "p", shown(where), class_="where"
    )


def _first(finding: Finding, base: str | None) -> str:
    fix = tag("p", f"{tag('strong', 'Fix')} {shown(finding.fix)}", class_="fix")
    return tag("div", [*places(finding, base), fix], class_="first")


def _leaf(leaf: Leaf, named: bool) -> str:
    """The three questions, each with its answer and why."""
    layers = leaf.layers
    of = f", {layers.complete.calls_live} of {layers.complete.calls} calls"
    calls = of if layers.complete.calls is not None else ""
    questions = (
        ("connected", layers.connected.answer, "", layers.connected.sentence),
        ("complete", layers.complete.answer, calls, layers.complete.sentence),
        ("healthy", layers.healthy.answer, "", layers.healthy.sentence),
    )
    items = []
    for question, answer, more, sentence in questions:
        state, mark = _ANSWERS[answer]
        title = f"{question}: {mark} {answer}{more}"
        words = state_tag(state, title) + tag("span", shown(sentence), class_="why")
        items.append(tag("li", words))
    head = tag("h2", shown(leaf.name, 60)) if named else ""
    return head + tag("ul", items, class_="layers")


def strip(report: Report) -> str:
    """The run from leaf to root in one line; nothing where there is too little of it."""
    pieces = [_chip(chip) for line in chips(report) for chip in line]
    if not pieces:
        return ""
    return tag("ol", pieces, class_="strip", aria_label="The run from leaf to root")


def _chip(chip: Chip) -> str:
    inside = " ".join(
        tag("span", escape(text), data_state=_OF_COLOR.get(color)) for text, color in chip.words
    )
    state = _OF_LOOK.get(id(chip.look), "unknown")
    return tag("li", tag("bdi", inside), class_="arrow" if chip.arrow else "chip", data_state=state)
