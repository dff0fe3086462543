"""What commands print: lines, tables in four formats, errors and warnings of one line each.

On a terminal, a table is drawn with lines. In a pipe or a file it is plain text: one line per row, columns aligned and
two spaces apart, nothing wrapped or cut. Programs should read ``--json``, ``--csv`` or ``--out FILE``, which have all
digits. Everything but results (progress, notes, warnings, errors) goes to standard error. Titles may contain terminal
control codes, which are replaced by escapes in text for people.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gnnrec.errors import UNSAFE, printable

if TYPE_CHECKING:
    import pandas as pd

NOT_RECORDED = ("data_dir", "out", "storage", "json", "csv")
"""Options that depend on the machine, or only change how results are printed."""
FORMATS = (".json", ".csv", ".parquet")


def say(text: str = "") -> None:
    """Print a line to standard output."""
    print(printable(text, longest=sys.maxsize))


def note(text: str) -> None:
    """Print a line to standard error."""
    print(printable(text, longest=sys.maxsize), file=sys.stderr)


def say_protocol(text: str) -> None:
    """Print the protocol of results, one line per part."""
    for part in text.split("; "):
        say(part)


def replace_unencodable_characters() -> None:
    """Replace characters that the terminal cannot encode instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Print errors of the library and of the file system as one line, with exit status 1.

    Warnings, and what the library logs about titles, are printed as a line each.
    """
    from gnnrec.errors import GnnrecError

    with warnings.catch_warnings(), _notes_of("gnnrec.graph.titles"):
        warnings.showwarning = lambda message, *_: note(f"warning: {' '.join(str(message).split())}")
        try:
            yield
        except BrokenPipeError:  # the receiving process closed the pipe
            raise
        except Exception as error:
            if not isinstance(error, (GnnrecError, FloatingPointError, OSError)) and not _is_out_of_memory(error):
                raise
            text = str(error) or "not enough memory"
            if isinstance(error, OSError) and error.strerror and not isinstance(error, GnnrecError):
                text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
            line = "; ".join(part.strip() for part in text.splitlines()).replace(":; ", ": ")
            note(f"error: {line}")
            raise typer.Exit(1) from None


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether memory is missing, which PyTorch reports as a plain RuntimeError."""
    helpers = sys.modules.get("gnnrec._torch")  # is not there before PyTorch is
    return isinstance(error, MemoryError) or (helpers is not None and helpers.is_out_of_memory(error))


