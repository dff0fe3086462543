"""What was guessed, renamed, ignored and left out when a dataset was read from files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gnnrec._checks import as_path, counted
from gnnrec._io import write_atomic

MAX_NAMED = 3
"""Maximum number of skipped rows that are listed."""
MAX_LISTED = 6
"""Maximum number of files and columns that are listed by name."""


ABOUT_FILE = "gnnrec.json"
"""File of a folder that `Dataset.to_folder` writes: rating scale and provenance."""


@dataclass(frozen=True)
class Provenance:
    """Where a dataset comes from and what was done to it; ``print`` shows it as a short block of text.

    Attributes
    ----------
    files : tuple of str
        Each file that was read, with how it was read in parentheses, unless it is a plain table.
    assumed : tuple of str
        What was guessed.
    renamed : mapping of str to mapping
        By file, names of columns that were recognized or given, and what they became.
    unused : tuple of str
        Columns and files that are not used.
    left_out : tuple of str
        What is not in the dataset: rows with errors, duplicates; the first three with file and line.
    added : tuple of str
        Rows that are in no file: movies and users that occur in the ratings only.
    warnings : tuple of str
        What may be wrong.

    Examples
    --------
    >>> print(Provenance(files=("ratings.csv (semicolons)", "movies.csv"), assumed=("weight is log(1 + count)",)))
    read: ratings.csv (semicolons); movies.csv
    assumed: weight is log(1 + count)
    """

    files: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"read: {'; '.join(self.files)}"] if self.files else []
        for file, names in self.renamed.items():
            lines.append(f"renamed in {file}: " + ", ".join(f"{old} -> {new}" for old, new in names.items()))
        lines += [f"assumed: {text}" for text in self.assumed]
        lines += self.unused
        lines += [f"left out: {text}" for text in self.left_out]
        lines += [f"added: {text}" for text in self.added]
        lines += [f"warning: {text}" for text in self.warnings]
        return "\n".join(lines)

    @property
    def remarks(self) -> str:
        """The same text, reduced to what may need checking; empty for a dataset in the plain format.

        Plain files, and names that only differ in spelling, such as userId, are left out.
        """
        plain = not any("(" in file for file in self.files) and not self.assumed
        renamed = {
            file: {old: new for old, new in names.items() if _is_new(old, new)} for file, names in self.renamed.items()
        }
        renamed = {file: names for file, names in renamed.items() if names}
        return str(replace(self, files=() if plain else self.files, renamed=renamed))

    @classmethod
    def from_json(cls, parts: Mapping[str, Any]) -> Provenance:
        """Return the provenance that `dataclasses.asdict` turned into JSON values.

        Raises
        ------
        ValueError, TypeError
            The values are other ones.
        """
        values: dict[str, Any] = {name: part if name == "renamed" else tuple(part) for name, part in parts.items()}
        texts = [text for name, part in values.items() if name != "renamed" for text in part]
        for names in values.get("renamed", {}).values():
            texts += [text for pair in names.items() for text in pair]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a part of its provenance is not a text")
        return cls(**values)

    def followed_by(self, later: Provenance) -> Provenance:
        """Return the provenance of files that were read, written in the plain format, and read again.

        Examples
        --------
        >>> first = Provenance(files=("a.csv (tabs)",), assumed=("plays are counts",))
        >>> print(first.followed_by(Provenance(files=("ratings.csv",), warnings=("1 probable mistake",))))
        read: a.csv (tabs)
        assumed: plays are counts
        warning: 1 probable mistake
        """
        joined: dict[str, Any] = {
            name: tuple(dict.fromkeys((*getattr(self, name), *getattr(later, name))))
            for name in ("assumed", "unused", "left_out", "added", "warnings")
        }
        plain = not any("(" in file for file in later.files)
        files = self.files if self.files and plain else (*self.files, *later.files)
        renamed = {**self.renamed, **later.renamed}
        return Provenance(files=files, renamed=renamed, **joined)


NO_PROVENANCE = Provenance()
"""The provenance of a dataset that does not come from files."""


def _is_new(old: str, new: str) -> bool:
    """Return whether a name differs from the canonical one in more than spelling, as userId does not."""
    return "".join(filter(str.isalnum, old.lower())) != new.replace("_", "")


class ReadLog:
    """Collects the steps of reading files into a `Provenance`."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.assumed: list[str] = []
        self.renamed: dict[str, dict[str, str]] = {}
        self.unused_columns: dict[str, list[str]] = {}
        self.unused_files: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.added: list[str] = []
        self._rejected: list[tuple[str, str, str, str]] = []
        self._replaced: list[tuple[str, str]] = []

    def read(self, path: Path, how: Iterable[str]) -> None:
        """Record a file and how it was read."""
        text = ", ".join(how)
        self.files[path.name] = f"{path.name} ({text})" if text else path.name

    def rename(self, path: Path, names: Mapping[object, str]) -> None:
        """Record columns that were renamed."""
        if names:
            self.renamed[path.name] = {str(old): new for old, new in names.items()}

    def assume(self, text: str) -> None:
        """Record a guess."""
        if text not in self.assumed:
            self.assumed.append(text)

    def note(self, text: str) -> None:
        """Record rows that are left out for a reason other than an error."""
        if text not in self.notes:
            self.notes.append(text)

    def add(self, text: str) -> None:
        """Record rows that were added to a table."""
        self.added.append(text)

    def warn(self, text: str) -> None:
        """Record what may be wrong."""
        if text not in self.warnings:
            self.warnings.append(text)

    def reject(self, path: Path, line: str, problem: str, row: str = "") -> None:
        """Record a row that is left out because of an error."""
        self._rejected.append((str(path), line, problem, row))

    def replace(self, location: str, problem: str) -> None:
        """Record a value that became missing because of an error."""
        self._replaced.append((location, problem))

    def extend(self, other: ReadLog) -> None:
        """Add the records of another log."""
        self.files |= other.files
        self.renamed |= other.renamed
        self.unused_columns |= other.unused_columns
        for text in other.assumed:
            self.assume(text)
        for text in other.warnings:
            self.warn(text)
        self.unused_files += other.unused_files
        self.notes += other.notes
        self.added += other.added
        self._rejected += other._rejected
        self._replaced += other._replaced

    def write_rejected(self, path: str | Path) -> None:
        """Write the rows that were left out, with file, line and problem, as a CSV file."""
        self._sort()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "line", "problem", "row"])
        writer.writerows(self._rejected)
        as_path(path, "the file of the report").parent.mkdir(parents=True, exist_ok=True)
        write_atomic(as_path(path, "the file of the report"), text.getvalue().encode())

    def _sort(self) -> None:
        self._rejected.sort(key=lambda entry: (entry[0], int(entry[1])))

    def provenance(self) -> Provenance:
        """Return everything that was recorded."""
        unused = [f"{', '.join(map(repr, names))} of {table}" for table, names in self.unused_columns.items() if names]
        parts = [f"columns not used: {'; '.join(unused)}"] if unused else []
        if self.unused_files:
            parts.append(f"files not used: {listed(self.unused_files)}")
        self._sort()
        left_out = list(self.notes)
        if self._rejected:
            named = [f"{Path(where).name}:{line}: {problem}" for where, line, problem, _ in self._rejected[:MAX_NAMED]]
            left_out.append(f"{counted(len(self._rejected), 'row')} with errors ({_and_more(named, self._rejected)})")
        if self._replaced:
            named = [f"{Path(where).name}: {problem}" for where, problem in self._replaced[:MAX_NAMED]]
            left_out.append(f"{counted(len(self._replaced), 'value')} with errors ({_and_more(named, self._replaced)})")
        return Provenance(
            files=tuple(self.files.values()),
            assumed=tuple(self.assumed),
            renamed=dict(self.renamed),
            unused=tuple(parts),
            left_out=tuple(left_out),
            added=tuple(self.added),
            warnings=tuple(self.warnings),
        )


def _and_more(named: list[str], everything: list[tuple[str, str, str, str]] | list[tuple[str, str]]) -> str:
    return "; ".join([*named, "..."] if len(everything) > len(named) else named)


def listed(names: Iterable[str]) -> str:
    """Return names as a list, cut after six.

    >>> listed("abcdefgh")
    'a, b, c, d, e, f and 2 more'
    """
    names = list(names)
    shown = ", ".join(names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED} more"


def write_about(folder: Path, rating_scale: tuple[float, float] | None, provenance: Provenance) -> None:
    """Write the rating scale and provenance of a dataset into its folder."""
    about = {"rating_scale": rating_scale, "provenance": asdict(provenance)}
    write_atomic(folder / ABOUT_FILE, (json.dumps(about, ensure_ascii=False, indent=2) + "\n").encode())
