"""Tables and JSON of any other source; these are tried last."""

from __future__ import annotations

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile
from gnnrec.datasets.histories.items import HistoryItems, have_titles, read_movies
from gnnrec.datasets.histories.tables import HistoryTable, times_of
from gnnrec.errors import DataError
from gnnrec.registry import register_history_format

_TITLES = ("title", "name", "movie", "film", "movietitle", "filmtitle", "moviename", "titlename")
_RATINGS = ("yourrating", "myrating", "userrating", "rating", "stars", "score", "rating10", "note")


@register_history_format(
    "other: table",
    kind="table",
    matches=lambda columns: len(columns) > 1 and any(column in _TITLES for column in columns),
)
def read_table(table: HistoryTable) -> HistoryFile:
    """Read any table with a column of titles; the largest rating tells the scale."""
    title = next(column for column in _TITLES if column in table.columns)
    rating = next((column for column in _RATINGS if column in table.columns), None)
    found, (times, notes) = (
        HistoryFile("table of titles", is_typed=True),
        times_of(table.rows, "date", "watcheddate", "watchedat", "ratedat", "daterated", "timestamp"),
    )
    found.notes += notes
    values = [None if rating is None else row.number(rating) for row in table.rows]
    known = [value for value in values if value is not None]
    if any(value < 0 for value in known):
        row = next(row for row, value in zip(table.rows, values, strict=True) if value is not None and value < 0)
        raise DataError(f"{rating} {row[rating or '']} is negative", at=row.at)
    highest = next((top for top in (5.0, 10.0, 100.0) if max(known, default=0) <= top), max(known, default=5.0))
    if known:
        found.notes.append(f"ratings are taken to be out of {highest:g}")
    for row, time, value in zip(table.rows, times, values, strict=True):
        if row[title]:
            found.entries.append(
                HistoryEntry(
                    row[title],
                    row.year("year", "releaseyear", "releasedate"),
                    value,
                    (highest / 10, highest),
                    is_liked=rating is None,
                    is_current=True,
                    time=time,
                    imdb_id=row.first("imdbid", "imdb", "tconst") or None,
                    tmdb_id=row.id("tmdbid"),
                    at=row.at,
                )
            )
    return found


@register_history_format("other: JSON", kind="json", matches=have_titles)
def read_json(items: HistoryItems) -> HistoryFile:
    """Read a list of movies with titles."""
    return read_movies(items, HistoryFile("list of movies", is_typed=True))
