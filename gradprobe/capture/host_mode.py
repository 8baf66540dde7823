"""The function modes that follow values past the point where they leave torch.

What leaves carries its lineage from then on; where something with a lineage is an argument of an
op, it has come back. Used only where it was asked for: the program gets values of other types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import _getframe
from types import FrameType
from typing import Any
from weakref import WeakSet

from torch import Tensor

from gradprobe.capture import host_array, host_number
from gradprobe.capture.float_calls import FloatCalls
from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.host_patches import HostPatches
from gradprobe.capture.host_values import (
    Followed,
    Lineage,
    Origin,
    followed,
    has_followed,
    lineage_of,
    wraps,
)
from gradprobe.capture.learned import Learned
from gradprobe.capture.numeric_mode import NumericMode
from gradprobe.capture.patches import Patches
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import NoSubclasses
from gradprobe.records.numerics import Numerics
from gradprobe.records.op import Callee, Kind

_INDICES = 8
_CONSTRUCTOR = Callee("torch.Tensor", Kind.HOST)
# What these return may be of a type of ours; `float(x)` and NumPy insist on the very type.
_CARRYING = frozenset({"item", "tolist", "numpy"})

wraps |= {**host_number.WRAPS, **host_array.WRAPS}


class _HostValue:
    """Stands in the table of live tensors for an argument that is none, while its op is noted."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def __call__(self) -> None:
        return None


class FollowingMode(SeeingMode):
    """Records ops, and follows what leaves torch until it comes back."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.run = object()
        self.origins: WeakSet[Origin] = WeakSet()
        self.recent: list[Origin] = []  # since the last iteration was forgotten
        self.patches = Patches()
        self.host = HostPatches(self.mark, self.since)
        self.floats = FloatCalls(self.mark, self.since, self.journal.stack.is_plumbing)
        self.memory.lineage = self.exits_of

    def install(self, patches: Patches) -> None:
        """Put in place what following takes besides the mode; `patches` take all of it away."""
        self.host.install(patches)
        patches.attribute(Tensor, "__init__", self._wrap_init)
        before = self.journal.stack.on_new_code

        def met(frame: FrameType) -> None:
            if before is not None:
                before(frame)
            self.floats.met(frame)

        self.patches = patches
        self.journal.stack.on_new_code = met

    def remove(self) -> None:
        """Take away what `install` put in place and `patches` do not."""
        self.floats.remove()
        self.host.remove()

    def mark(self) -> int:
        return len(self.recent)

    def since(self, mark: int) -> Lineage:
        """What left since `mark`."""
        return frozenset(self.recent[mark:])

    def exits_of(self, data: Any) -> Sequence[int]:
        """The exits that a value outside torch comes from, the latest first."""
        found = {o.number for o in lineage_of(data) if o.run is self.run and o.number >= 0}
        return sorted(found, reverse=True)

    def learn(self, func: Any) -> Learned:
        learned = super().learn(func)
        if learned.kind is Kind.EXIT:
            learned.apart = learned.exits = True
        return learned

    def exit_call(
        self, func: Callable[..., Any], learned: Learned, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """`.item()`, `.numpy()` ...: what it returns is followed, if it comes from a leaf."""
        try:
            result = func(*args, **kwargs) if kwargs else func(*args)
        except RuntimeError as error:
            self.failed(learned, args, kwargs, error, _getframe(2))
            raise
        before = len(self.memory.exits)
        try:
            with NoSubclasses():
                self.record(learned, args, kwargs, result, _getframe(2))
        except Exception as fault:
            self.say(f"{self.journal.callees[learned.number].name} was not recorded: {fault!r}")
        if len(self.memory.exits) == before:
            return result
        self.host.met(self.patches)  # what it may go to next may have been imported meanwhile
        origin = Origin(before, self.run)
        self.origins.add(origin)
        self.recent.append(origin)
        return followed(result, frozenset({origin})) if learned.attribute in _CARRYING else result

    def record(
        self,
        learned: Learned,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        result: Any,
        frame: Any,
    ) -> None:
        stand_ins: list[_HostValue] = []
        if has_followed(args) or (kwargs and has_followed(kwargs)):
            place = self.journal.stack.place(frame)
            args = tuple(self._stand_in(one, place, stand_ins) for one in args)
            if kwargs:
                kwargs = {k: self._stand_in(one, place, stand_ins) for k, one in kwargs.items()}
        try:
            super().record(learned, args, kwargs, result, frame)
        finally:
            for one in stand_ins:
                del self.table[id(one)]

    def _stand_in(self, argument: Any, place: int, stand_ins: list[_HostValue]) -> Any:
        """What the op is noted to have taken in the place of a followed argument."""
        if isinstance(argument, tuple) and len(argument) <= _INDICES:  # each selects for itself
            return tuple(self._stand_in(one, place, stand_ins) for one in argument)
        exits = () if isinstance(argument, Tensor) else self.exits_of(argument)
        if not exits:
            return argument
        value = self.memory.host_value(exits, argument, place)
        one: Any = _HostValue(value)
        stand_ins.append(one)
        self.table[id(one)] = one
        return one if isinstance(argument, Followed) else (argument, one)

    def _wrap_init(self, original: Any) -> Any:
        def __init__(tensor: Any, *args: Any, **kwargs: Any) -> None:
            """`torch.Tensor(data)`: which no function mode sees."""
            exits = () if self.pauses or not args else self.exits_of(args[0])
            if exits and id(tensor) not in self.table:
                place = self.journal.stack.place(_getframe(1))
                self.memory.new_from_host(tensor, _CONSTRUCTOR, args[0], place)

        return __init__

    def forget(self, shift: Shift) -> None:
        super().forget(shift)
        numbers = self.memory.exits_now
        self.recent.clear()
        for origin in list(self.origins):
            origin.number = numbers.get(origin.number, -1)


class FollowingNumericMode(FollowingMode, NumericMode):
    """Follows values, and looks at the numbers too."""


def following(numerics: Numerics) -> type[FollowingMode]:
    return FollowingNumericMode if numerics == "nodes" else FollowingMode
