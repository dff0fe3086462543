"""Recognizes the separator, quotes and header of a text table from its first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from gnnrec.data import aliases
from gnnrec.data.compression import BLOCK
from gnnrec.data.read_options import ReadOptions
from gnnrec.data.schema import COLUMNS, canonical_names
from gnnrec.data.text_files import UNIT, TextFile
from gnnrec.errors import DataError

csv.field_size_limit(2**31 - 1)  # plots may be long

SEPARATORS = ("::", "\t\t", "\t", ";", "||", "|", ",", "\x01", "^", "~", " ")
"""Separators that are recognized; where several fit equally well, the first."""
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "\t\t": "double tabs", "|": "pipes", " ": "spaces"}
REQUIRED = {"ratings": ("user_id", "movie_id"), "movies": ("movie_id",), "users": ("user_id",)}
MAX_RATING = 100
"""Largest number that is read as a rating in a file without a header."""

_SAMPLE_LINES = 200
_TYPED = re.compile(r"(.+):(token|token_seq|float|float_seq)")  # header of RecBole's atomic files
_TIME = re.compile(r"\d{4}-\d\d?-\d\d?([ T].*)?|\d\d?[/.]\d\d?[/.]\d{2,4}( .*)?|\d{4}/\d\d?/\d\d?( .*)?")
_ASIN = re.compile(r"B[0-9A-Z]{9}|\d{9}[0-9X]")
_AMAZON_USER = re.compile(r"A[0-9A-Z]{9,}")
_ESCAPED_QUOTE = re.compile(rb'[^\\,;\t|\n]\\"[^,;\t|\r\n]')


@dataclass(frozen=True)
class Dialect:
    """Separator, quotes and escapes of a file of text.

    Attributes
    ----------
    separator : str
        One character.
    quoted : bool
        Whether quotes around a field are not part of it.
    escaped : bool
        Whether a quote within a field is written with a backslash, as MySQL does.
    max_fields : int, optional
        Separators after that many fields belong to the last one.
    """

    separator: str = ","
    quoted: bool = True
    escaped: bool = False
    max_fields: int | None = None

    @property
    def quoting(self) -> Literal[0, 3]:
        """The constant of `csv` for the quotes."""
        return 0 if self.quoted else 3  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE

    @property
    def escapechar(self) -> str | None:
        """The character before a quote within a field."""
        return "\\" if self.escaped else None

    def parse(self, lines: Iterator[str], *, strict: bool = False) -> Any:
        """Return a reader of records."""
        return csv.reader(
            lines,
            delimiter=self.separator,
            quoting=self.quoting,
            escapechar=self.escapechar,
            skipinitialspace=True,
            strict=strict,
        )


@dataclass(frozen=True)
class Layout:
    """The layout of a file, recognized before its rows are read.

    Attributes
    ----------
    source : TextFile
    dialect : Dialect
    header : tuple of str
        Names of the columns as in the file, or canonical names that were assumed.
    skip : int
        Lines before the first row.
    has_header : bool
    sequences : tuple of str
        Columns whose values are sequences of words separated by spaces (RecBole).
    notes : tuple of str
        What is unusual about the file.
    """

    source: TextFile
    dialect: Dialect
    header: tuple[str, ...]
    skip: int
    has_header: bool
    sequences: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def records(
    file: Path, dialect: Dialect, *, skip: int = 0, path: Path | None = None, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each record after `skip` lines; blank lines are skipped."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for _ in islice(lines, skip):
            pass
        reader = dialect.parse(lines, strict=strict)
        before = skip
        try:
            for fields in reader:
                if fields and fields != [""]:
                    yield before + 1, fields
                before = skip + reader.line_num
        except csv.Error as error:
            raise DataError(f"{error}; is a closing quote missing?", at=f"{path or file}:{before + 1}") from error


def find_layout(source: TextFile, kind: str, options: ReadOptions) -> Layout:
    """Recognize separator, quotes and header of a file.

    Parameters
    ----------
    source : TextFile
    kind : str
        "ratings", "movies" or "users", whose column names are known.
    options : ReadOptions
        The caller's options take precedence.
    """
    skip, lines, separator, comment = _first_lines(source.file, options.sep)
    if not lines:
        raise DataError(f"{source.path} is empty; its first line must name the columns")
    separators = SEPARATORS if separator is None else (separator,)
    dialect, separator = _find_dialect(lines, separators)
    if len(separator) > 1:
        source = source.with_separator(separator)
        lines = [line.replace(separator, UNIT) for line in lines]
        dialect = Dialect(UNIT, quoted=False)
    elif dialect.quoted and _has_escaped_quotes(source.file):
        dialect = replace(dialect, escaped=True)
    rows = [fields for fields in dialect.parse(iter(lines)) if fields and fields != [""]]
    if len(rows) > 1 and len(lines) >= _SAMPLE_LINES:
        rows.pop()  # may be cut off
    notes = [] if separator in (",", "\t") else [NAMES.get(separator, repr(separator))]
    first = [name.strip() for name in rows[0]]
    if (commented := _commented_header(comment, separator, rows, kind, options)) is not None:
        return Layout(source, dialect, commented, skip, True, (), (*notes, "the header is a comment"))
    if _is_header(first, rows[1:], kind, options):
        header, sequences = _untyped(first)
        if sequences is not None:
            notes.append("RecBole")
            dialect = replace(dialect, quoted=False)
        header = _fitted(header, rows[1:])
        if repeated := [name for position, name in enumerate(header) if name in header[:position]]:
            problem = f"two columns {repeated[0]}; keep one of them"
            raise DataError(problem, at=f"{source.path}:{skip + 1}")
        return Layout(source, dialect, header, skip + 1, True, sequences or (), tuple(notes))
    header = _assumed_header(source.path, rows, kind, options)
    if len(header) < max(map(len, rows)) and kind == "movies":  # a title that has separators
        dialect = replace(dialect, max_fields=len(header))
    return Layout(source, dialect, header, skip, False, (), tuple(notes))


def _fitted(header: tuple[str, ...], rows: list[list[str]]) -> tuple[str, ...]:
    """Return a header that also names the columns of trailing separators and row numbers."""
    if rows and all(len(row) == len(header) + 1 for row in rows):
        if all(not row[-1].strip() for row in rows):
            header = (*header, "")
        elif [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]:  # R's write.table
            header = ("", *header)
    return tuple(name or f"column {position}" for position, name in enumerate(header))


def _commented_header(
    comment: str, separator: str, rows: list[list[str]], kind: str, options: ReadOptions
) -> tuple[str, ...] | None:
    """Return the names in a comment just before the rows, if they are those of the columns."""
    names = tuple(name.strip().strip('"') for name in comment.lstrip("#% ").split(separator))
    if not comment or options.header is not None or any(len(row) != len(names) for row in rows):
        return None
    known = {*names_of(names, kind, options).values(), *names}
    return names if set(REQUIRED[kind]) <= known else None


def names_of(header: Sequence[str], kind: str, options: ReadOptions) -> dict[object, str]:
    """Map names in a file to canonical names; names given by the caller take precedence.

    >>> names_of(["asin", "who", "stars"], "ratings", ReadOptions(columns={"who": "user_id"}))
    {'who': 'user_id', 'asin': 'movie_id', 'stars': 'rating'}
    """
    given = {name: new for name, new in _given(header, options).items() if new is None or new in COLUMNS[kind]}
    taken = {new for new in given.values() if new is not None}
    rest = [name for name in header if name not in given and name not in taken]
    found = {old: new for old, new in canonical_names(rest, kind).items() if new not in taken}
    if kind == "ratings":
        if "weight" in {*taken, *found.values(), *rest}:
            found = {old: new for old, new in found.items() if new != "rating" or _plain(str(old)) not in aliases.LIKES}
        known = {*taken, *found.values(), *rest}
        found |= {old: new for old, new in _by_parts(rest, found).items() if new not in known}
    chosen: dict[object, str] = {name: new for name, new in given.items() if new is not None}
    chosen.update(found)
    dropped = [name for name, new in given.items() if new is None and name in COLUMNS[kind]]
    shadowed = [name for name in header if name in taken and given.get(name) != name and name not in dropped]
    # A column that the caller leaves out, or whose name is given to another one, must not be recognized by its name.
    chosen.update({name: f"{name} (not used)" for name in [*dropped, *shadowed]})
    return {old: new for old, new in chosen.items() if old != new}


_NO_ITEMS = re.compile(
    r"(user|reviewer|customer|member|session|review|rating|order|transaction|event|row|record|entry|interaction|log|request"
    r"|device|comment|message|parent|login|page|query|store|shop|category|genre|tag|brand|seller|city|country|region)s?"
)


def _by_parts(names: Sequence[str], found: Mapping[object, str]) -> dict[object, str]:
    """Recognize names by their last part: ``review/score`` is a rating, ``joke_id`` the movie id if no other fits.

    >>> _by_parts(["review/userId", "product/productId", "review/score"], {})
    {'review/userId': 'user_id', 'product/productId': 'movie_id', 'review/score': 'rating'}
    >>> _by_parts(["user_id", "session_id", "hotel_id", "stars"], {"stars": "rating"})
    {'hotel_id': 'movie_id'}
    """
    rest = [name for name in names if name not in found]
    parts = {part[1]: name for name in rest if (part := re.fullmatch(r"(?:\w+[/.:]|review_)(.+)", name)) is not None}
    more: dict[object, str] = {}
    more |= {parts[str(part)]: new for part, new in canonical_names(parts, "ratings").items() if new != "weight"}
    more |= {name: part for part, name in parts.items() if part in ("user_id", "movie_id", "rating", "timestamp")}
    if "movie_id" not in {*names, *found.values(), *more.values()}:
        others = {_plain(name): name for name in rest if name not in more}
        ids = [name for plain, name in others.items() if plain.endswith("id") and plain not in aliases.USERS]
        items = [name for name in ids if not _NO_ITEMS.fullmatch(_plain(name)[:-2])]
        if len(items) == 1 and re.fullmatch(r"\w*[^\W_](?:[_ \-.](?:id|ID|Id)|Id|ID)", items[0]):
            more[items[0]] = "movie_id"
    return more


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _given(header: Sequence[str], options: ReadOptions) -> dict[str, str | None]:
    named = {}
    for key, new in options.named.items():
        if isinstance(key, int) or (isinstance(key, str) and key.isdecimal() and key not in header):
            if int(key) < len(header):
                named[header[int(key)]] = new
        elif key in header:
            named[key] = new
    return named


def _first_lines(file: Path, separator: str | None) -> tuple[int, list[str], str | None, str]:
    """Return the number of lines before the table, the first lines of the table, and hints found before it.

    Hints are the separator in a line such as ``sep=;``, and the last comment.
    """
    skip, comment = 0, ""
    found: list[str] = []
    with file.open(encoding="utf-8-sig", newline="") as source:
        for line in islice(source, _SAMPLE_LINES * 50):
            text = line.strip("\r\n")
            if not found and (declared := re.fullmatch(r'"?sep=(.)"?', text)):
                separator = separator or declared[1]
                skip += 1
            elif not found and (not text.strip() or text.startswith(("#", "%"))):
                skip, comment = skip + 1, text
            else:
                found.append(line)
                if len(found) == _SAMPLE_LINES:
                    break
    return skip, found, separator, comment


def _find_dialect(lines: list[str], separators: Sequence[str]) -> tuple[Dialect, str]:
    """Return the separator for which the most lines have as many fields as the first one."""
    best: tuple[float, Dialect, str] | None = None
    for separator in separators:
        if separator in ("\t\t", "||") and any(separator[0] in line.replace(separator, "") for line in lines):
            continue  # "a\t\tb\tc" has an empty field
        one = separator if len(separator) == 1 else UNIT
        these = lines if len(separator) == 1 else [line.replace(separator, UNIT) for line in lines]
        for quoted in (True,) if separator in (",", ";") else (True, False) if len(separator) == 1 else (False,):
            dialect = Dialect(one, quoted)
            try:
                counts = [len(row) for row in dialect.parse(iter(these)) if row and row != [""]]
            except csv.Error:
                continue
            if not counts or counts[0] < 2 or (separator == " " and not _are_spaced(lines)):
                continue
            share = (Counter(counts)[counts[0]] - (0 if len(counts) == 1 else 1)) / len(these)
            if best is None or share > best[0]:
                best = share, dialect, separator
    if best is not None:
        return best[1:]
    separator = separators[0] if len(separators) == 1 else ","
    return Dialect(separator if len(separator) == 1 else UNIT, quoted=len(separator) == 1), separator


def _are_spaced(lines: list[str]) -> bool:
    """Return whether spaces separate columns: only numbers, or as many words everywhere, the third one a number."""
    rows = [line.split() for line in lines[1:] or lines]
    if all(_number(word) is not None for row in rows for word in row):
        return True
    width = {len(row) for row in rows}
    return len(width) == 1 and max(width) > 2 and all(_number(row[2]) is not None for row in rows)


def _has_escaped_quotes(file: Path) -> bool:
    with file.open("rb") as source:
        last = b""
        while block := source.read(BLOCK):
            if b"\\" in block and b'\\"' in block and _ESCAPED_QUOTE.search(last + block):
                return True
            last = block[-3:]
    return False


def _untyped(names: list[str]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return names without the types of RecBole, and the columns that are sequences of words."""
    typed = [_TYPED.fullmatch(name) for name in names]
    if not all(typed):
        return tuple(names), None
    plain = tuple(match[1] for match in typed if match)
    return plain, tuple(match[1] for match in typed if match and match[2] == "token_seq")


