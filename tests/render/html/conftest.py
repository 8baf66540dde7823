"""One Chromium for all tests of a worker, and a page of it that notes what it should not do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gradprobe.records.report import Report
from tests.render.html.large import large, large_page
from tests.render.samples import HOME

CHROMIUM = Path("/usr/bin/chromium")
WIDE = {"width": 1280, "height": 860}
NARROW = {"width": 380, "height": 760}

WAITS = 20_000  # milliseconds, for a machine that is busy with something else

expect.set_options(timeout=WAITS)

Opened = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """`opened(report)` shows a report; afterwards, that nothing went wrong and nothing was asked.

    Options are those of a page in Playwright: `viewport`, `color_scheme`. One that `complains` may
    write to the console.
    """
    pages: list[Page] = []
    complaints: list[str] = []
    asked: list[str] = []

    def show(report: Report, *, complains: bool = False, **options: object) -> Page:
        path = tmp_path / f"report{len(pages)}.html"
        text = large_page() if report is large() else report.render("html", base=HOME)
        path.write_text(text, encoding="utf-8", newline="")
        page = browser.new_page(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        page.set_default_timeout(WAITS)
        if not complains:
            page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html.ready")
        asked.remove(path.as_uri())
        pages.append(page)
        return page

    yield show
    for page in pages:
        page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:,")] == []
