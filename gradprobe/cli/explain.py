"""`gradprobe explain`: the page of a rule, or the list of rules."""

from __future__ import annotations

import click

from gradprobe import diagnose
from gradprobe.cli import streams
from gradprobe.cli.outputs import wants_color
from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UnknownName

WIDEST = 100

EPILOG = """\b
Examples:
  gradprobe explain           list every code
  gradprobe explain GP102     what it means, a program that has it, the cure"""


@click.command(epilog=EPILOG)
@click.argument("code", required=False)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Format and colour the page [default: auto: on a terminal without NO_COLOR].",
)
def explain(code: str | None, color: str) -> None:
    """Explain the finding CODE: what happens, why, and what to do."""
    with streams.report_stream() as stream:
        if code is None:
            for known in sorted(RULES):
                stream.write(f"{known}  {_title(known)}\n")
            return
        page = diagnose.page(_known(code))
        if wants_color(color, stream):
            from rich.console import Console
            from rich.markdown import Markdown

            console = Console(file=stream, force_terminal=True)
            console.print(Markdown(page), width=min(console.width, WIDEST))
        else:
            stream.write(page if page.endswith("\n") else page + "\n")


def _known(code: str) -> str:
    if code.upper() not in RULES:
        raise UnknownName("rule", code, sorted(RULES))
    return code.upper()


def _title(code: str) -> str:
    heading = diagnose.page(code).lstrip().splitlines()[0]
    return heading.lstrip("# ").removeprefix(code).strip(" :")
