"""Options of every command that runs a program: which program, and which tensors are meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gradprobe.cli.outputs import Decorator

as_module_option = click.option(
    "-m", "as_module", is_flag=True, help="TARGET is a module, as in `python -m`."
)
leaf_option = click.option(
    "--leaf",
    "leaves",
    multiple=True,
    metavar="NAME",
    help="Tensor whose gradient is wanted: a variable, or file.py:function:variable. Repeatable. "
    "[default: each that the program made to require grad]",
)
root_option = click.option(
    "--root",
    metavar="NAME",
    help="Tensor that backward starts at. [default: that of the backward call]",
)
denoiser_option = click.option(
    "--denoiser",
    metavar="NAME",
    help="Which call is the denoiser: a module's class, or the variable, attribute or function "
    "that is called. [default: the module that is called again and again]",
)


def target_and_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments `config_file` and `no_config`, and `command`, which is TARGET and its own."""
    decorators: tuple[Decorator, ...] = (
        click.argument("command", nargs=-1, required=True, metavar="TARGET [ARGS]..."),
        click.option("--no-config", is_flag=True, help="Read no pyproject.toml."),
        click.option(
            "--config",
            "config_file",
            type=click.Path(),  # shells complete it
            metavar="FILE",
            help="Read [tool.gradprobe] from FILE. [default: the nearest pyproject.toml that has "
            "it]",
        ),
    )
    for decorate in decorators:
        command = decorate(command)
    return command
