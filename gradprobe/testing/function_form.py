"""Does gradient flow through a function? For any test framework, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradprobe.errors import GradientLost
from gradprobe.records.numerics import Numerics
from gradprobe.records.report import Report
from gradprobe.testing.assertions import assert_flows, name_of
from gradprobe.testing.diagnosis import diagnosis


def assert_grad_flows(
    fn: Callable[[Any], Any],
    z0: Any,
    through: object = None,
    *,
    stages: str | Sequence[str] | Mapping[str, str] = (),
    allow: str | Sequence[str] = (),
    numerics: Numerics = "nodes",
    picture_dir: Path | None = None,
) -> Report:
    """Pass if gradient flows from the loss that `fn(z0)` returns back to z0, and return the report.

    `fn` is called once, with a copy of the tensor `z0` that requires grad: z0 itself is left alone,
    and so is `.grad` of everything else. With `through` (the denoiser: a module or a function, or
    its name) each call of it must be live. `stages`, `allow` and `numerics` are as for
    `gradprobe.Probe`; every node is measured, so that the op is named that makes a NaN or a zero.

    Raises `GradientLost` with code, file and line of the loss, and with the picture's path where
    there is a `picture_dir`; `UsageError` where another probe is active. What `fn` itself raises
    goes on as it is, unless gradient cannot start at all: a loss that requires none is a lost one.
    """
    __tracebackhide__ = True
    from gradprobe.probe import Probe  # imports torch

    z0 = z0.detach().clone().requires_grad_()
    denoiser = None if through is None else name_of(through)
    probe = Probe(leaves=["z0"], denoiser=denoiser, stages=stages, allow=allow, numerics=numerics)
    unstarted: RuntimeError | None = None
    with probe:
        loss = fn(z0)
        try:
            loss.backward(inputs=[z0])
        except RuntimeError as error:
            unstarted = error
    report = probe.report()
    if unstarted is not None:
        lines = [f"backward raised: {unstarted}", *diagnosis(report, "z0", picture_dir)]
        raise GradientLost("\n".join(lines)) from unstarted
    assert_flows(report, "z0", None, picture_dir, through=through)
    return report
