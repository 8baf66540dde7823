"""One line, one finding: repeats, leaves, causes and what lies beside the way, in real samplers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gradprobe.records.report import Finding
from tests.adapters.absent import load_alone
from tests.traced import Traced, trace

HEAD = """
import torch
torch.manual_seed(1)
net = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)

def denoiser(x, sigma, text=0.0):
    return (x + text) / (1 + sigma.view(-1, 1, 1, 1) ** 2) + 0.1 * net(x + text)

z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
"""
KARRAS = """
sigmas = sampling.get_sigmas_karras(STEPS, 0.1, 2.0)
image = sampling.SAMPLER(model, z0 * sigmas[0], sigmas, callback=CALLBACK, disable=True)
loss = image.square().mean()
loss.backward()
"""
FREE = "sample_heun.__wrapped__"


def sampled(
    folder: Path,
    model: str,
    *,
    steps: int = 3,
    sampler: str = FREE,
    callback: str = "None",
    after: str = "",
    **options: Any,
) -> Traced:
    """A k-diffusion sampler over `model`, as installed."""
    loop = KARRAS.replace("STEPS", str(steps)).replace("SAMPLER", sampler)
    text = HEAD + model + loop.replace("CALLBACK", callback) + after
    return trace(folder, text, given={"sampling": load_alone("k_diffusion.sampling")}, **options)


def loud(traced: Traced) -> list[Finding]:
    return [finding for finding in traced.report.findings if finding.severity != "note"]


# The same place in fifty steps.

FIFTY = {
    "GP101": "    return denoiser(x, sigma).detach()  # <- cut\n",
    "GP102": "    with torch.no_grad():  # <- cut\n        return denoiser(x, sigma)\n",
    "GP301": "    return denoiser(x, sigma).round()  # <- cut\n",
}


@pytest.mark.parametrize("code", FIFTY)
def test_one_place_in_fifty_steps_is_one_finding(tmp_path: Path, code: str) -> None:
    model = f"def model(x, sigma):\n{FIFTY[code]}"
    traced = sampled(tmp_path, model, steps=50, sampler="sample_euler.__wrapped__")
    [found] = loud(traced)
    assert found.code == code
    assert traced.is_at(found.cause, "cut")
    assert (found.count, found.step) == (50, 0)


def test_two_calls_of_a_step_are_told_as_one_place(tmp_path: Path) -> None:
    traced = sampled(tmp_path, f"def model(x, sigma):\n{FIFTY['GP101']}", steps=10)
    [found] = loud(traced)
    assert found.count == 19  # Heun's second call, but for the last step


def test_two_places_are_two_findings(tmp_path: Path) -> None:
    traced = sampled(
        tmp_path,
        """
def model(x, sigma):
    first = denoiser(x, sigma).detach()  # <- first
    second = denoiser(0.5 * x, sigma)
    second = second.detach()  # <- second
    return first + 0.5 * (second - first)
""",
    )
    first, second = loud(traced)
    assert traced.is_at(first.at, "first")
    assert traced.is_at(second.at, "second")
    assert first.count == second.count == 5


# Leaves that one line cuts.

TEXT = "text = torch.randn(1, 3, 8, 8, requires_grad=True)\n"
OF_TWO = {
    "one detach": "def model(x, sigma):\n    return denoiser(x, sigma, text).detach()  # <- cut\n",
    "two detaches in a line": "def model(x, sigma):\n"
    "    return denoiser(x.detach(), sigma, text.detach())  # <- cut\n",
    "a with": "def model(x, sigma):\n"
    "    with torch.no_grad():  # <- cut\n"
    "        scaled = 0.5 * text\n"
    "        return denoiser(x, sigma, scaled)\n",
    "a decorator": "@torch.no_grad()  # <- cut\n"
    "def model(x, sigma):\n"
    "    scaled = 0.5 * text\n"
    "    return denoiser(x, sigma, scaled)\n",
    "rounding": "def model(x, sigma):\n"
    "    return (9 * denoiser(x, sigma, text)).round() / 9  # <- cut\n",
}


@pytest.mark.parametrize("name", OF_TWO)
def test_two_leaves_cut_by_one_line_are_one_finding(tmp_path: Path, name: str) -> None:
    traced = sampled(tmp_path, TEXT + OF_TWO[name])
    assert {leaf.name for leaf in traced.report.leaves} == {"z0", "text"}
    assert all(leaf.verdict != "flows" for leaf in traced.report.leaves)
    [found] = loud(traced)
    assert traced.is_at(found.cause, "cut")
    assert found.severity == "error"  # as for the leaf that fares worst


def test_the_library_s_decorator_is_one_finding_for_all_leaves(tmp_path: Path) -> None:
    model = TEXT + "def model(x, sigma):\n    return denoiser(x, sigma, text)\n"
    traced = sampled(tmp_path, model, sampler="sample_heun")
    [found] = loud(traced)
    assert (found.code, found.cause.function) == ("GP102", "sample_heun")
    assert found.cause.source == "@torch.no_grad()"


# The cause comes before what follows from it.

UPDATED = """
optimizer = torch.optim.Adam([z0], lr=0.1)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
for _ in range(3):
    optimizer.zero_grad()
    start = (z0 * sigmas[0])CUT  # <- cut
    image = sampling.sample_euler.__wrapped__(denoiser, start, sigmas, disable=True)
    loss = image.square().mean()
    loss.backward()
    optimizer.step()
