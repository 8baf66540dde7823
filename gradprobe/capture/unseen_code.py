"""What tells that code may run which no function mode sees: threads, extensions, other processes.

Only then may a tensor that no op made have been made from a leaf, and only then is it worth the
time to look which tensors were there before.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gradprobe.capture.patches import Patches

_HARMLESS = frozenset({"tqdm"})
_SUFFIXES = tuple(EXTENSION_SUFFIXES)
# By name the modules that were looked at, and those of them that take tensors: there are thousands.
_seen: set[str] = set()
_found: set[str] = set()


class UnseenCode:
    """Watches for it, and tells `begins` before it runs: once, or again without harm."""

    def __init__(self, begins: Callable[[], None]) -> None:
        self.begins = begins

    def install(self, patches: Patches) -> None:
        """Look at what is there already, and be told of what comes."""
        others = (t for t in threading.enumerate() if t is not threading.current_thread())
        if not all(map(_is_harmless, others)) or _extension_is_loaded():
            self.begins()
        if dist.is_available():  # a DTensor wraps its local tensor in C++
            if dist.is_initialized():
                self.begins()
            patches.attribute(dist, "init_process_group", self._before)
        patches.method(threading.Thread, "start", self._starts)
        patches.method(ExtensionFileLoader, "exec_module", self._loads)
        patches.static_method(Tensor, "_make_wrapper_subclass", self._before)
        patches.attribute(torch._C, "DisableTorchFunction", self._before)

    def _before(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.begins()
            return original(*args, **kwargs)

        return call

    def _starts(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def start(thread: threading.Thread) -> None:
            if not _is_harmless(thread):
                self.begins()
            original(thread)

        return start

    def _loads(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def exec_module(loader: Any, module: ModuleType) -> Any:
            result = original(loader, module)
            if _takes_tensors(module):
                self.begins()
            return result

        return exec_module


def _is_harmless(thread: threading.Thread) -> bool:
    """Whether a thread is of a library whose threads touch no tensor, such as a progress bar's."""
    return type(thread).__module__.partition(".")[0] in _HARMLESS


def _extension_is_loaded() -> bool:
    new = sys.modules.keys() - _seen
    _seen.update(new)
    _found.update(name for name in new if _takes_tensors(sys.modules.get(name)))
    return any(name in sys.modules for name in _found)


def _takes_tensors(module: Any) -> bool:
    """Whether a module is a compiled one, not torch's, whose functions' signatures name tensors."""
    names = getattr(module, "__dict__", None)
    file = names.get("__file__") if isinstance(names, dict) else None
    if not names or not isinstance(file, str) or not file.endswith(_SUFFIXES):
        return False
    if str(names.get("__name__")).partition(".")[0] == "torch":
        return False
    return any(map(_names_a_tensor, list(names.values())))


def _names_a_tensor(thing: Any) -> bool:
    """As pybind11 writes it: `forward(arg0: torch.Tensor) -> torch.Tensor`."""
    said = getattr(thing, "__doc__", None) if callable(thing) else None
    return isinstance(said, str) and ("torch.Tensor" in said or "at::Tensor" in said)
