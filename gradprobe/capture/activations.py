"""Running calls of chosen functions: which of their variables were assigned since the last look.

Only weak references to what the variables hold are kept, and of clocks, numbers.
"""

from __future__ import annotations

import dis
import inspect
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from gradprobe.capture.stage_selectors import Clock, Selector

# Told of the selector, the new object, the frame, and the offset of the instruction that stored it;
# answers whether that became a stage.
Told = Callable[[Selector, Any, FrameType, int], bool]

# Told of a clock whose variable was assigned, and of the frame.
Ticked = Callable[[Clock, FrameType], None]

# References to a frame's own copy of its variables when nobody else looks at it: the frame's,
# one local variable, and the argument of `getrefcount`.
_ALONE = 3
_UNBOUND: Any = object()
_STORES = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")
_LOADS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_NAME")


class Stores:
    """Where code stores into one of its variables."""

    __slots__ = ("_begin", "_copies", "_lines", "_stores", "_variable")

    def __init__(self, code: CodeType, variable: str) -> None:
        self._variable = variable
        self._lines = [position[0] for position in code.co_positions()]
        self._stores: list[tuple[int, int | None]] = []
        self._copies: dict[int, str] = {}  # stores that give it what another variable holds
        loaded = None
        for instruction in dis.get_instructions(code):
            if variable in _stored(instruction):
                self._stores.append((instruction.offset, self._lines[instruction.offset // 2]))
                if loaded is not None:
                    self._copies[instruction.offset] = loaded
            loaded = instruction.argval if instruction.opname in _LOADS else None
        arguments = code.co_argcount + code.co_kwonlyargcount
        arguments += bool(code.co_flags & inspect.CO_VARARGS)
        arguments += bool(code.co_flags & inspect.CO_VARKEYWORDS)
        is_argument = variable in code.co_varnames[:arguments]
        self._begin = _begin(code) if is_argument else -1

    def after(self, since: int) -> int:
        """The store in the line that runs from instruction `since` on; `since` if there is none."""
        line = self._lines[since // 2] if since >= 0 else None
        near = [offset for offset, at in self._stores if at == line]
        return next((offset for offset in near if offset >= since), near[0] if near else since)

    def before(self, at: int, names: Mapping[str, Any]) -> int:
        """The last store before instruction `at`; of an argument, else where the call begins.

        Of two branches, the one that copied what the variable holds now.
        """
        earlier = [offset for offset, _ in self._stores if offset < at]
        value = names.get(self._variable)
        copied = [o for o in earlier if o in self._copies and names.get(self._copies[o]) is value]
        computed = [offset for offset in earlier if offset not in self._copies]
        begin = [self._begin] if self._begin >= 0 else []
        for likely in (copied, computed, begin, earlier):
            if likely:
                return likely[-1]
        return self._stores[0][0] if self._stores else at


def _begin(code: CodeType) -> int:
    """Where a call of the function begins."""
    every = dis.get_instructions(code)
    return next((i.offset for i in every if i.opname == "RESUME"), 0)


def _stored(instruction: dis.Instruction) -> Sequence[str]:
    name = instruction.opname
    names: Sequence[str] = instruction.argval
    if name.startswith("STORE_FAST_"):  # two instructions in one, from Python 3.13 on
        return names[:1] if name.endswith("LOAD_FAST") else names
    return (instruction.argval,) if name in _STORES else ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A selector, and where the code of the function that it names stores into its variable."""

    selector: Selector
    stores: Stores


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is watched in one function. False where that is nothing."""

    choices: tuple[Choice, ...] = ()
    clocks: tuple[Clock, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.choices or self.clocks)


class Activation:
    """One call of a chosen function: what its variables held when it was last looked at."""

    __slots__ = ("_at", "_held", "_late", "_marks", "chosen", "number", "ticked")

    def __init__(self, chosen: Chosen, frame: FrameType, number: int, *, running: bool) -> None:
        """`running` says that the call began earlier, so that it holds what was assigned before."""
        self.chosen = Chosen()
        self.number = number
        self.ticked = False  # a clock of this call has ticked
        self._held: dict[Selector, weakref.ref[Any]] = {}
        self._marks: dict[Clock, object] = {}
        self._at = frame.f_lasti
        self._late = False
        self.widen(chosen, frame, running=running)

    def widen(self, chosen: Chosen, frame: FrameType, *, running: bool) -> None:
        """Watch more variables.

        What the user declared is watched from when the probe began: what a variable holds already
        is none of its stages. What an adapter names may be met in the middle of a call, and counts
        as assigned when the adapter came.
        """
        known = {choice.selector for choice in self.chosen.choices}
        self.chosen = chosen
        names = frame.f_locals
        for choice in chosen.choices:
            selector = choice.selector
            if selector in known:
                continue
            given = selector.variable in frame.f_code.co_freevars
            if given or (running and selector.source == "declared"):
                self._differs(selector, names)
            elif running:
                self._late = True

    def look(self, frame: FrameType, told: Told, ticked: Ticked, matched: set[Selector]) -> None:
        """Tell of the variables that were assigned since the last look.

        A step that begins comes before the stages that were assigned in the same line, a step that
        ends after them.
        """
        since, self._at = self._at, frame.f_lasti
        names = frame.f_locals
        clocks = [c for c in self.chosen.clocks if self._turned(c, names)]
        assigned = [c for c in self.chosen.choices if self._differs(c.selector, names)]
        begun: list[tuple[int, Clock]] = [(-1, clock) for clock in clocks if not clock.ends]
        stages = [(choice.stores.after(since), choice) for choice in assigned]
        if self._late:  # several lines passed unseen: in the order of the text
            code = frame.f_code
            begun = [(Stores(code, c.variable).before(self._at, names), c) for _, c in begun]
            stages = [(c.stores.before(self._at, names), c) for c in assigned]
            stages.sort(key=lambda stage: stage[0])
            self._late = False
        first = min((at for at, _ in begun), default=-1)
        early = [stage for stage in stages if stage[0] < first]
        for at, choice in early:
            self._tell(choice.selector, names, frame, at, told, matched)
        for _, clock in begun:
            self.ticked = True
            ticked(clock, frame)
        for at, choice in stages[len(early) :]:
            self._tell(choice.selector, names, frame, at, told, matched)
        for clock in clocks:
            if clock.ends:
                ticked(clock, frame)

    def _tell(
        self,
        selector: Selector,
        names: Mapping[str, Any],
        frame: FrameType,
        at: int,
        told: Told,
        matched: set[Selector],
    ) -> None:
        if told(selector, names[selector.variable], frame, at):
            matched.add(selector)

    def _differs(self, selector: Selector, names: Mapping[str, Any]) -> bool:
        """Whether a variable holds another object than before.

        What allows no weak reference is none.
        """
        value = names.get(selector.variable)
        before = self._held.get(selector)
        if before is not None and before() is value:
            return False
        try:
            self._held[selector] = weakref.ref(value)
        except TypeError:  # None, a number, a tuple
            self._held.pop(selector, None)
            return False
        return True

    def _turned(self, clock: Clock, names: Mapping[str, Any]) -> bool:
        """Whether a clock's variable holds another object, or another number, than before."""
        value = names.get(clock.variable, _UNBOUND)
        before = self._marks.get(clock, _UNBOUND)
        mark = self._marks[clock] = _mark(value)
        if value is _UNBOUND:
            return False
        if isinstance(mark, weakref.ref) and isinstance(before, weakref.ref):
            return before() is not value
        return type(mark) is not type(before) or mark != before


def _mark(value: Any) -> object:
    """By what an object is known again, without keeping a tensor alive."""
    if value is _UNBOUND or value is None or isinstance(value, (int, float, str)):
        return value
    try:
        return weakref.ref(value)
    except TypeError:  # a pair of times: itself and what it holds
        parts = value if isinstance(value, (list, tuple)) else ()
        return (id(value), *map(id, parts))


def outermost_first(frame: FrameType | None) -> Sequence[FrameType]:
    """`frame` and the calls around it. A loop's step has begun before what it calls runs in it."""
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found[::-1]


def forget(frame: FrameType | None) -> None:
    """Empty the copy of a function's variables that looking at it left in its frame.

    A tensor in it would outlive its variable. The copy belongs to the program where that called
    `locals()`, and is then left alone; module and class bodies have no copy, but the variables.
    """
    if frame is not None and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        copy = frame.f_locals
        if type(copy) is dict and sys.getrefcount(copy) == _ALONE:
            copy.clear()
