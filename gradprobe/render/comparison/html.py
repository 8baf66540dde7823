"""A comparison as a page: where the runs part, the picture of both, and tables side by side.

One file without a script; the same type, colours and policy as a report's page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from gradprobe.records.comparison import Comparison, FindingChange
from gradprobe.records.picture import State
from gradprobe.records.report import LOST
from gradprobe.render.comparison.rows import Row, norm, ratio, row, rows, where
from gradprobe.render.comparison.svg import ComparisonSvg
from gradprobe.render.html import assets
from gradprobe.render.html.drawing import for_page
from gradprobe.render.html.markup import code, shown, state_tag, tag, words

_MOST_ROWS = 400
_MOST_FINDINGS = 100
_CHANGES: dict[str, tuple[State, str]] = {
    "new": ("cut", "+ new"),
    "gone": ("live", "\u2212 gone"),
    "same": ("unknown", "= same"),
}


@dataclass(frozen=True, slots=True)
class ComparisonHtml:
    """`names` are what the two sides are called; paths are relative to `base`."""

    names: tuple[str, str] = ("good", "bad")
    base: str | None = None

    def render(self, compared: Comparison) -> str:
        """An HTML document, the same bytes for the same comparison.

        A picture that cannot be drawn is a sentence in its place.
        """
        style = assets.style()
        policy = f"default-src 'none'; style-src {assets.digest(style)}; img-src data:"
        head = [
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            '<link rel="icon" href="data:,">',
            tag("title", shown(f"gradprobe: {self.names[0]} and {self.names[1]}", 120)),
            tag("style", style),
        ]
        body = tag("main", self._main(compared), id="main", tabindex="-1")
        page = ["<!doctype html>", '<html lang="en">', tag("head", "\n".join(head))]
        return "\n".join([*page, "<body>", body, "</body>", "</html>", ""])

    def _main(self, compared: Comparison) -> Iterator[str]:
        yield tag("div", self._lead(compared), class_="lead")
        yield _section("Picture", self._picture(compared))
        changed = [change for change in compared.findings if change.change != "same"]
        if changed:
            yield _section("Findings", self._findings(changed))
        if compared.leaves:
            yield _section("Leaves", self._leaves(compared))
        if compared.stages:
            of = "" if compared.leaf is None else f", for {shown(compared.leaf, 40)}"
            yield _section(f"Stages{of}", self._stages(compared))
        if compared.environment:
            facts = (
                tag("div", tag("dt", shown(f.what, 40)) + tag("dd", _change(f.good, f.bad)))
                for f in compared.environment
            )
            yield _section("Otherwise", tag("dl", facts), "run")

    def _lead(self, compared: Comparison) -> Iterator[str]:
        found = compared.divergence
        if found is None:
            told = "The gradient takes the same ways in both." if compared.same else "They differ."
            yield tag("h1", told)
        else:
            place = where(found.stage, found.step, found.call)
            yield tag("h1", f"They part at {shown(place, 120)}")
            yield tag("p", shown(found.sentence), class_="where")
            if found.at is not None:
                yield tag("div", code(found.at, self.base), class_="first")
            if found.finding is not None:
                fix = compared.findings[found.finding].finding.fix
                yield tag("p", f"{tag('strong', 'Fix')} {shown(fix)}", class_="fix")
        sides = []
        for name, verdict, headline in zip(
            self.names, compared.verdicts, compared.headlines, strict=True
        ):
            state: State = "cut" if verdict in LOST else "live" if verdict == "flows" else "partial"
            title = state_tag(state, f"{shown(name, 40)}: {escape(verdict)}")
            why = tag("span", shown(headline.removeprefix(f"{verdict}: ")), class_="why")
            sides.append(tag("li", title + why))
        yield tag("ul", sides, class_="sides")

    def _picture(self, compared: Comparison) -> str:
        try:
            drawn = for_page(ComparisonSvg(self.names, heading=False).render(compared))
        except Exception as fault:
            why = words(str(fault) or repr(fault))
            return tag("p", escape(f"The picture could not be drawn: {why}"), class_="faint")
        return tag("div", drawn, class_="drawing two scroll", tabindex="0")

    def _findings(self, changed: Sequence[FindingChange]) -> str:
        parts = [self._finding(change) for change in changed[:_MOST_FINDINGS]]
        if len(changed) > _MOST_FINDINGS:
            parts.append(tag("p", f"{len(changed) - _MOST_FINDINGS} more", class_="faint"))
        return "".join(parts)

    def _finding(self, change: FindingChange) -> str:
        finding = change.finding
        state, mark = _CHANGES[change.change]
        allowed = ", allowed" if finding.allowed else ""
        title = tag("h3", shown(f"{finding.code} {finding.name}", 80))
        how = state_tag(state, f"{mark}, {finding.severity}{allowed}")
        parts = [
            tag("div", title + how),
            tag("p", shown(finding.message)),
            code(finding.cause, self.base),
            tag("p", f"{tag('strong', 'Fix')} {shown(finding.fix)}", class_="fix"),
        ]
        return tag("article", parts, data_state=state)

    def _leaves(self, compared: Comparison) -> str:
        lines = []
        for leaf in compared.leaves:
            one, other = leaf.norms
            verdicts = (escape(verdict or "not there") for verdict in leaf.verdicts)
            told = (norm(one), norm(other), ratio(other / one if one and other else None))
            lines.append(tag("tr", _row(shown(leaf.name, 60), *verdicts) + _numbers(*told)))
        norms = [f"|{name}|" for name in self.names]
        return _table(("leaf", *self.names), (*norms, "ratio"), lines)

    def _stages(self, compared: Comparison) -> str:
        every = len(compared.stages) <= _MOST_ROWS
        drawn = (
            [row(pair) for pair in compared.stages] if every else rows(compared.stages, _MOST_ROWS)
        )
        numbers = ("step", "call", *self.names, "ratio", "")
        return _table(("stage",), numbers, [_stage(each) for each in drawn])


def _stage(each: Row) -> str:
    pair = each.pair
    if pair is None:
        return tag("tr", tag("td", escape(each.told), colspan="7"), class_="folded")
    step = "" if pair.step is None else str(pair.step)
    call = "" if pair.call is None else str(pair.call)
    cells = (
        _row(shown(pair.name, 60)),
        _numbers(step, call, *each.states, ratio(pair.ratio)),
        tag("td", ", ".join(pair.parts)),
    )
    return tag("tr", cells, data_parts="true" if pair.parts else None)


def _section(title: str, inside: str, name: str | None = None) -> str:
    made = name or title.partition(",")[0].lower()
    return tag("section", tag("h2", title) + inside, id=made, tabindex="-1")


def _table(headers: Sequence[str], numbers: Sequence[str], lines: Sequence[str]) -> str:
    """Columns of words, then of `numbers`; what follows an empty name is words again."""
    cells = [tag("th", shown(header, 40), scope="col") for header in headers]
    for header in numbers:
        cells.append(tag("th", shown(header, 40), scope="col", class_="number" if header else None))
    head = tag("thead", tag("tr", cells))
    table = tag("table", head + tag("tbody", lines), class_="beside")
    return tag("div", table, class_="scroll", tabindex="0")


def _row(title: str, *cells: str) -> str:
    return tag("th", title, scope="row") + "".join(tag("td", cell) for cell in cells)


def _numbers(*cells: str) -> str:
    return "".join(tag("td", escape(cell), class_="number") for cell in cells)


def _change(good: str, bad: str) -> str:
    return f"{shown(good, 200)} \u2192 {shown(bad, 200)}"
