"""Down from the run to a line of source, and the charts of its steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from gradprobe.records.report import Report
from tests.render.html.conftest import Opened
from tests.render.samples import flows, partial
from tests.traced import trace

PROGRAM = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.full((6, 6), 0.1), requires_grad=False)

    def forward(self, x):
        return torch.tanh(x @ self.a)

model = Net()
z0 = torch.randn(3, 6, requires_grad=True)
x = z0 * 2.0
for step in range(6):
    denoised = model(x)
    if step == LOST:
        x = x.detach()
        denoised = denoised.detach()
    x = x + 0.1 * (denoised - x).sin()
loss = x.square().mean()
loss.backward()
"""


def real(folder: Path, lost: int = 3) -> Report:
    """A run of six steps; gradient is lost in one of them, or in none."""
    return trace(folder, PROGRAM.replace("LOST", str(lost))).report


def column(page: Page, title: str) -> Locator:
    return page.locator(".column").filter(has=page.locator(f"h3:text-is('{title}')"))


def chosen(page: Page, title: str) -> Locator:
    return column(page, title).locator("[aria-pressed=true] .name")


def test_it_starts_where_gradient_was_lost(opened: Opened, tmp_path: Path) -> None:
    page = opened(real(tmp_path))
    expect(chosen(page, "Stage")).to_have_text("step 3")
    expect(chosen(page, "Step")).to_have_text("step 3")
    expect(chosen(page, "Module")).to_have_text("<module>")
    lost = column(page, "Op").locator("button").filter(has_text="detach()")
    expect(lost.first).to_contain_text("gradient lost here")
    expect(column(page, "Stage").locator(".name")).to_have_text(
        ["before the steps", "steps 0\u20132", "step 3", "steps 4\u20135", "after the steps"]
    )


def test_from_a_stretch_of_steps_down_to_an_op_and_its_source(
    opened: Opened, tmp_path: Path
) -> None:
    page = opened(real(tmp_path))
    column(page, "Stage").locator("button", has_text="steps 0\u20132").click()
    expect(column(page, "Step").locator(".name")).to_have_text(["step 0", "step 1", "step 2"])
    column(page, "Step").locator("button", has_text="step 1").click()
    expect(column(page, "Step").locator("[aria-pressed=true] .more")).to_contain_text("B")
    column(page, "Module").locator("button", has_text="Net.forward").click()
    column(page, "Op").locator("button", has_text="tanh").last.click()
    drawer = page.locator("#drawer")
    expect(drawer.locator("mark")).to_have_text("torch.tanh(x @ self.a)")
    expect(drawer).to_contain_text("in Net.forward")
    expect(drawer).to_contain_text("gradient passes")


def test_a_box_and_a_record_lead_to_the_ops_of_their_step(opened: Opened, tmp_path: Path) -> None:
    page = opened(real(tmp_path))
    page.fill("#filter", "step=5")
    page.locator("#records .open").first.click()
    page.click("#drawer .into")
    expect(page.locator("#drawer")).to_be_hidden()
    expect(chosen(page, "Step")).to_have_text("step 5")
    expect(column(page, "Step").locator("button:focus")).to_contain_text("step 5")


def test_a_report_without_an_outline_says_so(opened: Opened) -> None:
    page = opened(flows())
    expect(page.locator("#steps")).to_contain_text("does not tell which ops")


def test_charts_are_drawn_and_tell_each_step(opened: Opened, tmp_path: Path) -> None:
    page = opened(real(tmp_path, lost=9))
    titles = page.locator("#charts figcaption strong")
    expect(titles).to_have_text(["Gradient norm", "Value range", "Kept for backward"])
    page = opened(partial())
    expect(page.locator("#charts canvas").first).to_be_visible()
    plot = page.locator(".plot").first
    assert "GP101 at step 0" in (plot.get_attribute("aria-label") or "")
    plot.focus()
    page.keyboard.press("ArrowRight")
    readout = page.locator(".readout").first
    expect(readout).to_contain_text("step 0 \u00d7 GP101")
    expect(readout).to_contain_text("step_input 0.05")
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text("step 1step_input 0.025")


def test_the_bad_step_is_marked_in_the_chart(opened: Opened) -> None:
    """In the colour of a cut, as pixels of the canvas."""
    red = """([canvas]) => {
      const { width, height } = canvas;
      const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
      let found = 0;
      for (let at = 0; at < pixels.length; at += 4)
        if (pixels[at] > 180 && pixels[at + 1] < 90 && pixels[at + 2] < 60) found += 1;
      return found;
    }"""
    counts = []
    for report in (partial(), replace(partial(), findings=())):
        page = opened(report)
        expect(page.locator("#charts canvas").first).to_be_visible()
        counts.append(page.locator("#charts canvas").evaluate_all(red))
    assert counts[0] > 50
    assert counts[1] == 0
