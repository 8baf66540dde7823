"""What happens at a backward: which leaves gradient reached, with what statistics."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.gradient_stats import Awaited, as_stats
from gradprobe.capture.graph_walk import GraphWalk, raw_graph
from gradprobe.capture.late_numbers import LateNumbers
from gradprobe.capture.leaf_watch import LeafWatch, WatchedLeaf
from gradprobe.capture.memory import Memory
from gradprobe.capture.node_watch import NodeWatch
from gradprobe.capture.torch_internals import NoSubclasses, aside, in_transform, node_counter
from gradprobe.capture.value_stats import as_number, on_host
from gradprobe.capture.watched_pass import WatchedPass, sound
from gradprobe.records.op import Callee, Kind
from gradprobe.records.tensor import CONNECTED, DERIVED, REQUIRES_GRAD

if TYPE_CHECKING:
    from gradprobe.capture.hook_chain import Changed
    from gradprobe.capture.stage_hooks import StagesSeen

_SECOND_ORDER = Callee("torch.autograd.grad", Kind.COMPUTE)


# torch's own has no type annotations.
hook: Callable[[Tensor, Callable[[Tensor | None], None]], Any] = Tensor.register_hook


def watch(tensor: Tensor, node: Any, measure: Callable[[Tensor | None], None]) -> Any:
    """Have `measure` called with the gradient of a tensor that `node` made; returns the handle.

    The hook sits on the node: on the tensor the program could see it, and torch warns about it
    when the tensor is saved.
    """
    position = tensor.output_nr

    def given(gradients: tuple[Tensor | None, ...]) -> None:
        measure(gradients[position])

    return node.register_prehook(given)


def _transformed(outputs: Any, args: Any) -> bool:
    """Whether a `torch.func` transform runs this pass: its tensors have no numbers of their own."""
    every = (*outputs, *(args[0] if args and isinstance(args[0], tuple) else ()))
    return any(isinstance(t, Tensor) and in_transform(t) for t in every)


class Hooks(Protocol):
    """Who looks at what the program's own hooks do; see `gradient_hooks`."""

    def begin(self) -> None: ...

    def end(self) -> Sequence[Changed]: ...


class Search(Protocol):
    """Who measures stages that nobody marked; see `stage_search`."""

    @property
    def size(self) -> tuple[int, int] | None: ...

    def counted(self, nodes: int, edges: int) -> None: ...

    def begin(self, roots: Sequence[Tensor]) -> tuple[list[Any], Any]: ...

    def seen(self, found: Any) -> StagesSeen: ...


def _nothing() -> None:
    """Nobody asked."""


