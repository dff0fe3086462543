"""Datasets: `load_dataset` for registered names, folders and files; a decorator adds datasets of your own."""

from __future__ import annotations

import dataclasses
import inspect
import os
from pathlib import Path
from typing import Any

from gnnrec._checks import did_you_mean
from gnnrec.data import Dataset
from gnnrec.data.read_options import ReadOptions
from gnnrec.datasets._download import download, find_dataset, locate_dataset
from gnnrec.datasets.movielens import read_dataset
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
    "read_dataset",
    "register_dataset",
    "sample_posters",
]


def load_dataset(
    name_or_path: str | Path, *, data_dir: str | Path | None = None, download: bool = True, **options: Any
) -> Dataset:
    """Load a dataset by name or from files.

    Parameters
    ----------
    name_or_path : str or Path
        A registered name: "sample", a MovieLens dataset ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m",
        "ml-latest-small", "ml-latest") or one of your own (see Notes). Or a path: a folder, whose format is recognized
        by its file names, or a single file of ratings. A name takes precedence over a folder in the working directory;
        write ``./ml-1m`` for the folder.

        CSV files are UTF-8 with column names in the first line. Only user and movie ids are required, common
        alternative column names are recognized, and ids may be text, whose surrounding blanks are removed. Next to
        the movies table, ``fullplot.csv``, ``omdb.csv`` and ``links.csv`` add plots, directors and actors, running
        times and ids; see ``docs/reference/files.md``.
    data_dir : str or Path, optional
        Where a named dataset is searched first: its folder, or the folder that contains it. Then follow
        ``$GNNREC_DATA``, ``data/<name>`` in the working directory, and the download cache.
    download : bool
        Whether a named dataset that is not found is downloaded.
    **options
        Keyword arguments of a registered dataset; for "sample" those of `make_sample`.

    Returns
    -------
    Dataset
        Rows in file order.

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
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise DataError(
            f"a dataset is a name or a path, not {type(name_or_path).__name__}; frames go into Dataset(ratings, ...)"
        )
    if isinstance(name_or_path, str) and name_or_path in DATASETS.names():
        return _load_registered(name_or_path, {"data_dir": data_dir, "download": download}, options)
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and not path.exists() and _looks_like_name(name_or_path):
        try:
            DATASETS.get(name_or_path)
        except ConfigError as error:
            raise ConfigError(f"{error}, or give the path of an existing folder or file of ratings") from None
    known = [field.name for field in dataclasses.fields(ReadOptions)]
    if unknown := [key for key in options if key not in known]:
        raise ConfigError(
            f"options {', '.join(unknown)} are only for registered datasets, not for {str(path)!r}"
            f"{did_you_mean(unknown[0], known)}"
        )
    return read_dataset(path, options=ReadOptions(**options))


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
