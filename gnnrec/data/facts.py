"""What else may be known about movies: the columns that any movies table may have, each with one type.

Each function names the first row that cannot be converted, as those of `gnnrec.data.columns` do.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from gnnrec.data import columns

_RUNTIME = r"(?:(?P<hours>\d+) ?h(?:ours?)?)? ?(?:(?P<minutes>\d[\d,]*(?:\.\d+)?) ?(?:min(?:utes?)?\.?)?)?"
_IMDB_DIGITS = 7  # at least; ids that are given as numbers have lost their zeros


def to_minutes(values: pd.Series) -> pd.Series:
    """Return running times as Int64 minutes, missing where not known; 0 stands for that, too.

    >>> to_minutes(pd.Series(["81 min", 90, "2 h 5 min", "N/A", 0])).tolist()
    [81, 90, 125, <NA>, <NA>]
    """
    if not pd.api.types.is_numeric_dtype(values.dtype):
        text = columns.to_text(values)
        columns.stop_at(
            text.notna() & ~text.str.fullmatch(_RUNTIME, na=False),
            "movies",
            lambda row: f"runtime {columns.shown(values.iloc[row])} is no time; give minutes (81) or a text (81 min)",
        )
        parts = text.str.replace(",", "").str.extract(_RUNTIME).astype("Float64")
        values = (60 * parts["hours"].fillna(0) + parts["minutes"].fillna(0)).rename("runtime")
    minutes = columns.to_numbers(values, "movies", optional=True)
    columns.stop_at(minutes < 0, "movies", lambda row: f"runtime {minutes.iloc[row]:g} is negative")
    return minutes.mask(minutes == 0).round().astype("Int64")


def to_imdb_ids(values: pd.Series) -> pd.Series:
    """Return IMDb's ids of titles as nullable text, missing where not known.

    >>> to_imdb_ids(pd.Series(["tt0114709", "0114709", "114709", ""])).tolist()
    ['tt0114709', 'tt0114709', 'tt0114709', <NA>]
    """
    text = columns.to_text(values)
    digits = text.str.removeprefix("tt")
    columns.stop_at(
        text.notna() & ~digits.str.fullmatch(r"[0-9]{1,12}", na=False),
        "movies",
        lambda row: f"imdb_id {columns.shown(values.iloc[row])} is no id of a title at IMDb, such as tt0114709",
    )
    return "tt" + digits.str.zfill(_IMDB_DIGITS)


def to_tmdb_ids(values: pd.Series) -> pd.Series:
    """Return TMDB's ids of movies as Int64, missing where not known."""
    numbers = columns.to_numbers(values, "movies", optional=True)
    columns.stop_at(
        (numbers % 1 != 0) & numbers.notna() | (numbers < 1),
        "movies",
        lambda row: (
            f"tmdb_id {columns.shown(values.iloc[row])} is no id of a movie at TMDB, a whole number such as 862"
        ),
    )
    return numbers.astype("Int64")


FACTS: dict[str, Callable[[pd.Series], pd.Series]] = {
    "plot": columns.to_text,
    "directors": columns.to_names,
    "actors": columns.to_names,
    "runtime": to_minutes,
    "imdb_id": to_imdb_ids,
    "tmdb_id": to_tmdb_ids,
}
"""The columns of a movies table that are neither required nor made up, and what gives each its type."""
