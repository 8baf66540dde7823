"""The picture in a browser: searched, moved, and asked for the source of what it shows."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.render.html.conftest import NARROW, Opened
from tests.render.html.large import large
from tests.render.samples import DECORATOR, DENOISE, broken, partial

SHOWN = ".drawing:not([hidden])"


def view_box(page: Page) -> list[float]:
    text = page.locator(f"{SHOWN} svg").get_attribute("viewBox") or ""
    return [float(number) for number in re.split("[ ,]+", text)]


def box(page: Page, label: str) -> str:
    """A selector for the box with this label in the level that is shown."""
    boxes = page.locator(f"{SHOWN} [data-box]")
    found = [n for n in range(boxes.count()) if label in (boxes.nth(n).text_content() or "")]
    return f'{SHOWN} [data-box="{boxes.nth(found[0]).get_attribute("data-box")}"]'


def test_search_lights_what_it_finds_and_enter_goes_on(opened: Opened) -> None:
    page = opened(broken())
    page.fill("#search", "to_d")
    expect(page.locator(f"{SHOWN} .found")).to_have_count(1)
    expect(page.locator(f"{SHOWN} .found.at")).to_contain_text("to_d")
    page.fill("#search", "sampling.py")  # its source is searched too
    found = page.locator(f"{SHOWN} .found").count()
    assert found > 2
    expect(page.locator(".search output")).to_have_text(f"1 of {found}")
    first = page.locator(f"{SHOWN} .at").get_attribute("data-box")
    page.press("#search", "Enter")
    expect(page.locator(".search output")).to_have_text(f"2 of {found}")
    assert page.locator(f"{SHOWN} .at").get_attribute("data-box") != first
    page.press("#search", "Escape")
    expect(page.locator(f"{SHOWN} .found")).to_have_count(0)
    page.fill("#search", "no such thing")
    expect(page.locator(".search output")).to_have_text("none")


def test_a_box_found_far_away_comes_into_view(opened: Opened) -> None:
    page = opened(large(), viewport=NARROW)
    page.fill("#search", "state 203")
    found = page.locator(f"{SHOWN} .at").bounding_box()
    frame = page.locator(SHOWN).bounding_box()
    assert found is not None
    assert frame is not None
    assert frame["x"] <= found["x"]
    assert found["x"] + found["width"] <= frame["x"] + frame["width"]
    assert found["height"] > 15  # and is large enough to be read


def test_buttons_wheel_and_drag_zoom_and_move(opened: Opened) -> None:
    page = opened(broken())
    whole = view_box(page)
    page.click("text=+")
    near = view_box(page)
    assert near[2] < whole[2]
    page.click("text=Fit")
    assert view_box(page) == whole
    page.locator(SHOWN).scroll_into_view_if_needed()
    frame = page.locator(SHOWN).bounding_box()
    assert frame is not None
    x, y = frame["x"] + frame["width"] * 0.7, frame["y"] + frame["height"] * 0.9
    page.mouse.move(x, y)
    page.mouse.wheel(0, -200)
    assert view_box(page) == whole  # the wheel alone scrolls the page
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(f"!document.querySelector('{SHOWN} svg').getAttribute('viewBox')"
                           f".startsWith('{whole[0]:g} {whole[1]:g} {whole[2]:g}')")  # fmt: skip
    before = view_box(page)
    page.locator(SHOWN).scroll_into_view_if_needed()
    frame = page.locator(SHOWN).bounding_box()
    assert frame is not None
    x, y = frame["x"] + frame["width"] * 0.5, frame["y"] + 8
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 30, steps=4)
    page.mouse.up()
    after = view_box(page)
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert page.locator("#drawer").is_hidden()  # a drag is no click


def test_a_click_on_a_box_shows_its_source_with_the_expression_marked(opened: Opened) -> None:
    page = opened(broken())
    page.click(box(page, "to_d"))
    drawer = page.locator("#drawer")
    expect(drawer.locator("h2")).to_have_text("to_d")
    expect(drawer.locator("mark").first).to_have_text("to_d(x, sigma_hat, denoised)")
    expect(drawer.locator(".place").first).to_contain_text("k_diffusion/sampling.py:133")
    expect(drawer.locator(".state")).to_contain_text("values only")
    page.keyboard.press("Escape")
    page.click("text=Fit")
    page.click(box(page, "extra_args"))
    expect(drawer.locator("h2")).to_have_text("model")
    expect(drawer.locator("mark").first).to_have_text(DENOISE.expression)
    expect(drawer.locator("mark").nth(1)).to_have_text(DECORATOR.expression)  # and its cause
    expect(drawer).to_contain_text(broken().findings[0].fix)
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_an_arrow_that_is_cut_tells_its_finding(opened: Opened) -> None:
    page = opened(partial())
    page.locator(f"{SHOWN} .with-finding path").first.dispatch_event("click")
    expect(page.locator("#drawer h2")).to_have_text("GP101 detached")


def test_a_finding_goes_to_its_box(opened: Opened) -> None:
    page = opened(broken())
    page.click("#finding-1 button")
    expect(page.locator(f"{SHOWN} .chosen")).to_have_count(1)
    expect(page.locator("#drawer")).to_contain_text("GP102 grad-mode-off")


def test_levels_go_from_stages_to_points(opened: Opened) -> None:
    page = opened(large())
    assert page.locator(f"{SHOWN} [data-box]").count() == 280
    page.click("text=Stages")
    assert page.locator(f"{SHOWN} [data-box]").count() == 3
    expect(page.locator(SHOWN)).to_contain_text("steps 0-277")
    page.fill("#search", "steps 0-277")
    expect(page.locator(f"{SHOWN} .found")).to_have_count(1)
    page.click("text=Points")
    expect(page.locator(".search output")).to_have_text("none")  # searched again
