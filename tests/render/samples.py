"""Reports as real runs give them, built by hand: what the renderers' tests draw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from gradprobe.records.picture import Arrow, Box, Picture, State
from gradprobe.records.report import (
    Answer,
    Complete,
    Cost,
    Counts,
    DenoiserCall,
    Environment,
    Finding,
    GradStats,
    Layer,
    Layers,
    Leaf,
    Report,
    Root,
    Stage,
    ValueStats,
    Verdict,
)
from gradprobe.records.source import Frame, Related

HOME = "/home/ada/restore"
RUN = f"{HOME}/run.py"
SAMPLING = f"{HOME}/.venv/lib/python3.11/site-packages/k_diffusion/sampling.py"


def frame(
    source: str, expression: str, line: int, file: str = RUN, function: str = "main"
) -> Frame:
    """The frame of `expression` inside the line `source`."""
    col = source.index(expression)
    return Frame(file, line, line, col, col + len(expression), function, source)


MADE = frame(
    "    z0 = torch.randn(1, 4, 8, 8, requires_grad=True)",
    "torch.randn(1, 4, 8, 8, requires_grad=True)",
    12,
)
LOSS = frame("    loss = (x - target).pow(2).mean()", "(x - target).pow(2).mean()", 31)
BACKWARD = frame("    loss.backward()", "loss.backward()", 32)
DENOISE = frame(
    "        denoised = model(x, sigma_hat * s_in, **extra_args)",
    "model(x, sigma_hat * s_in, **extra_args)",
    132,
    SAMPLING,
    "sample_euler",
)
TO_D = frame(
    "        d = to_d(x, sigma_hat, denoised)",
    "to_d(x, sigma_hat, denoised)",
    133,
    SAMPLING,
    "sample_euler",
)
STEP = frame("        x = x + d * dt", "x + d * dt", 138, SAMPLING, "sample_euler")
DECORATOR = frame("@torch.no_grad()", "@torch.no_grad()", 116, SAMPLING, "sample_euler")
CALL = frame("    x = sample_euler(model, z0 * sigmas[0], sigmas)", "z0 * sigmas[0]", 27)
DETACH = frame(
    "        guess = denoised.detach() * mask", "denoised.detach()", 57, function="guided_step"
)

GRAD = GradStats(0.0421, 0.0021, 0.0113, 1.2e-06, 0.0, 0)
ENVIRONMENT = Environment("0.1.0", "2.13.0+cpu", "3.11.9", ("cpu",), ("run.py", "--steps", "4"))


def stage(
    name: str, step: int | None, answer: Answer, grad: GradStats | None = None, **more: Any
) -> Stage:
    plain = Stage(
        name,
        step,
        None if step is None else 14.6 / (step + 1),
        STEP,
        (1, 4, 8, 8),
        "float32",
        answer == "yes",
        {"z0": None, "loss": "MeanBackward0"}.get(name, "AddBackward0")
        if answer == "yes"
        else None,
        {"z0": answer},
        ValueStats(0.01, 1.02, 3.9, 0),
        grad,
        call=0 if name == "denoised_output" else None,
        device="cpu",
        is_leaf=name == "z0",
        version=0,
        source="adapted" if step is not None else "discovered",
    )
    return replace(plain, **more)


def steps(
    count: int, answer: Answer, denoised: Answer | None = None, norm: float | None = None
) -> list[Stage]:
    """What a sampler with step noise leaves: state, denoised output and fresh noise of each step.

    `denoised` is the answer for the denoised output where it differs; `norm` that of the first
    step's gradient.
    """
    found = []
    for step in range(count):
        grad = None if norm is None else replace(GRAD, norm=norm / (step + 1))
        convolution = "ConvolutionBackward0" if (denoised or answer) == "yes" else None
        found.append(stage("step_input", step, answer, grad))
        found.append(stage("denoised_output", step, denoised or answer, grad_fn=convolution))
        if step < count - 1:
            found.append(stage("step_noise", step, "no"))
    return found


def call(step: int | None, entered: Answer, left: Answer, number: int = 0) -> DenoiserCall:
    sigma = None if step is None else 14.6 / (step + 1)
    return DenoiserCall(step, number, "InnerModel", DENOISE, sigma, entered, {"z0": left})


def leaf(verdict: Verdict, layers: Layers, grad: GradStats | None) -> Leaf:
    return Leaf("z0", MADE, (1, 4, 8, 8), "float32", "cpu", True, verdict, layers, grad)


def layers(connected: Layer, complete: Complete, healthy: Layer) -> Layers:
    return Layers(connected, complete, healthy)


def chain(boxes: Iterable[Box], cut_after: str = "", label: str = "") -> Picture:
    """A picture of boxes in a row; the arrow out of `cut_after` is cut."""
    row = tuple(boxes)
    arrows = []
    for tail, head in pairwise(row):
        cut = tail.key == cut_after
        state: State = (
            "cut" if cut else "lost" if "lost" in (tail.state, head.state) else head.state
        )
        arrows.append(Arrow(tail.key, head.key, state, label if cut else "", 0 if cut else None))
    return Picture(row, tuple(arrows))


def broken() -> Report:
    """k-diffusion's sampler as installed: the decorator turns gradient mode off for the run."""
    finding = Finding(
        "GP102",
        "grad-mode-off",
        "error",
        "proven",
        "z0",
        DENOISE,
        "model(x, sigma_hat * s_in, **extra_args) ran while gradient mode was off, so its result "
        "keeps the value of z0 and drops its gradient.",
        "Call sample_euler.__wrapped__(...), which is the same function without the decorator.",
        opened_by=DECORATOR,
        related=(Related("also lost", STEP), Related("came back", LOSS)),
        stage="denoised_output",
        step=0,
        count=4,
    )
    stages = [stage("z0", None, "yes"), stage("start_state", None, "yes", grad_fn="MulBackward0")]
    stages += [*steps(4, "no"), stage("final_output", None, "no"), stage("loss", None, "no")]
    picture = chain(
        [
            Box("leaf", "leaf", "z0", "f32[1, 4, 8, 8]", "live", MADE),
            Box("start", "stage", "start_state", "z0 * sigmas[0]", "live", CALL),
            Box("op1", "op", "model", DENOISE.expression, "cut", DENOISE, 0),
            Box("op2", "op", "to_d", TO_D.expression, "lost", TO_D, 0),
            Box("s0", "op", "add", STEP.expression, "lost", STEP, 0),
            Box("fold", "fold", "steps 1-3", "36 ops", "lost", STEP),
            Box("root", "root", "loss", "loss.backward()", "lost", BACKWARD),
        ],
        "start",
        "GP102 sampling.py:132",
    )
    return Report(
        ENVIRONMENT,
        "broken",
        "No gradient reaches z0: gradient mode is off in sample_euler (k_diffusion/sampling.py:116)"
        ", so its first op at sampling.py:132 loses it.",
        (
            leaf(
                "broken",
                layers(
                    Layer("no", "No autograd path leads from loss to z0."),
                    Complete("no", "None of 4 denoiser calls carries gradient to z0.", 0, 4),
                    Layer("unknown", "There is no gradient to look at."),
                ),
                None,
            ),
        ),
        Root("loss", BACKWARD, "backward"),
        tuple(stages),
        (finding,),
        Counts(ops=312, nodes=18, edges=20, steps=4, denoiser_calls=4, saved_bytes=20480),
        (),
        Cost(61_500, 0.021, 0.004),
        picture,
        tuple(call(step, "no", "no") for step in range(4)),
    )


