"""The healthy programs: scripts that sample from z0 with an installed library, or by hand."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

_LIBRARIES = ("diffusers", "k_diffusion", "torchdiffeq", "azula", "res", "by_hand")


@dataclass(frozen=True, slots=True)
class Program:
    """One script. `modules` are those of its library whose text may be changed too.

    A `descent` optimises z0 for some turns and collects `losses`; any other calls backward once.
    """

    name: str
    library: str
    text: str
    modules: tuple[str, ...] = ()
    descent: bool = False


def catalogue() -> list[Program]:
    """Every program, in a fixed order."""
    return [
        program
        for library in _LIBRARIES
        for program in import_module(f"{__name__}.{library}").programs()
    ]
