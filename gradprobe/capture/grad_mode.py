"""Who switched gradient recording off, and since when.

The enter of torch's own context managers is wrapped while a probe is active (about 1 us a call):
there the frame that opens the region is at hand. Whether recording is off at an op is never
deduced from this: the function mode asks torch.
"""

from __future__ import annotations

import inspect
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Literal

import torch

from gradprobe.capture.call_stack import CallStack
from gradprobe.capture.patches import Patches


@dataclass(frozen=True, slots=True)
class Opening:
    """One place that switches recording off, before it is resolved to a frame."""

    mode: Literal["no_grad", "inference"]
    by: str
    how: Literal["with", "decorator", "call", "before"]
    place: int = 0
    decorated: CodeType | None = None


_GRAD_MODE_FILE = torch.no_grad.__enter__.__code__.co_filename

BEFORE = Opening("no_grad", "torch.set_grad_enabled(False)", "before")
BEFORE_INFERENCE = Opening("inference", "torch.inference_mode()", "before")


class GradMode:
    """The region that is open now (0: none known), as a number into `openings`."""

    __slots__ = ("_before", "_numbers", "_thread", "openings", "region", "stack")

    def __init__(self, stack: CallStack) -> None:
        self.stack = stack
        self.openings: list[Opening | None] = [None]
        self._numbers: dict[Opening, int] = {}
        # What was open before a context manager was entered. One that is only called is never left.
        self._before: weakref.WeakKeyDictionary[Any, list[int]] = weakref.WeakKeyDictionary()
        self._thread = threading.get_ident()  # each thread has a grad mode of its own
        self.region = 0
        if torch.is_inference_mode_enabled():
            self.region = self._number(BEFORE_INFERENCE)
        elif not torch.is_grad_enabled():
            self.region = self._number(BEFORE)

    def _number(self, opening: Opening) -> int:
        number = self._numbers.get(opening)
        if number is None:
            number = self._numbers[opening] = len(self.openings)
            self.openings.append(opening)
        return number

    def install(self, patches: Patches) -> None:
        """Wrap the enter and exit of torch's grad-mode context managers."""
        for manager in (torch.no_grad, torch.enable_grad, torch.set_grad_enabled):
            patches.method(manager, "__enter__", self._entering)
            patches.method(manager, "__exit__", self._exiting)
        patches.method(torch.inference_mode, "__enter__", self._entering)
        patches.method(torch.inference_mode, "__exit__", self._exiting)
        patches.method(torch.set_grad_enabled, "__init__", self._calling)

    def _entering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __enter__(context: Any) -> Any:
            result = original(context)
            if threading.get_ident() != self._thread:
                return result
            before = self._before.setdefault(context, [])
            if type(context) is not torch.set_grad_enabled or not before:
                before.append(self.region)
            self._switched(context, sys._getframe(1), "with")
            return result

        return __enter__

    def _exiting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __exit__(context: Any, *exception: Any) -> Any:
            result = original(context, *exception)
            if threading.get_ident() != self._thread:
                return result
            before = self._before.get(context)
            self.region = before.pop() if before else 0
            if not before:
                self._before.pop(context, None)
            return result

        return __exit__

    def _calling(self, original: Callable[..., Any]) -> Callable[..., Any]:
        # `torch.set_grad_enabled(False)` switches when it is made; as a `with` it is entered next.
        def __init__(context: Any, *args: Any, **kwargs: Any) -> None:
            before = self.region
            original(context, *args, **kwargs)
            if threading.get_ident() != self._thread:
                return
            if sys._getframe(1).f_code.co_filename == _GRAD_MODE_FILE:
                return  # no_grad switches in this way itself: its own enter and exit say it all
            self._before[context] = [before]
            self._switched(context, sys._getframe(1), "call")

        return __init__

    def _switched(
        self, context: Any, frame: FrameType | None, how: Literal["with", "call"]
    ) -> None:
        inference = torch.is_inference_mode_enabled()
        if not inference and torch.is_grad_enabled():
            self.region = 0
            return
        kind = type(context)
        if kind is torch.enable_grad or (kind is not torch.inference_mode and inference):
            return  # inside inference mode nothing short of its exit lets gradient in
        by = f"torch.{kind.__name__}"
        by += "(False)" if kind is torch.set_grad_enabled else "()"
        code = _decorated(frame)
        mode: Literal["no_grad", "inference"] = "inference" if inference else "no_grad"
        if code is not None and not self.stack.is_plumbing(code.co_filename):
            self.region = self._number(Opening(mode, by, "decorator", decorated=code))
        else:
            self.region = self._number(Opening(mode, by, how, self.stack.place(frame)))


def _decorated(frame: FrameType | None) -> CodeType | None:
    """The code of the function that a grad-mode decorator wraps, if `frame` is its wrapper's."""
    if frame is None or not frame.f_code.co_filename.endswith("_contextlib.py"):
        return None
    func = frame.f_locals.get("func")
    if func is None:
        return None
    code = getattr(inspect.unwrap(func), "__code__", None)
    return code if isinstance(code, CodeType) else None
