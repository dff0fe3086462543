"""The ``gnnrec`` command. Each file here without an underscore is a command: the function with the name of the file.

Heavy imports are inside these functions, so that help is quick. A file may name the class of its command: ``Command``.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import gnnrec
from gnnrec.cli._output import errors, replace_unencodable_characters, say
from gnnrec.registry import load_plugins

FIRST = (
    "train",
    "evaluate",
    "benchmark",
    "recommend",
    "shell",
    "predict",
    "search",
    "similar",
    "features",
    "fetch",
    "tune",
    "analyze",
    "download",
    "prepare",
    "map",
    "export",
    "index",
    "serve",
)
"""Order in ``gnnrec --help``; other commands follow."""


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
    rich_markup_mode="markdown" if sys.stdout is not None and sys.stdout.isatty() else None,  # plain text in a pipe
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

    Start with `gnnrec train --dataset sample`, then `gnnrec recommend runs/latest --user 1`. Tables are plain text when
    piped; --json, --csv and --out FILE keep full precision.
    """
    replace_unencodable_characters()
    with errors():
        load_plugins(plugin or [])


def _place(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)


for _name in sorted((name for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")), key=_place):
    _module = importlib.import_module(f"{__name__}.{_name}")
    app.command(_name, cls=getattr(_module, "Command", TyperCommand))(getattr(_module, _name))
