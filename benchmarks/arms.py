"""The ways to run a workload that are compared: alone, under an idle mode, traced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.overrides import TorchFunctionMode

from gradprobe import Probe


class NoOpMode(TorchFunctionMode):
    """Passes every call on: the least that any tool of this kind can cost."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return func(*args, **(kwargs or {}))


Arm = Callable[[], AbstractContextManager[object]]

PLAIN, NO_OP, PROBE = "plain", "no-op mode", "gradprobe"
STAGES = "stages"
BARE, NODES = "no stages", "nodes"

ARMS: dict[str, Arm] = {PLAIN: nullcontext, NO_OP: NoOpMode, PROBE: Probe}
# How closely numbers are looked at: at leaf and root alone, at every stage, at every node.
NUMBER_ARMS: dict[str, Arm] = {
    PLAIN: nullcontext,
    BARE: lambda: Probe(find_stages="none"),
    STAGES: Probe,
    NODES: lambda: Probe(numerics="nodes"),
}
# Stages of a long run, where the ops inside the network are not asked for.
STAGE_ARMS: dict[str, Arm] = {PLAIN: nullcontext, STAGES: lambda: Probe(ops="sampler")}
# An optimisation of many iterations, with the probe left on.
WATCH = "watch"
WATCH_ARMS: dict[str, Arm] = {PLAIN: nullcontext, WATCH: lambda: Probe(watch=True)}
