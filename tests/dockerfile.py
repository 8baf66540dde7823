"""The Dockerfile as data."""

from __future__ import annotations

import json

from tests.fresh_environment import ROOT


def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile in order: (`RUN`, `pip install ...`)."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def values(instruction: str) -> list[str]:
    """What stands behind each use of an instruction."""
    return [rest for word, rest in steps() if word == instruction]


def command(arguments: str) -> str:
    """What `docker run IMAGE arguments` runs inside the container."""
    [entry] = [json.loads(rest) for rest in values("ENTRYPOINT")]
    [default] = [json.loads(rest) for rest in values("CMD")]
    return " ".join([*entry, arguments or " ".join(default)])
