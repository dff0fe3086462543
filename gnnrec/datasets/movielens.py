"""MovieLens: the eight datasets by name, and readers of their file formats.

There are three formats: ``ratings.dat`` (ML-1M, ML-10M), ``u.data`` (ML-100k), and CSV (all newer ones), which is also
the format for data of your own. `read_dataset` recognizes them by their file names.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import did_you_mean, shown
from gnnrec._io import read_json
from gnnrec.data import Dataset
from gnnrec.data.columnar import HEADER as PREPARED
from gnnrec.data.columnar import load_prepared
from gnnrec.data.compression import archive_members, extract_members
from gnnrec.data.interactions import leave_out_unknown, prepare_ratings, relocate
from gnnrec.data.parquet import is_parquet, is_table_in_parts, table_suffix
from gnnrec.data.provenance import ABOUT_FILE, Provenance, ReadLog, listed
from gnnrec.data.read_options import DEFAULT_OPTIONS, ReadOptions
from gnnrec.data.schema import ORIGINAL_NAMES
from gnnrec.data.side_tables import add_side_tables, read_side_tables
from gnnrec.data.tables import Table, read_files, read_table
from gnnrec.data.text_files import stem_of
from gnnrec.datasets._download import locate_dataset
from gnnrec.datasets.folders import TABLE_SUFFIXES, beside, read_tables
from gnnrec.datasets.joining import join_tables
from gnnrec.datasets.logs import read_log, sniff
from gnnrec.errors import ConfigError, DataError
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

BLOCK = 1 << 22
"""Number of bytes of a ratings file that are parsed at a time."""
NO_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".db", ".sqlite", ".h5", ".npy", ".npz", ".pkl", ".pickle", ".feather")
"""Suffixes of files that are never read."""
_RATING_COLUMNS = {"user_id": "int64", "movie_id": "int64", "rating": "float32", "timestamp": "int64"}


def load_movielens(name: str, data_dir: str | Path | None = None, download: bool = True) -> Dataset:
    """Load a MovieLens dataset by its registered name; parameters are those of `load_dataset`."""
    return read_dataset(locate_dataset(name, data_dir, allow_download=download), name)


def _url(name: str) -> str:
    return f"{BASE_URL}/{name}.zip"


register_dataset(
    "ml-100k",
    url=_url("ml-100k"),
    md5="0e33842e24a9c977be4e0107933c0723",
    ratings_file="u.data",
    own_format=True,
)(partial(load_movielens, "ml-100k"))
register_dataset(
    "ml-1m",
    url=_url("ml-1m"),
    md5="c4d9eecfca2ab87c1945afe126590906",
    ratings_file="ratings.dat",
    own_format=True,
)(partial(load_movielens, "ml-1m"))
# GroupLens publishes the checksums of these next to the files (and updates ml-latest); they are read at each download.
register_dataset("ml-10m", url=_url("ml-10m"), ratings_file="ratings.dat", folder_names=("ml-10M100K",))(
    partial(load_movielens, "ml-10m")
)
register_dataset("ml-20m", url=_url("ml-20m"))(partial(load_movielens, "ml-20m"))
register_dataset("ml-25m", url=_url("ml-25m"))(partial(load_movielens, "ml-25m"))
register_dataset("ml-32m", url=_url("ml-32m"))(partial(load_movielens, "ml-32m"))
register_dataset("ml-latest-small", url=_url("ml-latest-small"))(partial(load_movielens, "ml-latest-small"))
register_dataset("ml-latest", url=_url("ml-latest"))(partial(load_movielens, "ml-latest"))


def read_dataset(path: str | Path, name: str | None = None, options: ReadOptions = DEFAULT_OPTIONS) -> Dataset:
    r"""Read a dataset from a folder or from a single file of ratings.

    Parameters
    ----------
    path : str or Path
        A folder or a zip file, whose format is recognized by its file names and columns, or one file of ratings.
    name : str, optional
        Name of the dataset; by default that of the folder, or of the file without its suffix.
    options : ReadOptions
        The caller's options.

    Returns
    -------
    Dataset
        Rows in file order. Its `provenance` lists what was guessed, renamed, ignored and left out.

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
    path, log = Path(path), ReadLog()
    with contextlib.ExitStack() as stack:
        source = path
        if path.is_file() and path.suffix.lower() == ".zip" and (members := archive_members(path)):
            source = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gnnrec-")))
            extract_members(path, members, source)
        about = None
        if (source / PREPARED).is_file():
            if options != DEFAULT_OPTIONS:
                raise ConfigError(f"{path} is prepared already; options for reading are for the files it was made from")
            found = load_prepared(source)
            return found if name is None else found.with_name(name)
        if source.is_dir():
            tables = _read_folder(source, options, log)
            about = read_about(source) if options == DEFAULT_OPTIONS else None
            default_name = path.resolve().name if path.is_dir() else stem_of(path)
        elif source.is_file():
            tables, default_name = _read_file(source, options, log), stem_of(path)
        else:
            raise DataError(f"{str(path)!r} does not exist; a dataset is {FORMATS}")
        dataset = _make_dataset(tables, name or default_name, options, log, is_plain=about is not None)
        if about is not None:
            scale, earlier = about
            provenance = earlier.followed_by(dataset.provenance)
            dataset = dataset.with_provenance(provenance, dataset.unused, scale)
    if options.rejected is not None:
        log.write_rejected(options.rejected)
    return dataset


