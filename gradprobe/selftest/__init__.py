"""`gradprobe selftest`: the project's first example, run as a check of an installation.

`run` and `Breaks` are looked up on first use, so that the sampler alone can be imported without
the probe.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradprobe.selftest.checks import run as run
    from gradprobe.selftest.program import Breaks as Breaks

_PLACES = {"Breaks": "gradprobe.selftest.program", "run": "gradprobe.selftest.checks"}

__all__ = ["Breaks", "run"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