"""


def test_a_cut_comes_before_an_optimizer_that_nothing_reaches(tmp_path: Path) -> None:
    text = HEAD + UPDATED.replace("CUT", ".detach()")
    traced = trace(tmp_path, text, given={"sampling": load_alone("k_diffusion.sampling")})
    assert traced.raised is not None  # torch refuses the backward
    assert traced.first.code == "GP101"
    assert traced.is_at(traced.first.at, "cut")
    assert [found.code for found in loud(traced)] == ["GP101"]


SCHEDULED = """
from diffusers import DDIMScheduler
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(4)
x = z0
for t in scheduler.timesteps:
    EARLY
    noise = denoiser(x, torch.ones(1))
    x = scheduler.step(noise, t, x).prev_sample
LATE
loss = x.square().mean()
loss.backward()
"""


@pytest.mark.parametrize(
    ("early", "code"),
    [
        ("x = x.detach()  # <- cut", "GP101"),
        ("x = torch.tensor(x.tolist())  # <- cut", "GP104"),
        ("x = x.int().float()  # <- cut", "GP106"),
    ],
)
def test_the_first_cut_of_a_way_is_the_finding_and_names_those_behind_it(
    tmp_path: Path, early: str, code: str
) -> None:
    late = "x = (9 * x.detach().clone()).round()  # <- late"
    text = HEAD + SCHEDULED.replace("EARLY", early).replace("LATE", late)
    traced = trace(tmp_path, text)
    [first] = loud(traced)
    assert (first.code, first.severity) == (code, "error")
    assert traced.is_at(first.at, "cut")
    [behind] = [related.at for related in first.related if related.word == "also lost here"]
    assert traced.is_at(behind, "late")


def test_the_op_that_made_infinity_comes_before_where_it_became_nan(tmp_path: Path) -> None:
    model = """
def model(x, sigma):
    size = (0.0 * x).pow(2).sum().sqrt()  # <- cut
    return denoiser(x, sigma) * (1.0 + 0.0 * size)
"""
    traced = sampled(tmp_path, model, numerics="nodes")
    assert traced.report.verdict == "nonfinite"
    assert traced.first.code == "GP302"
    assert traced.is_at(traced.first.at, "cut")


# What never reaches the root.

BESIDE = """
import copy
log, previews = [], []
shadow, average = copy.deepcopy(net), torch.zeros(1, 3, 8, 8)

def model(x, sigma):
    out = denoiser(x, sigma)
    log.append((out.mean().item(), float(out.std()), out.round().sum().tolist()))
    log.append(f"{out.detach().abs().max():.3f} {bool((out > 0).any())} {out.argmax()}")
    return out

def preview(info):
    shown = info["denoised"].detach()
    previews.append((shown * 127.5 + 128).clamp(0, 255).byte().cpu().numpy())
    with torch.no_grad():
        average.mul_(0.9).add_(info["x"], alpha=0.1)
        previews.append(shadow(info["x"]).sign())
    previews.append(torch.tensor(info["x"].tolist()).int())
"""
AFTER = """
with torch.inference_mode():
    score = (image * 2).round().mean()
print(score.item(), image.detach().cpu().numpy().shape, z0.grad.norm().item())
"""


@pytest.mark.parametrize("sampler", [FREE, "sample_dpmpp_2m.__wrapped__", "sample_lms.__wrapped__"])
def test_previews_and_logs_are_no_breaks(tmp_path: Path, sampler: str) -> None:
    traced = sampled(tmp_path, BESIDE, steps=5, sampler=sampler, callback="preview", after=AFTER)
    assert traced.raised is None
    assert traced.report.verdict == "flows"
    assert loud(traced) == []
    assert [leaf.layers.complete.answer for leaf in traced.report.leaves] == ["yes"]


def test_beside_them_a_break_is_the_one_finding(tmp_path: Path) -> None:
    broken = BESIDE.replace("return out", "return out.detach()  # <- cut")
    traced = sampled(tmp_path, broken, callback="preview", after=AFTER)
    [found] = loud(traced)
    assert found.code == "GP101"
    assert traced.is_at(found.at, "cut")