def partial() -> Report:
    """A detach on one of two branches: the skip path still carries gradient."""
    finding = Finding(
        "GP101",
        "detached",
        "warning",
        "proven",
        "z0",
        DETACH,
        "denoised.detach() cuts the path through the denoiser; gradient still reaches z0 through "
        "the skip path x (run.py:58).",
        "Remove .detach(), or wrap the call in gradprobe.intended() if the cut is meant.",
        related=(
            Related(
                "still live",
                frame(
                    "        x = x + dt * (x - guess)",
                    "x + dt * (x - guess)",
                    58,
                    function="guided_step",
                ),
            ),
        ),
        stage="denoised_output",
        step=0,
        count=50,
    )
    stages = [stage("z0", None, "yes", GRAD), *steps(50, "yes", norm=0.05)]
    stages += [stage("final_output", None, "yes"), stage("loss", None, "yes", shape=())]
    boxes = (
        Box("leaf", "leaf", "z0", "f32[1, 4, 8, 8]", "live", MADE),
        Box("model", "op", "model", "model(x, sigma)", "live", DENOISE, 0),
        Box("cut", "op", "detach", "denoised.detach()", "cut", DETACH, 0),
        Box("mul", "op", "mul", "denoised.detach() * mask", "lost", DETACH, 0),
        Box("step0", "stage", "state", "x + dt * (x - guess)", "partial", STEP, 0),
        Box("fold", "fold", "steps 1-49", "same as step 0", "partial", STEP),
        Box("root", "root", "loss", "loss.backward()", "live", BACKWARD),
    )
    arrows = (
        Arrow("leaf", "model", "live"),
        Arrow("leaf", "step0", "live", "skip path"),
        Arrow("model", "cut", "live"),
        Arrow("cut", "mul", "cut", "GP101 run.py:57", 0),
        Arrow("mul", "step0", "lost"),
        Arrow("step0", "fold", "partial"),
        Arrow("fold", "root", "partial"),
    )
    return replace(
        broken(),
        verdict="partial",
        headline="Gradient reaches z0, but not through the denoiser: run.py:57 detaches it.",
        leaves=(
            leaf(
                "partial",
                layers(
                    Layer("yes", "An autograd path leads from loss to z0."),
                    Complete("no", "0 of 50 denoiser calls carry gradient to z0.", 0, 50),
                    Layer("yes", "The gradient is finite and not zero at every stage."),
                ),
                GRAD,
            ),
        ),
        stages=tuple(stages),
        findings=(finding,),
        unseen=("2 ops ran in another thread and were not traced.",),
        picture=Picture(boxes, arrows),
        calls=tuple(call(step, "no", "yes") for step in range(50)),
    )


