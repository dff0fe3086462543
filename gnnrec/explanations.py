"""Leave-one-out explanations: the drop of a movie's score without one part of the user's history or profile."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch

from gnnrec._checks import check_integer
from gnnrec._torch import check_scores
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import UserBatch
from gnnrec.graph.dislikes import disliked, rating_statistics
from gnnrec.models.base import Recommender
from gnnrec.models.filters import movie_nodes
from gnnrec.typing import MovieInput, UserInput

PROFILE = "age, gender and occupation"
"""Value of the ``because`` column for the user's profile."""
COPIES = 256
"""Maximum number of leave-one-out copies of a history that are scored at a time; bounds memory."""


def explain(
    model: Recommender,
    user: UserInput,
    movies: Iterable[MovieInput],
    k: int = 2,
    *,
    dislikes: bool = False,
    at: Any = None,
    unknown: str = "error",
) -> pd.DataFrame:
    """Return the main reasons why each movie was recommended to a user.

    Works with any model: the movies are scored again without each movie of the user's history in turn, and without
    the profile.

    Parameters
    ----------
    model : Recommender
        Any fitted model, such as a `RecGraph`.
    user : id, NewUser or mapping
        A single user, given as in `recommend`.
    movies : iterable of ids or titles
        Movies to explain, usually those that `recommend` returned.
    k : int
        Maximum number of reasons per movie. Only parts that raise the score are reasons.
    dislikes : bool
        Also return disliked movies that lower the score, at most `k` per movie.
    at : time, optional
        As for `recommend`.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out unknown movies, which are logged.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, because, effect``: for each movie its reasons by decreasing effect. ``because`` is the title
        of a movie in the history or the profile, ``effect`` the drop of the score without it: positive for reasons,
        which come first, negative for disliked movies.

    Raises
    ------
    DataError
        More than one user is given, or a user or movie is unknown.
    ConfigError
        `model` is not a fitted model, or `k` is below 1.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> from gnnrec.models import EASE
    >>> model = EASE().fit(load_dataset("sample", num_users=60, num_movies=40))
    >>> explain(model, {1: 5, 2: 5}, [3], k=1).columns.tolist()
    ['movie_id', 'title', 'because', 'effect']
    """
    if not isinstance(model, Recommender):
        raise ConfigError(f"expected a fitted model, as returned by fit or load, not {type(model).__name__}")
    check_integer(k=k)
    users, names = model.encode_users(user, unknown=unknown, at=at)
    if users.num_users != 1:
        raise DataError(f"explain takes a single user, not {users.num_users}; call it once per user")
    nodes = movie_nodes(model.graph, movies, "movies", unknown)
    k = min(int(k), model.graph.num_movies + 1)
    scores = model.score(users).cpu()
    check_scores(scores, model.name, names.tolist)
    full = scores[0, nodes]
    history = users.movie_index.tolist()
    without_movie = torch.cat(
        [model.score(_leave_one_out(users, chunk)).cpu()[:, nodes] for chunk in _chunks(len(history))]
    )
    without_profile = model.score(users.without_profile(torch.ones(1, dtype=torch.bool)))[:, nodes].cpu()
    effect = full - torch.cat([without_movie, without_profile])  # [len(history) + 1, len(nodes)]

    titles = model.graph.dataset.movies["title"].to_numpy()
    reasons = [*titles[history], PROFILE]
    statistics = rating_statistics(model.graph.users.rating, model.graph.dataset.rating_scale)
    low = set(torch.nonzero(disliked(users, *statistics)).squeeze(1).tolist()) if dislikes else set()
    rows = []
    for column, node in enumerate(nodes):
        values, order = effect[:, column].sort(descending=True, stable=True)
        for value, position in zip(values[:k].tolist(), order[:k].tolist(), strict=True):
            if value > 0:
                rows.append((model.graph.ids["movie"][node], titles[node], reasons[position], value))
        against = sorted((value, place) for place, value in enumerate(effect[:, column].tolist()) if place in low)
        for value, position in against[:k]:
            if value < 0:
                rows.append((model.graph.ids["movie"][node], titles[node], reasons[position], value))
    return pd.DataFrame(rows, columns=["movie_id", "title", "because", "effect"])


def _chunks(length: int) -> list[range]:
    """Return the positions ``0 ... length - 1`` in chunks; one empty chunk if there are none."""
    return [range(start, min(start + COPIES, length)) for start in range(0, length, COPIES)] or [range(0)]


def _leave_one_out(users: UserBatch, positions: range) -> UserBatch:
    """Return a copy of the single user for each position, without the history's movie at that position."""
    keep = ~torch.eye(users.user_index.numel(), dtype=torch.bool)[list(positions)]  # [num_copies, history]
    row, edge = torch.nonzero(keep, as_tuple=True)
    num_copies = len(positions)
    occupation = users.occupation[1]
    return dataclasses.replace(
        users,
        x=users.x.expand(num_copies, -1),
        occupation=(torch.arange(num_copies).repeat_interleave(len(occupation)), occupation.repeat(num_copies)),
        user_index=row,
        movie_index=users.movie_index[edge],
        rating=users.rating[edge],
        timestamp=users.timestamp[edge],
        weight=None if users.weight is None else users.weight[edge],
        request_time=None if users.request_time is None else users.request_time.expand(num_copies),
    )
