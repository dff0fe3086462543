"""`prepare`: write any number of ratings as a folder that is mapped into memory, without holding them in memory.

They are read a block at a time, written as they come, divided into buckets of users that fit into memory, and sorted
there. `load_dataset` opens the folder in a moment.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import as_path, check_integer, check_number, shown
from gnnrec._io import new_folder
from gnnrec.data import Dataset
from gnnrec.data.columnar import (
    CODES,
    HEADER,
    IDS,
    NODES,
    OWNED,
    POINTER,
    VALUES,
    ColumnWriter,
    map_column,
    write_header,
)
from gnnrec.data.convert import LATEST_TIMESTAMP
from gnnrec.data.interactions import relocate
from gnnrec.data.parquet import is_table_in_parts
from gnnrec.data.provenance import ReadLog
from gnnrec.data.read_options import DEFAULT_OPTIONS
from gnnrec.data.scales import are_counts, not_given, rating_scale_of
from gnnrec.data.sorting import sort_by_group
from gnnrec.data.streaming import PlainRatings
from gnnrec.data.tables import Table, read_files
from gnnrec.data.text_files import stem_of
from gnnrec.data.times import time_unit
from gnnrec.datasets.folders import find_roles, tables_in
from gnnrec.datasets.joining import join_tables
from gnnrec.datasets.movielens import read_about
from gnnrec.errors import ConfigError, DataError, StorageError

BUCKET_ROWS = 4_000_000
"""Maximum number of ratings that are sorted at a time."""
BLOCK_ROWS = 1 << 20
"""Number of rows of a column that are read back at a time."""
DUPLICATES = ("error", "first", "last")
WORK = "work"
"""Folder of temporary files, deleted at the end."""
REMEDY = "read it with load_dataset, write it with Dataset.to_folder(..., format='parquet'), and prepare that folder"


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    min_rating: float | None = None,
    k_core: int | None = None,
    duplicates: str = "error",
    report: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write ratings as columns sorted by user and time, which `load_dataset` maps into memory.

    Parameters
    ----------
    source : str or Path
        A folder of ratings and optionally movies and users, or a file of ratings. Ratings are Parquet, in one file or
        in parts, or text with nothing but numbers; ids are whole numbers. Movies and users are read as `load_dataset`
        reads them.
    out : str or Path
        New folder, or one that `prepare` wrote, which is replaced once the new one is complete.
    name : str, optional
        Name of the dataset; by default that of `source`.
    min_rating : float, optional
        Lowest rating to keep.
    k_core : int, optional
        Then keep the k-core, as `Dataset.filtered` does.
    duplicates : {"error", "first", "last"}
        How to handle several ratings of a movie by a user: raise an error, or keep the first or last one in time.
    report : callable
        Called with messages about the progress and the disk space needed.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        The ratings cannot be read in this way, or are invalid.
    StorageError
        There is too little disk space, which is checked before anything is written, or writing fails.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec.datasets import make_sample
    >>> folder = Path(tempfile.mkdtemp())
    >>> source = make_sample(60, 40).to_folder(folder / "sample", format="parquet")
    >>> dataset = gnnrec.load_dataset(prepare(source, folder / "prepared", k_core=5))
    >>> dataset
    Dataset('sample', 5-core: 60 users, 40 movies, 1,216 ratings)
    >>> dataset.ratings["user_id"].is_monotonic_increasing
    True
    """
    source, out = as_path(source, "the source"), as_path(out, "the folder of a prepared dataset")
    if not isinstance(duplicates, str) or duplicates not in DUPLICATES:
        raise ConfigError(f"duplicates must be error, first or last, not {shown(duplicates)}")
    if k_core is not None:
        check_integer(k_core=k_core)
    if min_rating is not None:
        check_number(-np.inf, min_rating=min_rating)
    roles = _find_files(source)
    ratings = PlainRatings(roles.pop("ratings"), REMEDY)
    if min_rating is not None and "rating" not in ratings.columns:
        raise DataError(f"{source} has no column rating, so min_rating={min_rating:g} cannot be applied")
    _check_disk(ratings, out, report)
    filters = [f"rating >= {min_rating:g}"] if min_rating is not None else []
    filters += [f"{k_core}-core"] if k_core is not None else []
    with new_folder(out, header=HEADER, owned=OWNED, kind="prepared dataset") as folder:
        work = folder / WORK
        work.mkdir()
        users, movies, num_rows = _copy(ratings, work)
        if not num_rows:
            raise DataError(f"{ratings.path} has no rows; at least one rating is needed")
        report(f"{num_rows:,} ratings read")
        earlier = read_about(source) if source.is_dir() else None
        scale = _check_values(ratings, work, is_plain=earlier is not None)
        dataset, log = _make_tables(ratings, roles, users, movies)
        rows = _sort(work, dataset, ratings.columns, duplicates)
        report(f"{rows:,} ratings sorted by user and time")
        kept = None
        if filters:
            kept = _filter(work, rows, min_rating, k_core)
            rows = int(np.count_nonzero(kept))
            report(f"{rows:,} ratings left after {', '.join(filters)}")
            if not rows:
                raise DataError(f"no ratings of {source} are left after {', '.join(filters)}; use a weaker filter")
        dataset = _write(work, folder, dataset, ratings.columns, kept, rows)
        provenance = log.provenance() if earlier is None else earlier[1].followed_by(log.provenance())
        about = {
            "name": name or (source.resolve().name if source.is_dir() else stem_of(source)),
            "filters": ", ".join(filters),
            "rating_scale": scale if earlier is None else earlier[0],
            "provenance": asdict(provenance),
            "unused": log.unused_columns,
        }
        shutil.rmtree(work)
        write_header(folder, dataset, ratings.columns, rows, about)
    return out


