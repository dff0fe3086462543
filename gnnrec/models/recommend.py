"""`recommend` and `similar_movies`: the methods of `Recommender` as functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd

from gnnrec.errors import ConfigError
from gnnrec.models.base import Recommender
from gnnrec.reranking import RerankingOptions
from gnnrec.typing import MovieInput, UserInput

if TYPE_CHECKING:
    from gnnrec.models.index import MovieIndex


def recommend(
    model: Recommender,
    users: UserInput,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    candidates: Iterable[MovieInput] | None = None,
    exclude: Iterable[MovieInput] | None = None,
    genres: str | Iterable[str] | None = None,
    years: Any = None,
    min_ratings: int = 0,
    family_friendly: bool = False,
    offset: int = 0,
    at: Any = None,
    unknown: str = "error",
    index: MovieIndex | None = None,
    **reranking: Unpack[RerankingOptions],
) -> pd.DataFrame:
    """Recommend movies to known or new users; see `Recommender.recommend`.

    Parameters
    ----------
    model : Recommender
        Any fitted model, such as a `RecGraph`.
    users, k, exclude_seen, candidates, exclude, genres, years, min_ratings, family_friendly, offset, at, unknown, index
        As for `Recommender.recommend`.
    **reranking
        ``diversity, novelty, calibration, max_per_genre, like, unlike``; see `gnnrec.reranking.Reranking`.

    Returns
    -------
    pandas.DataFrame
        ``user_id, movie_id, title, score, rank``.

    Raises
    ------
    ConfigError
        `model` is not a fitted model, `k` is below 1, a genre is unknown, or `years` is not a range of years.
    DataError
        A user or movie is unknown, or several movies fit a title.

    Examples
    --------
    >>> import gnnrec
    >>> model = gnnrec.fit(gnnrec.load_dataset("sample", num_users=60, num_movies=40), "ease")
    >>> gnnrec.recommend(model, [1, 2], k=1).columns.tolist()
    ['user_id', 'movie_id', 'title', 'score', 'rank']
    >>> gnnrec.recommend(model, 1, k=2, years=(1950, 1990), min_ratings=5, offset=2)["rank"].tolist()
    [3, 4]
    """
    return fitted(model).recommend(
        users,
        k,
        exclude_seen=exclude_seen,
        candidates=candidates,
        exclude=exclude,
        genres=genres,
        years=years,
        min_ratings=min_ratings,
        family_friendly=family_friendly,
        offset=offset,
        at=at,
        unknown=unknown,
        index=index,
        **reranking,
    )


def similar_movies(
    model: Recommender, movie: MovieInput, k: int = 10, *, candidates: Iterable[MovieInput] | None = None
) -> pd.DataFrame:
    """List the movies that are most similar to one movie; see `Recommender.similar_movies`.

    Parameters
    ----------
    model : Recommender
        Any fitted model, such as a `RecGraph`.
    movie, k, candidates
        As for `Recommender.similar_movies`.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, similarity, rank``.

    Raises
    ------
    ConfigError
        `model` is not a fitted model, or `k` is below 1.
    DataError
        The movie is unknown.

    Examples
    --------
    >>> import gnnrec
    >>> model = gnnrec.fit(gnnrec.load_dataset("sample", num_users=60, num_movies=40), "itemknn")
    >>> gnnrec.similar_movies(model, 7, k=3).columns.tolist()
    ['movie_id', 'title', 'similarity', 'rank']
    """
    return fitted(model).similar_movies(movie, k, candidates=candidates)


def fitted(model: Any) -> Recommender:
    """Return a model; raise `ConfigError` if it is not fitted."""
    if not isinstance(model, Recommender):
        raise ConfigError(f"expected a fitted model, as returned by fit or load, not {type(model).__name__}")
    return model
