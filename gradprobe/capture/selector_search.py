"""Finds the code that selectors and clocks mean, and what to say of a selector left unmatched."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from types import CodeType, FrameType
from typing import Any

from gradprobe.capture.stage_selectors import Clock, Selector, covers, plain


class Search:
    """Finds the code that selectors mean; of declared ones, keeps what a report on them needs."""

    def __init__(self, selectors: Sequence[Selector]) -> None:
        self.selectors = selectors  # those that the user declared
        self.matched: set[Selector] = set()  # those whose variable became a stage
        self.unmet: set[Selector] = set(selectors)  # those whose function was not called yet
        self._places: set[tuple[str, str]] = set()  # file and module of all code that ran
        self._functions: dict[Selector, dict[str, bool]] = {s: {} for s in selectors}
        self._variables: dict[Selector, set[str]] = {}
        self._adapted: dict[str, list[Selector | Clock]] = {}  # by place
        self._in_file: dict[tuple[str, str], list[Selector | Clock]] = {}

    def add(self, more: Sequence[Selector | Clock]) -> None:
        """Look for an adapter's selectors and clocks too."""
        for one in more:
            self._adapted.setdefault(one.place, []).append(one)
        self._in_file.clear()

    def chosen(self, frame: FrameType) -> tuple[list[Selector], list[Clock]]:
        """Those that name a variable of the function of `frame`."""
        code = frame.f_code
        module = _module(frame.f_globals)
        self._places.add((code.co_filename, module))
        selectors = [s for s in self.selectors if self._names(s, code, module)]
        clocks: list[Clock] = []
        name, variables = plain(code.co_qualname), None
        for one in self._known(code.co_filename, module):
            if one.function == name or ("*" in one.function and fnmatchcase(name, one.function)):
                variables = variables_of(code) if variables is None else variables
                if one.variable not in variables:
                    continue
                if isinstance(one, Selector):
                    selectors.append(one)
                else:
                    clocks.append(one)
        return selectors, clocks

    def _known(self, file: str, module: str) -> Sequence[Selector | Clock]:
        """What adapters know of a file; decided once for each."""
        if not self._adapted:
            return ()
        found = self._in_file.get((file, module))
        if found is None:
            found = self._in_file[file, module] = [
                one
                for place, ones in self._adapted.items()
                if covers(place, file, module)
                for one in ones
            ]
        return found

    def _names(self, selector: Selector, code: CodeType, module: str) -> bool:
        """Whether a declared selector names a variable of this function; remembers what is near."""
        if not selector.covers(code.co_filename, module):
            return False
        known = self._functions[selector]
        for function in _within(code):
            known.setdefault(function, False)
        name = plain(code.co_qualname)
        known[name] = True
        if name != selector.function:
            return False
        self.unmet.discard(selector)
        variables = variables_of(code)
        self._variables.setdefault(selector, set()).update(variables)
        return selector.variable in variables

    def unmatched(self) -> Iterator[str]:
        """A sentence for each selector that gave no stage, with the nearest names there are."""
        for selector in self.selectors:
            if selector not in self.matched:
                yield f"stage selector {selector}: {self._why(selector)}"

    def _why(self, selector: Selector) -> str:
        place, function = selector.place, selector.function
        functions = self._functions[selector]
        if not functions:
            return f"no code of {place} ran{_nearest(place, set(self._like(place)), 0.8)}"
        if function not in functions:
            return f"no function {function} in {place}{_nearest(function, functions)}"
        if not functions[function]:
            return f"{function} in {place} was not called"
        variables = self._variables[selector]
        if selector.variable not in variables:
            near = _nearest(selector.variable, variables)
            return f"no variable {selector.variable} in {function}{near}"
        return f"no tensor was assigned to {selector.variable} in {function}"

    def _like(self, place: str) -> Iterator[str]:
        """What ran, named as `place` is: modules, or endings of paths with as many parts."""
        for file, module in self._places:
            if module.startswith("gradprobe.capture"):
                continue  # no sampler of anybody's
            if place.endswith(".py"):
                yield "/".join(file.replace(os.sep, "/").split("/")[-len(place.split("/")) :])
            elif module:
                yield module


def variables_of(code: CodeType) -> set[str]:
    """Names that code of this object can bind; of a module or class body, all that it names."""
    names = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    return names if code.co_flags & inspect.CO_OPTIMIZED else names | {*code.co_names}


def _within(code: CodeType) -> Iterator[str]:
    """The functions that are defined inside `code`, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield plain(constant.co_qualname)
            yield from _within(constant)


def _module(names: Mapping[str, Any]) -> str:
    """The module's name; of a program run by `python -m`, the name that it was asked for by."""
    spec = names.get("__spec__")
    found = getattr(spec, "name", None) or names.get("__name__")
    return found if isinstance(found, str) else ""


def _nearest(name: str, known: Mapping[str, bool] | set[str], alike: float = 0.6) -> str:
    near = get_close_matches(name, sorted(known), n=3, cutoff=alike)
    return f"; nearest: {', '.join(near)}" if near else ""