def _find_files(source: Path) -> dict[str, Path]:
    """Return the files of ratings, movies and users."""
    if source.is_file() or is_table_in_parts(source):
        return {"ratings": source}
    if not source.is_dir():
        raise DataError(f"{str(source)!r} does not exist; give a folder or a file of ratings")
    roles = find_roles(tables_in(source), DEFAULT_OPTIONS)
    if "ratings" not in roles:
        raise DataError(f"{source} contains no ratings; expected ratings.parquet or ratings.csv")
    return {role: roles[role] for role in ("ratings", "movies", "users") if role in roles}


def _check_disk(ratings: PlainRatings, out: Path, report: Callable[[str], None]) -> None:
    """Raise a `StorageError` if the disk has less free space than the peak that is needed."""
    width = {**IDS, **VALUES}
    raw = sum(np.dtype(width[name]).itemsize for name in ratings.columns)
    codes = sum(np.dtype(dtype).itemsize for dtype in (*CODES.values(), *NODES.values()))
    rows = ratings.estimated_rows
    needed = rows * (2 * raw + codes)
    there = next(folder for folder in (out, *out.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    stays = rows * (raw + codes)
    report(f"about {rows:,} ratings: {needed / 1e9:,.1f} GB of disk are needed, {stays / 1e9:,.1f} GB to stay")
    if needed > free:
        raise StorageError(
            f"{out} needs {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free; free some or choose another folder"
        )


def _copy(ratings: PlainRatings, work: Path) -> tuple[pd.Index, pd.Index, int]:
    """Write the columns of the source in their order; return the ids in the order of their first ratings."""
    ids: dict[str, dict[int, None]] = {"user_id": {}, "movie_id": {}}
    rows = 0
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context((work / f"{name}.raw").open("wb")) for name in ratings.columns}
        for block in ratings.blocks():
            for name, seen in ids.items():
                seen.update(dict.fromkeys(pd.unique(block[name]).tolist()))
            for name, file in files.items():
                file.write(np.ascontiguousarray(block[name]).data)
            rows += len(block["user_id"])
    return pd.Index(list(ids["user_id"])), pd.Index(list(ids["movie_id"])), rows


def _check_values(ratings: PlainRatings, work: Path, is_plain: bool) -> tuple[float, float] | None:
    """Return the rating scale; raise `DataError` for times and ratings that `load_dataset` would convert or refuse."""
    if "timestamp" in ratings.columns:
        times = _raw(work, "timestamp")
        first, last = int(times.min()), int(times.max())
        if not 0 <= first <= last <= LATEST_TIMESTAMP or time_unit(pd.Series([first, last]))[1] != 1:
            raise DataError(f"{ratings.path} has times that are not in seconds since 1970, from 0 on; {REMEDY}")
    if "rating" not in ratings.columns:
        return None
    values = _raw(work, "rating")
    if not np.isfinite(values).all():
        raise DataError(f"{ratings.path} has a rating that is not finite; correct or drop the row")
    if not is_plain and (are_counts(values) or not_given(values) is not None):
        raise DataError(f"rating of {ratings.path} holds counts, or marks of ratings that were not given; {REMEDY}")
    return rating_scale_of(values)


def _make_tables(
    ratings: PlainRatings, roles: dict[str, Path], users: pd.Index, movies: pd.Index
) -> tuple[Dataset, ReadLog]:
    """Return a dataset with the users and movies that `load_dataset` would find, and a few placeholder ratings."""
    log = ReadLog()
    ratings.note(log)
    kinds = {role: role for role in roles}
    tables: dict[str, Table] = read_files(roles, kinds, (), DEFAULT_OPTIONS, log)
    number = np.arange(max(len(users), len(movies)))  # every user and every movie once, and no pair twice
    few = pd.DataFrame(
        {"user_id": users.to_numpy()[number % len(users)], "movie_id": movies.to_numpy()[number % len(movies)]}
    )
    few.attrs.update(ratings.attrs)
    tables = join_tables({"ratings": Table(ratings.path, few, unused=ratings.unused), **tables}, {}, log)
    try:
        frames: dict[str, Any] = {name: table.frame for name, table in tables.items()}
        dataset = Dataset(**frames)
    except DataError as error:
        raise relocate(error, tables) from None
    unused = {name: [*table.unused, *dataset.unused.get(name, ())] for name, table in tables.items()}
    log.unused_columns = {name: columns for name, columns in unused.items() if columns}
    return dataset, log


def _raw(work: Path, name: str) -> np.ndarray:
    return np.memmap(work / f"{name}.raw", dtype={**IDS, **VALUES}[name], mode="r")


def _slices(length: int) -> Iterator[slice]:
    for start in range(0, length, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, length))


