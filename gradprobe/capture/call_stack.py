"""Where in the source an op was called, at the price of two attributes: `(code, lasti)`.

Numbers are given to places as they are first met; they become file, line and column only when the
trace is built.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from types import CodeType, FrameType

import torch

import gradprobe
from gradprobe.records.sampling import Where

# Tensor plumbing that users do not think of as theirs: the frame that called it says more.
PLUMBING = ("torch", "numpy", "einops", "opt_einsum", "functorch", "jaxtyping", "beartype")


def _folders() -> tuple[str, ...]:
    site = os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__)))
    own = os.path.dirname(os.path.abspath(gradprobe.__file__))
    inside = [os.path.join(site, name) for name in PLUMBING]
    inside += [os.path.join(own, room) for room in ("capture", "stage_marks.py", "probe.py")]
    inside += [os.path.join(own, "target.py"), os.path.join(own, "cli")]
    # With the separator: `torch` alone is also a prefix of torchdiffeq.
    return tuple(f if f.endswith(".py") else f + os.sep for f in inside)


class CallStack:
    """Numbers for places in code. Place 0 is nowhere: no frame of user code was on the stack."""

    __slots__ = ("_folders", "_library", "_site_packages", "codes", "places", "sites")

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

    def learn(self, code: CodeType) -> dict[int, int] | None:
        self.codes.append(code)
        known: dict[int, int] | None = None if self.is_plumbing(code.co_filename) else {}
        self.sites[id(code)] = known
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
                known = self.learn(code)
            if known is not None:
                lasti = frame.f_lasti
                number = known.get(lasti)
                return self.enter(code, lasti, known) if number is None else number
            frame = frame.f_back
        return 0

    def is_near(self, frame: FrameType | None, further: int) -> bool:
        """Whether user code is at `frame`, or as few frames further up."""
        for _ in range(further + 1):
            if frame is None:
                return False
            code = frame.f_code
            known = self.sites[id(code)] if id(code) in self.sites else self.learn(code)
            if known is not None:
                return True
            frame = frame.f_back
        return False

    def enter(self, code: CodeType, lasti: int, known: dict[int, int]) -> int:
        number = known[lasti] = len(self.places)
        self.places.append((code, lasti))
        return number

    def place_of(self, frame: FrameType, lasti: int) -> int:
        """The number of instruction `lasti` in `frame`; where that is plumbing, of the caller."""
        code = frame.f_code
        known = self.sites[id(code)] if id(code) in self.sites else self.learn(code)
        if known is None:
            return self.place(frame.f_back)
        return known.get(lasti) or self.enter(code, lasti, known)

    def here(self, depth: int = 1) -> int:
        return self.place(sys._getframe(depth + 1))

    def stack(self, frame: FrameType | None) -> Where:
        """Every frame of user code at or above `frame`, outermost first."""
        found: list[tuple[int, int, int]] = []
        while frame is not None:
            code = frame.f_code
            known = self.sites[id(code)] if id(code) in self.sites else self.learn(code)
            if known is not None:
                lasti = frame.f_lasti
                site = known.get(lasti) or self.enter(code, lasti, known)
                found.append((id(frame), site, lasti))
            frame = frame.f_back
        found.reverse()
        return Where(tuple(found))
