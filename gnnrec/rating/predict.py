"""`predict_rating`: how many stars people would give movies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.data.schema import canonical_names
from gnnrec.errors import DataError
from gnnrec.graph import Graph, encode_users
from gnnrec.rating.base import RatingPredictor, check_predictor, predict_pairs


def predict_rating(
    model: RatingPredictor, who: Any = None, movies: Any = None, *, pairs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Predict the ratings that known or new people would give.

    A movie that a person has rated is predicted from their other ratings. That it was watched stays known; and where
    the person was there in training, what was learned about the movie knows the rating, too: errors are measured on
    ratings that the model was never given.

    Parameters
    ----------
    model : RatingModel
        What `fit_ratings` or `load_ratings` returns.
    who : id, NewUser, mapping, list of these, or DataFrame
        As for `recommend`.
    movies : id, title, or list of these, optional
        All movies of the graph when not given.
    pairs : pandas.DataFrame, optional
        Instead of `who` and `movies`: rows of ``user_id, movie_id`` of known users.

    Returns
    -------
    pandas.DataFrame
        ``user_id, movie_id, title, rating``: the movies in the order given for each person in turn, or one row for each
        row of `pairs`. Ratings lie within the scale of the training ratings.

    Raises
    ------
    DataError
        An unknown user or movie, no movies, or `pairs` beside `who`.

    Examples
    --------
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.rating.baselines import Biases
    >>> rows = [("ann", "heat", 5), ("ann", "brazil", 3), ("bob", "heat", 4), ("bob", "brazil", 2)]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"]))
    >>> model = Biases.fit(Graph.from_dataset(dataset), movie_reg=0, user_reg=0)
    >>> predict_rating(model, {"heat": 4}, ["brazil"])["rating"].tolist()  # bob, but for the name
    [2.0]
    """
    check_predictor(model)
    if (who is None) == (pairs is None):
        raise DataError("predict_rating takes either people (who) or a frame of pairs")
    if pairs is not None:
        if movies is not None:
            raise DataError("pairs name their movies; leave movies out")
        return _of_pairs(model, pairs)
    users, names = encode_users(model.graph, who)
    nodes = movie_nodes(model.graph, movies)
    row = torch.arange(users.num_users).repeat_interleave(len(nodes))
    movie = nodes.repeat(users.num_users)
    stars = predict_pairs(model, users, row, movie)
    return _frame(model.graph, names.to_numpy()[row.numpy()], movie, stars)


def _of_pairs(model: RatingPredictor, pairs: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(pairs, pd.DataFrame):
        raise DataError(f"pairs must be a pandas DataFrame, not {type(pairs).__name__}")
    pairs = pairs.rename(columns=canonical_names(pairs.columns, "ratings"))
    for column in ("user_id", "movie_id"):
        if column not in pairs:
            raise DataError(f"pairs need a column {column}; found {', '.join(map(str, pairs.columns)) or 'none'}")
    if pairs.empty:
        raise DataError("nothing to predict: there are no pairs")
    graph = model.graph
    nodes, row = graph.user_nodes(pairs["user_id"]).unique(return_inverse=True)
    movie = graph.movie_nodes(pairs["movie_id"])
    stars = predict_pairs(model, graph.user_batch(nodes), row, movie)
    return _frame(graph, pairs["user_id"].to_numpy(), movie, stars)


def movie_nodes(graph: Graph, movies: Any) -> Tensor:
    """Return the nodes of movies that are named as for `predict_rating`."""
    if movies is None:
        return torch.arange(graph.num_movies)
    if isinstance(movies, (str, bytes)) or np.isscalar(movies):
        movies = [movies]
    if not isinstance(movies, Iterable) or isinstance(movies, Mapping):
        raise DataError(f"movies must be an id, a title or a list of these, not {movies!r}")
    nodes = [graph.movie_node(movie) for movie in movies]
    if not nodes:
        raise DataError("nothing to predict: the list of movies is empty")
    return torch.tensor(nodes)


def _frame(graph: Graph, user_ids: Any, movie: Tensor, stars: Tensor) -> pd.DataFrame:
    table = graph.dataset.movies.iloc[movie.numpy()]
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "movie_id": table["movie_id"].to_numpy(),
            "title": table["title"].to_numpy(),
            "rating": stars.numpy(),
        }
    )
