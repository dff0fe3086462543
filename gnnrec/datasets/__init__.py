"""`load_dataset`: one call for a generated sample, a MovieLens set by name, and files of one's own."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from gnnrec.data import Dataset
from gnnrec.data.tables import (
    SIDE_TABLES,
    SUFFIXES,
    Table,
    find_table,
    locator,
    read_side_tables,
    read_files,
    read_folder,
    add_side_tables,
)
from gnnrec.datasets.movielens import CHECKSUMS, cached, read_1m, read_100k, read_ratings
from gnnrec.datasets.movielens import download as fetch
from gnnrec.datasets.synthetic import make_sample
from gnnrec.errors import ConfigError, DataError

NAMES = ("sample", *CHECKSUMS)
"""What `load_dataset` knows by name."""

_RATINGS_FILE = {"ml-100k": "u.data", "ml-1m": "ratings.dat", "ml-10m": "ratings.dat"}
_FOLDER_NAMES = {"ml-10m": "ml-10M100K"}
_FORMATS = (
    "a folder with ratings.csv (or .tsv, .parquet; movies and users beside it), ratings.dat (ML-1M) or "
    "u.data (ML-100k), or one file of ratings"
)


def load_dataset(
    name_or_path: str | Path, *, data_dir: str | Path | None = None, download: bool = True, **options: Any
) -> Dataset:
    """Load a dataset by name or from files.

    Parameters
    ----------
    name_or_path : str or Path
        "sample", the name of a MovieLens set ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m",
        "ml-latest-small", "ml-latest"), or a path: a folder, whose format is recognised by its files, or a
        single file of ratings. Files of your own are UTF-8 with a first line of column names; only user
        and movie ids are required, usual other column names are understood, ids may be text (blanks around
        them do not count). Beside the movies, ``fullplot.csv``, ``omdb.csv`` and ``links.csv`` add plots, people,
        running times and ids to them; see ``docs/reference/files.md``.
    data_dir : str or Path, optional
        Where to look first for a named set: its folder, or the folder that contains it. Then follow
        ``$GNNREC_DATA``, ``data/<name>`` in the working directory, and the download cache.
    download : bool
        Fetch a named set that is found nowhere.
    **options
        For "sample": the parameters of `make_sample`.

    Returns
    -------
    Dataset
        Rows in file order.

    Raises
    ------
    DataError
        The files are missing or wrong; the message names file and line.
    DownloadError
        The set cannot be fetched.
    ConfigError
        Options that the dataset does not have.

    Examples
    --------
    >>> load_dataset("sample", n_users=100, n_movies=80)
    Dataset('sample': 100 users, 80 movies, 3,755 ratings)
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise DataError(
            f"a dataset is a name or a path, not {type(name_or_path).__name__}; frames go into Dataset(ratings, ...)"
        )
    name = str(name_or_path)
    if name == "sample":
        known = inspect.signature(make_sample).parameters
        if unknown := [option for option in options if option not in known]:
            raise ConfigError(f"the sample has no option {', '.join(unknown)}; known are {', '.join(known)}")
        return make_sample(**options)
    if options:
        raise ConfigError(f"options {', '.join(options)} are for the sample only, {name!r} has none")
    if name in CHECKSUMS and isinstance(name_or_path, str):
        folder = find_dataset(name, data_dir)
        if folder is None and not download:
            raise DataError(
                f"{name} is not on this machine; put it in data/{name}, set GNNREC_DATA, or allow downloading"
            )
        return _build(_read_folder(folder or fetch(name)), name)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return _build(_read_folder(path), path.resolve().name)
    if path.is_file():
        return _build(_read_file(path), path.stem)
    raise DataError(f"{name!r} is neither a known name ({', '.join(NAMES)}) nor an existing path; give {_FORMATS}")


def find_dataset(name: str, data_dir: str | Path | None = None) -> Path | None:
    r"""Return the folder on this machine that holds a named MovieLens set, or None.

    Parameters
    ----------
    name : str
        As for `load_dataset`.
    data_dir : str or Path, optional
        Looked at first, then ``$GNNREC_DATA``, ``data/<name>`` in the working directory, the cache.

    Returns
    -------
    Path or None
        The folder with the rating file.

    Raises
    ------
    ConfigError
        There is no set of that name.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "ml-latest-small"
    >>> folder.mkdir()
    >>> _ = (folder / "ratings.csv").write_text("userId,movieId,rating\n1,7,4.5\n")
    >>> find_dataset("ml-latest-small", folder) == folder
    True
    """
    if name not in CHECKSUMS:
        raise ConfigError(f"{name!r} is no MovieLens set; known are {', '.join(CHECKSUMS)}")
    roots = [data_dir, os.environ.get("GNNREC_DATA"), Path("data") / name]
    for root in (Path(root).expanduser() for root in roots if root):
        for folder in (root, root / name, root / _FOLDER_NAMES.get(name, name)):
            if (folder / _RATINGS_FILE.get(name, "ratings.csv")).is_file() and _may_be(folder, name):
                return folder
    return cached(name)


def _may_be(folder: Path, name: str) -> bool:
    """Tell sets of one format apart by the folder: only ML-1M and ML-100k have files of their own kind."""
    called = folder.resolve().name
    if called in (name, _FOLDER_NAMES.get(name)):
        return True
    others = {*CHECKSUMS, *_FOLDER_NAMES.values()}
    return name in ("ml-1m", "ml-100k") and called not in others


def _read_folder(folder: Path) -> dict[str, Table]:
    """Read the tables of a folder; files beside that of the movies become columns of it."""
    if (folder / "ratings.dat").is_file():
        tables = read_1m(folder)
    elif (folder / "u.data").is_file():
        tables = read_100k(folder)
    elif find_table(folder, "ratings") is None:
        raise DataError(f"{folder} holds no ratings; expected {_FORMATS}")
    else:
        kinds = {kind: kind for kind in ("ratings", "movies", "users")}
        if find_table(folder, "movies"):
            kinds |= dict.fromkeys(SIDE_TABLES, "movies")
        tables = read_folder(folder, kinds, required=("ratings",))
        return _joined(tables, {name: tables.pop(name) for name in SIDE_TABLES if name in tables})
    return _joined(tables, read_side_tables(folder) if "movies" in tables else {})


def _joined(tables: dict[str, Table], beside: dict[str, Table]) -> dict[str, Table]:
    if beside and "movie_id" in tables["movies"].frame:  # where it is not, Dataset says so
        tables["movies"] = add_side_tables(tables["movies"], beside)
    return tables


def _read_file(path: Path) -> dict[str, Table]:
    suffix = path.suffix.lower()
    if suffix == ".dat":
        return {"ratings": read_ratings(path, "::")}
    if suffix in (".data", ".base", ".test"):
        return {"ratings": read_ratings(path, "\t")}
    if suffix in (*SUFFIXES, ".txt"):
        return read_files({"ratings": path}, {"ratings": "ratings"})
    raise DataError(f"{path} is of no known kind; expected {_FORMATS}")


def _build(tables: dict[str, Table], name: str) -> Dataset:
    frames: dict[str, Any] = {table: read.frame for table, read in tables.items()}
    try:
        return Dataset(**frames, name=name)
    except DataError as error:
        raise error.relocated(locator(tables)) from None
