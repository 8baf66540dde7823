"""`python -m benchmarks.breaks`: breaks put into healthy samplers, and how many lines are named."""

from __future__ import annotations

import json
import sys
import textwrap
import time

import click
from rich.console import Console
from rich.table import Table

from benchmarks.breaks.bench import SEED, SHARE, Done, perform_all, tasks
from benchmarks.breaks.mutants import Workbench
from benchmarks.breaks.programs import catalogue
from benchmarks.breaks.table import PAGE, RESULT, ROOT, result_of, rows, summary, write_page
from benchmarks.breaks.truth import COUNTS


@click.command(help=__doc__)
@click.option("--seed", default=SEED, show_default=True, help="Another seed, other statements.")
@click.option(
    "--share", default=SHARE, show_default=True, help="How many of its breaks a program gets."
)
@click.option("--sample", type=int, metavar="N", help="So many breaks only, drawn by the seed.")
@click.option("--only", multiple=True, metavar="NAME", help="An operator, library or program.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
@click.option("--show", metavar="MUTANT", help="One mutant, its lines and what is said of it.")
@click.option("--save", is_flag=True, help=f"Write {RESULT.name} and {PAGE.relative_to(ROOT)}.")
def main(
    seed: int,
    share: float,
    sample: int | None,
    only: tuple[str, ...],
    workers: int,
    show: str | None,
    save: bool,
) -> None:
    if show is not None:
        _show(show, seed)
        return
    began = time.perf_counter()
    try:
        todo = tasks(seed, share, only, sample)
    except KeyError as error:
        raise click.UsageError(error.args[0]) from None
    total = len(todo)
    finished = 0

    def tell(done: Done) -> None:
        nonlocal finished
        finished += 1
        missed = [
            one
            for one in done.judged
            if one.score and not (one.score.named and one.score.first and one.score.code)
        ]
        click.echo(f"[{finished}/{total}] {done.program}: {_counted(done)} mutants", err=True)
        for one in missed:
            click.echo(
                f"    {one.mutant.name}: {one.truth}; {one.score and one.score.said}", err=True
            )
        for said in filter(None, (done.alarm, done.unfit)):
            click.echo(f"    healthy: {said}", err=True)

    result = result_of(perform_all(todo, workers, tell), seed)
    heads, table = rows(result)
    shown = Table(*heads, box=None, pad_edge=False)
    for row in table:
        shown.add_row(*row)
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    console.print(shown)
    for line in (*summary(result), f"{time.perf_counter() - began:.0f} s"):
        console.print(line)
    if save:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        write_page(result)


def _counted(done: Done) -> int:
    return sum(one.truth in COUNTS for one in done.judged)


def _show(name: str, seed: int) -> None:
    program, file, line, operator = name.split(":")
    bench = Workbench(next(p for p in catalogue() if p.name == program), seed)
    site, one = bench.find(file, int(line), operator)
    judged = bench.judge(site, one)
    click.echo(textwrap.indent(judged.mutant.text, "    "))
    click.echo(f"in {site.module or 'the script'}, {site.function or 'top level'}: {judged.truth}")
    click.echo(str(judged.score))
    if judged.truth in COUNTS:
        click.echo(bench.report(site, one).render("text"))


if __name__ == "__main__":
    sys.exit(main())
