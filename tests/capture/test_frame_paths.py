"""Paths into a function's variables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gradprobe.capture.frame_paths import parsed, read
from gradprobe.probe import Probe


class Fragile:
    @property
    def broken(self) -> Any:
        raise RuntimeError("never the program's to bear")


VARIABLES = {
    "self": SimpleNamespace(sigmas=[9.0, 4.0, 1.0, 0.0], index=1, fragile=Fragile()),
    "i": 2,
    "pair": (5, 7),
    "table": {"a": 1, 3: 2},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("i", 2),
        ("self.index", 1),
        ("self.sigmas[0]", 9.0),
        ("self.sigmas[-1]", 0.0),
        ("self.sigmas[i]", 1.0),
        ("self.sigmas[self.index]", 4.0),
        ("self.sigmas[self.index + 1]", 1.0),
        ("self.sigmas[i-1]", 4.0),
        ("self.sigmas[pair[0]-4]", 4.0),
        ("pair[1]", 7),
        ("table[3]", 2),
        ("table['a']", 1),
        # These lead nowhere.
        ("j", None),
        ("self.nothing", None),
        ("self.sigmas[9]", None),
        ("table['b']", None),
        ("self.fragile.broken", None),
        ("pair.x[0]", None),
    ],
)
def test_a_path_is_followed(path: str, found: Any) -> None:
    assert read(path, VARIABLES) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "i.",
        ".i",
        "i[",
        "i[]",
        "i[1",
        "i]",
        "a..b",
        "a[i*2]",
        "a b",
        "a[1]b",
        "a()",
        "a[+1]",
    ],
)
def test_anything_else_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="no path into variables"):
        parsed(text)
    with pytest.raises(ValueError, match="no path into variables"):
        read(text, VARIABLES)


def test_reading_is_no_op_of_the_program() -> None:
    sigmas = torch.linspace(1, 0, 5)
    with Probe() as probe:
        before = len(probe._recorder.journal.head)
        assert read("sigmas[i]", {"sigmas": sigmas, "i": torch.tensor(1)}) == 0.75
        made = len(probe._recorder.journal.head) - before
    assert made == 2  # `torch.tensor(1)` and the comparison, which are this test's own
