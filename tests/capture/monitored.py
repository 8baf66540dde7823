"""The watcher of locals under `sys.monitoring`, with plain objects: needs no torch, nor pytest.

Run as `python3.12 monitored.py CASE`; it fails if the case does.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from gradprobe.capture.locals_tap import LocalsTap
from gradprobe.capture.stage_selectors import Adapter, Clock, Selector, parse


class Thing:
    """What an assignment is told of: an object that allows weak references."""

    def __init__(self, number: int) -> None:
        self.number = number


def loop(n: int) -> Thing:
    for i in range(n):
        x = Thing(i)
        x.number += 0
    y = x
    x = y
    return x if n else y


def generator() -> Iterator[Thing]:
    for i in range(3):
        x = Thing(i)
        yield x


def recursive(n: int) -> Thing:
    x = Thing(n)
    if n:
        recursive(n - 1)
    return x


def closure(x: Thing) -> Callable[[], Thing]:
    def inner() -> Thing:
        nonlocal x
        x = Thing(x.number + 1)
        return x

    inner()
    return inner


def failing() -> None:
    try:
        x = Thing(1)
        raise ValueError
    except ValueError:
        x = Thing(2)
    raise KeyError(x.number)


def rebinding(x: Thing) -> list[bool]:
    refs = [weakref.ref(x)]
    alive = []
    x = Thing(1)
    alive.append(refs[0]() is not None)
    refs.append(weakref.ref(x))
    x = Thing(2)
    alive.append(refs[1]() is not None)
    refs.append(weakref.ref(x))
    alive.append((x := Thing(3)).number == 3 and refs[2]() is not None)  # in the same line
    refs.append(weakref.ref(x))
    del x
    alive.append(refs[3]() is not None)
    return alive


def watched(*selectors: str, call: Callable[[], Any]) -> tuple[list[int], list[str], list[int]]:
    """The numbers that were told, the sentences said, the lines of the stores."""
    numbers: list[int] = []
    said: list[str] = []
    lines: list[int] = []

    def told(selector: Selector, value: Thing, frame: FrameType, at: int) -> bool:
        numbers.append(value.number)
        lines.append(list(frame.f_code.co_positions())[at // 2][0] or 0)
        return True

    tap = LocalsTap(parse(list(selectors)), told, said.append)
    tap.start()
    try:
        call()
    finally:
        tap.stop()
    assert tools() == [None] * 6, tools()
    return numbers, said, lines


def tools() -> Sequence[Any]:
    monitoring: Any = vars(sys)["monitoring"]
    return [monitoring.get_tool(tool) for tool in range(6)]


def line_of(function: Callable[..., Any], offset: int) -> int:
    return function.__code__.co_firstlineno + offset


def a_loop() -> None:
    numbers, said, lines = watched("x=monitored.py:loop:x", call=lambda: loop(3))
    assert numbers == [0, 1, 2], numbers
    assert lines == [line_of(loop, 2)] * 3, lines
    assert said == [], said


def a_generator() -> None:
    begun = generator()
    next(begun)

    def call() -> None:
        assert [thing.number for thing in generator()] == [0, 1, 2]
        assert [thing.number for thing in begun] == [1, 2]

    assert watched("x=monitored.py:generator:x", call=call)[0] == [0, 1, 2, 1, 2]


def a_recursive_function() -> None:
    assert watched("x=__main__:recursive:x", call=lambda: recursive(2))[0] == [2, 1, 0]


def a_cell() -> None:
    numbers, _, _ = watched("x=monitored.py:closure:x", call=lambda: closure(Thing(5)))
    assert numbers == [5, 6], numbers
    numbers, _, _ = watched("x=monitored.py:closure.inner:x", call=lambda: closure(Thing(5))())
    assert numbers == [6, 7], numbers


def an_exception() -> None:
    def call() -> None:
        for _ in range(2):
            with suppress(KeyError):
                failing()

    assert watched("x=monitored.py:failing:x", call=call)[0] == [1, 2, 1, 2]


def a_running_function() -> None:
    numbers: list[int] = []

    def told(selector: Selector, value: Thing, frame: FrameType, at: int) -> bool:
        numbers.append(value.number)
        return True

    x = Thing(1)
    tap = LocalsTap(parse("x=monitored.py:a_running_function:x"), told, print)
    tap.start()
    x = Thing(2)
    tap.stop()
    x = Thing(3)
    assert x.number == 3
    assert numbers == [2], numbers


def lifetimes() -> None:
    alive: list[bool] = []
    watched("x=monitored.py:rebinding:x", call=lambda: alive.extend(rebinding(Thing(0))))
    # What the caller gave is its own until the call is over.
    assert alive[1:] == [False, False, False], alive


def another_thread() -> None:
    def call() -> None:
        other = threading.Thread(target=loop, args=(2,))
        other.start()
        other.join()
        loop(1)

    assert watched("x=monitored.py:loop:x", call=call)[0] == [0]


def again() -> None:
    """A second watch sees code that the first one was not interested in."""
    watched("x=monitored.py:recursive:x", call=lambda: loop(1))
    assert watched("x=monitored.py:loop:x", call=lambda: loop(1))[0] == [0]


def another_tracer() -> None:
    """The lines that a tracing function sees are the same with and without the watcher."""

    def traced(call: Callable[[], Any]) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []

        def tracer(frame: FrameType, event: str, arg: Any) -> Any:
            if frame.f_code in (loop.__code__, recursive.__code__):
                seen.append((event, frame.f_lineno))
                return tracer
            return None

        sys.settrace(tracer)
        try:
            call()
        finally:
            sys.settrace(None)
        return seen

    plain = traced(lambda: (loop(2), recursive(1)))
    probed: list[tuple[str, int]] = []

    def call() -> None:
        probed.extend(traced(lambda: (loop(2), recursive(1))))

    numbers, _, _ = watched("x=monitored.py:loop:x", call=call)
    assert probed == plain
    assert numbers == [0, 1], numbers


def adapted(x: Thing, join: Callable[[], None]) -> Thing:
    for i in range(3):
        if i == 0:
            join()
        x = Thing(x.number + i)
    return x


def an_adapter_that_comes_while_the_function_runs() -> None:
    told: list[tuple[str, int]] = []
    steps: list[int] = []

    def tell(selector: Selector, value: Thing, frame: FrameType, at: int) -> bool:
        told.append((selector.name, value.number))
        return True

    def ticked(clock: Clock, frame: FrameType) -> None:
        steps.append(frame.f_locals["i"])
        told.append(("step", frame.f_locals["i"]))

    place, name = "monitored.py", "adapted"
    adapter = Adapter(
        "pretend",
        (Selector("x", place, name, "x"),),
        (Clock(place, "adap*", "i"),),
    )
    tap = LocalsTap((), tell, print, ticked)
    tap.start()
    assert tools() == [None] * 6, tools()  # with nothing to watch, nothing is watched
    try:
        adapted(Thing(5), lambda: tap.join(adapter, sys._getframe(1)))
    finally:
        tap.stop()
    assert tools() == [None] * 6, tools()
    turns = [("x", 5), ("step", 0), ("x", 5), ("step", 1), ("x", 6), ("step", 2), ("x", 8)]
    assert told == turns, told
    assert steps == [0, 1, 2]
    assert tap.ticking(sys._getframe()) == -1


def no_match() -> None:
    _, said, _ = watched("x=monitored.py:lop:x", call=lambda: loop(1))
    assert said == [
        "stage selector x=monitored.py:lop:x: "
        "no function lop in monitored.py; nearest: loop, a_loop"
    ], said


CASES = {
    case.__name__: case
    for case in (
        a_loop,
        a_generator,
        a_recursive_function,
        a_cell,
        an_exception,
        a_running_function,
        lifetimes,
        another_thread,
        again,
        another_tracer,
        an_adapter_that_comes_while_the_function_runs,
        no_match,
    )
}

if __name__ == "__main__":
    CASES[sys.argv[1]]()
