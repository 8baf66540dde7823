"""Places in source, each there once: a page shows the same line many times."""

from __future__ import annotations

from typing import Any

from gradprobe.records.source import Frame
from gradprobe.render.html.markup import spans, words
from gradprobe.render.plain import short_path


class Frames:
    """Numbers frames and their files. Paths are relative to `base` (None: current directory)."""

    def __init__(self, base: str | None) -> None:
        self._base = base
        self._files: dict[str, int] = {}
        self._numbers: dict[Frame, int] = {}
        self._told: list[list[Any]] = []

    def number(self, frame: Frame | None) -> int | None:
        """The number of a frame; None of none."""
        if frame is None:
            return None
        known = self._numbers.get(frame)
        if known is None:
            known = self._numbers[frame] = len(self._told)
            function = words(frame.function, 200)
            place = [self.file(frame.file), frame.line, frame.col + 1, function]
            self._told.append([*place, *(spans(frame) if frame.source.strip() else ())])
        return known

    def file(self, name: str) -> int:
        """The number of a file."""
        return self._files.setdefault(name, len(self._files))

    def told(self) -> dict[str, Any]:
        """For the page: files, and of each frame its file, line, column, function and line."""
        files = [words(short_path(name, self._base)) for name in self._files]
        return {"files": files, "frames": self._told}
