"""Rows of tables, and tables as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec._checks import shown
from gnnrec._io import atomic_file
from gnnrec.data.parquet import write_parquet
from gnnrec.errors import ConfigError

CSV_ROWS = 1 << 20
"""Number of rows that are formatted at a time."""


def take_rows(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return some rows of ratings, by position, with a fresh index."""
    return pd.DataFrame({name: frame[name].array.take(rows) for name in frame.columns}, copy=False)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame atomically, some rows at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        frame.to_csv(file, index=False, lineterminator="\n", encoding="utf-8", chunksize=CSV_ROWS)


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path, format: str) -> None:
    """Write tables as ``csv`` or ``parquet`` files of their names; then remove their files in the other format."""
    writers = {"csv": write_csv, "parquet": write_parquet}
    if not isinstance(format, str) or format not in writers:
        raise ConfigError(f"format must be {' or '.join(writers)}, not {shown(format)}")
    for name, table in tables.items():
        writers[format](table, folder / f"{name}.{format}")
    for other in writers.keys() - {format}:
        for name in tables:
            (folder / f"{name}.{other}").unlink(missing_ok=True)
