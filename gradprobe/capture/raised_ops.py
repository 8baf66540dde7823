"""An op that raised instead of returning, while its arguments are still at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradprobe.records.backward import RaisedOp

if TYPE_CHECKING:
    from gradprobe.capture.function_mode import SeeingMode


def note_raised(
    mode: SeeingMode, number: int, args: Any, kwargs: Any, error: RuntimeError, frame: Any
) -> None:
    """Note in `mode.raised` an op that raised: which, and with what."""
    given = (*args, *(kwargs or {}).values())
    try:
        mode.raised.append(_raised_op(mode, number, given, error, frame))
    except Exception as fault:
        mode.say(f"an op that raised was not recorded: {fault!r}")


def _raised_op(
    mode: SeeingMode, number: int, given: tuple[Any, ...], error: Exception, frame: Any
) -> RaisedOp:
    """`number` is the op's callee, `given` all of its arguments."""
    journal = mode.journal
    place = journal.stack.place(frame)
    inputs: list[int] = []
    mode.collect(given, inputs, place)
    wanted = set(inputs)
    refs = [ref for ref in list(mode.table.values()) if ref.value in wanted]
    live = [(ref.value, tensor) for ref in refs if (tensor := ref()) is not None]
    return RaisedOp(
        callee=journal.callees[number].name,
        at_op=len(journal.head),
        site=place,
        inputs=tuple(inputs),
        message=str(error),
        where=journal.stack.stack(frame),
        inference=tuple(value for value, tensor in live if tensor.is_inference()),
        passes=mode.passes,
    )
