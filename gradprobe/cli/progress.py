"""What `gradprobe` is at, in the lowest row of the terminal, while that takes more than a moment.

While a program runs, the line is written by what records it (`Probe(progress=...)`): no thread,
no timer. When it is over, a thread of ours keeps the clock going while a report is made.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import TracebackType
from typing import Self

from gradprobe.cli.bottom_row import BottomRow
from gradprobe.records import progress
from gradprobe.records.progress import Progress

_DIM = "\x1b[2m"
_NAME = "gradprobe: "


class ProgressLine:
    """The line, on a terminal that is standard error, and nothing elsewhere or if not `wanted`.

    As a context it gives the row back at its end, however that came.
    """

    def __init__(self, wanted: bool = True, *, color: bool = True) -> None:
        self._row = BottomRow(sys.stderr if wanted else None)
        self._style = _DIM if color else ""
        if self._row.open:  # loaded now, so that nothing is imported while a program runs
            import_module("gradprobe.render.plain")

    @property
    def listener(self) -> Callable[[Progress], None] | None:
        """For `Probe(progress=...)`: shows how far the run is; None where nobody looks."""
        return self.tell if self._row.open else None

    def tell(self, seen: Progress) -> None:
        width = self._row.width()
        if width:
            self.show(sentence(seen, width - len(_NAME)))

    def show(self, what: str) -> None:
        width = self._row.width()
        if width:
            from gradprobe.render.plain import cropped

            self._row.show(cropped(f"{_NAME}{what}", width), self._style)

    def clear(self) -> None:
        self._row.clear()

    @contextmanager
    def working(self, what: str, more: Callable[[], str] | None = None) -> Iterator[None]:
        """Show `what` with its time once it takes longer, or with what `more` then says.

        For work of gradprobe's own, not around the program's: it starts a thread.
        """
        if not self._row.open:
            yield
            return
        over = threading.Event()
        began = time.perf_counter()

        def keep_showing() -> None:
            wait = progress.AFTER
            while not over.wait(wait):
                told = more() if more is not None else ""
                self.show(f"{what}, {told or clock(time.perf_counter() - began)}")
                wait = progress.EVERY

        thread = threading.Thread(target=keep_showing, name="gradprobe progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._row.close()


NO_LINE = ProgressLine(wanted=False)


def sentence(seen: Progress, cells: int) -> str:
    """How far a run is: `12 calls of UNet, in backward pass 3, 48,210 ops, 0:42, 4.1 MB ...`.

    In few cells the words go that can be spared.
    """
    from rich.cells import cell_len

    from gradprobe.render.plain import size

    passes = "in backward pass" if seen.in_backward else "backward passes:"
    records = size(seen.record_bytes)
    said = ""
    for module, of in ((f" of {seen.module}", " of records"), (f" of {seen.module}", ""), ("", "")):
        parts = [f"{seen.calls:,} calls{module}"] if seen.calls else []
        parts += [f"{passes} {seen.passes:,}"] if seen.passes else []
        norm = f"|grad| {seen.norm:.1e}" if seen.norm is not None and seen.passes > 1 else ""
        parts += [norm] if norm else []
        parts += [f"{seen.ops:,} ops", clock(seen.seconds), f"{records}{of}"]
        said = ", ".join(parts)
        if cell_len(said) <= cells:
            break
    return said


def clock(seconds: float) -> str:
    """`0:05`, `12:34` or `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
