"""How wide an arrow is drawn: by the norm of the gradient that runs back along it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gradprobe.records.picture import Arrow, Picture

_PLAIN = 1.4  # points, where nothing is known of the gradient
_CUT = 2.4  # it is the one to be seen at once
_WIDEST, _NARROWEST = 3.8, 0.8
_A_DECADE = 0.7  # so many points for each factor of ten below the largest
_ALIKE = 3.0  # norms that differ by no more than this factor are drawn alike


@dataclass(frozen=True, slots=True)
class Widths:
    """`log_norm` is the common logarithm of the norm of the gradient at each box's output.

    Only live arrows have a width of their own: what else there is has a norm of zero, or none.
    """

    log_norm: Mapping[str, float]
    top: float

    @classmethod
    def of(cls, picture: Picture) -> Widths:
        """From the norms of a picture's boxes; none where they all are about the same."""
        known = {
            box.key: math.log10(box.norm)
            for box in picture.boxes
            if box.norm is not None and 0 < box.norm < math.inf
        }
        top = max(known.values(), default=0.0)
        if not known or top - min(known.values()) <= math.log10(_ALIKE):
            known = {}
        return cls(known, top)

    @property
    def tell(self) -> bool:
        """Whether widths say anything in this picture."""
        return bool(self.log_norm)

    def along(self, arrow: Arrow) -> float:
        """The width of an arrow in points."""
        if arrow.state == "cut":
            return _CUT
        if arrow.state not in ("live", "partial") or arrow.tail not in self.log_norm:
            return _PLAIN
        below = self.top - self.log_norm[arrow.tail]
        return max(_NARROWEST, _WIDEST - _A_DECADE * below)
