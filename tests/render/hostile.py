"""Strings that break renderers, and reports full of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import Report
from gradprobe.records.source import Frame, Related
from tests.render.samples import broken, stage

SNIPPETS = (
    "<b>&amp; \"q\" 'x'",
    "a\\Nb\\Gc\\lc\\",
    "line\nbreak\ttab\x1b[31m\x00\x07\r",
    "\u65e5\u672c\u8a9e\u306e\u30e9\u30d9\u30eb",
    "\u0645\u0631\u062d\u0628\u0627 \u202e\u2066",
    "]]>--><script>alert(1)</script>",
    "[bold red]x[/bold red] [/] [link=file:///]",
    "{a|b} <f0> %d $x :warning:",
    "&#60;script&#62; &nbsp;",
    "x" * 10_000,
    "\ufffe\uffff\ud800\u2028\x85",
    "",
    " ",
)
TEXTS = st.one_of(
    st.sampled_from(SNIPPETS),
    st.text(st.characters(), max_size=40),
    st.lists(st.sampled_from(SNIPPETS[:9]), max_size=3).map("".join),
)
FRAMES = st.builds(
    Frame,
    file=TEXTS,
    line=st.integers(0, 10**7),
    end_line=st.integers(0, 10**7),
    col=st.integers(0, 400),
    end_col=st.integers(0, 400),
    function=TEXTS,
    source=TEXTS,
)


@st.composite
def hostile_reports(draw: st.DrawFn) -> Report:
    """A broken report whose every string, frame and number may be anything."""
    report = broken()
    finding = replace(
        report.findings[0],
        code=draw(TEXTS),
        name=draw(TEXTS),
        leaf=draw(TEXTS),
        message=draw(TEXTS),
        fix=draw(TEXTS),
        stage=draw(TEXTS),
        at=draw(FRAMES),
        opened_by=draw(st.none() | FRAMES),
        related=(Related(draw(TEXTS), draw(FRAMES)),),
        verified=draw(st.sampled_from((None, True, False))),
        severity=draw(st.sampled_from(("error", "note"))),
    )
    leaf = replace(report.leaves[0], name=draw(TEXTS), dtype=draw(TEXTS), device=draw(TEXTS))
    labels = draw(st.lists(TEXTS, max_size=5))
    states = st.sampled_from(("live", "partial", "cut", "lost", "unknown"))
    boxes = tuple(
        Box(f"{i}{label}", "op", label, draw(TEXTS), draw(states), draw(FRAMES), i)
        for i, label in enumerate(labels)
    )
    arrows = tuple(
        Arrow(tail.key, head.key, draw(states), draw(TEXTS), draw(st.integers(0, 2)))
        for tail, head in zip(boxes, boxes[1:] + boxes[:1], strict=True)
    )
    return replace(
        report,
        headline=draw(TEXTS),
        leaves=(leaf,),
        stages=(stage(draw(TEXTS), 0, "no", dtype=draw(TEXTS), grad_fn=draw(TEXTS)),),
        findings=(finding,),
        unseen=(draw(TEXTS),),
        picture=Picture(boxes, arrows),
    )
