"""DOT that any Graphviz reads, with a program's strings only ever as strings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gradprobe.records.picture import Box, Picture
from gradprobe.render.layout import lay_out
from tests.render.hostile import SNIPPETS
from tests.render.samples import SAMPLES, broken


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_look_like_this(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.dot", SAMPLES[name]().render("dot"))


def test_direction_is_an_option() -> None:
    assert "rankdir=LR" in broken().render("dot")
    assert "rankdir=TB" in broken().render("dot", rankdir="TB")


@pytest.mark.parametrize("text", SNIPPETS)
def test_a_key_may_hold_anything(text: str) -> None:
    picture = Picture((Box(text, "leaf", text, text, "live"),))
    dot = replace(broken(), picture=picture, headline=text).render("dot")
    assert lay_out(dot, "pure").count('class="node"') == 1