def _is_header(first: list[str], rows: list[list[str]], kind: str, options: ReadOptions) -> bool:
    """Return whether the first record names the columns."""
    if options.header is not None:
        return options.header
    names, _ = _untyped(first)
    if isinstance(options.columns, Sequence):
        return any(canonical_names(names, kind)) or set(names) & set(COLUMNS[kind]) != set()
    known = {*names_of(names, kind, options).values(), *(name for name in names if name in COLUMNS[kind])}
    if known & {*REQUIRED[kind], "title"} and not any(map(_is_value, first)):
        return True
    if set(names) & set(options.named):
        return True
    if any(map(_is_value, first)) or not rows:
        return not any(map(_is_value, first))
    return True


def _is_value(text: str) -> bool:
    return _number(text) is not None or _TIME.fullmatch(text) is not None


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _assumed_header(path: Path, rows: list[list[str]], kind: str, options: ReadOptions) -> tuple[str, ...]:
    """Return the names of the columns of a file without a header."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if options.columns is not None:
        given = {int(key): new for key, new in options.named.items() if str(key).isdecimal()}
        if given:
            return tuple(given.get(position) or f"column {position}" for position in range(width))
    assume = {"ratings": _assume_ratings, "movies": _assume_movies, "users": _assume_users}[kind]
    header = assume([row for row in rows if len(row) >= width or kind == "movies"], width, options.skips)
    if header is None:
        raise DataError(
            f"the file has no header and its {width} columns are not just user, movie, rating and time; name them, as "
            "in columns=['user_id', 'movie_id', 'rating']",
            at=f"{path}:1",
        )
    return header


def _assume_ratings(rows: list[list[str]], width: int, lenient: bool) -> tuple[str, ...] | None:
    if not 2 <= width <= 4:
        return None
    columns = [[row[position].strip() for row in rows] for position in range(width)]
    swapped = all(map(_ASIN.fullmatch, columns[0])) and all(map(_AMAZON_USER.fullmatch, columns[1]))
    kinds = [_kind_of(column, 0.5 if lenient else 1.0) for column in columns[2:]]
    if "text" in kinds or kinds.count("time") > 1:
        return None
    names = ["timestamp" if kind == "time" else "rating" for kind in kinds]
    if names == ["rating", "rating"]:
        times = [number for value in columns[3] if (number := _number(value)) is not None]
        if max(times) <= MAX_RATING:
            return None
        names = ["rating", "timestamp"]
    if "rating" in names:
        values = [_number(value) for value in columns[2 + names.index("rating")]]
        if max(value for value in values if value is not None) > MAX_RATING:
            names[names.index("rating")] = "plays"
    return (*(("movie_id", "user_id") if swapped else ("user_id", "movie_id")), *names)


def _kind_of(values: list[str], share: float) -> str:
    """Return the kind of at least this share of the values: numbers or times, else text."""
    values = [value for value in values if value]
    numbers = [number for value in values if (number := _number(value)) is not None]
    if not values or len(numbers) >= share * len(values):
        return "time" if numbers and sorted(numbers)[len(numbers) // 2] >= 1e8 else "number"
    times = sum(_TIME.fullmatch(value) is not None for value in values)
    return "time" if times >= share * len(values) else "text"


def _assume_movies(rows: list[list[str]], width: int, lenient: bool) -> tuple[str, ...] | None:
    """Return names for id, year or none, title, and what follows."""
    width = min(map(len, rows))
    if width < 2:
        return None
    names = ["movie_id"]
    for position in range(1, width):
        values = [row[position].strip() for row in rows]
        years = [value for value in values if value and value != "NULL"]
        if "year" not in names and years and all(re.fullmatch(r"[12]\d{3}(\.0)?", value) for value in years):
            names.append("year")
        elif "title" not in names:
            names.append("title")
        elif "genres" not in names and any("|" in value for value in values):
            names.append("genres")
        else:
            break
    if names[-1] == "title":
        return tuple(names)  # what follows belongs to the title
    return (*names, *(f"column {position}" for position in range(len(names), width)))


def _assume_users(rows: list[list[str]], width: int, lenient: bool) -> tuple[str, ...] | None:
    return ("user_id", *(f"column {position}" for position in range(1, width)))
