"""Lists of all users, written to a file block by block: memory depends on the block, not on the number of users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from gnnrec._checks import check_integer
from gnnrec._io import atomic_file
from gnnrec._progress import track
from gnnrec.errors import ConfigError
from gnnrec.models.base import Recommender

BLOCK_SIZE = 4096
"""Users per block, which is a row group of a Parquet file."""


def write_lists(
    model: Recommender,
    path: str | Path,
    k: int = 10,
    *,
    users: Sequence[Any] | None = None,
    block_size: int = BLOCK_SIZE,
    progress: bool = False,
    **options: Any,
) -> int:
    """Write the recommendations of all users to a Parquet or CSV file.

    The file appears when it is complete: if the disk is full or the process is interrupted, nothing is left behind, and
    an earlier file is unchanged.

    Parameters
    ----------
    model : Recommender
        Any fitted model.
    path : str or Path
        File that ends in ``.parquet`` or ``.csv``; columns as of `Recommender.recommend`. Integer and text ids in one
        column become text in Parquet.
    k : int
        Movies per user.
    users : sequence of ids, optional
        Only these known users, in this order.
    block_size : int
        Users whose lists are in memory at a time.
    progress : bool
        Show a progress bar.
    **options
        Filters and re-ranking, as for `Recommender.recommend`.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ConfigError
        The file ends in something else, `block_size` is below 1, pyarrow is missing, or as for `recommend`.
    DataError
        A user is unknown, or as for `recommend`.
    StorageError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import gnnrec
    >>> model = gnnrec.fit(gnnrec.load_dataset("sample", num_users=60, num_movies=40), "ease")
    >>> path = Path(tempfile.mkdtemp()) / "lists.parquet"
    >>> write_lists(model, path, k=3), len(pd.read_parquet(path))
    (180, 180)
    """
    path = Path(path)
    check_integer(block_size=block_size)
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(f"cannot write {path}: the file must end in {' or '.join(WRITERS)}")
    ids = model.graph.ids["user"].tolist() if users is None else list(users)
    mixed = [name for name, kind in (("user_id", "user"), ("movie_id", "movie")) if _are_mixed(model.graph.ids[kind])]
    starts = range(0, max(len(ids), 1), block_size)
    rows = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file, WRITERS[path.suffix.lower()](file, mixed) as write:
        for start in track(starts, "recommending", enabled=progress):
            lists = model.recommend(ids[start : start + block_size], k, **options)
            write(lists)
            rows += len(lists)
    return rows


def _are_mixed(ids: Any) -> bool:
    return ids.dtype == object and len({type(one) for one in ids}) > 1


@contextmanager
def _parquet(file: BinaryIO, mixed: list[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("Parquet files need pyarrow; install it with: pip install 'gnnrec[parquet]'") from None
    writer: Any = None
    schema: Any = None

    def write(lists: pd.DataFrame) -> None:
        nonlocal writer, schema
        table = pyarrow.Table.from_pandas(lists.astype(dict.fromkeys(mixed, str)), schema, preserve_index=False)
        if writer is None:
            schema = table.schema
            writer = pyarrow.parquet.ParquetWriter(file, schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _csv(file: BinaryIO, mixed: list[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    def write(lists: pd.DataFrame) -> None:
        file.write(lists.to_csv(index=False, header=file.tell() == 0, lineterminator="\n").encode())

    yield write


WRITERS = {".parquet": _parquet, ".csv": _csv}
