"""What the benchmark scripts share: a console, reading data, and the command line that a result records."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

import gnnrec
from gnnrec.features import load_features, read_embeddings

console = Console(soft_wrap=True)
NOT_RECORDED = ("data_dir", "json")
"""Options that say where files lie on one machine."""


def read_dataset(name: str, data_dir: Path | None, features: Iterable[str] | None) -> gnnrec.Dataset:
    """Load a dataset with content embeddings: folders of `gnnrec features`, or ``NAME=FILE``."""
    dataset = gnnrec.load_dataset(name, data_dir=data_dir)
    found: dict[str, gnnrec.ContentEmbeddings] = {}
    for given in features or ():
        modality, equals, file = given.partition("=")
        found |= {modality: read_embeddings(file)} if equals else load_features(given)
    return dataset.with_features(**found) if found else dataset


def script_line(
    script: str,
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    *,
    positional: Sequence[str] = (),
    together: Container[str] = (),
) -> str:
    """Return the command of a script with the options that differ from their defaults.

    Absolute paths are reduced to their last part.

    Parameters
    ----------
    script : str
        Path of the script from the root of the repository.
    parser : argparse.ArgumentParser
    arguments : argparse.Namespace
    positional : sequence of str
        Names of positional arguments; they come first.
    together : container of str
        Options that take several values at once; any other list is an option that was repeated.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> for name, action in {"--set": "append", "--split": "store", "--seeds": "store", "--fast": "store_true"}.items():
    ...     _ = parser.add_argument(name, action=action)
    >>> given = parser.parse_args(["--set", "a=1", "--set", "b=2", "--split", "/home/me/m1", "--fast"])
    >>> script_line("benchmarks/my.py", parser, given)
    'python benchmarks/my.py --set a=1 --set b=2 --split m1 --fast'
    """
    words = ["python", script, *(str(getattr(arguments, name)) for name in positional)]
    for name, value in vars(arguments).items():
        if name in (*positional, *NOT_RECORDED) or value == parser.get_default(name):
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
    values = value if isinstance(value, list | tuple) else [value]
    return [Path(one).name if Path(str(one)).is_absolute() else str(one) for one in values]
