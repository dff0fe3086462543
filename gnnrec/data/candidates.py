"""Candidates: the movies that are ranked for the valid and for the test rows, where these are not the whole catalogue.

New movies are easily lost among a catalogue of known ones, so they are also ranked among themselves: a model is then
chosen on the movies held out for validation and judged on those held out for the test.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from gnnrec.data.columns import shown, to_ids
from gnnrec.data.dataset import Dataset
from gnnrec.errors import ConfigError, DataError

CANDIDATES = ("held-out", "all")
"""Among which movies unseen ones are ranked: those held out for the same part, or all rated ones."""

JUDGED = ("valid", "test")
"""The parts that lists are compared with."""


def candidates_of(valid: Iterable[Any], test: Iterable[Any]) -> pd.DataFrame:
    """Return ``movie_id, part`` of the movies that are ranked for each part."""
    both = zip(JUDGED, (valid, test), strict=True)
    return pd.concat(
        [pd.DataFrame({"movie_id": pd.Series(list(ids)), "part": part}) for part, ids in both], ignore_index=True
    )


def check_candidates(value: Any) -> str:
    """Return a name after checking that it is one of `CANDIDATES`."""
    if value not in CANDIDATES:
        raise ConfigError(f"candidates must be one of {', '.join(CANDIDATES)}, not {value!r}")
    return str(value)


def checked(candidates: pd.DataFrame, whole: Dataset, parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return candidates as they stand in a `Split`: ``movie_id, part``.

    A `DataError` names the row of a movie that nobody knows, that stands there twice, or is for no part that is judged,
    and a row of valid or test whose movie would not be ranked.
    """
    if not isinstance(candidates, pd.DataFrame) or not {"movie_id", "part"} <= set(candidates.columns):
        raise DataError("candidates must be a DataFrame with the columns movie_id and part")
    rows = candidates[["movie_id", "part"]].reset_index(drop=True)
    rows = rows.assign(movie_id=to_ids(rows["movie_id"], "candidates"))
    known = whole.movies["movie_id"]
    for bad, problem in (
        (~rows["part"].isin(JUDGED), "part {part} is not one of " + ", ".join(JUDGED)),
        (~rows["movie_id"].isin(known), "movie {movie} is not in the movies table; candidates must be known movies"),
        (rows.duplicated(), "movie {movie} is a candidate for {part} twice; keep one of the rows"),
    ):
        if bad.any():
            row = int(bad.to_numpy().argmax())
            movie, part = shown(rows["movie_id"].iloc[row]), shown(rows["part"].iloc[row])
            raise DataError(problem.format(movie=movie, part=part), at=("candidates", row))
    for part in JUDGED:
        lacking = ~parts[part]["movie_id"].isin(rows.loc[rows["part"] == part, "movie_id"])
        if lacking.any():
            row = int(lacking.to_numpy().argmax())
            movie = shown(parts[part]["movie_id"].iloc[row])
            raise DataError(f"movie {movie} is no candidate for {part} and could never be found", at=(part, row))
    return rows
