"""The hook records in a browser: sorted, filtered, turned, opened."""

from __future__ import annotations

import math
from dataclasses import replace

from playwright.sync_api import Page, expect

from tests.render.html.conftest import Opened
from tests.render.html.large import NAMES, STEPS, large
from tests.render.samples import GRAD, broken, partial


def cells(page: Page, title: str) -> list[str]:
    heads = page.locator("#records thead th").all_inner_texts()
    at = next(
        n
        for n, head in enumerate(heads)
        if head.strip().split("\n")[-1].removeprefix("gradient to ") == title
    )
    return page.locator(f"#records tbody tr > :nth-child({at + 1})").all_inner_texts()


def sort(page: Page, title: str) -> None:
    page.locator("#records thead button", has_text=title).first.click()


def test_a_column_sorts_up_down_and_back(opened: Opened) -> None:
    page = opened(partial())
    came = cells(page, "stage")
    sort(page, "|grad|")
    up = [float(n) for n in cells(page, "|grad|")]
    assert up == sorted(up)
    head = page.locator("#records th", has_text="|grad|")
    expect(head).to_have_attribute("aria-sort", "ascending")
    sort(page, "|grad|")
    down = [float(n) for n in cells(page, "|grad|") if n]
    assert down == sorted(down, reverse=True)
    assert down[0] == 0.05
    sort(page, "|grad|")
    assert cells(page, "stage") == came
    expect(head).to_have_attribute("aria-sort", "none")


def test_what_is_not_known_comes_last_and_nan_after_all_numbers(opened: Opened) -> None:
    stages = list(partial().stages)
    stages[5] = replace(stages[5], grad=replace(GRAD, norm=math.nan))
    page = opened(replace(partial(), stages=tuple(stages[:12])))
    sort(page, "|grad|")
    told = cells(page, "|grad|")
    known = [n for n in told if n]
    assert known[-1] == "nan"
    assert told[len(known) :] == [""] * (12 - len(known))
    assert 0 < len(known) < 12


def test_words_and_a_state_filter(opened: Opened) -> None:
    page = opened(broken())
    page.fill("#filter", "denoised")
    assert cells(page, "stage") == ["denoised_output"] * 4
    expect(page.locator("#records .tools output")).to_have_text(f"4 of {len(broken().stages)}")
    page.fill("#filter", "step=3")
    assert set(cells(page, "step")) == {"3"}
    page.fill("#filter", "")
    page.select_option("#records select", "lost")
    assert {"\u00b7 lost"} == set(cells(page, "z0"))
    page.fill("#filter", "nothing has this")
    expect(page.locator("#records tbody tr")).to_have_count(0)


def test_a_record_shows_its_source(opened: Opened) -> None:
    page = opened(broken())
    page.fill("#filter", "denoised step=2")
    page.locator("#records tbody td").nth(3).click()
    drawer = page.locator("#drawer")
    expect(drawer.locator("h2")).to_have_text("denoised_output")
    expect(drawer.locator("mark")).to_have_text("x + d * dt")
    expect(drawer).to_contain_text("the library's adapter")


def test_thousands_of_records_are_there_by_pages(opened: Opened) -> None:
    page = opened(large())
    count = STEPS * len(NAMES) + 2
    expect(page.locator("#records tbody tr")).to_have_count(50)
    expect(page.locator(".pager span")).to_have_text(f"1\u201350 of {count}")
    page.click("[aria-label='Last page']")
    expect(page.locator(".pager span")).to_have_text(f"5001\u2013{count} of {count}")
    assert cells(page, "stage")[-1] == "loss"
    assert page.locator("[aria-label='Next page']").is_disabled()
    page.fill("#filter", "step=999")
    assert cells(page, "stage") == list(NAMES)
