"""The command line: one file per command, imported only when that command is asked for.

Nothing in this room imports torch before a program is to be run, so that `render`, `explain`,
`schema`, `--version` and every `--help` answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

import gradprobe
from gradprobe.cli import streams
from gradprobe.cli.outputs import USAGE
from gradprobe.errors import GradprobeError

CRASH = 70  # EX_SOFTWARE: a fault of gradprobe itself
INTERRUPTED = 130
CLOSED_PIPE = 141  # what a shell reports for a program that SIGPIPE ended

COMMANDS = ("trace", "watch", "render", "view", "diff", "explain", "schema", "selftest")

EPILOG = """\b
Examples:
  gradprobe trace run.py --steps 4        name the line that lost the gradient
  gradprobe trace -o graph.svg run.py     and draw it
  gradprobe explain GP102                 what a finding means, and its cure"""


class Commands(click.Group):
    """The commands of this room: the module `gradprobe.cli.NAME` holds the command `NAME`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gradprobe.cli.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            result: object = super().invoke(ctx)
            with suppress(AttributeError, ValueError):  # a traced program may have closed it
                sys.stdout.flush()
        except BrokenPipeError:  # click's own answer is code 1, which means a finding here
            streams.forget_stdout()
            ctx.exit(CLOSED_PIPE)
        return result


def _print_version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    python = ".".join(map(str, sys.version_info[:3]))
    click.echo(f"gradprobe {gradprobe.__version__} (torch {torch}, Python {python})")
    ctx.exit()


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the versions of gradprobe, torch and Python.",
)
def gradprobe_command() -> None:
    """Name the line where a PyTorch program loses the gradient of a tensor."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: `sys.argv[1:]`) and return its exit code.

    A wrong request is one line on standard error and code 2; a fault of gradprobe itself is one
    line and code 70 (with `GRADPROBE_DEBUG=1`, the whole traceback).
    """
    try:
        code = gradprobe_command.main(arguments, prog_name="gradprobe", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        streams.complain(_click_message(error))
        return USAGE
    except GradprobeError as error:
        streams.complain(error)
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("GRADPROBE_DEBUG"):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        streams.complain(
            f"internal error: {type(error).__name__}: {error} "
            f"({Path(last.filename).name}:{last.lineno}); GRADPROBE_DEBUG=1 shows the traceback"
        )
        return CRASH
    return code if isinstance(code, int) else 0


def _click_message(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message}; see {context.command_path} --help" if context else message
