"""What `Report` answers to IPython: always something, never an exception."""

from __future__ import annotations

import pytest
from IPython.core.formatters import DisplayFormatter

from gradprobe.records import display
from gradprobe.records.report import Report
from gradprobe.registry import renderers
from tests.render.samples import SAMPLES, broken

MEDIA = {"text/plain", "text/html", "image/svg+xml"}


def fail(self: object, report: Report) -> str:
    raise RuntimeError("a <fault> of ours")


@pytest.mark.parametrize("name", SAMPLES)
def test_ipython_gets_text_html_and_the_picture(name: str) -> None:
    report = SAMPLES[name]()
    data, _ = DisplayFormatter().format(report)
    assert set(data) == MEDIA
    assert data["text/plain"] == report.render("text")
    assert data["text/html"] == report._repr_html_() == report.render("notebook")
    assert data["image/svg+xml"] == report._repr_svg_() == report.render("svg")


def test_only_what_is_asked_for_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderers.load("svg"), "render", fail)
    monkeypatch.setattr(display, "html", fail)
    assert set(broken()._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(broken()._repr_mimebundle_(exclude=MEDIA - {"text/plain"})) == {"text/plain"}


@pytest.mark.parametrize("failing", [("notebook",), ("notebook", "svg"), ("notebook", "text")])
def test_a_fault_while_rendering_leaves_the_text(
    failing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in failing:
        monkeypatch.setattr(renderers.load(name), "render", fail)
    report = broken()
    data, _ = DisplayFormatter().format(report)
    assert capsys.readouterr() == ("", "")
    assert report.headline in " ".join(data["text/plain"].split())
    assert "GP102" in data["text/html"] or "text" in failing
    assert data["text/html"].startswith("<pre")
    assert ("image/svg+xml" in data) is ("svg" not in failing)
    if "text" in failing:
        assert "could not be shown" in data["text/plain"]
        assert "a &lt;fault&gt; of ours" in data["text/html"]
        assert "\n" not in data["text/plain"]
