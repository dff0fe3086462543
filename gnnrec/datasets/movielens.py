"""MovieLens: the eight datasets by name, and readers of their file formats.

There are three formats: ``ratings.dat`` (ML-1M, ML-10M), ``u.data`` (ML-100k), and CSV (all newer ones), which is also
the format for data of your own. `read_dataset` recognizes them by their file names.
"""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gnnrec.data import Dataset
from gnnrec.data.tables import (
    SIDE_TABLES,
    SUFFIXES,
    Table,
    add_side_tables,
    find_table,
    locator,
    read_files,
    read_folder,
    read_side_tables,
)
from gnnrec.datasets._download import locate_dataset
from gnnrec.errors import DataError
from gnnrec.registry import register_dataset

BASE_URL = "https://files.grouplens.org/datasets/movielens"

FORMATS = (
    "a folder with ratings.csv (or .tsv, .parquet; optionally movies and users), ratings.dat (ML-1M) or "
    "u.data (ML-100k), or one file of ratings"
)

OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""Names of the occupation codes 0 to 20 in ML-1M."""

GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|"
    "Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)
"""Genre columns of ``u.item``, if the folder has no ``u.genre``."""

_RATING_COLUMNS = {"user_id": "int64", "movie_id": "int64", "rating": "float32", "timestamp": "int64"}


def load_movielens(name: str, data_dir: str | Path | None = None, download: bool = True) -> Dataset:
    """Load a MovieLens dataset by its registered name; parameters are those of `load_dataset`."""
    return read_dataset(locate_dataset(name, data_dir, allow_download=download), name)


def _register(name: str, **metadata: Any) -> None:
    register_dataset(name, url=f"{BASE_URL}/{name}.zip", **metadata)(partial(load_movielens, name))


_register("ml-100k", md5="0e33842e24a9c977be4e0107933c0723", ratings_file="u.data", own_format=True)
_register("ml-1m", md5="c4d9eecfca2ab87c1945afe126590906", ratings_file="ratings.dat", own_format=True)
# GroupLens publishes the checksums of these beside the files (and updates ml-latest); they are read at each download.
_register("ml-10m", ratings_file="ratings.dat", folder_names=("ml-10M100K",))
for _name in ("ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest"):
    _register(_name)


def read_dataset(path: str | Path, name: str | None = None) -> Dataset:
    r"""Read a dataset from a folder or from a single file of ratings.

    Parameters
    ----------
    path : str or Path
        A folder, whose format is recognized by its file names, or a file: ``.csv``, ``.tsv``, ``.txt``, ``.parquet``,
        ``.dat`` (ML-1M) or ``.data``, ``.base``, ``.test`` (ML-100k).
    name : str, optional
        Name of the dataset; by default that of the folder, or of the file without its suffix.

    Returns
    -------
    Dataset
        Rows in file order.

    Raises
    ------
    DataError
        The files are missing or invalid; the message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "ratings.csv").write_text("user_id,movie_id,rating\nann,heat,5\nann,alien,4\n")
    >>> read_dataset(folder, "mine")
    Dataset('mine': 1 users, 2 movies, 2 ratings)
    """
    path = Path(path)
    if path.is_dir():
        tables, default_name = _read_folder(path), path.resolve().name
    elif path.is_file():
        tables, default_name = _read_file(path), path.stem
    else:
        raise DataError(f"{str(path)!r} does not exist; a dataset is {FORMATS}")
    frames: dict[str, Any] = {table: read.frame for table, read in tables.items()}
    try:
        return Dataset(**frames, name=name or default_name)
    except DataError as error:
        raise error.relocated(locator(tables)) from None


def _read_folder(folder: Path) -> dict[str, Table]:
    """Read the tables of a folder; additional files about movies become columns of the movies table."""
    if (folder / "ratings.dat").is_file():
        tables = _read_1m(folder)
    elif (folder / "u.data").is_file():
        tables = _read_100k(folder)
    elif find_table(folder, "ratings") is None:
        raise DataError(f"{folder} contains no ratings; expected {FORMATS}")
    else:
        kinds = {kind: kind for kind in ("ratings", "movies", "users")}
        if find_table(folder, "movies"):
            kinds |= dict.fromkeys(SIDE_TABLES, "movies")
        tables = read_folder(folder, kinds, required=("ratings",))
        return _with_side_tables(tables, {name: tables.pop(name) for name in SIDE_TABLES if name in tables})
    return _with_side_tables(tables, read_side_tables(folder) if "movies" in tables else {})


def _with_side_tables(tables: dict[str, Table], side_tables: dict[str, Table]) -> dict[str, Table]:
    if side_tables and "movie_id" in tables["movies"].frame:  # Dataset reports a missing movie_id
        tables["movies"] = add_side_tables(tables["movies"], side_tables)
    return tables


def _read_file(path: Path) -> dict[str, Table]:
    suffix = path.suffix.lower()
    if suffix == ".dat":
        return {"ratings": _read_ratings(path, "::")}
    if suffix in (".data", ".base", ".test"):
        return {"ratings": _read_ratings(path, "\t")}
    if suffix in (*SUFFIXES, ".txt"):
        return read_files({"ratings": path}, {"ratings": "ratings"})
    raise DataError(f"{path} has an unknown file type {suffix!r}; expected {FORMATS}")


def _read_1m(folder: Path) -> dict[str, Table]:
    """Read ``ratings.dat`` and, if present, ``movies.dat`` and ``users.dat``."""
    tables = {"ratings": _read_ratings(folder / "ratings.dat", "::")}
    if (path := folder / "movies.dat").is_file():
        tables["movies"] = _table(path, _movie_records(path), ["movie_id", "title", "genres"])
    if (path := folder / "users.dat").is_file():
        columns = ["user_id", "gender", "age", "occupation", "zip_code"]
        tables["users"] = _table(path, _records(path, "::", len(columns)), columns)
        frame = tables["users"].frame
        named = frame["occupation"].map({str(code): name for code, name in enumerate(OCCUPATIONS)})
        frame["occupation"] = named.fillna(frame["occupation"])
    return tables


def _read_100k(folder: Path) -> dict[str, Table]:
    """Read ``u.data`` and, if present, ``u.item`` and ``u.user``."""
    tables = {"ratings": _read_ratings(folder / "u.data", "\t")}
    if (path := folder / "u.item").is_file():
        genres = GENRES_100K.split("|")
        if (names := folder / "u.genre").is_file():
            genres = [fields[0] for _, fields in _records(names, "|", 2)]
        columns = ["movie_id", "title", "release_date", "video_release_date", "imdb_url", *genres]
        table = _table(path, _records(path, "|", len(columns)), columns)
        flags = (table.frame[genres] == "1").drop(columns="unknown", errors="ignore")
        named = [
            "|".join(genre for genre, flag in zip(flags.columns, row, strict=True) if flag) for row in flags.to_numpy()
        ]
        frame = table.frame[["movie_id", "title"]].assign(
            genres=named, release_date=table.frame["release_date"], imdb_url=table.frame["imdb_url"]
        )
        tables["movies"] = Table(path, frame, table.line)
    if (path := folder / "u.user").is_file():
        columns = ["user_id", "age", "gender", "occupation", "zip_code"]
        tables["users"] = _table(path, _records(path, "|", len(columns)), columns)
    return tables


def _read_ratings(path: Path, separator: str) -> Table:
    """Read lines of user id, movie id, rating and timestamp."""
    raw = _read_bytes(path)
    try:
        frame = pd.read_csv(
            io.BytesIO(raw.replace(separator.encode(), b"\t")),
            sep="\t",
            header=None,
            names=list(_RATING_COLUMNS),
            dtype=_RATING_COLUMNS,
            na_filter=False,
            quoting=3,
        )
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        _raise_at_first_fault(path, separator)
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(frame.index, pd.RangeIndex):
        _raise_at_first_fault(path, separator)
    return Table(path, frame, lambda row: _records(path, separator, 4)[row][0])


def _raise_at_first_fault(path: Path, separator: str) -> None:
    """Raise a `DataError` for the first line that is not four numbers, three of them whole."""
    for line, fields in _records(path, separator, len(_RATING_COLUMNS)):
        for (column, kind), text in zip(_RATING_COLUMNS.items(), fields, strict=True):
            try:
                number = int(text) if kind == "int64" else float(text)
            except ValueError:
                what = "a whole number" if kind == "int64" else "a number"
                raise DataError(f"{column} {text!r} is not {what}", at=f"{path}:{line}") from None
            if not abs(number) < 2**63:
                raise DataError(f"{column} {text} is not finite or too large", at=f"{path}:{line}")


def _table(path: Path, records: list[tuple[int, list[str]]], columns: list[str]) -> Table:
    for line, fields in records:
        if not fields[0].strip().isdecimal():
            raise DataError(f"{columns[0]} {fields[0]!r} is not a whole number", at=f"{path}:{line}")
    frame = pd.DataFrame(dict(zip(columns, zip(*(fields for _, fields in records), strict=True), strict=True)))
    frame[columns[0]] = frame[columns[0]].astype("int64")
    return Table(path, frame, lambda row: records[row][0])


def _records(path: Path, separator: str, num_fields: int) -> list[tuple[int, list[str]]]:
    """Return line number and fields of each non-blank line."""
    records = [(line, text.split(separator)) for line, text in _lines(path)]
    for line, fields in records:
        if len(fields) != num_fields:
            raise DataError(
                f"expected {num_fields} fields separated by {separator!r}, found {len(fields)}",
                at=f"{path}:{line}",
            )
    return records


def _movie_records(path: Path) -> list[tuple[int, list[str]]]:
    """Return line number and fields of ``movies.dat``; a title may contain the separator, id and genres cannot."""
    records = []
    for line, text in _lines(path):
        start, _, rest = text.partition("::")
        title, middle, genres = rest.rpartition("::")
        if not middle:
            count = text.count("::") + 1
            raise DataError(f"expected 3 fields separated by '::', found {count}", at=f"{path}:{line}")
        records.append((line, [start, title, genres]))
    return records


def _lines(path: Path) -> list[tuple[int, str]]:
    raw = _read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")  # some copies in circulation were converted to UTF-8
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path} is empty")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise DataError("the file is UTF-16 or binary; save it as UTF-8 or Latin-1 text", at=f"{path}:{line}")
    return raw
