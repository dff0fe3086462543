"""Which movies to look for: those of a dataset, with the ids that other catalogues have for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from gnnrec.data import Dataset
from gnnrec.data.schema import clean_movies
from gnnrec.data.tables import locator, read_files
from gnnrec.errors import DataError
from gnnrec.features.fetch.match import Wanted, parse_title

_IDS = ("imdb_id", "tmdb_id")


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
    for movie in dataset.movies.to_dict("records"):
        names, _ = parse_title(movie["title"])
        if movie["title"] == str(movie["movie_id"]):  # which stands where there is no title
            names = ()
        year = None if pd.isna(movie["year"]) else int(movie["year"])
        ids = _ids(movie) | linked.get(movie["movie_id"], {})
        found.append(Wanted(movie["movie_id"], movie["title"], names, year, **ids))
    return found


def _ids(row: dict[Any, Any]) -> dict[str, Any]:
    """Return the ids of a row that are known."""
    return {name: row[name] for name in _IDS if name in row and not pd.isna(row[name])}


def _read_links(path: Path, dataset: Dataset) -> dict[Any, dict[str, Any]]:
    whole = dataset.movies["movie_id"].dtype == "int64"
    table = read_files({"links": path}, {"links": "movies"}, () if whole else ("movie_id",))["links"]
    try:
        movies = clean_movies(table.frame)
    except DataError as error:
        raise error.relocated(locator({"movies": table})) from None
    if not set(_IDS) & set(movies):
        raise DataError("a column imdbId or tmdbId is needed", at=str(path))
    if whole and movies["movie_id"].dtype != "int64":
        raise DataError("movie_id is text but whole numbers in the dataset", at=str(path))
    return {row["movie_id"]: _ids(row) for row in movies.to_dict("records")}
