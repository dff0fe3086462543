"""Sources of datasets: `load_dataset` for registered names, published datasets, folders and files.

These modules determine which files of a source are which table; `gnnrec.data` reads and checks single tables. A
decorator adds datasets of your own.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gnnrec._checks import as_path, did_you_mean
from gnnrec.data import Dataset
from gnnrec.data.read_options import DEFAULT_OPTIONS, ReadOptions
from gnnrec.datasets._download import download, find_dataset, locate_dataset
from gnnrec.datasets.movielens import read_dataset
from gnnrec.datasets.prepare import prepare
from gnnrec.datasets.synthetic import make_sample
from gnnrec.datasets.synthetic_posters import sample_posters
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import DATASETS, register_dataset

__all__ = [
    "DATASETS",
    "download",
    "find_dataset",
    "load_dataset",
    "locate_dataset",
    "make_sample",
    "prepare",
    "read_dataset",
    "register_dataset",
    "sample_posters",
]


def load_dataset(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    download: bool = True,
    columns: Mapping[Any, str | None] | Sequence[str] | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    date_format: str | None = None,
    day_first: bool | None = None,
    duplicates: str = "error",
    errors: str = "raise",
    rejected: str | Path | None = None,
    rating_scale: tuple[float, float] | None = None,
    **options: Any,
) -> Dataset:
    r"""Load a dataset by name or from files.

    Parameters
    ----------
    name_or_path : str or Path
        A registered name: "sample", a MovieLens dataset ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m",
        "ml-latest-small", "ml-latest") or one of your own (see Notes). Or a path: a folder, whose format is recognized
        by file names and columns, a zip file of one, or a single file of ratings. A name takes precedence over a folder
        in the working directory; write ``./ml-1m`` for the folder. A folder that `prepare` wrote is mapped into memory
        and not read.

        Separator, encoding, line ends, compression, header, decimal mark and notation of times are recognized; the
        options below are for what is not. Only user and movie ids are required. See "File formats" in the
        documentation.
    data_dir : str or Path, optional
        Where a named dataset is searched first: its folder, or the folder that contains it. Then follow
        ``$GNNREC_DATA``, ``data/<name>`` in the working directory, and the download cache.
    download : bool
        Whether a named dataset that is not found is downloaded.
    columns : mapping or sequence of str, optional
        Names here by names in the files, ``{"asin": "movie_id"}``, or by position from 0; None leaves a column out. A
        sequence names the columns of a file without a header.
    sep : str, optional
        Separator of the fields, of one or more characters.
    encoding : str, optional
        Encoding of the files, such as "cp1252".
    decimal : {".", ","}, optional
        Decimal mark.
    header : bool, optional
        Whether the first line names the columns.
    date_format : str, optional
        Format of dates, such as ``"%d.%m.%Y"``.
    day_first : bool, optional
        Whether 03/04/2001 is 3 April. By default inferred from the column; an error if it is ambiguous.
    duplicates : {"error", "first", "last", "mean", "max", "sum"}
        How to handle several rows of the same user and movie: raise an error; keep the first or the last row; or
        combine them into one row with the mean, largest or summed rating or count and the latest time. With "sum", rows
        with neither ratings nor counts are counted.
    errors : {"raise", "skip"}
        Whether a row that cannot be read raises an error or is skipped.
    rejected : str or Path, optional
        With ``errors="skip"``, a CSV file for the skipped rows, with file, line and problem.
    rating_scale : tuple of float, optional
        Lowest and highest rating; others are errors. By default the usual scale on which the ratings lie is found.
    **options
        Keyword arguments of a registered dataset; for "sample" those of `make_sample`.

    Returns
    -------
    Dataset
        Rows in file order. Counts and hours become a column ``weight``, log(1 + count). `Dataset.provenance` lists what
        was guessed, renamed, ignored and left out.

    Raises
    ------
    DataError
        The files are missing or invalid; the message names file and line.
    DownloadError
        The download failed.
    ConfigError
        The name is unknown, or the dataset does not have such an option.

    Notes
    -----
    A dataset of your own is a function or class that returns a `Dataset`. It may take ``data_dir`` and ``download`` and
    any options; with a ``url`` of a zip file, `locate_dataset` and ``gnnrec download`` fetch its files::

        from gnnrec.datasets import locate_dataset, read_dataset, register_dataset

        @register_dataset("my-shop", url="https://example.org/my-shop.zip", md5="...")
        def my_shop(data_dir=None, download=True):
            return read_dataset(locate_dataset("my-shop", data_dir, allow_download=download))

    Examples
    --------
    >>> load_dataset("sample", num_users=100, num_movies=80)
    Dataset('sample': 100 users, 80 movies, 3,755 ratings)

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "seen.csv"
    >>> _ = path.write_text("who;film;Stars\nann;heat;4,5\nann;heat;3,5\nbob;heat;2\n")
    >>> dataset = load_dataset(path, columns={"who": "user_id"}, duplicates="last")
    >>> dataset.ratings.values.tolist()
    [['ann', 'heat', 3.5], ['bob', 'heat', 2.0]]
    >>> print(dataset.provenance)
    read: seen.csv (semicolons, decimal commas)
    renamed in seen.csv: who -> user_id, film -> movie_id, Stars -> rating
    left out: 1 row that repeats a user and movie, by duplicates='last' (seen.csv:2)
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise DataError(
            f"a dataset is a name or a path, not {type(name_or_path).__name__}; for data frames, use "
            "gnnrec.Dataset(ratings, ...)"
        )
    reading: dict[str, Any] = {
        "columns": columns,
        "sep": sep,
        "encoding": encoding,
        "decimal": decimal,
        "header": header,
        "date_format": date_format,
        "day_first": day_first,
        "duplicates": duplicates,
        "errors": errors,
        "rejected": rejected,
        "rating_scale": rating_scale,
    }
    if isinstance(name_or_path, str) and name_or_path in DATASETS.names():
        options |= {key: value for key, value in reading.items() if not is_default(key, value)}
        return _load_registered(name_or_path, {"data_dir": data_dir, "download": download}, options)
    path = as_path(name_or_path, "a dataset")
    try:
        is_there = path.exists()
    except (OSError, ValueError) as error:  # too long, or with a character that is invalid in paths
        raise DataError(f"{str(name_or_path)[:60]!r} ... is not a path: {error.args[-1]}") from None
    if isinstance(name_or_path, str) and not is_there and _looks_like_name(name_or_path):
        try:
            DATASETS.get(name_or_path)
        except ConfigError as error:
            raise ConfigError(f"{error}, or give the path of an existing folder or file of ratings") from None
    if options:
        hint = did_you_mean(next(iter(options)), reading)
        raise ConfigError(f"options {', '.join(options)} are only for registered datasets, not for {str(path)!r}{hint}")
    return read_dataset(path, options=ReadOptions(**reading))


def is_default(key: str, value: Any) -> bool:
    """Return whether an option of `load_dataset` is not given; values of any type are compared."""
    default = getattr(DEFAULT_OPTIONS, key)
    return value is default or (isinstance(value, str) and value == default)


def _looks_like_name(text: str) -> bool:
    return Path(text).name == text and not Path(text).suffix


def _load_registered(name: str, location: dict[str, Any], options: dict[str, Any]) -> Dataset:
    """Call the loader of a dataset with its options, and with those of `location` that it takes."""
    loader = DATASETS.get(name)
    parameters = inspect.signature(loader).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        own = [key for key in parameters if key not in location]
        if unknown := [key for key in options if key not in own]:
            choices = f"choose from {', '.join(own)}" if own else "it has none"
            raise ConfigError(f"unknown option {', '.join(unknown)} of dataset {name!r}; {choices}")
        location = {key: value for key, value in location.items() if key in parameters}
    dataset = loader(**location, **options)
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"the loader of dataset {name!r} must return a Dataset, not {type(dataset).__name__}")
    return dataset
