"""Where in the source an op was called, at the price of two attributes: `(code, lasti)`.

Numbers are given to places as they are first met; they become file, line and column only when the
trace is built.
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Callable
from types import CodeType, FrameType

import torch

import gradprobe
from gradprobe.records.sampling import Where

# Tensor plumbing that users do not think of as theirs: the frame that called it says more.
PLUMBING = ("torch", "numpy", "einops", "opt_einsum", "functorch", "jaxtyping", "beartype")

_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_CALL = "_call_impl"  # torch's function between a module's caller and its forward


def _folders() -> tuple[str, ...]:
    site = os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__)))
    own = os.path.dirname(os.path.abspath(gradprobe.__file__))
    inside = [os.path.join(site, name) for name in PLUMBING]
    inside += [os.path.join(own, room) for room in ("capture", "stage_marks.py", "probe.py")]
    inside += [os.path.join(own, room) for room in ("target.py", "cli", "integrations")]
    # With the separator: `torch` alone is also a prefix of torchdiffeq.
    return tuple(f if f.endswith(".py") else f + os.sep for f in inside)


class CallStack:
    """Numbers for places in code. Place 0 is nowhere: no frame of user code was on the stack."""

    __slots__ = (
        "_activations",
        "_chain",
        "_folders",
        "_in_modules",
        "_library",
        "_resumed",
        "_running",
        "_site_packages",
        "_where",
        "callers",
        "codes",
        "on_entry",
        "on_new_code",
        "places",
        "sites",
    )

    def __init__(self) -> None:
        self._folders = _folders()
        paths = sysconfig.get_paths()
        self._library = tuple({paths["stdlib"] + os.sep, paths["platstdlib"] + os.sep})
        installed = {paths["purelib"] + os.sep, paths["platlib"] + os.sep}
        for folder in self._library:  # a virtual environment may use its base's packages too
            installed |= {folder + name + os.sep for name in ("site-packages", "dist-packages")}
        self._site_packages = tuple(installed)
        # id of a code object -> its known places, or None for code that is never named. The code
        # objects are kept, so that an id stays theirs.
        self.sites: dict[int, dict[int, int] | None] = {}
        self.codes: list[CodeType] = []
        self.places: list[tuple[CodeType, int] | None] = [None]
        # By place, the place in user code that its function was called from when the place was
        # first reached; 0 if there was none.
        self.callers: list[int] = [0]
        self._in_modules: set[int] = set()
        # The frames of the stack that was looked at last, by their addresses, with numbers of their
        # own: another frame may take the address once its function has returned.
        self._running: list[tuple[tuple[int, int], int]] = []
        self._resumed: dict[tuple[int, int], int] = {}
        self._activations = 0
        # All that was seen of that stack, innermost first, and what it came to.
        self._chain: list[int] = []
        self._where = Where(())
        # Told once of each code object of user code, while a call of it runs.
        self.on_new_code: Callable[[FrameType], None] | None = None
        # Told of each op at a place where a function begins its work, if it was called by user code
        # and not by torch: so do denoisers that are no modules. Answers whether to be told again.
        # Such a place is known by the complement of its instruction, so that the rest pays nothing.
        self.on_entry: Callable[[FrameType, int], bool] | None = None

    def learn(self, frame: FrameType) -> dict[int, int] | None:
        code = frame.f_code
        self.codes.append(code)
        known: dict[int, int] | None = None if self.is_plumbing(code.co_filename) else {}
        self.sites[id(code)] = known
        if known is not None and self.on_new_code is not None:
            self.on_new_code(frame)
        return known

    def is_plumbing(self, file: str) -> bool:
        """Whether a frame in `file` is torch's, ours, or the standard library's."""
        if file.startswith("<"):
            return file.startswith(("<frozen", "<eval_with_key>"))
        if file.startswith(self._folders):
            return True
        return file.startswith(self._library) and not file.startswith(self._site_packages)

    def place(self, frame: FrameType | None) -> int:
        """The number of the innermost place in user code at or above `frame`."""
        sites = self.sites
        while frame is not None:
            code = frame.f_code
            try:
                known = sites[id(code)]
            except KeyError:
                known = self.learn(frame)
            if known is not None:
                lasti = frame.f_lasti
                number = known.get(lasti)
                if number is None:
                    number = known.get(~lasti)
                    if number is None:
                        return self.enter(frame, lasti, known)
                    self._entered(frame, number)
                return number
            frame = frame.f_back
        return 0

    def _entered(self, frame: FrameType, number: int) -> None:
        if self.on_entry is not None and self.on_entry(frame, number):
            return
        known = self._known(frame)
        if known is not None:
            known[frame.f_lasti] = known.pop(~frame.f_lasti)

    def _number(self, frame: FrameType, lasti: int, known: dict[int, int]) -> int:
        return known.get(lasti) or known.get(~lasti) or self.enter(frame, lasti, known)

    def is_near(self, frame: FrameType | None, further: int) -> bool:
        """Whether user code is at `frame`, or as few frames further up."""
        for _ in range(further + 1):
            if frame is None:
                return False
            if self._known(frame) is not None:
                return True
            frame = frame.f_back
        return False

    def _known(self, frame: FrameType) -> dict[int, int] | None:
        number = id(frame.f_code)
        return self.sites[number] if number in self.sites else self.learn(frame)

    def enter(self, frame: FrameType, lasti: int, known: dict[int, int]) -> int:
        """Number a new place, and before it those places of its callers that are new too."""
        new: list[tuple[FrameType, int, dict[int, int]]] = [(frame, lasti, known)]
        begins = not known and self.on_entry is not None
        caller, by_torch = 0, False
        outer = frame.f_back
        while outer is not None:
            sites = self._known(outer)
            if sites is None:
                by_torch = by_torch or outer.f_code.co_name == _CALL
            else:
                caller = sites.get(outer.f_lasti) or sites.get(~outer.f_lasti) or 0
                if caller:
                    break
                new.append((outer, outer.f_lasti, sites))
            outer = outer.f_back
        for one, at, sites in reversed(new):
            if at not in sites:  # it is there where a function called itself from here
                sites[at] = len(self.places)
                self.places.append((one.f_code, at))
                self.callers.append(caller)
            caller = sites[at]
        number = known[lasti]
        if by_torch or self.callers[number] in self._in_modules:
            self._in_modules.update(known[at] for _, at, known in new)
        elif begins and frame.f_back is not None and self._known(frame.f_back) is not None:
            known[~lasti] = known.pop(lasti)
            self._entered(frame, number)
        return number

    def place_of(self, frame: FrameType, lasti: int) -> int:
        """The number of instruction `lasti` in `frame`; where that is plumbing, of the caller."""
        known = self._known(frame)
        if known is None:
            return self.place(frame.f_back)
        return self._number(frame, lasti, known)

    def functions_at(self) -> tuple[int, ...]:
        """By place, a number for the code object that it lies in; -1 of nowhere."""
        numbers = {id(code): number for number, code in enumerate(self.codes)}
        return tuple(-1 if place is None else numbers[id(place[0])] for place in self.places)

    def offsets(self) -> dict[int, int]:
        """By place, the offset of its instruction."""
        return {n: place[1] for n, place in enumerate(self.places) if place is not None}

    def function_names(self) -> tuple[str, ...]:
        """Their qualified names, by those numbers."""
        return tuple(code.co_qualname for code in self.codes)

    def generators(self) -> frozenset[int]:
        """The places that lie in generators."""
        return frozenset(
            number
            for number, place in enumerate(self.places)
            if place is not None and place[0].co_flags & inspect.CO_GENERATOR
        )

    def here(self, depth: int = 1) -> int:
        return self.place(sys._getframe(depth + 1))

    def stack(self, frame: FrameType | None) -> Where:
        """Every frame of user code at or above `frame`, outermost first.

        `frame` is the innermost that runs: what lay deeper in the stack before it has returned.
        """
        chain: list[int] = []
        one = frame
        while one is not None:
            chain += (id(one), id(one.f_code), one.f_lasti)
            one = one.f_back
        if chain != self._chain:
            self._where = self._looked(frame)
            self._chain = chain
        return self._where

    def _looked(self, frame: FrameType | None) -> Where:
        running: list[tuple[FrameType, int, int]] = []
        while frame is not None:
            known = self._known(frame)
            if known is not None:
                lasti = frame.f_lasti
                running.append((frame, self._number(frame, lasti, known), lasti))
            frame = frame.f_back
        running.reverse()
        before = self._running
        self._running = []
        goes_on = True
        found: list[tuple[int, int, int]] = []
        for depth, (one, site, at) in enumerate(running):
            key = (id(one), id(one.f_code))
            goes_on = goes_on and depth < len(before) and before[depth][0] == key
            activation = before[depth][1] if goes_on else self._begun(one, key)
            self._running.append((key, activation))
            found.append((activation, site, at))
        return Where(tuple(found))

    def _begun(self, frame: FrameType, key: tuple[int, int]) -> int:
        """A number for a frame that was not in the stack before; a generator's may come back."""
        if frame.f_code.co_flags & _RESUMED and key in self._resumed:
            return self._resumed[key]
        self._activations += 1
        if frame.f_code.co_flags & _RESUMED:
            self._resumed[key] = self._activations
        return self._activations
