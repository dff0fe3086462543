"""`RatingPredictor`: the interface of all rating models; new users, ratings and movies need no retraining."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from gnnrec.data import Dataset
from gnnrec.errors import DataError
from gnnrec.graph import UserBatch
from gnnrec.models.graph_model import GraphModel

CHUNK_SIZE = 512
"""Maximum number of users predicted at a time; bounds memory."""


class RatingPredictor(GraphModel):
    """Predicts the ratings that users would give to the movies of a graph.

    Attributes
    ----------
    name : str
        Name in reports.
    graph : Graph
        Users, movies and ratings known to the model.

    Examples
    --------
    >>> from gnnrec.ratings.baselines import Biases
    >>> rows = [(1, 7, 5), (1, 8, 3), (2, 7, 4), (2, 8, 2)]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"]))
    >>> model = Biases(movie_reg=0, user_reg=0).fit(dataset)
    >>> pairs = torch.tensor([0, 0]), torch.tensor([0, 1])  # the first user and both movies
    >>> model.predict(model.graph.users, *pairs).tolist()  # each predicted from the other rating alone
    [5.0, 3.0]
    """

    name: str

    @abstractmethod
    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """Return the predicted rating of each user-movie pair.

        If the user has already rated the movie, that rating is excluded from the user's history.

        Parameters
        ----------
        users : UserBatch
            Users to predict for.
        user_index, movie_index : Tensor
            ``[num_pairs]`` int64, row in `users` and movie node of each pair.

        Returns
        -------
        Tensor
            ``[num_pairs]`` float32, on the scale of the training ratings.
        """


def predict_pairs(model: RatingPredictor, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
    """Call `RatingPredictor.predict` in chunks of users; pairs may be in any order.

    Parameters
    ----------
    model : RatingPredictor
    users : UserBatch
        Any number of users.
    user_index, movie_index : Tensor
        ``[num_pairs]`` int64.

    Returns
    -------
    Tensor
        ``[num_pairs]`` float32.

    Raises
    ------
    DataError
        A prediction is NaN.
    """
    predicted = torch.empty(len(user_index))
    for start in range(0, users.num_users, CHUNK_SIZE):
        end = min(start + CHUNK_SIZE, users.num_users)
        pairs = torch.nonzero((user_index >= start) & (user_index < end)).squeeze(1)
        if len(pairs):
            predicted[pairs] = model.predict(users.slice(start, end), user_index[pairs] - start, movie_index[pairs])
    if (bad := predicted.isnan()).any():
        title = model.graph.dataset.movies["title"].iloc[int(movie_index[bad][0])]
        raise DataError(f"the model {model.name!r} predicted NaN for {title!r}")
    return predicted


def find_ratings(users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
    """Return the position in the batch of each pair's rating.

    Parameters
    ----------
    users : UserBatch
    user_index, movie_index : Tensor
        ``[num_pairs]`` int64.

    Returns
    -------
    Tensor
        ``[num_pairs]`` int64, index into ``users.rating``; -1 for pairs without a rating.
    """
    edge_keys = users.user_index * users.num_movies + users.movie_index
    if not len(edge_keys):
        return torch.full_like(user_index, -1)
    edge_keys, order = edge_keys.sort()
    pair_keys = user_index * users.num_movies + movie_index
    position = torch.searchsorted(edge_keys, pair_keys).clamp(max=len(edge_keys) - 1)
    return torch.where(edge_keys[position] == pair_keys, order[position], -1)


def check_ratings(dataset: Dataset) -> None:
    """Raise a `DataError` unless the dataset has at least two different ratings."""
    if "rating" not in dataset.ratings:
        what = "has counts or weights but no stars" if "weight" in dataset.ratings else "has no column rating"
        raise DataError(f"{dataset.name} {what}; rating prediction needs a column rating")
    if dataset.ratings["rating"].nunique() < 2:
        value = dataset.ratings["rating"].iloc[0]
        raise DataError(f"every rating of {dataset.name} is {value:g}; rating prediction needs different ratings")


def check_predictor(model: Any) -> None:
    """Raise a `DataError` unless `model` is a `RatingPredictor`."""
    if not isinstance(model, RatingPredictor):
        hint = "such as fit_rating_model or load_rating_model returns"
        raise DataError(f"rating prediction needs a rating model, {hint}, not {type(model).__name__}")
