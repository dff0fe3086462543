"""`predict_ratings` and `evaluate_ratings`: predictions as a frame, and their errors on held-out ratings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import is_listing, shown
from gnnrec.data import Dataset
from gnnrec.data.schema import canonical_names
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph, encode_users
from gnnrec.ratings.base import RatingPredictor, check_predictor, find_ratings, predict_pairs
from gnnrec.splitting import Split

NUM_RESAMPLES = 1000
"""Number of bootstrap resamples for confidence intervals."""


def predict_ratings(
    model: RatingPredictor,
    users: Any = None,
    movies: Any = None,
    *,
    pairs: pd.DataFrame | None = None,
    unknown: str = "error",
) -> pd.DataFrame:
    """Predict the ratings that known or new users would give.

    The rating of a movie in the user's history is predicted from the other ratings. If it was part of the training
    data, the fitted movie factors still depend on it; use `evaluate_ratings` on held-out ratings to measure errors.

    Parameters
    ----------
    model : RatingPredictor
        A model that `fit_rating_model` or `load_rating_model` returns, or one of `gnnrec.ratings.baselines`.
    users : id, NewUser, mapping, list of these, or DataFrame
        Same as in `recommend`.
    movies : id, title, or list of these, optional
        Movies to predict; all movies of the graph by default.
    pairs : pandas.DataFrame, optional
        Instead of `users` and `movies`: rows of ``user_id, movie_id`` of known users; ``movie_id`` may hold titles.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out unknown movies, which are logged.

    Returns
    -------
    pandas.DataFrame
        ``user_id, movie_id, title, rating``: for each user all movies in the given order, or one row per row of
        `pairs`. Ratings are on the scale of the training ratings.

    Raises
    ------
    ConfigError
        Both or neither of `users` and `pairs` are given, or `movies` with `pairs`.
    DataError
        A user or movie is unknown, or there is nothing to predict.

    Examples
    --------
    >>> from gnnrec.ratings.baselines import Biases
    >>> rows = [("ann", "heat", 5), ("ann", "brazil", 3), ("bob", "heat", 4), ("bob", "brazil", 2)]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"]))
    >>> model = Biases(movie_reg=0, user_reg=0).fit(dataset)
    >>> predict_ratings(model, {"heat": 4}, ["brazil"])["rating"].tolist()  # a new user with the rating of bob
    [2.0]
    """
    check_predictor(model)
    if (users is None) == (pairs is None):
        raise ConfigError("predict_ratings takes either users or pairs")
    if pairs is not None:
        if movies is not None:
            raise ConfigError("pairs already name their movies; pass movies only with users")
        return _predict_frame(model, pairs, unknown)
    batch, user_ids = encode_users(model.graph, users, unknown=unknown)
    nodes = movie_nodes(model.graph, movies, unknown)
    user_index = torch.arange(batch.num_users).repeat_interleave(len(nodes))
    movie_index = nodes.repeat(batch.num_users)
    ratings = predict_pairs(model, batch, user_index, movie_index)
    return _result(model.graph, user_ids.to_numpy()[user_index.numpy()], movie_index, ratings)


def movie_nodes(graph: Graph, movies: Any, unknown: str = "error") -> Tensor:
    """Return the nodes of `movies`, which are given as in `predict_ratings`."""
    if movies is None:
        return torch.arange(graph.num_movies)
    if isinstance(movies, (str, bytes)) or np.isscalar(movies) or getattr(movies, "ndim", None) == 0:
        movies = [movies]
    if not is_listing(movies) or isinstance(movies, Mapping):
        raise DataError(f"movies must be an id, a title or a list of these, not {shown(movies)}")
    nodes = [node for node in graph.movie_nodes_by_name(movies, unknown=unknown) if node is not None]
    if not nodes:
        raise DataError("nothing to predict: the list of movies is empty")
    return torch.tensor(nodes)


def _predict_frame(model: RatingPredictor, pairs: pd.DataFrame, unknown: str) -> pd.DataFrame:
    if not isinstance(pairs, pd.DataFrame):
        raise DataError(f"pairs must be a pandas DataFrame, not {type(pairs).__name__}")
    pairs = pairs.rename(columns=canonical_names(pairs.columns, "ratings"))
    for column in ("user_id", "movie_id"):
        if column not in pairs:
            raise DataError(f"pairs need a column {column}; found {', '.join(map(str, pairs.columns)) or 'none'}")
    if pairs.empty:
        raise DataError("nothing to predict: pairs is empty")
    graph = model.graph
    found = graph.movie_nodes_by_name(pairs["movie_id"], unknown=unknown)
    pairs = pairs[[node is not None for node in found]]
    if pairs.empty:
        raise DataError("nothing to predict: no movie of pairs is known")
    nodes, user_index = torch.unique(graph.user_nodes(pairs["user_id"]), return_inverse=True)
    movie_index = torch.tensor([node for node in found if node is not None])
    ratings = predict_pairs(model, graph.user_batch(nodes), user_index, movie_index)
    return _result(graph, pairs["user_id"].to_numpy(), movie_index, ratings)


def _result(graph: Graph, user_ids: Any, movie_index: Tensor, ratings: Tensor) -> pd.DataFrame:
    table = graph.dataset.movies.iloc[movie_index.numpy()]
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "movie_id": table["movie_id"].to_numpy(),
            "title": table["title"].to_numpy(),
            "rating": ratings.numpy(),
        }
    )


def evaluate_ratings(
    model: RatingPredictor, test: pd.DataFrame | Split, *, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    r"""Compute RMSE and MAE on held-out ratings, with confidence intervals.

    .. math:: \mathrm{RMSE} = \sqrt{\tfrac{1}{N} \sum (\hat r - r)^2}, \qquad
              \mathrm{MAE} = \tfrac{1}{N} \sum |\hat r - r|

    Parameters
    ----------
    model : RatingPredictor
        A `RatingModel` or one of `gnnrec.ratings.baselines`.
    test : pandas.DataFrame or Split
        Rows of ``user_id, movie_id, rating``. For a `Split` its ``test`` rows, after its ``support`` rows have been
        added to the model's graph.
    confidence : float
        Level of the intervals, between 0 and 1.
    seed : int
        Random seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``metric, value, ci_low, ci_high, num_ratings`` for ``rmse`` and ``mae``. All ratings have equal weight. The
        intervals come from a percentile bootstrap that resamples users with all their test rows (Efron & Tibshirani
        1993, ch. 13).

    Raises
    ------
    DataError
        `test` is empty, has no ratings, or contains an unknown user or movie or a rating that the model already has.
    ConfigError
        `confidence` is not between 0 and 1.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> from gnnrec.ratings.baselines import Biases
    >>> from gnnrec.splitting import random_ratings_split
    >>> split = random_ratings_split(load_dataset("sample", num_users=60, num_movies=40))
    >>> evaluate_ratings(Biases().fit(split), split)[["metric", "num_ratings"]].values.tolist()
    [['rmse', 121], ['mae', 121]]
    """
    check_predictor(model)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be between 0 and 1, not {confidence}")
    if isinstance(test, Split):
        if test.support is not None and len(test.support):
            model = model.add_ratings(test.support)
        test = test.test
    per_user = _user_errors(model, test)
    value, resampled = _rmse_mae(per_user.sum(0)), _rmse_mae(_bootstrap_sums(per_user, seed))
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    metrics = ["rmse", "mae"]
    num_ratings = int(per_user[:, 2].sum())
    return pd.DataFrame({"metric": metrics, "value": value, "ci_low": low, "ci_high": high, "num_ratings": num_ratings})


def rmse(model: RatingPredictor, test: pd.DataFrame) -> float:
    """Return the root mean squared error on held-out ratings, as `evaluate_ratings` does."""
    return float(_rmse_mae(_user_errors(model, test).sum(0))[0])


def _user_errors(model: RatingPredictor, test: pd.DataFrame) -> np.ndarray:
    """Return sums of squared errors, absolute errors and counts ``[num_users, 3]`` of the users with test ratings."""
    if isinstance(test, pd.DataFrame) and test.empty:
        raise DataError("there are no test ratings")
    graph = model.graph
    rows = Dataset(test, graph.dataset.movies, graph.dataset.users, "the test set").ratings
    if "rating" not in rows:
        raise DataError("the test set has no column rating; evaluate_ratings needs one")
    nodes, user_index = torch.unique(graph.user_nodes(rows["user_id"]), return_inverse=True)
    movie_index = graph.movie_nodes(rows["movie_id"])
    users = graph.user_batch(nodes)
    if (known := find_ratings(users, user_index, movie_index) >= 0).any():
        user_id, movie_id = rows.loc[int(known.int().argmax()), ["user_id", "movie_id"]]
        raise DataError(
            f"the rating of movie {movie_id} by user {user_id} is already in the model's graph; remove it from the "
            f"test set"
        )
    error = (predict_pairs(model, users, user_index, movie_index) - torch.tensor(rows["rating"].to_numpy())).double()
    columns = torch.stack([error**2, error.abs(), torch.ones_like(error)], dim=1)
    sums = torch.zeros(len(nodes), 3, dtype=torch.float64).index_add_(0, user_index, columns)
    return np.asarray(sums)


def _rmse_mae(sums: np.ndarray) -> np.ndarray:
    """Return RMSE and MAE ``[..., 2]`` from sums of squared errors, absolute errors and counts ``[..., 3]``."""
    means = sums[..., :2] / sums[..., 2:]
    return np.stack([np.sqrt(means[..., 0]), means[..., 1]], axis=-1)


def _bootstrap_sums(per_user: np.ndarray, seed: int) -> np.ndarray:
    """Return column sums over users resampled with replacement, ``[NUM_RESAMPLES, 3]``."""
    rng, num_users = np.random.default_rng(seed), len(per_user)
    counts = (np.bincount(rng.integers(num_users, size=num_users), minlength=num_users) for _ in range(NUM_RESAMPLES))
    return np.stack([count @ per_user for count in counts])
