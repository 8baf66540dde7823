"""diffusers: a pipeline's `callback_on_step_end` that marks its tensors as stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradprobe.errors import UsageError
from gradprobe.stage_marks import tap

Callback = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


def tap_on_step_end(
    tensors: str | Sequence[str] = "latents", then: Callback | None = None
) -> Callback:
    """What a pipeline takes as `callback_on_step_end`: each step's `tensors` become hook records.

        pipe(prompt, callback_on_step_end=tap_on_step_end())

    Others than the latents have to be asked of the pipeline too, as
    `callback_on_step_end_tensor_inputs`. `then` is a callback of one's own, which is called after.
    For a pipeline of which gradprobe has no adapter, or one that is a subclass of one's own. The
    callback raises `UsageError` for a tensor that the pipeline does not give.
    """
    names = (tensors,) if isinstance(tensors, str) else tuple(tensors)

    def on_step_end(pipe: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        for name in names:
            if name not in given:
                raise UsageError(
                    f"{type(pipe).__name__} gives no {name!r} at the end of a step: it gives "
                    f"{', '.join(given)}; ask for it by callback_on_step_end_tensor_inputs"
                )
            tap(name, given[name], step, timestep)
        return given if then is None else then(pipe, step, timestep, given)

    return on_step_end
