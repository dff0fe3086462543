"""The ``gnnrec`` command. Each command is a file; heavy imports are inside the functions, so that help is quick."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import gnnrec
from gnnrec.cli._output import errors, never_fail_on_titles, say
from gnnrec.cli.analyze import analyze
from gnnrec.cli.features import features
from gnnrec.cli.fetch import fetch
from gnnrec.cli.recommend import predict, recommend
from gnnrec.cli.search import search
from gnnrec.cli.similar import draw_map, similar
from gnnrec.cli.train import benchmark, download, evaluate, train
from gnnrec.cli.tune import tune
from gnnrec.registry import load_plugins


class _Group(TyperGroup):
    """Accepts ``--plugin`` before and after the name of the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        front, rest, words = [], [], iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word == "--plugin":
                front += [word, *[value for value in [next(words, None)] if value is not None]]
            elif word.startswith("--plugin="):
                front.append(word)
            else:
                rest.append(word)
        return super().parse_args(ctx, front + rest)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown" if sys.stdout is not None and sys.stdout.isatty() else None,  # plain in a pipe
)


def _version(value: bool) -> None:
    if value:
        say(f"gnnrec {gnnrec.__version__}")
        raise typer.Exit


@app.callback()
def main(
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", help="Module or .py file that registers extensions. Can be repeated."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Inductive graph-neural-network recommendations for movies.

    Start with `gnnrec train --dataset sample`, then `gnnrec recommend runs/latest --user 1`. Tables are plain text in a
    pipe; --json, --csv and --out FILE write all digits.
    """
    never_fail_on_titles()
    with errors():
        load_plugins(plugin or [])


for _command in (
    train,
    evaluate,
    benchmark,
    recommend,
    predict,
    search,
    similar,
    features,
    fetch,
    tune,
    analyze,
    download,
):
    app.command()(_command)
app.command("map")(draw_map)
