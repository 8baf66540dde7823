"""Lines of the strip: within their width, nothing left out, broken where it reads best."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gradprobe.render.strip import Word, strip
from gradprobe.render.strip_lines import lines
from tests.render.samples import broken

WORDS = st.builds(
    Word,
    text=st.text(st.characters(categories=("L", "N")), min_size=1, max_size=15),
    state=st.just("live"),
    off=st.booleans(),
    before=st.sampled_from(("", "[step 1: ")),
)


def shown(found: list[list[Word]]) -> list[str]:
    return [" ".join(word.shown for word in line) for line in found]


@given(st.lists(WORDS, max_size=12), st.integers(60, 100), st.integers(0, 6))
def test_no_word_is_lost_and_no_line_too_long(words: list[Word], width: int, hanging: int) -> None:
    arrows = [part for word in words for part in (Word("-->", "live", arrow=True), word)]
    for told in (words, arrows):
        found = lines(told, width, hanging)
        assert [each for line in found for each in line] == told
        for number, line in enumerate(shown(found)):
            assert cell_len(line) <= width - (hanging if number else 0)


def test_a_line_ends_before_an_arrow() -> None:
    assert shown(lines(strip(broken()), 72, 2)) == [
        "z0 --> start_state",
        "--x GP102..> [steps 0-2: step_input, denoised_output, step_noise]",
        "..> [step 3: step_input, denoised_output] ..> final_output ..> loss",
    ]


def test_what_fits_no_line_is_broken_between_its_stages() -> None:
    assert shown(lines(strip(broken()), 60, 2)) == [
        "z0 --> start_state --x GP102..> [steps 0-2: step_input,",
        "denoised_output, step_noise]",
        "..> [step 3: step_input, denoised_output] ..> final_output",
        "..> loss",
    ]


def test_a_word_that_fits_nowhere_is_cropped() -> None:
    found = shown(lines([Word("n" * 90, "live"), Word("m" * 90, "live", off=True)], 40, 4))
    assert [len(line) for line in found] == [40, 36]
    assert found[1].startswith("x mmm")
    assert all(line.endswith("...") for line in found)
