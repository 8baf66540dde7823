"""Stages of diffusers' pipelines, and whether its pipelines use the names that we mean."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, StableDiffusionPipeline
from torch import Tensor

from gradprobe.adapters.diffusers_pipelines import IMAGES, STARTS, VIDEOS
from gradprobe.probe import Probe
from gradprobe.records.report import Report, Stage
from tests.adapters.diffusers.pipes import (
    STEPS,
    flux,
    image_of,
    latents,
    prompts,
    stable_diffusion,
)

MAKERS = {"stable-diffusion": stable_diffusion, "flux": flux}
EACH_STEP = {"step_input": 1, "model_output": 1, "step_output": 1}


def runs(pipe: Any, *, guided: bool, decode: bool = True) -> tuple[Report, Tensor]:
    """The report of a run, which must be the run without the probe; and the result."""

    def run() -> tuple[Tensor, Tensor]:
        z0 = latents(pipe)
        image = image_of(pipe, z0, guided=guided, decode=decode)
        image.square().mean().backward()
        assert z0.grad is not None
        return image.detach(), z0.grad

    image, grad = run()
    with Probe() as probe:
        seen, seen_grad = run()
    assert torch.equal(seen, image)
    assert torch.equal(seen_grad, grad)
    return probe.report(), image


def adapted(report: Report) -> dict[tuple[str, int | None], int]:
    return Counter((s.name, s.step) for s in report.stages if s.source == "adapted")


def expected(each: dict[str, int], *once: str) -> dict[tuple[str, int | None], int]:
    return {
        **{(name, step): count for name, count in each.items() for step in range(STEPS)},
        **{(name, None): 1 for name in once},
    }


def only(report: Report, name: str) -> Stage:
    (stage,) = (s for s in report.stages if s.name == name)
    return stage


def place(function: Any, text: str) -> tuple[str, int]:
    """The file and line of the one line of a function's source that begins with `text`."""
    function = inspect.unwrap(function)
    lines, first = inspect.getsourcelines(function)
    (line,) = (first + i for i, line in enumerate(lines) if line.strip().startswith(text))
    return inspect.getfile(function), line


def test_stable_diffusion_with_guidance_in_one_batch() -> None:
    pipe = stable_diffusion()
    report, image = runs(pipe, guided=True)
    each = {
        **EACH_STEP,
        "pred_original_sample": 1,
        "noise_pred_uncond": 1,
        "noise_pred_text": 1,
    }
    assert adapted(report) == expected(each, "start_state", "final_output")
    assert report.counts.steps == report.counts.denoiser_calls == STEPS
    timesteps = [float(t) for t in pipe.scheduler.timesteps]
    for stage in report.stages:
        if stage.source == "adapted" and stage.step is not None:
            assert stage.sigma == timesteps[stage.step]
    start, final = only(report, "start_state"), only(report, "final_output")
    assert start.at is not None
    assert (start.at.file, start.at.line) == place(
        StableDiffusionPipeline.prepare_latents, "latents = latents * self.scheduler.init"
    )
    assert final.at is not None
    assert (final.at.file, final.at.line) == place(
        StableDiffusionPipeline.__call__, "image = self.image_processor.postprocess"
    )
    assert final.shape == tuple(image.shape)
    assert (start.sigma, final.sigma) == (None, None)


def test_stable_diffusion_without_guidance_or_decoding() -> None:
    report, _ = runs(stable_diffusion(), guided=False, decode=False)
    each = {**EACH_STEP, "pred_original_sample": 1}
    assert adapted(report) == expected(each, "start_state", "final_output")
    assert only(report, "final_output").shape == (1, 4, 8, 8)


def test_flux_with_guidance_in_two_calls() -> None:
    pipe = flux()
    report, image = runs(pipe, guided=True)
    assert adapted(report) == expected(
        {**EACH_STEP, "neg_noise_pred": 1}, "start_state", "final_output"
    )
    assert report.counts.steps == STEPS
    assert report.counts.denoiser_calls == 2 * STEPS
    assert [(c.step, c.call) for c in report.calls] == [
        (s, c) for s in range(STEPS) for c in (0, 1)
    ]
    sigmas = [float(s) for s in pipe.scheduler.sigmas[:STEPS]]
    assert [s.sigma for s in report.stages if s.name == "step_output"] == sigmas
    start = only(report, "start_state")
    assert start.is_leaf  # packed latents are taken as they are
    assert start.at is not None
    assert start.at.function.endswith("prepare_latents")
    assert only(report, "final_output").shape == tuple(image.shape)


