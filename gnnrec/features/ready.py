"""Vectors that somebody has already, from npy, npz, safetensors, CSV, TSV or Parquet files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.data.schema import format_id
from gnnrec.data.tables import SUFFIXES
from gnnrec.errors import ConfigError, DataError
from gnnrec.features.sources import read_by_movie
from gnnrec.features.store import Stored, read_stored, read_tensors, write_stored

ID_NAMES = ("movie_ids", "movie_id", "movieIds", "movieId", "ids", "id")
"""Names of the array of ids in npz and safetensors files that hold more than two arrays."""
VECTOR_NAMES = ("vectors", "values", "embeddings", "features")
"""Names of the array of vectors there."""


def read_vectors(
    path: str | Path, *, ids: str | Path | None = None, dataset: Dataset | None = None, about: str | None = None
) -> ContentEmbeddings:
    r"""Read vectors of movies.

    Which movie a row belongs to must be written somewhere: rows are never taken to be in the order of the dataset.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.tsv`` or ``.parquet``: a column of movie ids (``movie_id``, ``movieId``, ...), all others are
        numbers. ``.npz`` or ``.safetensors``: a row of ids and a table of vectors, the only two arrays or named as
        in `ID_NAMES` and `VECTOR_NAMES`; files of ``gnnrec features`` are read, too. ``.npy``: a table of vectors
        with `ids` beside it.
    ids : str or Path, optional
        For ``.npy``: a table with a column of movie ids, or an ``.npy`` of them, a row for each row of vectors. By
        default ``NAME.ids.csv`` or ``NAME.ids.npy`` beside ``NAME.npy``.
    dataset : Dataset, optional
        At least one of its movies must be in the file, and ids are numbers or text as there.
    about : str, optional
        Said in reports; by default the file's name.

    Returns
    -------
    ContentEmbeddings
        In file order.

    Raises
    ------
    DataError
        The file is missing, damaged or of another form, ids are missing or there twice, a value is no finite number,
        or no movie of the dataset is there; for tables the message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
    >>> _ = path.write_text("movieId,x,y\n1,0.5,1\n7,0,2\n")
    >>> vectors = read_vectors(path)
    >>> vectors.movie_ids.tolist(), vectors.values.tolist()
    ([1, 7], [[0.5, 1.0], [0.0, 2.0]])
    """
    path, suffix = Path(path).expanduser(), Path(path).suffix.lower()
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    if ids is not None and suffix != ".npy":
        raise ConfigError(f"ids of their own are for .npy files; {path.name} holds its ids itself")
    known = None if dataset is None else pd.Index(dataset.movies["movie_id"])
    if suffix in SUFFIXES:
        found, values = _from_table(path, known)
    elif suffix == ".npz":
        found, values = _pair(_arrays(path), path)
    elif suffix == ".npy":
        found, values = _ids_beside(path, ids, known), _array(path)
    elif suffix == ".safetensors":
        header, tensors = read_tensors(path)
        if header is not None:
            return _checked(read_stored(path).vectors, known, path)
        found, values = _pair(tensors, path)
    else:
        raise DataError(f"{path} is of no known kind; vectors come as {', '.join(SUFFIXES)}, .npy, .npz, .safetensors")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{path} holds {values.dtype}, not numbers")
    try:
        vectors = ContentEmbeddings(found, values, about or f"given, {path.name}")
    except DataError as error:
        raise DataError(error.problem, at=str(path)) from None
    return _checked(vectors, known, path)


def save_vectors(folder: str | Path, modality: str, vectors: ContentEmbeddings) -> Path:
    """Write vectors so that `load_features` finds them.

    Parameters
    ----------
    folder : str or Path
        Made when missing; vectors of this modality in it are replaced.
    modality : str
        "poster", "text", or a name of your own without a dot.
    vectors : ContentEmbeddings

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        The modality cannot be the name of a file.

    Examples
    --------
    >>> import tempfile
    >>> vectors = ContentEmbeddings([1, 2], [[1.0, 0.0], [0.0, 1.0]], about="by hand")
    >>> save_vectors(tempfile.mkdtemp(), "mood", vectors).name
    'mood.safetensors'
    """
    if not modality.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"{modality!r} cannot be the name of a modality; use letters and digits")
    path = Path(folder).expanduser() / f"{modality}.safetensors"
    (path.with_suffix(".json")).unlink(missing_ok=True)  # the account of what was there before
    write_stored(path, Stored(vectors, [], "", fitted=False))
    return path


def _from_table(path: Path, known: pd.Index | None) -> tuple[Any, np.ndarray]:
    table = read_by_movie(path, known)
    columns = table.frame.drop(columns="movie_id")
    if columns.empty:
        raise DataError("no columns of numbers beside the movie ids", at=str(path))
    for name in columns:
        numbers = pd.to_numeric(columns[name], errors="coerce")
        wrong = ~np.isfinite(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
        if wrong.any():
            row = int(wrong.argmax())
            problem = (
                f"{name} is {format_id(columns[name].iloc[row])}; besides movie ids there must be finite numbers alone"
            )
            raise DataError(problem, at=table.locate(row))
        columns[name] = numbers
    return table.frame["movie_id"], columns.to_numpy(dtype=np.float32)


def _ids_beside(path: Path, ids: str | Path | None, known: pd.Index | None) -> Any:
    beside = [path.with_suffix(".ids.csv"), path.with_suffix(".ids.npy")]
    place = Path(ids).expanduser() if ids is not None else next((name for name in beside if name.is_file()), None)
    if place is None:
        raise DataError(
            f"{path} does not say which movies its rows are; put {beside[0].name} beside it, with a column movie_id"
        )
    if place.suffix.lower() != ".npy":
        return read_by_movie(place, known).frame["movie_id"]
    found = _array(place)
    if found.ndim != 1 or found.dtype.kind not in "iuU":
        raise DataError(f"{place} must be one row of movie ids, not {found.dtype} of shape {found.shape}")
    return found


def _array(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is damaged, or no array of numbers: {error}") from None
    if not isinstance(loaded, np.ndarray):
        raise DataError(f"{path} is no npy file, in spite of its name")
    return loaded


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged, or no npz file: {error}") from None


def _pair(arrays: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the array of ids and that of vectors."""
    rows = [name for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind in "iuU"]
    tables = [name for name, array in arrays.items() if array.ndim == 2]
    rows = rows if len(rows) == 1 else [name for name in ID_NAMES if name in rows][:1]
    tables = tables if len(tables) == 1 else [name for name in VECTOR_NAMES if name in tables][:1]
    if not rows or not tables:
        shapes = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(
            f"{path} must hold a row of whole numbers or texts, {ID_NAMES[0]}, and a table, {VECTOR_NAMES[0]}; "
            f"it holds {shapes}"
        )
    return arrays[rows[0]], arrays[tables[0]]


def _checked(vectors: ContentEmbeddings, known: pd.Index | None, path: Path) -> ContentEmbeddings:
    if known is not None and not vectors.movie_ids.isin(known).any():
        raise DataError(
            f"{path} has vectors of {len(vectors):,} movies, {', '.join(map(repr, vectors.movie_ids[:3].tolist()))}, "
            f"..., none of which is in the dataset, {', '.join(map(repr, known[:3].tolist()))}, ..."
        )
    return vectors
