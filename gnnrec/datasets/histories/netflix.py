"""Exports of Netflix."""

from __future__ import annotations

import re

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.tables import HistoryTable, Row, column_key, times_of
from gnnrec.errors import ConfigError
from gnnrec.registry import register_history_format

_DATES = ("date", "datum", "data", "fecha", "dato", "dátum", "päivä", "tarih")
_NETFLIX_TITLES = ("title", "titel", "titre", "titolo", "título", "titulo", "tittel", "tytuł", "cím", "nimi", "başlık")
_AUTOPLAYED = "autoplayed: user action: none"
_SEASON = re.compile(
    r":\s*(?:the\s+)?(?:(?:complete\s+)?(?:season|series|book|volume|vol\.|collection|staffel|saison|stagione|temporada"
    r"|seizoen|sæson|säsong|sezon|kausi|limited series|miniseries|mini-series|miniserie)\b[^:]*:"
    r"|(?:season|series|staffel|saison|stagione|temporada|seizoen|limited series|miniserie)\s*(?:\d+)?\s*$"
    r"|part\s+\d+\s*:|chapter\s+\w+\s*:|episode\s+\d+\b|\d+\.\s*(?:évad|sezon|sezóna|série)\b[^:]*:"
    r"|(?:시즌|シーズン)\s*\d*[^:]*:)|:[^:]+\(episode \d+\)",
    re.IGNORECASE,
)


def is_netflix_views(columns: tuple[str, ...]) -> bool:
    """Return whether a table is a viewing history."""
    is_short = len(columns) == 2 and columns[0] in _NETFLIX_TITLES and columns[1] in _DATES
    return is_short or {"profilename", "starttime", "title"} <= set(columns)


def is_netflix_ratings(columns: tuple[str, ...]) -> bool:
    """Return whether a table holds ratings."""
    sets = {"titlename", "thumbsvalue"}, {"title", "thumbsvalue"}, {"titlename", "starvalue"}
    return any(one <= set(columns) for one in sets)


@register_history_format("Netflix", kind="table", matches=is_netflix_views)
def read_views(table: HistoryTable) -> HistoryFile:
    """Read ``NetflixViewingHistory.csv``, or ``ViewingActivity.csv`` of the complete export."""
    rows = _of_profile(table)
    found, (times, notes) = HistoryFile("Netflix"), times_of(rows, "starttime", *_DATES)
    found.notes += notes
    for row, time in zip(rows, times, strict=True):
        title = row.first(*_NETFLIX_TITLES)
        if _SEASON.search(title):
            found.left_out.append(LeftOut(title, "an episode of a series", row.at))
        elif row["supplementalvideotype"]:
            found.left_out.append(LeftOut(title, "a trailer", row.at))
        elif row["attributes"].lower().startswith(_AUTOPLAYED):
            found.left_out.append(LeftOut(title, "played by itself", row.at))
        elif title:
            found.entries.append(HistoryEntry(title, time=time, at=row.at))
    return found


_THUMBS = {"1": 1.0, "2": 4.0, "3": 5.0, "thumbsdown": 1.0, "thumbsup": 4.0, "twothumbsup": 5.0, "lovethis": 5.0}


@register_history_format("Netflix: ratings", kind="table", matches=is_netflix_ratings)
def read_ratings(table: HistoryTable) -> HistoryFile:
    """Read the ratings of the complete export; a thumb down is one star, a thumb up four, two thumbs up five."""
    rows = _of_profile(table)
    found, (times, notes) = HistoryFile("Netflix"), times_of(rows, "eventutcts", "regionviewdate", "date")
    found.notes += notes
    for row, time in zip(rows, times, strict=True):
        title = row.first("titlename", "title")
        thumbs = column_key(row["thumbsvalue"].removesuffix(".0"))
        rating = _THUMBS.get(thumbs) or row.number("starvalue", (0.0, 5.0)) or None  # 0 means not rated
        if _SEASON.search(title):
            found.left_out.append(LeftOut(title, "an episode of a series", row.at))
        elif rating is None:
            found.left_out.append(LeftOut(title, "a rating that was withdrawn", row.at))
        elif title:
            found.entries.append(HistoryEntry(title, rating=rating, is_current=True, time=time, at=row.at))
    return found


def _of_profile(table: HistoryTable) -> list[Row]:
    """Return the rows of one profile; raise `ConfigError` if there are several and none is chosen."""
    profiles = list(dict.fromkeys(row["profilename"] for row in table.rows if row["profilename"]))
    if table.netflix_profile is not None and profiles:
        if table.netflix_profile not in profiles:
            raise ConfigError(
                f"there is no Netflix profile {table.netflix_profile!r}; choose one of {', '.join(profiles)}"
            )
        return [row for row in table.rows if row["profilename"] == table.netflix_profile]
    if len(profiles) > 1:
        how = "choose one with netflix_profile (--netflix-profile)"
        raise ConfigError(f"{table.name} has {len(profiles)} profiles; {how}: {', '.join(profiles)}")
    return table.rows