class BackwardWatch:
    """Wraps the one function through which both `backward` and `torch.autograd.grad` run."""

    def __init__(
        self,
        mode: SeeingMode,
        memory: Memory,
        leaves: LeafWatch,
        numbers: LateNumbers,
        walk: GraphWalk,
        say: Callable[[str], None],
        raw: bool = False,
    ) -> None:
        self.mode = mode
        self.memory = memory
        self.leaves = leaves
        self.numbers = numbers
        self.walk = walk
        self.say = say
        self.passes: list[WatchedPass] = []
        self.raw = raw
        self.dot: str | None = None
        self.thread = threading.get_ident()
        # Put around each pass: what runs in it gives no stages, so nothing need be watched.
        self.unwatched: Callable[[], AbstractContextManager[None]] = nullcontext
        self.search: Search | None = None
        self.nodes: NodeWatch | None = None
        self.first_bad: WatchedPass | None = None
        self.hooks: Hooks | None = None
        # Told when a pass is over: who may forget records before it, then who passes it on.
        self.ended: Callable[[], None] = _nothing
        self.told: Callable[[], None] = _nothing
        self.turn: Callable[[], None] = _nothing  # told when one begins; see `pace`
        self.begun = 0

    def wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _engine_run_backward(t_outputs: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.thread:
                self.say("a backward pass ran in another thread: it was not seen")
                return original(t_outputs, *args, **kwargs)
            if self.mode.pauses:  # a checkpoint's own backward, inside the program's
                return original(t_outputs, *args, **kwargs)
            with self.unwatched():
                return self.run(original, t_outputs, args, kwargs, sys._getframe(1))

        return _engine_run_backward

    def run(
        self, original: Callable[..., Any], outputs: Any, args: Any, kwargs: Any, frame: Any
    ) -> Any:
        """Run one pass of the program under watch; raises whatever the engine raises."""
        handles: list[Any] = []
        measured: dict[int, Awaited | None] = {}
        stages: Any = ()
        self.numbers.settle()
        roots = [t for t in outputs if isinstance(t, Tensor)]
        size: tuple[int, int] | None = None
        with NoSubclasses():
            seen = self.begin(outputs, args, kwargs, frame)
            if not _transformed(outputs, args):
                if self.hooks is not None:
                    self.hooks.begin()
                handles = self.hook_leaves(seen, measured)
                if self.search is not None:
                    more, stages = self.search.begin(roots)
                    handles += more
                    size = self.search.size
                if self.nodes is not None:
                    handles += self.nodes.begin(roots)
            self.count(seen, roots, size)
        self.mode.pauses += 1
        self.turn()
        try:
            result = original(outputs, *args, **kwargs)
        except BaseException as error:
            seen.raised = str(error) or type(error).__name__
            seen.foreign = self.is_foreign(error)
            raise
        finally:
            for handle in handles:
                handle.remove()
            if self.hooks is not None:
                seen.hooks = self.hooks.end()
            self.numbers.settle()
            arrived = on_host(n for n in measured.values() if isinstance(n, Tensor))
            for value, numbers in measured.items():
                seen.reached[value] = None if numbers is None else as_stats(numbers, arrived)
            if isinstance(seen.root_value, Tensor):
                with aside():
                    seen.root_value = float(seen.root_value)
            if self.search is not None and stages:
                seen.stages = self.search.seen(stages)
            if self.nodes is not None:
                seen.numbers = self.nodes.finished()
                self.thin()
                if not seen.numbers.complete:
                    self.say(
                        f"an autograd graph has more than {self.nodes.bound:,} nodes: those past "
                        "that were not measured"
                    )
            self.mode.pauses -= 1
            self._over()
        if seen.how == "grad":
            with NoSubclasses():
                self.gradients(seen, result)
        return result

    def thin(self) -> None:
        """Of the numbers of all passes the first, the first bad and the last are kept."""
        if len(self.passes) < 3:
            return
        before = self.passes[-2]
        if sound(before) or self.first_bad is not None:
            before.numbers = None
        else:
            self.first_bad = before

    def is_foreign(self, error: BaseException) -> bool:
        """Whether it was raised by code of the program's in the pass, or by no rule of autograd."""
        if not isinstance(error, RuntimeError) or isinstance(error, torch.OutOfMemoryError):
            return True
        stack, traceback = self.mode.journal.stack, error.__traceback__
        while traceback is not None:
            if not stack.is_plumbing(traceback.tb_frame.f_code.co_filename):
                return True
            traceback = traceback.tb_next
        return False

    def _over(self) -> None:
        try:
            self.ended()
        except Exception as fault:
            # A fault of ours may cost memory, never the program.
            self.ended = _nothing
            self.say(f"earlier iterations were not looked at again: {fault!r}")
        self.told()

    def begin(self, outputs: Any, args: Any, kwargs: Any, frame: Any) -> WatchedPass:
        """Note what is asked of the engine: `args` are gradients, two flags, and the inputs."""
        journal = self.mode.journal
        place = journal.stack.place(frame)
        roots = tuple(t for t in outputs if isinstance(t, Tensor))
        asked = args[3] if len(args) > 3 else ()
        inputs = tuple(t for t in asked or () if isinstance(t, Tensor))
        seen = WatchedPass(
            how="backward" if kwargs.get("accumulate_grad", False) else "grad",
            at_op=len(journal.head),
            roots=tuple(self.memory.meet(t, place).value for t in roots),
            inputs=tuple(self.memory.meet(t, place).value for t in inputs),
            place=place,
            where=journal.stack.stack(frame),
            grad_fn=next((t.grad_fn.name() for t in roots if t.grad_fn is not None), None),
            retained=bool(args[1]) if len(args) > 1 else False,
            altered=self.memory.exports.changed(),
            index=self.begun,
        )
        self.begun += 1
        self.passes.append(seen)
        self.mode.passes = len(self.passes)
        if len(roots) == 1 and roots[0].numel() == 1:
            seen.root_value = as_number(roots[0])
        return seen

    def count(
        self, seen: WatchedPass, roots: Sequence[Tensor], size: tuple[int, int] | None
    ) -> None:
        """How large the graph is below the roots; `size` where a turn like this one was counted."""
        seen.nodes, seen.edges = self.walk.count(roots) if size is None else size
        if size is None and self.search is not None and seen.nodes and seen.edges:
            self.search.counted(seen.nodes, seen.edges)
        if self.walk.cut_off:
            self.say(
                f"the autograd graphs have more than {self.walk.bound:,} nodes: they were not "
                "counted to the end"
            )
        if self.raw and roots:
            self.dot = raw_graph(roots[0], seen.nodes)

    def hook_leaves(self, seen: WatchedPass, measured: dict[int, Awaited | None]) -> list[Any]:
        """A hook on every live leaf, for the time of this pass alone."""
        handles: list[Any] = []
        wanted = set(seen.inputs)
        for leaf in self.leaves.leaves:
            if not wanted or leaf.values[-1] in wanted:
                self.hook_leaf(leaf, handles, measured)
        return handles

    def hook_leaf(
        self, leaf: WatchedLeaf, handles: list[Any], numbers: dict[int, Awaited | None]
    ) -> None:
        tensor = leaf.ref()
        if tensor is None or not tensor.requires_grad:
            return
        value = leaf.values[-1]
        numbers[value] = None

        def measure(grad: Tensor | None) -> None:
            if grad is not None:  # a custom Function's backward may answer None
                numbers[value] = self.numbers.gradient(grad)

        handles.append(hook(tensor, measure))

    def gradients(self, seen: WatchedPass, result: Any) -> None:
        """Results of `torch.autograd.grad`: detached by right, unless a graph was made of them."""
        journal = self.mode.journal
        for grad in result:
            if isinstance(grad, Tensor):
                self.memory.strangers.clear_of_doubt(grad)
        live = [g for g in result if isinstance(g, Tensor) and g.requires_grad]
        if not live:
            return
        flags = REQUIRES_GRAD | DERIVED | CONNECTED
        values = []
        for grad in live:
            values.append(journal.new_value(grad, flags))
            ref = journal.identity.table.get(id(grad))
            if ref is None:
                journal.identity.add(grad, values[-1])
            else:
                ref.value = values[-1]
        made_from = [*seen.roots, *seen.inputs]
        journal.row(
            journal.callee(_SECOND_ORDER), 0, 0, seen.place, node_counter(), made_from, values
        )
