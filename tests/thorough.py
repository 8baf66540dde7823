"""What `make test` leaves to `make thorough`: more of the same, for which a change seldom has time.

Each law is tested by either; `make thorough` takes every program and more random ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol, TypeVar
from zlib import crc32

import pytest


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)
THOROUGH = os.environ.get("GRADPROBE_THOROUGH") == "1"

thorough = pytest.mark.skipif(not THOROUGH, reason="takes long: make thorough")


def examples(many: int) -> int:
    """How many random programs: `many`, or a third of them."""
    return many if THOROUGH else -(-many // 3)


def some(items: Iterable[T], of: int = 4) -> list[T]:
    """All, or one in `of`, chosen by their names: always the same."""
    return [i for i in items if THOROUGH or crc32(i.name.encode()) % of == 0]
