"""Tables and JSON of any other source; these are tried last."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.items import HistoryItems
from gnnrec.datasets.histories.tables import HistoryTable, Row, column_key, times_of
from gnnrec.datasets.histories.written_ratings import infer_top
from gnnrec.registry import register_history_format

_TITLES = (
    "title", "name", "movie", "film", "movietitle", "filmtitle", "moviename", "filmname", "titlename", "titel",
    "filmtitel", "titre", "titolo", "título", "titulo", "tytuł", "cím", "nimi", "название",
)  # fmt: skip
_RATINGS = (
    "yourrating", "myrating", "userrating", "yourscore", "rating", "stars", "score", "rating10", "note", "bewertung",
    "wertung", "sterne", "nota", "voto", "valoración", "puntuación", "ocena", "оценка",
)  # fmt: skip
_YEARS = ("year", "releaseyear", "releasedate", "jahr", "année", "annee", "anno", "año", "ano", "rok", "год")
_WATCHED = (
    "date", "watcheddate", "watchedat", "ratedat", "daterated", "datewatched", "lastwatchedat", "lastviewedat",
    "timestamp", "datum", "fecha", "data",
)  # fmt: skip
_STATUSES = ("watchlist", "status", "liststatus", "watchedstatus")
_PLANNED = frozenset({"plantowatch", "planned", "watchlist", "wanttowatch", "wishlist", "unwatched", "notwatched"})
_SEEN = ("checked", "watched", "seen", "played")
_FAVORITE, _DISLIKED = ("favorite", "liked", "like"), ("dislike", "disliked")
_YES, _NO = frozenset({"yes", "true", "1", "x", "y"}), frozenset({"no", "false", "0", "n"})
_OTHER_KINDS = frozenset({"tv", "show", "series", "tvshow", "tvseries", "season", "episode", "game", "book"})


@register_history_format(
    "other: table",
    kind="table",
    matches=lambda columns: len(columns) > 1 and any(column in _TITLES for column in columns),
)
def read_table(table: HistoryTable) -> HistoryFile:
    """Read any table with a column of titles; the scale is inferred from the largest rating."""
    title = next((column for column in _TITLES if column in table.columns), "")
    rating = next((column for column in _RATINGS if column in table.columns), None)
    found, (times, notes) = HistoryFile("table of titles", is_handwritten=True), times_of(table.rows, *_WATCHED)
    found.notes += notes
    ratings = [None if rating is None else row.rating(rating) for row in table.rows]
    unscaled = [one[0] for one in ratings if one is not None and one[1] is None]
    inferred = infer_top(unscaled)
    if unscaled:
        found.notes.append(f"ratings are taken to be out of {inferred:g}")
    is_wishlist = re.search(r"wish-?list|watch-?list", table.name.lower()) is not None
    for row, time, one in zip(table.rows, times, ratings, strict=True):
        value, highest = (None, inferred) if one is None else (one[0], one[1] or inferred)
        name, imdb_id = row[title], row.first("imdbid", "imdb", "tconst")
        if linked := re.search(r"tt\d{5,12}", row.first("imdburl", "url")):
            imdb_id = imdb_id or linked[0]
        if not name and not imdb_id:
            continue
        if (reason := _why_left_out(row, value)) or (is_wishlist and value is None):
            found.left_out.append(LeftOut(name, reason or "on the watchlist, not watched", row.at))
            continue
        if value is None and any(row[column].lower() in _YES for column in _DISLIKED):
            value = highest / 10
        is_liked = rating is None if not _has(table, _SEEN) else False
        found.entries.append(
            HistoryEntry(
                name,
                row.year(*_YEARS),
                value,
                (highest / 10, highest),
                is_liked=value is None and (is_liked or any(row[column].lower() in _YES for column in _FAVORITE)),
                is_current=True,
                time=time,
                other_names=(original,) if (original := row["originaltitle"]) not in ("", name) else (),
                imdb_id=imdb_id or None,
                tmdb_id=row.id("tmdbid") or row.id("tmdb"),
                at=row.at,
            )
        )
    return found


def _has(table: HistoryTable, columns: tuple[str, ...]) -> bool:
    return any(column in table.columns for column in columns)


def _why_left_out(row: Row, rating: float | None) -> str | None:
    """Return why a row is not a movie that was watched, None if it is."""
    if any(column_key(row[column]) in _OTHER_KINDS for column in ("type", "titletype", "mediatype")):
        return "not a movie"
    if rating is not None:
        return None
    planned = any(column_key(row[column]) in _PLANNED for column in _STATUSES)
    return "not watched" if planned or any(row[column].lower() in _NO for column in _SEEN) else None


@register_history_format("other: JSON", kind="json", matches=lambda items: any(map(_has_title, items)))
def read_json(items: HistoryItems) -> HistoryFile:
    """Read a list of objects with titles, as if it were a table."""
    rows = [Row(_cells(item), f"{items.label}[{number}]") for number, item in enumerate(items.items)]
    columns = tuple(dict.fromkeys(column for row in rows for column in row.cells))
    return replace(read_table(HistoryTable(items.name, columns, rows, None)), source="list of movies")


def _has_title(item: dict[str, Any]) -> bool:
    return any(column in _TITLES for column in _cells(item))


def _cells(item: dict[str, Any]) -> dict[str, str]:
    """Return the texts, numbers and flags of an object by column."""
    return {
        column_key(key): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in item.items()
        if isinstance(value, (str, int, float))
    }
