"""The page as text: it says all, it holds all, and nothing in it is markup but its own."""

from __future__ import annotations

import base64
import hashlib
import re
import resource
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from gradprobe.errors import TooLarge
from gradprobe.records import codec
from gradprobe.records.report import Report
from gradprobe.render.html import drawing
from gradprobe.render.plain import cropped, visible
from tests.render.hostile import SNIPPETS, hostile_reports
from tests.render.html.large import large, large_page
from tests.render.html.reading import Reading
from tests.render.samples import DECORATOR, HOME, SAMPLES, broken, flows, partial

OURS = (
    "html head meta link title style body a header span bdi button nav main div p h1 h2 h3 ul ol "
    "li figure figcaption code pre mark section article details summary dl dt dd strong aside "
    "script noscript"
)
DRAWN = "svg g title desc polygon path text ellipse polyline tspan"


def page(report: Report) -> str:
    return report.render("html", base=HOME)


@pytest.mark.parametrize("name", SAMPLES)
def test_all_that_the_report_says_is_there_without_a_script(name: str) -> None:
    report = SAMPLES[name]()
    read = Reading(page(report))
    assert report.headline in read.text
    for finding in report.findings:
        for words in (finding.code, finding.message, finding.fix, finding.at.expression):
            assert words in read.text
    for sentence in (*report.unseen, *(leaf.layers.complete.sentence for leaf in report.leaves)):
        assert sentence in read.text
    for fact in (report.environment.torch, *report.environment.devices):
        assert fact in read.text


def test_the_cause_stands_before_what_was_lost_by_it() -> None:
    text = Reading(page(broken())).text
    installed = ".venv/lib/python3.11/site-packages/k_diffusion/sampling.py"
    first, second = f"cause {installed}:116:1 in", f"lost at {installed}:132:20 in"
    assert -1 < text.find(first) < text.find(DECORATOR.source) < text.find(second)


def test_a_headline_that_names_a_finding_is_two_lines_and_one_sentence() -> None:
    headline = "broken: no gradient reaches z0; GP102 grad-mode-off at run.py:5: it is off"
    read = Reading(page(replace(broken(), headline=headline)))
    assert headline.removeprefix("broken: ") in read.text


def test_the_same_report_gives_the_same_bytes() -> None:
    saved = codec.loads(codec.dumps(partial()))
    assert page(partial()).encode() == page(saved).encode() == page(saved).encode()


def test_nothing_is_loaded_from_anywhere() -> None:
    text = page(partial())
    read = Reading(text)
    for _, attributes in read.elements:
        assert not {"src", "srcset", "data", "action", "background"} & set(attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    for style in read.texts["style"]:
        assert "url(" not in style
        assert "@import" not in style
    addresses = set(re.findall(r"https?://[^\s\"')<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}


def test_the_policy_allows_what_stands_in_the_file_and_nothing_else() -> None:
    read = Reading(page(broken()))
    [policy] = [m["content"] for m in read.named("meta") if m.get("http-equiv")]
    assert policy is not None
    told = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert told["default-src"] == "'none'"
    assert "unsafe" not in policy
    for kind, texts in (("script", read.texts["script"][1:]), ("style", read.texts["style"])):
        wanted = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts]
        assert told[f"{kind}-src"].split() == [f"'sha256-{digest}'" for digest in wanted]
    assert len(read.texts["style"]) == 1
    for _, attributes in read.elements:  # the policy would refuse them
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(hostile_reports())
def test_strings_of_the_program_are_only_ever_text(report: Report) -> None:
    text = report.render("html")
    read = Reading(text)
    assert {tag for tag, _ in read.elements} <= {*OURS.split(), *DRAWN.split()}
    assert len(read.named("script")) == 3
    assert text.isprintable() or not re.search(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e]", text
    )
    text.encode("utf-8")
    assert read.data["records"]["rows"] is not None
    for attributes in (attributes for _, attributes in read.elements):
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_hostile_message_is_shown_as_it_is(snippet: str) -> None:
    finding = replace(broken().findings[0], message=snippet, name="</script><b>")
    read = Reading(page(replace(broken(), findings=(finding,), headline=snippet)))
    assert cropped(visible(snippet), 900).removesuffix("...") in read.text
    assert "</script><b>" in read.text
    assert not read.named("b")


def test_a_picture_that_cannot_be_drawn_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dot: str, engine: str) -> str:
        raise TooLarge("it is <too> large")

    monkeypatch.setattr(drawing, "lay_out", refuse)
    read = Reading(page(broken()))
    assert "The picture could not be drawn: it is <too> large" in read.text
    assert broken().findings[0].fix in read.text
    assert not read.named("svg")


def test_each_level_is_there_once_and_the_nearest_is_shown() -> None:
    read = Reading(large_page())
    shown = [d for d in read.named("div") if d.get("class") == "drawing"]
    assert [d["data-title"] for d in shown] == ["Stages", "Points"]
    assert ["hidden" in d for d in shown] == [True, False]
    boxes = [g for g in read.named("g") if "data-box" in g]
    assert len(boxes) == sum(len(level["boxes"]) for level in read.data["levels"])
    assert all(box["role"] == "button" and box["aria-label"] for box in boxes)


def test_a_short_report_is_small_and_one_of_100_000_ops_is_below_5_mb() -> None:
    assert len(page(flows()).encode()) < 300_000
    spent = sum(_spent())
    text = page(large())
    assert sum(_spent()) - spent < 5  # seconds of CPU, Graphviz's with it
    assert len(text.encode()) < 5_000_000


def _spent() -> tuple[float, ...]:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return tuple(t for w in who for t in resource.getrusage(w)[:2])


def test_more_records_than_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradprobe.render.html.records._MOST", 10)
    data = Reading(page(flows())).data["records"]
    assert len(data["rows"]) == 10
    assert data["left_out"] == len(flows().stages) - 10
