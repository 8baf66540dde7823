"""Names of tests and leaves as names of files, on every file system."""

from __future__ import annotations

import re
from zlib import crc32


def plain(name: str) -> str:
    """The name with a dash for what a file's name should not have."""
    return re.sub(r"[^\w.-]+", "-", name)


def own_name(name: str) -> str:
    """As `plain`, and never the same for two names: `t[a/b]` is not `t[a-b]`."""
    made = plain(name).strip("-")
    return made if made == name else f"{made}-{crc32(name.encode()):08x}"