def read_about(folder: Path) -> tuple[tuple[float, float] | None, Provenance] | None:
    """Return rating scale and provenance of a folder that `Dataset.to_folder` wrote, None for any other."""
    if not (path := folder / ABOUT_FILE).is_file():
        return None
    try:
        about = read_json(path)
        scale = about["rating_scale"]
        low_and_high = None if scale is None else (float(scale[0]), float(scale[1]))
        return low_and_high, Provenance.from_json(about["provenance"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"it was not written by Dataset.to_folder ({error}); remove the file", at=str(path)) from None


def _make_dataset(
    tables: dict[str, Table], name: str, options: ReadOptions, log: ReadLog, *, is_plain: bool = False
) -> Dataset:
    """Make a dataset of tables; errors name file and line."""
    _check_columns_option(tables, options)
    try:
        tables["ratings"], scale = prepare_ratings(tables["ratings"], options, log, is_plain)
        if options.skips:
            for table, column in (("movies", "movie_id"), ("users", "user_id")):
                if table in tables and column in tables[table].frame:
                    ids = tables[table].frame[column]
                    tables["ratings"] = leave_out_unknown(tables["ratings"], column, ids, table, log)
        frames: dict[str, Any] = {table: read.frame for table, read in tables.items()}
        dataset = Dataset(**frames, name=name)
    except DataError as error:
        raise relocate(error, tables) from None
    unused = {table: (*read.unused, *dataset.unused.get(table, ())) for table, read in tables.items()}
    unused = {table: names for table, names in unused.items() if names}
    log.unused_columns = {table: list(names) for table, names in unused.items()}
    return dataset.with_provenance(log.provenance(), unused, scale)


def _check_columns_option(tables: dict[str, Table], options: ReadOptions) -> None:
    """Reject a name in `columns` that no file has."""
    headers = {str(name) for read in tables.values() for name in read.frame.attrs.get(ORIGINAL_NAMES, ())}
    if not headers or not isinstance(options.columns, Mapping):
        return
    for name in options.named:
        if str(name) not in headers and not str(name).isdecimal():
            hint = did_you_mean(str(name), headers) or f"; columns found: {', '.join(sorted(headers))}"
            raise ConfigError(f"columns: no file has a column {name!r}{hint}")


def _read_folder(folder: Path, options: ReadOptions, log: ReadLog) -> dict[str, Table]:
    """Read the tables of a folder; additional files about movies become columns of the movies table."""
    if is_table_in_parts(folder):
        return _read_file(folder, options, log)
    if options == DEFAULT_OPTIONS or not options.sep:
        if (folder / "ratings.dat").is_file() and _is_double_colon(folder / "ratings.dat"):
            return _with_side_tables(_read_1m(folder, options, log), folder)
        if (folder / "u.data").is_file():
            return _with_side_tables(_read_100k(folder, options, log), folder)
    tables, others = read_tables(folder, options, log)
    if not tables:
        inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
        if len(inner) == 1:  # an archive with one folder
            return _read_folder(inner[0], options, log)
        raise DataError(f"{folder} contains no ratings{_instead(folder)}; expected {FORMATS}")
    return join_tables(tables, others, log, lenient=options.skips)


def _instead(folder: Path) -> str:
    """Return a hint about other files in a folder without ratings."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if archive := next((name for name in names if name.lower().endswith(".zip")), None):
        return f" but {archive}; give the path of that file"
    return f" (it has {listed(names)})" if names else ""


def _is_double_colon(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(1 << 12)
    return b"::" in start or b"\t" not in start


def _with_side_tables(tables: dict[str, Table], folder: Path) -> dict[str, Table]:
    side_tables = read_side_tables(folder) if "movies" in tables else {}
    if side_tables and "movie_id" in tables["movies"].frame:  # Dataset reports a missing movie_id
        tables["movies"] = add_side_tables(tables["movies"], side_tables)
    return tables


def _read_file(path: Path, options: ReadOptions, log: ReadLog) -> dict[str, Table]:
    suffix = path.suffix.lower()
    if not options.sep and options.columns is None:
        if suffix == ".dat" and _is_double_colon(path):
            return {"ratings": _read_ratings(path, "::", options, log)}
        if suffix in (".data", ".base", ".test"):
            return {"ratings": _read_ratings(path, "\t", options, log)}
    if suffix in NO_TABLES:
        raise DataError(f"{path} has an unknown file type {suffix!r}; save the table as CSV or Parquet")
    if table_suffix(path) not in (*TABLE_SUFFIXES, ""):
        log.assume(f"{path.name} is a table of text")  # otherwise `open_text` raises an error that names the format
    if not is_parquet(path) and options == DEFAULT_OPTIONS and (kind := sniff(path)):
        return read_log([path], kind, log)
    paths = {"ratings": path, **beside(path)}
    tables = read_files(paths, {name: name for name in paths}, (), options, log)
    return join_tables(tables, {}, log, lenient=options.skips)


def _read_1m(folder: Path, options: ReadOptions, log: ReadLog) -> dict[str, Table]:
    """Read ``ratings.dat`` and, if present, ``movies.dat`` and ``users.dat``."""
    tables = {"ratings": _read_ratings(folder / "ratings.dat", "::", options, log)}
    if (path := folder / "movies.dat").is_file():
        tables["movies"] = _table(path, _movie_records(path), ["movie_id", "title", "genres"])
    if (path := folder / "users.dat").is_file():
        columns = ["user_id", "gender", "age", "occupation", "zip_code"]
        if _lines(path)[0][1].count("::") == 1:  # MovieTweetings
            columns = ["user_id", "twitter_id"]
            tables["users"] = _table(path, _records(path, "::", len(columns)), columns)
            return tables
        tables["users"] = _table(path, _records(path, "::", len(columns)), columns)
        frame = tables["users"].frame
        named = frame["occupation"].map({str(code): name for code, name in enumerate(OCCUPATIONS)})
        frame["occupation"] = named.fillna(frame["occupation"])
    return tables


def _read_100k(folder: Path, options: ReadOptions, log: ReadLog) -> dict[str, Table]:
    """Read ``u.data`` and, if present, ``u.item`` and ``u.user``."""
    tables = {"ratings": _read_ratings(folder / "u.data", "\t", options, log)}
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


def _read_ratings(path: Path, separator: str, options: ReadOptions, log: ReadLog) -> Table:
    """Read lines of user id, movie id, rating and timestamp."""
    if options.skips:
        return read_table(path, "ratings", (), replace(options, sep=separator, columns=list(_RATING_COLUMNS)), log)
    pieces: list[dict[str, np.ndarray]] = []
    whole = True
    try:
        for block in _read_blocks(path):
            with np.errstate(invalid="ignore"):  # a number that is too large is an error below
                piece = pd.read_csv(
                    io.BytesIO(block.replace(separator.encode(), b"\t")),
                    sep="\t",
                    header=None,
                    names=list(_RATING_COLUMNS),
                    dtype=_RATING_COLUMNS,
                    na_filter=False,
                    quoting=3,
                )
            whole &= isinstance(piece.index, pd.RangeIndex)  # no fields beyond the fourth
            pieces.append({name: piece[name].to_numpy(copy=True) for name in _RATING_COLUMNS})
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        if isinstance(error, DataError):
            raise
        _raise_at_first_fault(path, separator)
        raise DataError(f"{path} cannot be read: {error}") from error
    if not whole:
        _raise_at_first_fault(path, separator)
    columns = {name: np.concatenate([piece.pop(name) for piece in pieces]) for name in _RATING_COLUMNS}
    frame = pd.DataFrame(columns, copy=False)
    frame.attrs[ORIGINAL_NAMES] = list(_RATING_COLUMNS)
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
            raise DataError(f"{columns[0]} {shown(fields[0])} is not a whole number", at=f"{path}:{line}")
        digits = fields[0].strip().lstrip("0")
        if len(digits) > 19 or int(digits or 0) >= 2**63:
            raise DataError(f"{columns[0]} {shown(fields[0])} is too large", at=f"{path}:{line}")
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


def _read_blocks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in blocks of complete lines; raise `DataError` if all lines are empty."""
    empty, rest = True, b""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    with path.open("rb") as file:
        while (block := file.read(BLOCK)) or rest:
            if b"\0" in block:
                _read_bytes(path)  # names the line
            whole = rest + block
            end = whole.rfind(b"\n") + 1 if block else len(whole)
            rest, whole = whole[end:], whole[:end]
            if whole.strip():
                empty = False
                yield whole
    if empty:
        raise DataError(f"{path} is empty")


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