@pytest.mark.parametrize("name", MAKERS)
def test_a_decorated_pipeline_has_its_stages_without_gradient(name: str) -> None:
    pipe = MAKERS[name]()
    with Probe() as probe:
        z0 = latents(pipe)
        given = prompts(pipe, guided=False)
        image = pipe(latents=z0, num_inference_steps=STEPS, output_type="pt", **given).images
        with pytest.raises(RuntimeError, match="does not require grad"):
            image.mean().backward()
    report = probe.report()
    outputs = [s for s in report.stages if s.name == "step_output"]
    assert [s.step for s in outputs] == list(range(STEPS))
    assert {s.connected["z0"] for s in outputs} == {"no"}
    assert not any(s.requires_grad for s in outputs)


# What the adapter's lists rest on, read from the installed source.


@cache
def methods(name: str) -> tuple[tuple[str, str, ast.FunctionDef], ...]:
    """Module (from the pipelines' folder on), class and body of the pipelines' methods `name`."""
    spec = find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "pipelines"
    found = []
    for file in sorted(folder.glob("*/pipeline_*.py")):
        module = ".".join(file.relative_to(folder).with_suffix("").parts)
        if not any(fnmatchcase(module, family) for family in STARTS):
            continue  # to parse all would take a minute
        lines = file.read_text(encoding="utf-8").splitlines()
        owner = ""
        for at, line in enumerate(lines):
            if line.startswith("class "):
                owner = line.removeprefix("class ").partition("(")[0].rstrip(":")
            elif line.startswith(f"    def {name}("):
                method = ast.parse(textwrap.dedent("\n".join(_block(lines, at)))).body[0]
                assert isinstance(method, ast.FunctionDef)
                found.append((module, owner, method))
    return tuple(found)


def _block(lines: Sequence[str], at: int) -> Iterator[str]:
    """A method's own lines, from its `def` on; none of its body's is indented less than eight."""
    yield lines[at]
    inside = False
    for line in lines[at + 1 :]:
        body = not line.strip() or line.startswith(" " * 8)
        if inside and not body:
            return
        # The end of the signature stands as far out as its begin.
        inside = inside or line.startswith("    )")
        yield line


def returned(method: ast.FunctionDef) -> Iterator[ast.expr]:
    """What a function returns; of several values, the first."""
    for node in ast.walk(method):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value.elts[0] if isinstance(node.value, ast.Tuple) else node.value


def stores(body: ast.AST, variable: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(body)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == variable
    ]


@pytest.mark.parametrize("family", STARTS)
def test_the_loop_starts_from_latents_as_prepared(family: str) -> None:
    prepared = [m for m in methods("prepare_latents") if fnmatchcase(m[0], family)]
    assert prepared
    for module, name, method in prepared:
        for value in returned(method):
            # `latents`, a tuple that begins with it, or it moved to where it already is
            text = ast.unparse(value)
            assert text in ("latents", "outputs") or (
                text.startswith("latents.to(") and text.endswith(")") and " * " not in text
            ), (module, name)
    for module, name, call in methods("__call__"):
        if not fnmatchcase(module, family):
            continue
        ends = [
            node.end_lineno or node.lineno
            for node in ast.walk(call)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "prepare_latents"
        ]
        loops = [
            n.lineno for n in ast.walk(call) if isinstance(n, ast.For) and stores(n, "latents")
        ]
        if ends and loops:
            between = [
                ast.unparse(node.value)
                for node in ast.walk(call)
                if isinstance(node, ast.Assign)
                and any(stores(target, "latents") for target in node.targets)
                and max(ends) < node.lineno < min(loops)
            ]
            assert {text.partition("[")[0] for text in between} <= {"latents_outputs"}, (
                module,
                name,
            )


@pytest.mark.parametrize(
    ("name", "variable"),
    [*((n, "image") for n in IMAGES), *((n, "video") for n in VIDEOS)],
)
def test_a_final_output_is_what_the_pipeline_returns(name: str, variable: str) -> None:
    (call,) = (m[2] for m in methods("__call__") if m[1] == name)
    arguments = [a.arg for a in (*call.args.args, *call.args.kwonlyargs)]
    assert variable not in arguments
    assert stores(call, variable)
    for value in returned(call):
        if isinstance(value, ast.Call):  # the output class, whose first field it is
            value = value.keywords[0].value
        assert ast.unparse(value) == variable


def test_the_traced_pipelines_are_among_the_lists() -> None:
    assert {StableDiffusionPipeline.__name__, FluxPipeline.__name__} <= set(IMAGES)
