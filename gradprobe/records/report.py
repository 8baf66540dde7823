"""The report: what every renderer and every outside reader may rely on.

One object, `gradprobe.report/1` when written as JSON (see `codec`). Keys may be added, none may
change meaning without a new number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from gradprobe.records import display
from gradprobe.records.outline import NO_OUTLINE, Outline
from gradprobe.records.picture import Picture
from gradprobe.records.source import Frame, Related

SCHEMA = "gradprobe.report/1"

Verdict = Literal["flows", "partial", "broken", "zero", "nonfinite", "error", "no-root"]
Severity = Literal["error", "warning", "note"]
Certainty = Literal["proven", "suspected"]
Answer = Literal["yes", "no", "unknown"]
How = Literal["backward", "grad", "named"]
Source = Literal["declared", "adapted", "discovered"]
FindStages = Literal["auto", "declared", "none"]
Ops = Literal["all", "sampler"]
AllowedBy = Literal["comment", "entry", "baseline"]

FIND_STAGES: tuple[FindStages, ...] = ("auto", "declared", "none")
FOLLOW_HOST = ("auto", "on", "off")  # values that leave torch
OPS: tuple[Ops, ...] = ("all", "sampler")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")  # worst first
VERDICTS: tuple[Verdict, ...] = (  # worst first
    "error",
    "broken",
    "nonfinite",
    "zero",
    "no-root",
    "partial",
    "flows",
)
# Of a leaf whose gradient does not arrive, or is worth nothing.
LOST: Final[frozenset[Verdict]] = frozenset({"broken", "zero", "nonfinite", "error"})


@dataclass(frozen=True, slots=True)
class GradStats:
    """Statistics of one gradient tensor; magnitudes are of absolute values, over all elements."""

    norm: float
    abs_mean: float
    abs_max: float
    abs_min: float
    zero_fraction: float
    nonfinite: int


@dataclass(frozen=True, slots=True)
class ValueStats:
    """Statistics of one stage tensor's values."""

    mean: float
    std: float
    abs_max: float
    nonfinite: int


