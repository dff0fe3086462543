"""Which movies to look for: those of a dataset, with the ids that other catalogues have for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from gnnrec.data.checks import check_start, find_fault, read_header, records
from gnnrec.data.columns import canonical_names
from gnnrec.data.dataset import Dataset
from gnnrec.errors import DataError, Place
from gnnrec.features.fetch.match import Wanted, parse_title

_IDS = {"imdbid": "imdb_id", "tmdbid": "tmdb_id"}


def wanted_movies(dataset: Dataset, links: str | Path | None = None) -> list[Wanted]:
    """Return the movies of a dataset as they are looked for, in its order.

    Parameters
    ----------
    dataset : Dataset
        Columns ``imdb_id`` and ``tmdb_id`` of its movies are used where they are there.
    links : str or Path, optional
        A CSV of ``movieId`` and ``imdbId`` or ``tmdbId`` as in the newer MovieLens sets; it goes before the columns.
        Rows about other movies are passed over.

    Raises
    ------
    DataError
        The file cannot be read, lacks a column, has a movie twice, or an id is none.

    Examples
    --------
    >>> movies = pd.DataFrame({"movie_id": [1], "title": ["Heat (1995)"], "imdb_id": ["113277"]})
    >>> wanted_movies(Dataset(pd.DataFrame({"user_id": [1], "movie_id": [1]}), movies))
    [Wanted(movie_id=1, title='Heat (1995)', names=('Heat',), year=1995, imdb_id='tt0113277', tmdb_id=None)]
    """
    linked = _read_links(Path(links), dataset) if links is not None else {}
    found = []
    for row, movie in enumerate(dataset.movies.to_dict("records")):
        names, _ = parse_title(movie["title"])
        year = None if pd.isna(movie["year"]) else int(movie["year"])
        ids = _ids(movie, ("movies", row)) | linked.get(movie["movie_id"], {})
        if movie["title"] == str(movie["movie_id"]):  # which stands where there is no title
            names = ()
        found.append(Wanted(movie["movie_id"], movie["title"], names, year, **ids))
    return found


def _ids(row: dict[Any, Any], place: Place) -> dict[str, Any]:
    """Return the ids of a row that are known."""
    known = {}
    readers: dict[str, Callable[[str], Any]] = {"imdb_id": _imdb_id, "tmdb_id": int}
    for column, read in readers.items():
        value = row.get(column)
        if value is None or pd.isna(value) or str(value).strip() in ("", "N/A"):
            continue
        # Where one is missing, pandas makes all numbers of a column floats.
        text = str(value).strip().removesuffix(".0")
        if not re.fullmatch(r"(tt)?\d{1,10}" if column == "imdb_id" else r"\d{1,10}", text, re.ASCII):
            raise DataError(f"{column} {text!r} is none; it looks like {_LOOKS[column]}", at=place)
        known[column] = read(text)
    return known


_LOOKS = {"imdb_id": "tt0113277 or 113277", "tmdb_id": "949"}


def _imdb_id(text: str) -> str:
    return f"tt{int(text.removeprefix('tt')):07d}"


def _read_links(path: Path, dataset: Dataset) -> dict[Any, dict[str, Any]]:
    check_start(path)
    separator, header, _ = read_header(path)
    find_fault(path, separator, len(header))
    plain = [re.sub(r"[\W_]", "", name.lower()) for name in header]
    names = canonical_names(header, "movies")
    columns = [names.get(name, _IDS.get(bare, name)) for name, bare in zip(header, plain, strict=True)]
    if "movie_id" not in columns or not {"imdb_id", "tmdb_id"} & set(columns):
        raise DataError(f"columns movieId and imdbId or tmdbId are needed; found: {', '.join(header)}", at=f"{path}:1")
    whole = dataset.movies["movie_id"].dtype == "int64"
    found: dict[Any, dict[str, Any]] = {}
    lines: dict[Any, int] = {}
    for line, fields in list(records(path, separator))[1:]:
        row = dict(zip(columns, fields, strict=True))
        key: Any = row["movie_id"].strip()
        if whole:
            if not re.fullmatch(r"-?\d{1,18}", key, re.ASCII):
                raise DataError(f"movie_id {key!r} is not a whole number", at=f"{path}:{line}")
            key = int(key)
        if key in found:
            raise DataError(f"movie {key!r} is listed twice", at=f"{path}:{line}", earlier=f"{path}:{lines[key]}")
        found[key], lines[key] = _ids(row, f"{path}:{line}"), line
    return found