@contextlib.contextmanager
def _notes_of(name: str) -> Iterator[None]:
    """Print what a module logs, such as which movie a title was matched to."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = f"note: {record.getMessage()}"
            if line not in seen:  # a title may be looked up twice
                seen.add(line)
                note(line)

    seen: set[str] = set()
    logger, handler = logging.getLogger(name), Notes()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def check_out(out: Path | None) -> None:
    """Reject an output file of an unknown format before the work is done."""
    from gnnrec.errors import ConfigError

    if out is not None and out.suffix.lower() not in FORMATS:
        raise ConfigError(f"cannot write {out}: the file must end in {', '.join(FORMATS)}")


def show(
    values: pd.DataFrame,
    *,
    text: Mapping[str, Sequence[Any]] | None = None,
    title: str = "",
    as_json: bool = False,
    as_csv: bool = False,
    out: Path | None = None,
) -> None:
    """Print a table, or write its values.

    Parameters
    ----------
    values : pandas.DataFrame
        For JSON, CSV and files.
    text : mapping of str to sequence, optional
        Columns for people to read; those of `values` by default.
    title : str
        Printed above a table that people read.
    as_json, as_csv : bool
        Print the values instead.
    out : Path, optional
        Write the values to this file. The table is printed only without a file.
    """
    if out is not None:
        write_values(values, out)
        (note if as_json or as_csv else say)(f"saved in {out}")
    if as_json:
        print(_to_json(values))  # JSON escapes control characters itself
    elif as_csv:
        lines = values.to_csv(index=False, lineterminator="\n")
        sys.stdout.write(printable(lines, longest=sys.maxsize) if sys.stdout.isatty() else lines)
    elif out is None:
        _print_table(text if text is not None else {str(name): values[name].tolist() for name in values}, title)


def write_values(values: pd.DataFrame, out: Path) -> None:
    """Write a frame as JSON, CSV or Parquet, by the ending of the file."""
    from gnnrec._io import write_atomic
    from gnnrec.errors import ConfigError

    out.parent.mkdir(parents=True, exist_ok=True)
    suffix = out.suffix.lower()
    if suffix == ".parquet":
        # A Parquet column has one type: mixed columns, such as user ids, become text.
        texts = {name: str for name in values if values[name].map(type).nunique() > 1 and values[name].dtype == object}
        try:
            data = values.astype(texts).to_parquet(index=False)
        except ImportError:
            raise ConfigError("Parquet files need pyarrow; install it with: pip install 'gnnrec[parquet]'") from None
        write_atomic(out, data)
    elif suffix == ".csv":
        write_atomic(out, values.to_csv(index=False, lineterminator="\n").encode())
    else:
        write_atomic(out, f"{_to_json(values)}\n".encode())


def _to_json(values: pd.DataFrame) -> str:
    """Return a list of records, a line each; numbers keep all their digits and undefined ones are null."""
    columns = {str(name): [_plain(value) for value in values[name].to_numpy()] for name in values}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lines = ",\n".join(f" {json.dumps(record, ensure_ascii=False, allow_nan=False)}" for record in records)
    lines = UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", lines)
    return f"[\n{lines}\n]" if records else "[]"


def _plain(value: Any) -> Any:
    if isinstance(value, float):  # including numpy.float64
        return float(value) if math.isfinite(value) else None
    if type(value).__name__ == "float32":
        return _plain(float(str(value)))  # the shortest representation of the same number
    return value.item() if hasattr(value, "item") else value


def _print_table(columns: Mapping[str, Sequence[Any]], title: str) -> None:
    cells = {name: [_text(value) for value in values] for name, values in columns.items()}
    right = {name for name, values in columns.items() if values and all(_is_number(value) for value in values)}
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(title) or None, title_justify="left", header_style="bold")
        for name in cells:
            table.add_column(escape(name), justify="right" if name in right else "left")
        for row in zip(*cells.values(), strict=True):
            table.add_row(*map(escape, row))
        Console().print(table)
        return
    from rich.cells import cell_len

    if title:
        say(title)
    widths = {name: max(map(cell_len, [name, *values])) for name, values in cells.items()}
    for row in [tuple(cells), *zip(*cells.values(), strict=True)]:
        parts = []
        for name, cell in zip(cells, row, strict=True):
            padding = " " * (widths[name] - cell_len(cell))
            parts.append(padding + cell if name in right else cell + padding)
        say("  ".join(parts).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return "" if value is None else printable(" ".join(str(value).splitlines()), longest=sys.maxsize)


def _is_number(value: Any) -> bool:
    """Return whether a cell starts with a number, as ``1,234`` and ``0.21 ± 0.01`` do, or is empty."""
    words = str(value).split()
    try:
        float(words[0].replace(",", "") if words else 0)
    except ValueError:
        return False
    return len(words) < 2 or words[1] == "±"


def command_line(context: typer.Context) -> str:
    """Return the command that is running, with the options that were given, for reports.

    Absolute paths are reduced to their last part.
    """
    words = ["gnnrec", str(context.info_name)]
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is None or source.name != "COMMANDLINE" or parameter.name in NOT_RECORDED:
            continue
        value = context.params[str(parameter.name)]
        for one in value if isinstance(value, list | tuple) else [value]:
            text = Path(one).name if Path(str(one)).is_absolute() else str(one)
            if one is True:
                words.append(parameter.opts[0])
            else:
                words += [text] if parameter.param_type_name == "argument" else [parameter.opts[0], text]
    return shlex.join(words)
