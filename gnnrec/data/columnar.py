"""A dataset as column files that are mapped into memory, so that it may be larger than memory.

Ratings are sorted by user, then by time, and ``user_ptr`` says where each user begins. A page of a file is read when it
is used and given up when memory is short. `gnnrec.datasets.prepare` writes such folders.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._io import check_layout, read_json, stamp, write_json
from gnnrec.data.append_only import Histories, RatingTable
from gnnrec.data.dataset import Dataset
from gnnrec.data.parquet import write_parquet
from gnnrec.data.provenance import Provenance
from gnnrec.errors import DataError, StorageError

FORMAT = 1
"""Layout of a folder."""
HEADER = "prepared.json"
IDS = {"user_id": "int64", "movie_id": "int64"}
VALUES = {"rating": "float32", "timestamp": "int64"}
CODES = {"user": "int32", "movie": "int32"}
"""Rows of the users and movies tables, as a `RatingTable` has them."""
NODES = {"user_node": "int64", "movie_node": "int64"}
"""The same, as `Histories` have them."""
MIN_MAPPED, BLOCK_ROWS = 1 << 20, 1 << 20
"""Ratings from which a part of a mapped dataset is written to disk, and rows that are copied at a time."""
POINTER, TABLES = "user_ptr", ("movies", "users")
OWNED = (
    HEADER,
    *(f"{name}.npy" for name in (*IDS, *VALUES, *CODES, *NODES, POINTER)),
    *(f"{t}.parquet" for t in TABLES),
)
"""Files of a folder."""


class ColumnWriter:
    """Writes a column into a NumPy file, at any position. Unlike with mapped memory, a full disk raises an error.

    Parameters
    ----------
    path : Path
    dtype : str
    length : int
        Number of rows.
    """

    def __init__(self, path: Path, dtype: str, length: int) -> None:
        self._dtype = np.dtype(dtype)
        with path.open("wb") as file:
            description = {"descr": self._dtype.str, "fortran_order": False, "shape": (length,)}
            np.lib.format.write_array_header_1_0(file, description)
            self._start = file.tell()
            file.truncate(self._start + length * self._dtype.itemsize)  # rows that are never written are zeros
        self._file = path.open("r+b", buffering=0)

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, row: int, values: np.ndarray) -> None:
        """Write values, starting at a row."""
        if not len(values):
            return
        data = np.ascontiguousarray(values, dtype=self._dtype).data.cast("B")
        self._file.seek(self._start + row * self._dtype.itemsize, os.SEEK_SET)
        while data:
            data = data[self._file.write(data) :]


class MappedRatings(RatingTable):
    """Ratings in column files, sorted by user and time.

    Many of them are taken by copying rows into further column files, without holding them in memory. These files have
    no name, lie in the folder for temporary files, and are deleted when nothing uses them any more.
    """

    def take(self, rows: np.ndarray) -> RatingTable:
        """See `RatingTable.take`."""
        if len(rows) < MIN_MAPPED or not (self.is_merged and _are_ascending(rows)):
            return super().take(rows)
        merged, frame = self.histories, self.frame
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        columns |= {"user": self.user, "movie": self.movie, "user_node": merged.user, "movie_node": merged.movie}
        _check_disk(sum(values.itemsize for values in columns.values()) * len(rows))
        taken = {name: _copy_rows(values, rows) for name, values in columns.items()}
        return mapped_ratings(taken, list(frame.columns))


def mapped_ratings(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> MappedRatings:
    """Return the ratings in the columns of `names`, `CODES` and `NODES`, sorted by user and time."""
    frame = pd.DataFrame({name: columns[name] for name in names}, copy=False)
    rating = columns["rating"] if "rating" in columns else np.ones(len(frame), dtype=np.float32)
    time = columns["timestamp"] if "timestamp" in columns else np.zeros(len(frame), dtype=np.int64)
    histories = Histories(columns["user_node"], columns["movie_node"], rating, time)
    return MappedRatings.from_sorted(frame, columns["user"], columns["movie"], histories)


def _are_ascending(rows: np.ndarray) -> bool:
    starts = range(0, len(rows), BLOCK_ROWS)
    return all(bool((np.diff(rows[start : start + BLOCK_ROWS + 1]) > 0).all()) for start in starts)


def _check_disk(needed: int) -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"ratings of a prepared folder are copied to {folder}, which needs {needed / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB are free; free some, or set TMPDIR to another folder"
        )


def _copy_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Copy some rows of a column to a temporary file and map it into memory."""
    try:
        with tempfile.TemporaryFile() as file:
            for start in range(0, len(rows), BLOCK_ROWS):
                file.write(np.ascontiguousarray(values[rows[start : start + BLOCK_ROWS]]).data)
            file.flush()
            return np.asarray(np.memmap(file, values.dtype, "c", shape=(len(rows),)))
    except OSError as error:
        raise StorageError(f"cannot write to {tempfile.gettempdir()}: {error.strerror}") from None


def map_column(folder: Path, name: str) -> np.ndarray:
    """Map a column into memory. It is writable, as PyTorch requires, but changes do not reach the file."""
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False))


def write_header(
    folder: Path, dataset: Dataset, columns: tuple[str, ...], num_ratings: int, about: Mapping[str, Any]
) -> None:
    """Write the tables of users and movies, and the header.

    Parameters
    ----------
    folder : Path
    dataset : Dataset
        With all users and movies.
    columns : tuple of str
        Columns of the ratings table.
    num_ratings : int
    about : mapping
        Name, filters, rating scale, provenance and unused columns.
    """
    for table in TABLES:
        write_parquet(getattr(dataset, table), folder / f"{table}.parquet")
    header = {**stamp(FORMAT), "columns": list(columns), "num_ratings": num_ratings, **about}
    write_json(folder / HEADER, header)


def load_prepared(folder: Path) -> Dataset:
    """Return the dataset of a folder without reading its ratings.

    Raises
    ------
    DataError
        The folder is damaged, or of another version.
    """
    try:
        header = read_json(folder / HEADER)
        check_layout(header, FORMAT, str(folder), "prepare it again")
        columns, length = list(header["columns"]), int(header["num_ratings"])
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
        mapped = {name: map_column(folder, name) for name in (*columns, *CODES, *NODES)}
        if any(values.shape != (length,) for values in mapped.values()):
            raise ValueError("columns have another length than the header says")
        provenance = Provenance.from_json(header["provenance"])
        scale = (
            None
            if header["rating_scale"] is None
            else (float(header["rating_scale"][0]), float(header["rating_scale"][1]))
        )
    except DataError:
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"{folder} is damaged ({error}); prepare it again") from None
    table = mapped_ratings(mapped, columns)
    made = Dataset.from_validated(table, tables["movies"], tables["users"], header["name"], header["filters"])
    unused = {name: tuple(names) for name, names in header["unused"].items()}
    return made.with_provenance(provenance, unused, scale)