def flows() -> Report:
    """A healthy run of 50 steps."""
    stages = [stage("z0", None, "yes", GRAD), *steps(50, "yes", norm=0.05)]
    stages += [stage("final_output", None, "yes"), stage("loss", None, "yes", shape=())]
    picture = chain(
        [
            Box("leaf", "leaf", "z0", "f32[1, 4, 8, 8]", "live", MADE),
            Box("s0", "stage", "step 0", "denoised_output, state", "live", STEP, 0),
            Box("fold", "fold", "steps 1-48", "healthy, 576 ops", "live", STEP),
            Box("s49", "stage", "step 49", "denoised_output, state", "live", STEP, 49),
            Box("root", "root", "loss", "loss.backward()", "live", BACKWARD),
        ]
    )
    return replace(
        partial(),
        verdict="flows",
        headline="Gradient flows from loss to z0 through all 50 denoiser calls.",
        leaves=(
            leaf(
                "flows",
                layers(
                    Layer("yes", "An autograd path leads from loss to z0."),
                    Complete("yes", "50 of 50 denoiser calls carry gradient to z0.", 50, 50),
                    Layer("yes", "The gradient is finite and not zero at every stage."),
                ),
                GRAD,
            ),
        ),
        stages=tuple(stages),
        findings=(),
        unseen=(),
        picture=picture,
        calls=tuple(call(step, "yes", "yes") for step in range(50)),
    )


def empty() -> Report:
    """A program that made no leaf and called no backward."""
    return replace(
        broken(),
        verdict="no-root",
        headline="No root was seen: the program never called backward; name one with --root.",
        leaves=(),
        root=None,
        stages=(),
        calls=(),
        findings=(),
        counts=Counts(0),
        picture=Picture(),
    )


SAMPLES = {"broken": broken, "partial": partial, "flows": flows, "empty": empty}
