"""A dataset as column files that are mapped into memory, so that it may be larger than memory.

Ratings are sorted by user, then by time, and ``user_ptr`` says where each user begins. A page of a file is read when it
is used and given up when memory is short. `gnnrec.datasets.prepare` writes such folders.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._io import check_layout, read_json, stamp, write_json
from gnnrec.data.append_only import Histories, RatingTable
from gnnrec.data.dataset import Dataset
from gnnrec.data.parquet import write_parquet
from gnnrec.data.provenance import Provenance
from gnnrec.errors import DataError

FORMAT = 1
"""Layout of a folder."""
HEADER = "prepared.json"
IDS = {"user_id": "int64", "movie_id": "int64"}
VALUES = {"rating": "float32", "timestamp": "int64"}
CODES = {"user": "int32", "movie": "int32"}
"""Rows of the users and movies tables, as a `RatingTable` has them."""
NODES = {"user_node": "int64", "movie_node": "int64"}
"""The same, as `Histories` have them."""
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
    frame = pd.DataFrame({name: mapped[name] for name in columns}, copy=False)
    rating = mapped["rating"] if "rating" in mapped else np.ones(length, dtype=np.float32)
    time = mapped["timestamp"] if "timestamp" in mapped else np.zeros(length, dtype=np.int64)
    histories = Histories(mapped["user_node"], mapped["movie_node"], rating, time)
    table = RatingTable.from_sorted(frame, mapped["user"], mapped["movie"], histories)
    made = Dataset.from_validated(table, tables["movies"], tables["users"], header["name"], header["filters"])
    unused = {name: tuple(names) for name, names in header["unused"].items()}
    return made.with_provenance(provenance, unused, scale)