def _sort(work: Path, dataset: Dataset, columns: Sequence[str], duplicates: str) -> int:
    """Write the columns as NumPy files, sorted by user and time and without duplicates; return the number of rows."""
    raw = {name: _raw(work, name) for name in columns}
    length = len(raw["user_id"])
    counts = np.zeros(dataset.num_users, dtype=np.int64)
    for rows in _slices(length):
        counts += np.bincount(dataset.user_ids.codes(pd.Series(raw["user_id"][rows])), minlength=len(counts))
    # Buckets of neighboring users, each of them a range of rows.
    ends = np.cumsum(counts)
    bucket = ((ends - counts) // BUCKET_ROWS).astype(np.int32)
    sizes = np.bincount(bucket, weights=counts).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    types = {"user": "int32", "movie": "int32", **{name: VALUES[name] for name in columns if name in VALUES}}
    cursor = starts[:-1].copy()
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(ColumnWriter(work / f"{name}.npy", kind, length)) for name, kind in types.items()
        }
        for rows in _slices(length):
            block = {name: raw[name][rows] for name in columns if name in VALUES}
            block["user"] = dataset.user_ids.codes(pd.Series(raw["user_id"][rows]))
            block["movie"] = dataset.movie_ids.codes(pd.Series(raw["movie_id"][rows]))
            place = bucket[block["user"]]
            order = np.argsort(place, kind="stable")
            present, first = np.unique(place[order], return_index=True)
            for number, (low, high) in zip(present, pairwise([*first, len(order)]), strict=True):
                for name, file in files.items():
                    file.write(int(cursor[number]), block[name][order[low:high]])
                cursor[number] += high - low
    del raw
    for name in columns:
        (work / f"{name}.raw").unlink()
    kept = 0
    with contextlib.ExitStack() as stack:
        mapped = {name: map_column(work, name) for name in types}
        files = {
            name: stack.enter_context(ColumnWriter(work / f"{name}-sorted.npy", kind, length))
            for name, kind in types.items()
        }
        for low, high in pairwise(starts):
            block = {name: np.array(values[low:high]) for name, values in mapped.items()}
            time = block.get("timestamp", np.zeros(high - low, dtype=np.int64))
            order = sort_by_group(block["user"], time)
            order = order[_not_repeated(block["user"][order], block["movie"][order], duplicates, dataset)]
            for name, file in files.items():
                file.write(kept, block[name][order])
            kept += len(order)
    for name in types:
        (work / f"{name}.npy").unlink()
    return kept


