"""Thinning drops arrows and never a connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.render.thin import thinned

COUNT = 9
BOXES = tuple(Box(str(i), "op", "x", "", "live") for i in range(COUNT))
KEYS = st.sampled_from([box.key for box in BOXES])
ARROWS = st.lists(
    st.builds(
        Arrow,
        KEYS,
        KEYS,
        st.sampled_from(("live", "lost", "cut")),
        st.sampled_from(("", "", "", "a label")),
        st.sampled_from((None, None, 0, 1)),
    ),
    max_size=40,
).map(tuple)


def connected(arrows: tuple[Arrow, ...], state: str) -> set[tuple[str, str]]:
    """All pairs that arrows of one state connect, by Warshall's algorithm."""
    pairs = {(a.tail, a.head) for a in arrows if a.state == state}
    for middle in (box.key for box in BOXES):
        into = [tail for tail, head in pairs if head == middle]
        out = [head for tail, head in pairs if tail == middle]
        pairs |= {(tail, head) for tail in into for head in out}
    return pairs


@given(ARROWS)
def test_what_was_connected_stays_connected(arrows: tuple[Arrow, ...]) -> None:
    kept = thinned(Picture(BOXES, arrows))
    for state in ("live", "lost"):
        assert connected(kept, state) == connected(arrows, state)


@given(ARROWS)
def test_labels_and_cuts_without_a_finding_stay(arrows: tuple[Arrow, ...]) -> None:
    def must(arrow: Arrow) -> bool:
        return arrow.finding is None if arrow.state == "cut" else bool(arrow.label)

    kept = thinned(Picture(BOXES, arrows))
    assert [a for a in kept if must(a)] == [a for a in arrows if must(a)]


def around(arrows: tuple[Arrow, ...], cut: Arrow) -> set[tuple[str, str]]:
    """The ends that a chain through one cut arrow connects."""
    pairs = {(a.tail, a.head) for a in arrows if a.state != "cut" and a.tail < a.head}
    reach = connected(tuple(Arrow(t, h, "live") for t, h in pairs), "live")
    before = {cut.tail, *(tail for tail, head in reach if head == cut.tail)}
    after = {cut.head, *(head for tail, head in reach if tail == cut.head)}
    return {(tail, head) for tail in before for head in after}


@given(ARROWS)
def test_a_cut_arrow_goes_only_where_the_same_finding_cuts_the_way(
    arrows: tuple[Arrow, ...],
) -> None:
    kept = thinned(Picture(BOXES, arrows))
    for arrow in arrows:
        if arrow.state == "cut" and arrow not in kept:
            same = [a for a in kept if a.state == "cut" and a.finding == arrow.finding]
            assert any((arrow.tail, arrow.head) in around(kept, a) for a in same)


@given(ARROWS)
def test_each_finding_that_cuts_still_shows(arrows: tuple[Arrow, ...]) -> None:
    kept = thinned(Picture(BOXES, arrows))
    assert {a.finding for a in kept if a.state == "cut"} == {
        a.finding for a in arrows if a.state == "cut"
    }


@given(ARROWS)
def test_no_drawn_arrow_is_told_by_the_others(arrows: tuple[Arrow, ...]) -> None:
    forward = tuple(a for a in arrows if a.tail < a.head and a.state != "cut" and not a.label)
    kept = thinned(Picture(BOXES, forward))
    for index, arrow in enumerate(kept):
        others = kept[:index] + kept[index + 1 :]
        assert (arrow.tail, arrow.head) not in connected(others, arrow.state)


def test_each_step_feeding_all_later_ones_becomes_a_chain_with_its_bypass() -> None:
    pairs = [(i, j) for i in range(COUNT) for j in range(i + 1, COUNT)]
    arrows = tuple(
        Arrow(str(i), str(j), "cut" if (i, j) == (3, 4) else "live")
        for i, j in pairs
        if j != 4 or i == 3
    )
    kept = {(a.tail, a.head, a.state) for a in thinned(Picture(BOXES, arrows))}
    chain = {(str(i), str(i + 1), "cut" if i == 3 else "live") for i in range(COUNT - 1)}
    assert kept == chain | {("3", "5", "live")}


def test_an_arrow_to_no_box_is_left_out() -> None:
    assert thinned(Picture(BOXES[:1], (Arrow("0", "gone", "live"),))) == ()
