"""The trace as it stands when a backward begins: enough to find the stages, without any source."""

from __future__ import annotations

from gradprobe.capture.recorder import Recorder
from gradprobe.capture.tables import ops_of, values_of
from gradprobe.records.backward import FunctionCall, Pass
from gradprobe.records.report import Environment
from gradprobe.records.sampling import LeafMark, ModuleCall
from gradprobe.records.trace import Trace

_NOWHERE = Environment("", "", "", (), ())


def glimpse(recorder: Recorder) -> Trace:
    """Frames, names and loops are left out: reading source would hold the program up."""
    journal = recorder.journal
    stack = journal.stack
    seen = recorder.passes.passes[-1]
    last = Pass(
        seen.how, seen.at_op, seen.roots, seen.inputs, None, seen.where, "", None, {}, None, None,
        None,
    )  # fmt: skip
    return Trace(
        environment=_NOWHERE,
        frames=(),
        ops=ops_of(journal),
        values=values_of(journal),
        regions=(),
        leaves=tuple(
            LeafMark(
                "", "", tuple(w.values), None, w.made, True, w.is_parameter, w.in_module, None, None
            )
            for w in recorder.leaves.leaves
        ),
        exits=(),
        reentries=(),
        functions=tuple(
            FunctionCall(
                op=call.op,
                inner_from=call.inner_from,
                name=call.name,
                explicit=call.explicit,
                none_for=tuple(sorted(call.none_for)),
                defined_at=None,
                reentrant_checkpoint=call.reentrant_checkpoint,
            )
            for call in recorder.functions.calls
        ),
        passes=(last,),
        stages=(),
        calls=tuple(
            ModuleCall(
                c.module, c.name, c.depth, c.from_op, c.to_op, c.inputs, c.outputs, c.where, None
            )
            for c in recorder.modules.calls
            if c.to_op >= 0
        ),
        reads=(),
        raised=(),
        stacks={**recorder.mode.entries.stacks, **recorder.mode.stacks},
        loops={},
        names={},
        named_root=None,
        unseen=(),
        record_bytes=0,
        seconds=0.0,
        callers=tuple(stack.callers),
        functions_at=stack.functions_at(),
        function_names=stack.function_names(),
        offsets=stack.offsets(),
        generators=stack.generators(),
        held=recorder.mode.entries.held(),
        called_at=called_at(recorder),
        denoiser=recorder.denoiser,
    )


def called_at(recorder: Recorder) -> dict[int, str]:
    """By what names modules and functions were called; looked up only if a name was given."""
    if recorder.denoiser is None:
        return {}
    return recorder.mode.entries.called_at(call.place for call in recorder.modules.calls)
