"""From what the recorder noted to a frozen trace: places become frames, leaves get names."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence

import torch

import gradprobe
from gradprobe.capture.build_stages import sampling
from gradprobe.capture.glimpse import called_at
from gradprobe.capture.grad_mode import Opening
from gradprobe.capture.gradient_stats import as_stats
from gradprobe.capture.hook_chain import Changed
from gradprobe.capture.leaf_names import LeafNames
from gradprobe.capture.naming import Naming
from gradprobe.capture.numeric_mode import NumericMode
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.source_map import SourceMap
from gradprobe.capture.tables import ops_of, rewrites_of, values_of
from gradprobe.capture.zero_factors import zero_factor
from gradprobe.records.backward import FunctionCall, GradRead, HookChange, Pass, PastPass
from gradprobe.records.numerics import ForwardNumbers
from gradprobe.records.optimizer import GradUse, Optimizer
from gradprobe.records.report import Environment
from gradprobe.records.source import Frame
from gradprobe.records.trace import Region, Trace


def build(recorder: Recorder, command: Sequence[str] = ()) -> Trace:
    """The trace of everything seen so far; the recorder may go on afterwards."""
    journal = recorder.journal
    sources = SourceMap()
    frames: list[Frame | None] = [
        None if place is None else sources.frame(*place) for place in journal.stack.places
    ]
    naming = Naming(sources)
    names = LeafNames(recorder, frames, naming)
    leaves = names.leaves()
    sampler = sampling(recorder, frames)
    return Trace(
        environment=_environment(command),
        frames=tuple(frames),
        ops=ops_of(journal),
        values=values_of(journal),
        rewrites=rewrites_of(journal),
        optimizers=tuple(_optimizers(recorder, frames)),
        uses=tuple(_uses(recorder, frames)),
        overwritten=tuple(recorder.memory.overwritten),
        hooked=tuple(recorder.saved_hooks.stretches),
        regions=tuple(_region(o, sources, frames) for o in recorder.grad_mode.openings),
        leaves=leaves,
        exits=tuple(recorder.memory.exits),
        reentries=tuple(recorder.memory.reentries),
        odd=tuple(recorder.memory.odd),
        functions=tuple(
            FunctionCall(
                op=call.op,
                inner_from=call.inner_from,
                name=call.name,
                explicit=call.explicit,
                none_for=tuple(sorted(call.none_for)),
                defined_at=None if call.code is None else sources.definition(call.code),
                reentrant_checkpoint=call.reentrant_checkpoint,
            )
            for call in recorder.functions.calls
        ),
        passes=tuple(_passes(recorder, frames, naming, sources)),
        stages=sampler.stages,
        calls=sampler.calls,
        ticks=sampler.ticks,
        reads=tuple(_reads(recorder, frames, naming)),
        raised=tuple(recorder.mode.raised),
        stacks={**recorder.mode.entries.stacks, **recorder.mode.stacks},
        loops=_loops(recorder, sources),
        names=names.of_sources(),
        named_root=names.root(),
        unseen=(*recorder.unseen, *_unseen(recorder, frames)),
        past=tuple(
            PastPass(seen.index, seen.how, frames[seen.place], seen.reached, seen.raised)
            for seen in recorder.iterations.past
        ),
        forgotten_ops=journal.forgotten,
        record_bytes=recorder.record_bytes,
        seconds=recorder.seconds,
        autograd_dot=recorder.passes.dot,
        callers=tuple(journal.stack.callers),
        functions_at=journal.stack.functions_at(),
        function_names=journal.stack.function_names(),
        offsets=journal.stack.offsets(),
        generators=journal.stack.generators(),
        held=recorder.mode.entries.held(),
        called_at=called_at(recorder),
        denoiser=recorder.denoiser,
        looks=recorder.find_stages,
        watched=recorder.watch,
        forward=_forward(recorder, frames, sources),
        strangers=dict(recorder.memory.strangers.found),
        remarks=tuple(sources.remarks()),  # last: of every file that was asked for above
    )


def _loops(recorder: Recorder, sources: SourceMap) -> dict[int, tuple[tuple[int, int], ...]]:
    """Of every place on the stack of a call, the loops around it."""
    stacks = [call.where for call in recorder.modules.calls]
    stacks += recorder.mode.entries.stacks.values()
    places = {site for where in stacks for _, site, _ in where.frames}
    found = {}
    for site in places:
        place = recorder.journal.stack.places[site]
        loops = sources.loops(*place) if place is not None else ()
        if loops:
            found[site] = loops
    return found


def _forward(
    recorder: Recorder, frames: Sequence[Frame | None], sources: SourceMap
) -> ForwardNumbers | None:
    mode = recorder.mode
    if not isinstance(mode, NumericMode):
        return None
    site = recorder.journal.site
    named = {
        op: zero_factor(frames[site[op]], numbers, sources) for op, numbers in mode.factors.items()
    }
    factors = {op: factor for op, factor in named.items() if factor is not None}
    return ForwardNumbers(mode.ranges(), factors)


def _region(opening: Opening | None, sources: SourceMap, frames: Sequence[Frame | None]) -> Region:
    if opening is None:
        return Region("no_grad", "unknown", None, None, "before")
    if opening.decorated is not None:
        frame = sources.decorator(opening.decorated, opening.by)
        name = opening.decorated.co_qualname
        return Region(opening.mode, opening.by, frame, name, "decorator")
    return Region(opening.mode, opening.by, frames[opening.place], None, opening.how)


def _passes(
    recorder: Recorder, frames: Sequence[Frame | None], naming: Naming, sources: SourceMap
) -> list[Pass]:
    found = []
    for seen in recorder.passes.passes:
        frame = frames[seen.place]
        name = naming.receiver(frame) if frame is not None else None
        found.append(
            Pass(
                how=seen.how,
                at_op=seen.at_op,
                roots=seen.roots,
                inputs=seen.inputs,
                at=frame,
                where=seen.where,
                root_name=name or "root",
                grad_fn=seen.grad_fn,
                reached=dict(seen.reached),
                raised=seen.raised,
                nodes=seen.nodes,
                edges=seen.edges,
                measured=dict(seen.measured),
                retained=seen.retained,
                numbers=seen.numbers,
                foreign=seen.foreign,
                hooks=tuple(_change(c, recorder, frames, sources) for c in seen.hooks),
                altered=seen.altered,
                root_value=None if seen.root_value is None else float(seen.root_value),
                index=seen.index,
            )
        )
    return found


def _optimizers(recorder: Recorder, frames: Sequence[Frame | None]) -> Iterator[Optimizer]:
    for seen in recorder.optimizers.optimizers:
        held = tuple(seen.held.values())
        yield Optimizer(seen.name, frames[seen.place], seen.at_op, held, seen.count)


def _uses(recorder: Recorder, frames: Sequence[Frame | None]) -> Iterator[GradUse]:
    for use in recorder.optimizers.uses:
        yield GradUse(
            what=use.what,
            optimizer=use.optimizer,
            at_op=use.at_op,
            after=use.after,
            until_op=use.until_op,
            until_after=use.until_after,
            at=frames[use.place],
            values=use.values,
            bare=use.bare,
            any=use.any,
            grad=use.grad,
        )


def _change(
    seen: Changed, recorder: Recorder, frames: Sequence[Frame | None], sources: SourceMap
) -> HookChange:
    code = seen.hook.code
    if code is not None and recorder.journal.stack.is_plumbing(code.co_filename):
        code = None
    return HookChange(
        on=seen.on,
        name=seen.hook.name,
        at=None if code is None else sources.definition(code),
        registered=frames[seen.hook.registered.place],
        at_op=seen.hook.registered.at_op,
        where=seen.hook.registered.where,
        value=seen.value,
        op=seen.op,
        before=as_stats(seen.before),
        after=None if seen.after is None else as_stats(seen.after),
        taken=seen.taken,
    )


def _reads(
    recorder: Recorder, frames: Sequence[Frame | None], naming: Naming
) -> Iterator[GradRead]:
    for value, place in recorder.leaves.reads:
        frame = frames[place]
        yield GradRead(value, frame, naming.receiver(frame) if frame is not None else None)


def _unseen(recorder: Recorder, frames: Sequence[Frame | None]) -> list[str]:
    """Code that made tensors with a history where the function mode could not see it."""
    places = [frames[p] for p in dict.fromkeys(recorder.memory.unseen)]
    known = [f"{f.file}:{f.line}" for f in places if f is not None]
    if not known:
        return []
    more = f" and {len(known) - 3} other places" if len(known) > 3 else ""
    return [
        "tensors were made by code that could not be seen (or before the probe began) and taken "
        f"as one op each; first used at {', '.join(known[:3])}{more}"
    ]


def _environment(command: Sequence[str]) -> Environment:
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Environment(
        gradprobe=gradprobe.__version__,
        torch=str(torch.__version__),
        python=platform.python_version(),
        devices=tuple(devices),
        command=tuple(command),
    )
