"""The parts of a split as frames: checked against each other, read from a folder and written to one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from gnnrec.data.dataset import Dataset, write_csv
from gnnrec.data.files import places, read_folder
from gnnrec.errors import DataError, Place
from gnnrec.files import write_whole

PARTS = ("train", "valid", "test", "support")
NOTE = "split.json"
NOTED = ("name", "protocol", "mask", "history")
"""What the note beside the parts says."""


def checked_whole(
    parts: dict[str, pd.DataFrame], movies: pd.DataFrame | None, users: pd.DataFrame | None, name: str
) -> Dataset:
    """Return all parts as one dataset: its checks are those of a split, pairs in two parts included."""
    if parts["train"].empty:
        raise DataError("train is empty; a split needs ratings to train on")
    filled = {part: frame for part, frame in parts.items() if len(frame)}  # an empty frame has no useful types
    for part, frame in filled.items():
        if set(frame.columns) != set(parts["train"].columns):
            theirs, ours = ", ".join(map(str, frame.columns)), ", ".join(map(str, parts["train"].columns))
            raise DataError(f"{part} has the columns {theirs} but train has {ours}; use the same in all parts")

    def part_of(table: str, row: int | None) -> Place:
        if table != "ratings" or row is None:
            return table, row
        for part, frame in filled.items():
            if row < len(frame):
                return part, row
            row -= len(frame)
        return table, row

    try:
        return Dataset(pd.concat(filled.values(), ignore_index=True), movies, users, name)
    except DataError as error:
        raise error.moved(part_of) from None


def read_parts(folder: Path, dataset: Dataset | None) -> tuple[dict[str, Any], Callable[[str, int | None], Place]]:
    """Return the arguments of a `Split` that lies in a folder, and the function that names file and line of a row."""
    wanted = dict.fromkeys((*PARTS, "negatives"), "ratings") | {"candidates": "movies"}
    text_ids: set[str] = set()
    if dataset is None:
        wanted |= {"movies": "movies", "users": "users"}
    else:
        text_ids = {column for column in ("user_id", "movie_id") if dataset.ratings[column].dtype != "int64"}
    tables = read_folder(folder, wanted, required=PARTS[:3], text_ids=text_ids)
    frames: dict[str, Any] = {part: table.frame for part, table in tables.items()}
    name = folder.resolve().name
    note = {"name": name, "protocol": f"given files ({name})"} | _read_note(folder / NOTE)
    if dataset is not None:
        note["name"] = dataset.name
        frames |= {"movies": dataset.movies, "users": dataset.users}
    return frames | note, places(tables)


def write_parts(folder: Path, frames: dict[str, pd.DataFrame | None], note: dict[str, str]) -> None:
    """Write each frame as CSV; a frame that is None has no file, an older one is removed."""
    for table, frame in frames.items():
        path = folder / f"{table}.csv"
        if frame is None:
            path.unlink(missing_ok=True)
        else:
            write_csv(frame, path)
    write_whole(folder / NOTE, (json.dumps(note, indent=2) + "\n").encode())


def _read_note(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return {key: str(note[key]) for key in NOTED if key in note}
    except (ValueError, TypeError) as error:
        raise DataError(f"no JSON object ({error}); correct or remove the file", at=str(path)) from None
