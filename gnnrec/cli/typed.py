"""What was typed: the command that made a report, as the report names it.

Where its files lie is nobody else's matter: of an absolute path only the name is told, and where data come from or
results go is not told at all.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import typer

UNTOLD = ("data_dir", "out", "storage", "json")
"""Options that say where something lies."""


def command_line(context: typer.Context) -> str:
    """Return the ``gnnrec`` command that is being run, with the options that were given."""
    words = ["gnnrec", str(context.info_name)]
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is None or source.name != "COMMANDLINE" or parameter.name in UNTOLD:
            continue
        for text in _texts(context.params[str(parameter.name)]):
            words += [text] if parameter.param_type_name == "argument" else [parameter.opts[0], text]
    return shlex.join(words)


def script_line(
    script: str,
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    *,
    positional: Sequence[str] = (),
    together: Container[str] = (),
) -> str:
    """Return the command of a script beside the package, with the options that are not as they are by default.

    Parameters
    ----------
    script : str
        As it is called from the root of the repository.
    parser : argparse.ArgumentParser
        Knows the defaults.
    arguments : argparse.Namespace
        What it read.
    positional : sequence of str
        Names of the arguments that are no options; they come first.
    together : container of str
        Names of options whose values stand behind one another; any other list is an option given several times.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> for name, action in {"--set": "append", "--split": "store", "--seeds": "store", "--fast": "store_true"}.items():
    ...     _ = parser.add_argument(name, action=action)
    >>> given = parser.parse_args(["--set", "a=1", "--set", "b=2", "--split", "/home/me/m1", "--fast"])
    >>> script_line("examples/my.py", parser, given)
    'python examples/my.py --set a=1 --set b=2 --split m1 --fast'
    """
    words = ["python", script, *(str(getattr(arguments, name)) for name in positional)]
    for name, value in vars(arguments).items():
        if name in (*positional, *UNTOLD) or value == parser.get_default(name):
            continue
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif name in together:
            words += [option, *_texts(value)]
        else:
            words += [word for text in _texts(value) for word in (option, text)]
    return shlex.join(words)


def _texts(value: Any) -> list[str]:
    """Return one value, or each of several, as it is told."""
    values = value if isinstance(value, list | tuple) else [value]
    return [Path(one).name if Path(str(one)).is_absolute() else str(one) for one in values]