@dataclass(frozen=True, slots=True)
class Layer:
    """An answer with the sentence that says why."""

    answer: Answer
    sentence: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Whether the path through every denoiser call carries gradient; `calls_live` of `calls`."""

    answer: Answer
    sentence: str
    calls_live: int | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Layers:
    """Three questions kept apart: a gradient that exists proves none of them."""

    connected: Layer
    complete: Complete
    healthy: Layer


@dataclass(frozen=True, slots=True)
class Leaf:
    """A tensor whose gradient the program wants."""

    name: str
    at: Frame | None
    shape: tuple[int, ...]
    dtype: str
    device: str
    requires_grad: bool
    verdict: Verdict
    layers: Layers
    grad: GradStats | None


@dataclass(frozen=True, slots=True)
class Root:
    """The tensor backward starts at."""

    name: str
    at: Frame | None
    how: How


@dataclass(frozen=True, slots=True)
class Stage:
    """A hook record: one named point of the sampler, at one step.

    `call` numbers the denoiser calls (or other repeats) inside the step, from 0. `sigma` is the
    noise level or timestep, as the sampler counts it. `source` says who named the stage: the user
    (`declared`), a library's adapter (`adapted`) or the dataflow (`discovered`). `version` is the
    tensor's version counter. What was not seen is None.
    """

    name: str
    step: int | None
    sigma: float | None
    at: Frame | None
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    grad_fn: str | None
    connected: Mapping[str, Answer]
    value: ValueStats | None = None
    grad: GradStats | None = None
    call: int | None = None
    device: str | None = None
    is_leaf: bool | None = None
    version: int | None = None
    source: Source = "discovered"


@dataclass(frozen=True, slots=True)
class BackwardPass:
    """One backward of the run, `index` from 0.

    `reached` has for each judged leaf that it was asked for the gradient's statistics, None where
    no gradient arrived. `kept` says that the records behind it were there to be judged: of a long
    loop the first and last turns are kept, and those that differ from all before them.
    """

    index: int
    how: Literal["backward", "grad"]
    at: Frame | None
    reached: Mapping[str, GradStats | None]
    kept: bool = True
    raised: str | None = None


@dataclass(frozen=True, slots=True)
class DenoiserCall:
    """One call of the denoiser between leaf and root, and what gradient did there.

    `call` numbers the calls inside the step. `entered` says whether gradient came into it from the
    root's side, `left` whether it went on towards each leaf through the call itself.
    """

    step: int | None
    call: int
    name: str
    at: Frame | None
    sigma: float | None
    entered: Answer
    left: Mapping[str, Answer]


# Findings of a gradient that arrives, and is another than the program's: `at` is a write, and
# `opened_by` the op that had saved what was written.
WRONG: Final = frozenset({"GP202"})
# Findings made at a write to what an op had saved for backward.
OVERWRITTEN: Final = frozenset({"GP201", "GP202"})
# Findings that are one for all the lines that one cause took: a `with` or a decorator.
BY_CAUSE: Final = frozenset({"GP102", "GP103"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where gradient was lost or went wrong, however often it did so.

    `allowed` says that the user accepts it: it is shown, and does not count. `allowed_by` says
    where that stands, in a comment, an entry of `allow` or the baseline; `reason` is what a comment
    says of why. The severity stays what it would be.
    """

    code: str
    name: str
    severity: Severity
    certainty: Certainty
    leaf: str
    at: Frame
    message: str
    fix: str
    opened_by: Frame | None = None
    related: tuple[Related, ...] = ()
    stage: str | None = None
    step: int | None = None
    count: int = 1
    verified: bool | None = None
    allowed: bool = False
    allowed_by: AllowedBy | None = None
    reason: str | None = None

    @property
    def cause(self) -> Frame:
        """The line to blame: what opened the break, or the place itself.

        What had saved a tensor that was overwritten is not to blame.
        """
        return self.at if self.opened_by is None or self.code in WRONG else self.opened_by


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Findings that were not asked for (`select`, `ignore`): how many of one code and severity."""

    code: str
    severity: Severity
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was seen; None where it is not known."""

    ops: int
    nodes: int | None = None
    edges: int | None = None
    steps: int | None = None
    denoiser_calls: int | None = None
    saved_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the probe itself took: bytes of records, seconds spent after the run to diagnose."""

    record_bytes: int
    traced_seconds: float
    diagnose_seconds: float


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions, device names, and the traced command."""

    gradprobe: str
    torch: str
    python: str
    devices: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A finished diagnosis. `headline` is the one sentence that comes first everywhere."""

    environment: Environment
    verdict: Verdict
    headline: str
    leaves: tuple[Leaf, ...]
    root: Root | None
    stages: tuple[Stage, ...]
    findings: tuple[Finding, ...]
    counts: Counts
    unseen: tuple[str, ...]
    cost: Cost
    picture: Picture
    calls: tuple[DenoiserCall, ...] = ()
    passes: tuple[BackwardPass, ...] = ()
    # The autograd graph as torchviz draws it, in DOT; only where the trace was asked for it.
    autograd_dot: str | None = field(default=None)
    left_out: tuple[LeftOut, ...] = ()
    outline: Outline = NO_OUTLINE

    def worst(self) -> Severity | None:
        """The worst severity among the findings that count; None where none does."""
        counting = {finding.severity for finding in self.findings if not finding.allowed}
        return next((severity for severity in SEVERITIES if severity in counting), None)

    def table(self) -> list[dict[str, str | int | float | bool | None]]:
        """The hook records as flat rows of plain values, for a data frame; see `records.table`."""
        from gradprobe.records.table import table

        return table(self.stages, (leaf.name for leaf in self.leaves))

    def render(self, format: str, **options: object) -> str:
        """This report as text in the given format (`text`, `json`, `csv`, `dot`, `svg` ...).

        `options` are the fields of that format's renderer. Raises `UnknownFormat` for a format
        that no renderer has, `UsageError` for an image, which is no text (see `encoded`), and
        `TypeError` for an option that the renderer does not know.
        """
        from gradprobe.errors import UsageError

        made = self._rendered(format, options)
        if isinstance(made, bytes):
            raise UsageError(f"{format} is no text: use encoded({format!r}), or save it")
        return made

    def encoded(self, format: str, **options: object) -> bytes:
        """This report as the bytes of a file: an image (`png`), or text in UTF-8.

        Raises as `render` does, but for images.
        """
        made = self._rendered(format, options)
        return made if isinstance(made, bytes) else made.encode()

    def _rendered(self, format: str, options: Mapping[str, object]) -> str | bytes:
        from gradprobe.registry import renderers

        made: str | bytes = renderers.load(format)(**options).render(self)
        return made

    def save(self, path: str | Path, **options: object) -> Path:
        """Write this report to `path`; its name chooses the format. Returns the path.

        Raises `UnknownFormat` for a suffix without a renderer and `CannotWrite` when the file
        system refuses.
        """
        from gradprobe.errors import CannotWrite, UnknownFormat
        from gradprobe.registry import format_of, renderers

        target = Path(path)
        suffix = format_of(target.name)
        if suffix not in renderers:
            raise UnknownFormat(suffix or str(target), sorted(renderers))
        made = self.encoded(suffix, **options)
        try:
            target.write_bytes(made)
        except OSError as error:
            raise CannotWrite(target, error.strerror or str(error)) from error
        return target

    def _repr_mimebundle_(
        self, include: display.Types = None, exclude: display.Types = None
    ) -> dict[str, str]:
        """How IPython and Jupyter show this report. Raises nothing."""
        return display.bundle(self, include, exclude)

    def _repr_html_(self) -> str:
        return display.html(self)

    def _repr_svg_(self) -> str | None:
        return display.svg(self)