def _not_repeated(user: np.ndarray, movie: np.ndarray, duplicates: str, dataset: Dataset) -> np.ndarray:
    """Return which rows are kept, ``[n]`` bool: of several with the same user and movie the first or the last."""
    kept = np.ones(len(user), dtype=bool)
    by_pair = sort_by_group(user, movie)
    repeats = np.flatnonzero((user[by_pair][1:] == user[by_pair][:-1]) & (movie[by_pair][1:] == movie[by_pair][:-1]))
    if len(repeats) and duplicates == "error":
        row = by_pair[repeats[0]]
        who, what = dataset.user_ids.ids[user[row]], dataset.movie_ids.ids[movie[row]]
        raise DataError(
            f"user {who} rated movie {what} twice; keep one of the two rows, or say which with duplicates='first' or "
            "'last'"
        )
    kept[by_pair[repeats + 1 if duplicates == "first" else repeats]] = False
    return kept


def _sorted(work: Path, name: str, length: int) -> np.ndarray:
    return map_column(work, f"{name}-sorted")[:length]


def _filter(work: Path, length: int, min_rating: float | None, k_core: int | None) -> np.ndarray:
    """Return which ratings pass the filters, ``[length]`` bool; `gnnrec.data.filters` does the same in memory."""
    kept = np.ones(length, dtype=bool)
    if min_rating is not None:
        rating = _sorted(work, "rating", length)
        for rows in _slices(length):
            kept[rows] = rating[rows] >= min_rating
    if k_core is None:
        return kept
    codes = [_sorted(work, name, length) for name in ("user", "movie")]
    sizes = [int(max((values[rows].max() for rows in _slices(length)), default=-1)) + 1 for values in codes]
    while True:
        counts = [np.zeros(size, dtype=np.int64) for size in sizes]
        for rows in _slices(length):
            for count, values in zip(counts, codes, strict=True):
                count += np.bincount(values[rows][kept[rows]], minlength=len(count))
        enough = [count >= k_core for count in counts]
        changed = False
        for rows in _slices(length):
            still = kept[rows] & enough[0][codes[0][rows]] & enough[1][codes[1][rows]]
            changed |= bool((still != kept[rows]).any())
            kept[rows] = still
        if not changed:
            return kept


def _write(
    work: Path, folder: Path, dataset: Dataset, columns: Sequence[str], kept: np.ndarray | None, rows: int
) -> Dataset:
    """Write the remaining ratings; return the dataset with the users and movies that are left."""
    length = rows if kept is None else len(kept)
    user, movie = (_sorted(work, name, length) for name in ("user", "movie"))
    tables = {"user": dataset.users, "movie": dataset.movies}
    renumbered: dict[str, np.ndarray] = {}
    for name, codes in (("user", user), ("movie", movie)):
        used = np.full(len(tables[name]), kept is None)
        if kept is not None:
            for part in _slices(length):
                used[codes[part][kept[part]]] = True
        renumbered[name] = np.cumsum(used) - 1
        tables[name] = tables[name][used].reset_index(drop=True)
    values = {name: _sorted(work, name, length) for name in columns if name in VALUES}
    ids = {name: tables[name][f"{name}_id"].to_numpy() for name in ("user", "movie")}
    types = {**{name: {**IDS, **VALUES}[name] for name in columns}, **CODES, **NODES}
    counts, row = np.zeros(len(ids["user"]), dtype=np.int64), 0
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(ColumnWriter(folder / f"{name}.npy", kind, rows)) for name, kind in types.items()
        }
        for part in _slices(length):
            chosen = slice(None) if kept is None else kept[part]
            chosen_codes = {
                name: renumbered[name][all_codes[part][chosen]]
                for name, all_codes in (("user", user), ("movie", movie))
            }
            block = {name: column[part][chosen] for name, column in values.items()}
            for name, found in chosen_codes.items():
                block |= {name: found, f"{name}_node": found, f"{name}_id": ids[name][found]}
            for name, file in files.items():
                file.write(row, block[name])
            counts += np.bincount(chosen_codes["user"], minlength=len(counts))
            row += len(chosen_codes["user"])
    np.save(folder / f"{POINTER}.npy", np.concatenate([[0], np.cumsum(counts)]))
    few = np.arange(max(len(ids["user"]), len(ids["movie"])))
    pairs = pd.DataFrame({f"{name}_id": known[few % len(known)] for name, known in ids.items()})
    return Dataset.from_validated(pairs, tables["movie"], tables["user"], dataset.name)
