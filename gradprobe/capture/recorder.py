"""The recorder: puts every watcher in place, and takes all of them away again."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gradprobe.capture import torch_internals
from gradprobe.capture.adapting import AdapterFor, Adapting
from gradprobe.capture.backward_hooks import BackwardWatch
from gradprobe.capture.closed_modules import ClosedModules
from gradprobe.capture.crossings import Crossings
from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.function_watch import FunctionWatch
from gradprobe.capture.grad_mode import GradMode
from gradprobe.capture.gradient_hooks import HookWatch
from gradprobe.capture.graph_walk import GraphWalk
from gradprobe.capture.iterations import Iterations
from gradprobe.capture.journal import Journal
from gradprobe.capture.late_numbers import LateNumbers
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.locals_tap import LocalsTap
from gradprobe.capture.memory import Memory
from gradprobe.capture.module_watch import ModuleWatch
from gradprobe.capture.node_watch import NodeWatch
from gradprobe.capture.numeric_mode import NumericMode
from gradprobe.capture.opaque_calls import OpaqueCalls
from gradprobe.capture.opening import Opening
from gradprobe.capture.optimizer_refusals import OptimizerRefusals
from gradprobe.capture.optimizer_watch import OptimizerWatch
from gradprobe.capture.pace import Pace
from gradprobe.capture.patches import Patches
from gradprobe.capture.quiet_modules import QuietModules
from gradprobe.capture.saved_hooks import SavedHooks
from gradprobe.capture.stage_selectors import Selector
from gradprobe.capture.stage_watch import StageWatch
from gradprobe.capture.unseen_code import UnseenCode
from gradprobe.errors import UsageError
from gradprobe.records.numerics import Numerics
from gradprobe.records.op import REPLAYED
from gradprobe.records.progress import Progress
from gradprobe.records.report import FindStages, Ops
from gradprobe.stage_marks import Listener, listen

_SAMPLER = "ops inside modules that were called before were taken as one (ops='sampler')"
_WATCHED = (
    "ops inside modules that were called before were taken as one, but where an iteration had "
    "shown something new (watch)"
)
_VALUES = (
    "values that modules gave were measured in the first iterations only, and around those that "
    "had shown something new (watch)"
)
_active: Recorder | None = None


# torch's modes have no type annotations.
_enter: Callable[[Any], Any] = TorchFunctionMode.__enter__


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
        adapter_for: AdapterFor | None = None,
        ops: Ops = "all",
        numerics: Numerics = "stages",
        follow_host: bool = False,
        watch: bool = False,
    ) -> None:
        """`adapter_for` is asked for the adapter of a package's name or a file's base name.

        `watch` opens closed modules (`ops="sampler"`) where an iteration shows something new.
        """
        self.leaf_names = tuple(leaves)
        self.root_name = root
        self.find_stages: FindStages = find_stages
        self.denoiser = denoiser
        self.unseen: list[str] = []
        self.journal = Journal()
        self.leaves = LeafWatch(self.journal)
        self.memory = Memory(self.journal, self.leaves, self.leaf_names)
        self.grad_mode = GradMode(self.journal.stack)
        seeing = NumericMode if numerics == "nodes" else SeeingMode
        if follow_host:
            if importlib.util.find_spec("numpy") is None:
                raise UsageError("follow_host needs NumPy, which is not installed")
            from gradprobe.capture.host_mode import following

            seeing = following(numerics)
        self.mode = seeing(self.journal, self.grad_mode, self.leaves, self.memory, self.say)
        self.host: Any = self.mode if follow_host else None
        self.saved_hooks = SavedHooks(self.journal)
        self.functions = FunctionWatch(self.mode, self.say)
        self.numbers = LateNumbers()
        self.marks = StageWatch(self.mode, self.memory, self.numbers)
        self.opaque = OpaqueCalls(self.mode, self.functions, self.say)
        self.stages = self.marks.stages
        self.first_in = self.marks.first_in
        self.locals: LocalsTap | None = None
        if stages or (adapter_for is not None and find_stages == "auto"):
            self.locals = LocalsTap(stages, self.marks.assigned, self.say, self.marks.ticked)
            self.marks.locals = self.locals
        if self.locals is not None and adapter_for is not None and find_stages == "auto":
            adapting = Adapting(adapter_for, self.locals, self.say)
            self.journal.stack.on_new_code = self.locals.on_new_code = adapting.met
        quiet = None if self.locals is None else QuietModules(self.locals)
        self.closed = ClosedModules(self.mode) if ops == "sampler" else None
        self.modules = ModuleWatch(
            self.mode, self.leaves, self.numbers, quiet, self.closed, denoiser
        )
        self.passes = BackwardWatch(
            self.mode, self.memory, self.leaves, self.numbers, GraphWalk(), self.say, raw
        )
        if numerics == "nodes":
            self.passes.nodes = NodeWatch(self.journal)
        self.hooks = HookWatch(self.mode, self.memory, self.leaves, self.say)
        self.passes.hooks = self.hooks
        if quiet is not None:
            self.passes.unwatched = quiet.backward
        self.optimizers = OptimizerWatch(self.mode, self.leaves, self.passes.passes, self.say)
        self.iterations = Iterations(
            self.mode,
            self.leaves,
            self.functions,
            self.passes.passes,
            lambda: self.marks.moment,
            self.say,
            bool(leaves),
        )
        self.watch = watch
        if watch:
            self.iterations.turned = Opening(self.modules).turned
        self.iterations.shown = self.optimizers.shown
        self.iterations.watchers += [
            self.optimizers,
            self.hooks,
            self.saved_hooks,
            self.memory,
            self.mode,
            self.functions,
            self.marks,
            self.modules,
            self.leaves,
            self.journal.identity,
            self.journal,
        ]
        self.passes.ended = self.iterations.ended
        self.bound: dict[str, int] = {}  # of the names the user gave, what they meant at the end
        self.stance = torch_internals.EagerStance()
        self.seconds = 0.0
        self.told: Callable[[Progress], None] | None = None  # how far the run is
        self.give_way: Callable[[], None] | None = None  # what stops it when another starts
        self._patches = Patches()
        self._listener: Listener | None = None
        self._began = 0.0

    def say(self, sentence: str) -> None:
        """Note something that cannot be seen, once."""
        if sentence not in self.unseen:
            self.unseen.append(sentence)

    @property
    def ops_seen(self) -> int:
        """How many ops there were so far, those of forgotten iterations too."""
        return len(self.journal.head) + self.journal.forgotten

    @property
    def record_bytes(self) -> int:
        """Memory that the records take now."""
        return self.journal.record_bytes() + self.iterations.past.nbytes()

    def saw_raised(self, error: Exception) -> bool:
        """Whether torch raised in these words, in an op or a backward that was seen."""
        seen = [one.message for one in self.mode.raised]
        seen += [one.raised for one in self.passes.passes if one.raised and not one.foreign]
        return str(error) in seen

    def start(self) -> None:
        """Begin to watch. Raises `UsageError` if another is active that does not give way."""
        global _active
        if _active is not None and _active.give_way is not None:
            _active.give_way()
        if _active is not None:
            raise UsageError("a probe is already active: stop it before starting another")
        _active = self
        patches = self._patches
        self.grad_mode.install(patches)
        self.saved_hooks.install(patches)
        patches.class_method(torch.autograd.Function, "apply", self.functions.wrap_apply)
        patches.constructor(torch.nn.Parameter, self.functions.wrap_parameter)
        patches.attribute(torch, "compile", self._wrap_compile)
        patches.method(torch.cuda.CUDAGraph, "replay", self._wrap_replay)
        patches.attribute(
            torch_internals.engine_owner, torch_internals.ENGINE_ENTRY, self.passes.wrap
        )
        if self.stance.compiler_loaded():
            self.stance.begin()
        self.opaque.install(patches)
        Crossings(self.mode).install(patches)
        UnseenCode(self.memory.strangers.unseen_code).install(patches)
        self.modules.install()
        self.optimizers.install(patches)
        self.hooks.install(patches)
        OptimizerRefusals(self.mode, self.memory).install(patches)
        if self.host is not None:
            self.host.install(patches)
        if self.find_stages != "none":
            self._listener = listen(self.marks.tapped)
        if torch_internals.other_modes():
            self.say(
                "a function mode of the program was on when the probe began: what it does to a "
                "call is not seen"
            )
        if self.told is not None:
            pace = Pace(self, self.told)
            self.journal.tick, self.passes.turn = pace.tick, pace.turn
        _enter(self.mode)
        self._began = time.perf_counter()
        if self.locals is not None:
            self.locals.start()

    @property
    def norm(self) -> float | None:
        """The norm of the gradient that reached a leaf last."""
        for seen in reversed(self.passes.passes):
            reached = [grad for grad in seen.reached.values() if grad is not None]
            if reached:
                return reached[-1].norm
        return None

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
        self.journal.tick = None
        if self.closed is not None:
            self.closed.open()  # an interrupt may have ended the program inside a module
            self.say(_WATCHED if self.watch else _SAMPLER)
            if self.modules.left_out:
                self.say(_VALUES)
        torch_internals.take_out(self.mode)
        if self.host is not None:
            self.host.remove()
        for namespace in namespaces:
            self._bind(namespace)
        if self.find_stages != "none":
            listen(self._listener)
        self.modules.remove()
        self.optimizers.remove()
        self.functions.remove()
        self.marks.remove()
        self.hooks.remove()
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

    def _wrap_replay(self, original: Any) -> Any:
        def replay(graph: Any) -> Any:
            self.say(REPLAYED)
            return original(graph)

        return replay

    def _wrap_compile(self, original: Any) -> Any:
        def compile(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self.stance.begin()
            self.say("code under torch.compile ran eagerly while it was traced")
            return result

        return compile
