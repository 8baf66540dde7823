"""gradprobe: where did the gradient go?

Importing this package imports neither torch nor anything else that is slow: public names are
looked up on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradprobe.autograd_dot import make_dot as make_dot
    from gradprobe.errors import GradientLost as GradientLost
    from gradprobe.errors import GradprobeError as GradprobeError
    from gradprobe.errors import UsageError as UsageError
    from gradprobe.probe import Probe as Probe
    from gradprobe.records.codec import load as load
    from gradprobe.records.report import Report as Report
    from gradprobe.stage_marks import tap as tap

__version__ = "0.1.0"

_PLACES = {
    "GradientLost": "gradprobe.errors",
    "GradprobeError": "gradprobe.errors",
    "Probe": "gradprobe.probe",
    "Report": "gradprobe.records.report",
    "UsageError": "gradprobe.errors",
    "load": "gradprobe.records.codec",
    "make_dot": "gradprobe.autograd_dot",
    "tap": "gradprobe.stage_marks",
}

__all__ = [
    "GradientLost",
    "GradprobeError",
    "Probe",
    "Report",
    "UsageError",
    "__version__",
    "load",
    "make_dot",
    "tap",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
