"""Comments to gradprobe in source text: `x = x.detach()  # gradprobe: allow GP101`."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator, Sequence

from gradprobe.records.source import Remark

_WORD = "gradprobe"
_BETWEEN = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def remarks_in(file: str, lines: Sequence[str]) -> Iterator[Remark]:
    """Every such comment, with the lines of the statement that it stands in.

    Text is taken apart as Python does it, so that a string which holds the same words is none.
    What cannot be taken apart to its end, a cell with the magic of a notebook say, gives those
    before that place.
    """
    text = "".join(lines)
    if _WORD not in text:
        return
    first = 0  # line of the statement that is being read; 0 between statements
    waiting: list[tuple[int, str]] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            line = token.start[0]
            if token.type == tokenize.COMMENT:
                ours = [(line, words) for words in _ours(token.string)]
                if first:
                    waiting += ours
                else:
                    yield from (Remark(file, line, line, line, words) for _, words in ours)
            elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                yield from (Remark(file, at, first, line, words) for at, words in waiting)
                first, waiting = 0, []
            elif not first and token.type not in _BETWEEN:
                first = line
    except (tokenize.TokenError, SyntaxError):
        return


def _ours(comment: str) -> Iterator[str]:
    """What follows `gradprobe:` in a comment, that may hold others: `# noqa  # gradprobe: ...`."""
    for part in comment.split("#"):
        word, colon, rest = part.strip().partition(":")
        if colon and word.rstrip() == _WORD:
            yield rest.strip()
