"""What is said of code that was not seen, where it may have lost the gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradprobe.diagnose.lookalike import lookalike
from gradprobe.graph.doubts import Doubt
from gradprobe.graph.view import View

_NAMED = 3  # places that are told one by one


def sentences(views: Iterable[View]) -> list[str]:
    """One for each way in which values got to the roots unseen."""
    doubts = list(dict.fromkeys(doubt for view in views for doubt in view.doubts))
    found = []
    strangers = [doubt for doubt in doubts if doubt.why == "stranger"]
    if strangers:
        found.append(
            "a tensor that no op was seen to make is part of the result, and whether it was made "
            f"from a leaf is not known: {_places(strangers, 'first used at')}"
        )
    unfilled = [doubt for doubt in doubts if doubt.why == "unfilled"]
    if unfilled:
        found.append(
            "memory was read that no op was seen to write, and whether a leaf's values are in it "
            f"is not known: {_places(unfilled, 'made at')}"
        )
    inside = [doubt for doubt in doubts if doubt.why == "inside" and doubt.name is not None]
    if inside:
        found.append(
            "what ran inside these calls was not seen, each was taken as one op: "
            f"{_places(inside, 'at')}"
        )
    return found


def suspects(view: View) -> Sequence[Doubt]:
    """What may have taken in a leaf that nothing else used, where no look-alike explains it."""
    if view.flow.used or not view.total or view.refused is not None:
        return ()
    found = [doubt for doubt in view.doubts if doubt.why != "inside"]
    instead = lookalike(view) if found else None
    if instead is not None and all(doubt.value != instead.value for doubt in found):
        return ()
    return found


def _places(doubts: Sequence[Doubt], how: str) -> str:
    told = []
    for doubt in doubts[:_NAMED]:
        name = "" if doubt.name is None else f"`{doubt.name}` "
        told.append(f"{name}{how} {doubt.at.place}" if doubt.at is not None else name.strip())
    more = len(doubts) - _NAMED
    return ", ".join(filter(None, told)) + (f" and {more} more" if more > 0 else "")
