"""The recorder: puts every watcher in place, and takes all of them away again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gradprobe.capture import torch_internals
from gradprobe.capture.backward_hooks import BackwardWatch, as_stats, statistics, watch
from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.function_watch import FunctionWatch
from gradprobe.capture.grad_mode import GradMode
from gradprobe.capture.graph_walk import GraphWalk
from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.locals_tap import LocalsTap
from gradprobe.capture.memory import Memory
from gradprobe.capture.module_watch import ModuleWatch
from gradprobe.capture.patches import Patches
from gradprobe.capture.stage_selectors import Adapter, Selector
from gradprobe.errors import UsageError
from gradprobe.records.report import FindStages, GradStats
from gradprobe.stage_marks import Listener, listen

_active: Recorder | None = None


# torch's modes have no type annotations.
_enter: Callable[[Any], Any] = TorchFunctionMode.__enter__
_leave: Callable[..., None] = TorchFunctionMode.__exit__


@dataclass(slots=True)
class WatchedStage:
    """One tap while it is written."""

    name: str
    step: int | None
    sigma: float | None
    value: int
    at_op: int
    place: int
    grad_fn: str | None
    measured: Tensor | None = None

    def stats(self) -> GradStats | None:
        return None if self.measured is None else as_stats(self.measured)


class Recorder:
    """Watches one thread from `start` to `stop`. Only one can be active at a time."""

    def __init__(
        self,
        leaves: Sequence[str] = (),
        root: str | None = None,
        raw: bool = False,
        stages: Sequence[Selector] = (),
        find_stages: FindStages = "auto",
        denoiser: str | None = None,
        adapter_for: Callable[[str, str], Adapter | None] | None = None,
    ) -> None:
        """`adapter_for` is asked for the adapter of a package's name or a file's base name."""
        self.leaf_names = tuple(leaves)
        self.root_name = root
        self.find_stages: FindStages = find_stages
        self.denoiser = denoiser
        self.adapter_for = adapter_for if find_stages == "auto" else None
        self.unseen: list[str] = []
        self.journal = Journal()
        self.leaves = LeafWatch(self.journal)
        self.memory = Memory(self.journal, self.leaves, follow_all=bool(leaves))
        self.grad_mode = GradMode(self.journal.stack)
        self.mode = SeeingMode(self.journal, self.grad_mode, self.leaves, self.memory, self.say)
        self.functions = FunctionWatch(self.mode, self.say)
        self.modules = ModuleWatch(self.mode, self.leaves)
        self.passes = BackwardWatch(self.mode, self.memory, self.leaves, GraphWalk(), self.say, raw)
        self.stages: list[WatchedStage] = []
        self.locals = LocalsTap(stages, self.assigned, self.say) if stages else None
        self.first_in: dict[int, str] = {}  # values first met in a variable that a selector names
        self.bound: dict[str, int] = {}  # of the names the user gave, what they meant at the end
        self.stance = torch_internals.EagerStance()
        self.seconds = 0.0
        self._handles: list[Any] = []
        self._patches = Patches()
        self._listener: Listener | None = None
        self._began = 0.0

    def say(self, sentence: str) -> None:
        """Note something that cannot be seen, once."""
        if sentence not in self.unseen:
            self.unseen.append(sentence)

    def start(self) -> None:
        """Begin to watch. Raises `UsageError` if another recorder is active."""
        global _active
        if _active is not None:
            raise UsageError("a probe is already active: stop it before starting another")
        _active = self
        patches = self._patches
        self.grad_mode.install(patches)
        patches.class_method(torch.autograd.Function, "apply", self.functions.wrap_apply)
        patches.constructor(torch.nn.Parameter, self.functions.wrap_parameter)
        patches.attribute(torch, "from_numpy", self.functions.wrap_from_numpy)
        patches.attribute(torch, "compile", self._wrap_compile)
        patches.attribute(
            torch_internals.engine_owner, torch_internals.ENGINE_ENTRY, self.passes.wrap
        )
        if self.stance.compiler_loaded():
            self.stance.begin()
        self.modules.install()
        self._listener = listen(self.tapped)
        _enter(self.mode)
        self._began = time.perf_counter()
        if self.locals is not None:
            self.locals.start()

    def stop(self, namespaces: Iterable[Mapping[str, object]] = ()) -> None:
        """Stop watching and put everything back as it was.

        `namespaces` are where names that the user gave may still be bound, nearest first.
        """
        global _active
        if _active is not self:
            return
        if self.locals is not None:
            self.locals.stop()
        self.seconds = time.perf_counter() - self._began
        _leave(self.mode, None, None, None)
        for namespace in namespaces:
            self._bind(namespace)
        listen(self._listener)
        self.modules.remove()
        self.functions.remove()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.stance.end()
        self._patches.undo()
        _active = None

    def _bind(self, namespace: Mapping[str, object]) -> None:
        for name in (*self.leaf_names, self.root_name):
            found = namespace.get(name) if name is not None else None
            if name is not None and isinstance(found, Tensor):
                ref = self.journal.identity.table.get(id(found))
                if ref is not None:
                    self.bound.setdefault(name, ref.value)

    def tapped(self, name: str, x: object, step: int | None, sigma: float | None) -> None:
        """`gradprobe.tap` was called."""
        if not isinstance(x, Tensor) or self.mode.pauses:
            return
        with torch_internals.NoSubclasses():
            self._mark(name, x, step, sigma, self.journal.stack.here(2))

    def assigned(self, selector: Selector, x: object, frame: FrameType, at: int) -> bool:
        """The variable that a selector names was assigned by instruction `at` of `frame`."""
        if not isinstance(x, Tensor) or self.mode.pauses:
            return False
        with torch_internals.NoSubclasses():
            unknown = id(x) not in self.journal.identity.table
            self._mark(selector.name, x, None, None, self.journal.stack.place_of(frame, at))
            if unknown:
                self.first_in[self.stages[-1].value] = selector.variable
        return True

    def _mark(
        self, name: str, x: Tensor, step: int | None, sigma: float | None, place: int
    ) -> None:
        value = self.memory.meet(x, place).value
        node = torch_internals.history(x)
        stage = WatchedStage(
            name=name,
            step=step,
            sigma=None if sigma is None else float(sigma),
            value=value,
            at_op=len(self.journal.head),
            place=place,
            grad_fn=None if node is None else node.name(),
        )
        self.stages.append(stage)
        if node is not None:

            def measure(grad: Tensor | None) -> None:
                if grad is not None and not torch_internals.in_transform(grad):
                    stage.measured = statistics(grad)

            self._handles.append(watch(x, node, measure))

    def _wrap_compile(self, original: Any) -> Any:
        def compile(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self.stance.begin()
            self.say("code under torch.compile ran eagerly while it was traced")
            return result

        return compile
