"""`Probe`: watch a block of code, then ask where the gradient went."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from gradprobe.adapters import adapter_for
from gradprobe.capture.build import build
from gradprobe.capture.pass_norms import NormsTold
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.stage_search import StageSearch
from gradprobe.capture.stage_selectors import parse
from gradprobe.diagnose import report_of
from gradprobe.diagnose.acceptance import Terms
from gradprobe.diagnose.allow import Allowed
from gradprobe.diagnose.allow import parse as parse_allowed
from gradprobe.diagnose.choice import Choice
from gradprobe.diagnose.choice import parse as parse_codes
from gradprobe.errors import UsageError
from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.wanted import stage_values
from gradprobe.graph.way_back import may_have_returned
from gradprobe.records import display
from gradprobe.records.baseline import Baseline
from gradprobe.records.baseline import read as read_baseline
from gradprobe.records.norms import PassNorms
from gradprobe.records.numerics import NUMERICS, Numerics
from gradprobe.records.picture import DEPTHS, Depth
from gradprobe.records.progress import Progress
from gradprobe.records.report import FIND_STAGES, OPS, FindStages, Ops, Report, Stage


class Probe:
    """Watches the thread it is started in, without changing what runs there.

    `leaves` names the tensors whose gradient is wanted: a variable's name, or
    `file.py:function:variable`; by default those the program made to require grad. `root` names
    the tensor to start at; by default that of each backward. `raw=True` also keeps the autograd
    graph as torchviz draws it, taken when a backward starts. `command` goes into the report.

    `stages` names local variables that are stages: `NAME=FILE_OR_MODULE:FUNCTION:VARIABLE`, or a
    mapping from the name to the rest. Each tensor assigned to one becomes a hook record, as by
    `gradprobe.tap`. A selector that gave none is told of in the report's `unseen`.

    `find_stages` says which other stages become hook records: `auto`, those that an adapter of a
    library names and those that the dataflow shows; `declared`, none but `stages` and taps; `none`,
    not these either, only leaves and root. `denoiser` names the denoiser where it is not the module
    that is called again and again: a module's class, or the variable, attribute or function that is
    called.

    `allow` holds findings that are accepted: `CODE`, `CODE:FILE` or `CODE:FILE:FUNCTION`, where
    FILE is the ending of a path. They are shown, marked, and do not count. `baseline` is a file of
    findings that are accepted, as `gradprobe trace --write-baseline` writes it. A comment
    `# gradprobe: allow CODE` on a line accepts what is found there.

    `select` and `ignore` hold codes, or beginnings of codes, of findings to report and to leave
    out; how many are left out is told in the report's `unseen`. The verdict is the same.

    `ops` says which ops are recorded: `all`, or `sampler`, those outside of modules that are called
    again and again, where each call is one op. That costs little beside a network, names no line
    inside it, and leaves open whether gradient goes through all of it.

    `numerics` says how closely numbers are looked at: `stages`, the gradients of leaves and stages;
    or `nodes`, the gradients of every node and the range of every value, so that the op is named at
    which a gradient became zero, infinite or NaN. That takes up to twice the time.

    `follow_host=True` follows values that leave torch (`.item()`, `.numpy()` ...) through Python
    and NumPy until they come back: what leaves is then a float or an array of a type of ours.

    `annotate=True` adds the diagnosis, as a note (`add_note`), to an exception of autograd's that
    leaves the `with` block, so that it stands under the traceback wherever that is shown. Else an
    exception is left exactly as it is; `explain()` has the same words.

    `depth` is how closely the report's picture is drawn: `auto`, the named points of the run, and
    the ops around each finding; `module` and `op`, also what each function of the network does, or
    each op, around the first finding.

    `watch=True` is for an optimisation of many iterations. It records as `ops="sampler"` does,
    which costs less than a millisecond a sampling step, and looks into the network where an
    iteration shows something that none before it did: the one after the next is recorded whole. A
    break that lasts for one iteration alone is seen and not looked into.

    `progress` is called with a `records.progress.Progress` while the block runs: after two seconds,
    then up to five times a second, from where something is recorded. It must leave torch alone.

    `on_backward` is called with a `records.norms.PassNorms` when a backward pass is over: the
    gradient norm of each leaf and stage. `gradprobe.integrations` has trackers that take it.

    `gives_way=True`: another probe that starts while this one runs stops it, rather than fail.

    Settings in a pyproject.toml are read by `gradprobe trace` and by the pytest fixture, not here.

    Use it as a context manager, or with `start` and `stop`. Raises `UsageError` for a selector, an
    entry, a code or a baseline of another form, and when another probe is active.
    """

    def __init__(
        self,
        *,
        leaves: Sequence[str] = (),
        root: str | None = None,
        raw: bool = False,
        stages: str | Sequence[str] | Mapping[str, str] = (),
        denoiser: str | None = None,
        find_stages: FindStages = "auto",
        allow: str | Sequence[str | Allowed] = (),
        select: str | Sequence[str] = (),
        ignore: str | Sequence[str] = (),
        baseline: str | Path | Baseline | None = None,
        ops: Ops = "all",
        numerics: Numerics = "stages",
        follow_host: bool = False,
        command: Sequence[str] = (),
        annotate: bool = False,
        depth: Depth = "auto",
        watch: bool = False,
        progress: Callable[[Progress], None] | None = None,
        on_backward: Callable[[PassNorms], None] | None = None,
        gives_way: bool = False,
    ) -> None:
        if isinstance(leaves, str):
            leaves = (leaves,)
        if find_stages not in FIND_STAGES:
            raise UsageError(
                f"find_stages is {find_stages!r}; it is one of {', '.join(FIND_STAGES)}"
            )
        if ops not in OPS:
            raise UsageError(f"ops is {ops!r}; it is one of {', '.join(OPS)}")
        if numerics not in NUMERICS:
            raise UsageError(f"numerics is {numerics!r}; it is one of {', '.join(NUMERICS)}")
        if depth not in DEPTHS:
            raise UsageError(f"depth is {depth!r}; it is one of {', '.join(DEPTHS)}")
        selectors = parse(stages)
        if isinstance(baseline, str | Path):
            baseline = read_baseline(baseline)
        choice = Choice(parse_codes(select), parse_codes(ignore))
        self._terms = Terms(parse_allowed(allow), choice, baseline)
        self._recorder = Recorder(
            leaves,
            root,
            raw,
            () if find_stages == "none" else selectors,
            find_stages,
            denoiser,
            adapter_for,
            "sampler" if watch else ops,
            numerics,
            follow_host,
            watch,
        )
        self._recorder.told = progress
        if on_backward is not None:
            self._recorder.passes.told = NormsTold(self._recorder, on_backward).over
        self._recorder.give_way = self.stop if gives_way else None
        if find_stages == "auto":
            search = StageSearch(self._recorder, stage_values)
            self._recorder.passes.search = search
            self._recorder.iterations.watchers.insert(0, search)
        self._command = tuple(command)
        self._annotate = annotate
        self._depth = depth
        self._named = bool(leaves) or root is not None
        self._running = False
        self._started = False
        self._report: Report | None = None
        self._trail_lost = False

    def start(self) -> Self:
        if self._started or self._report is not None:
            raise UsageError("a probe runs once: make a new one")
        self._recorder.start()
        self._running = self._started = True
        return self

    def stop(self, names: Mapping[str, object] | None = None) -> None:
        """Stop watching; torch is exactly as it was before `start`. Stopping twice is harmless.

        Leaves and roots that were named are looked up in `names` first, then where this is called.
        """
        self._stop(sys._getframe(1), None, names)

    def _stop(
        self,
        frame: FrameType,
        traceback: TracebackType | None,
        names: Mapping[str, object] | None = None,
    ) -> None:
        if self._running:
            namespaces = self._namespaces(frame, traceback)
            self._recorder.stop(namespaces if names is None else chain([names], namespaces))
            self._running = False

    def _namespaces(
        self, frame: FrameType, traceback: TracebackType | None
    ) -> Iterator[Mapping[str, object]]:
        """Where a name given as leaf or root may be bound; looked at only if there is one."""
        if not self._named:
            return
        while traceback is not None:
            yield traceback.tb_frame.f_locals
            traceback = traceback.tb_next
        yield frame.f_locals
        yield vars(sys.modules["__main__"])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop(sys._getframe(1), traceback)
        if self._annotate and isinstance(error, Exception) and self._recorder.saw_raised(error):
            with suppress(Exception):  # the program's own exception is what has to go on
                if text := self.explain():
                    error.add_note(text)

    def report(self) -> Report:
        """The diagnosis of what was seen so far; final once the probe has stopped.

        Raises `UnknownName` for a leaf or root that no variable has, and `UsageError` for a leaf
        name that several have.
        """
        if self._report is not None:
            return self._report
        trace = build(self._recorder, self._command)
        report = report_of(trace, self._terms, self._depth)
        if not self._running:
            self._report = report
            self._trail_lost = bool(trace.exits) and may_have_returned(dataflow(trace))
        return report

    @property
    def trail_lost(self) -> bool:
        """Whether values left torch and may have come back unseen: `follow_host` would tell.

        Known once the probe has stopped and its report was made.
        """
        return self._trail_lost

    def explain(self) -> str:
        """Why gradient was lost, in two lines; empty where it was not, or no backward was tried.

            try:
                with gradprobe.Probe() as probe:
                    sample(model, z0).sum().backward()
            except RuntimeError:
                print(probe.explain())
                raise

        Raises as `report` does.
        """
        report = self.report()
        found = [f for f in report.findings if f.severity != "note" and not f.allowed]
        if report.verdict in ("flows", "no-root") or not found:
            return ""
        first = found[0]
        cause = f", opened by {first.opened_by.place}" if first.opened_by is not None else ""
        return (
            f"gradprobe: {first.code} {first.name} at {first.at.place}{cause}: {first.message}\n"
            f"fix: {first.fix}"
        )

    @property
    def ops_seen(self) -> int:
        """How many ops of torch were seen so far; without any there is nothing to report."""
        return self._recorder.ops_seen

    @property
    def records(self) -> tuple[Stage, ...]:
        """The hook records: one for each stage and step."""
        return self.report().stages

    def __repr__(self) -> str:
        return f"<gradprobe.Probe: {self._state}>"

    @property
    def _state(self) -> str:
        """Where the probe stands, in one line."""
        if not self._started:
            return "not started; use it in a `with` block"
        seen = self.ops_seen
        if self._running:
            return f"still running, {seen} ops seen; its report is there when it has stopped"
        return f"stopped, {seen} ops seen" if seen else "stopped, no op of torch was seen"

    def _shown(self) -> Report | str:
        """What a notebook shows: the report of a probe that saw something, else one line."""
        if self._running or not self._started or not self.ops_seen:
            return repr(self)
        try:
            return self.report()
        except Exception as fault:  # `UnknownName` for a leaf, say: a repr raises nothing
            return f"<gradprobe.Probe: {self._state}; no report: {' '.join(str(fault).split())}>"

    def _repr_mimebundle_(
        self, include: display.Types = None, exclude: display.Types = None
    ) -> dict[str, str]:
        """How IPython and Jupyter show this probe: as its report, once there is one."""
        shown = self._shown()
        if isinstance(shown, str):
            return {display.TEXT: shown, display.HTML: display.preformatted(shown)}
        return display.bundle(shown, include, exclude)

    def _repr_html_(self) -> str:
        shown = self._shown()
        return display.preformatted(shown) if isinstance(shown, str) else display.html(shown)

    def _repr_svg_(self) -> str | None:
        shown = self._shown()
        return None if isinstance(shown, str) else display.svg(shown)
