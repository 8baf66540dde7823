"""Strings that break renderers, and reports full of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import DenoiserCall, GradStats, Report, Stage, ValueStats
from gradprobe.records.source import Frame, Related
from tests.render.samples import broken

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
ANSWERS = st.sampled_from(("yes", "no", "unknown"))
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
COUNTS = st.integers(0, 10**18)


def records(leaf: str) -> st.SearchStrategy[Stage]:
    """Hook records of anything; what some know of the leaf, others do not."""
    return st.builds(
        Stage,
        name=st.sampled_from(("denoised_output", "step_noise", leaf)) | TEXTS,
        step=st.none() | st.integers(-1, 4) | COUNTS,
        sigma=st.none() | FLOATS,
        at=st.none() | FRAMES,
        shape=st.lists(COUNTS, max_size=6).map(tuple),
        dtype=TEXTS,
        requires_grad=st.booleans(),
        grad_fn=st.none() | TEXTS,
        connected=st.dictionaries(st.just(leaf) | TEXTS, ANSWERS, max_size=2),
        value=st.none() | st.builds(ValueStats, FLOATS, FLOATS, FLOATS, COUNTS),
        grad=st.none() | st.builds(GradStats, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, COUNTS),
        call=st.none() | COUNTS,
        device=st.none() | TEXTS,
        is_leaf=st.none() | st.booleans(),
        version=st.none() | COUNTS,
        source=st.sampled_from(("declared", "adapted", "discovered")),
    )


def calls(leaf: str) -> st.SearchStrategy[DenoiserCall]:
    return st.builds(
        DenoiserCall,
        step=st.none() | st.integers(0, 4),
        call=st.integers(0, 2),
        name=TEXTS,
        at=st.none() | FRAMES,
        sigma=st.none() | FLOATS,
        entered=ANSWERS,
        left=st.dictionaries(st.just(leaf) | TEXTS, ANSWERS, max_size=2),
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
        stages=tuple(draw(st.lists(records(leaf.name), max_size=8))),
        calls=tuple(draw(st.lists(calls(leaf.name), max_size=6))),
        findings=(finding,),
        unseen=(draw(TEXTS),),
        picture=Picture(boxes, arrows),
    )


def words_of(read: Any) -> Iterator[str]:
    """Every string in what JSON holds, keys too."""
    if isinstance(read, str):
        yield read
    elif isinstance(read, dict):
        for key, value in read.items():
            yield key
            yield from words_of(value)
    elif isinstance(read, list):
        for value in read:
            yield from words_of(value)


def is_shown(text: str) -> bool:
    """Whether a reader's screen is safe with it: no control, no override, no lone surrogate."""
    text.encode("utf-8")
    steers = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)
    return not steers and not set(text) & set("\u202d\u202e\u2066\u2067\u2068")
