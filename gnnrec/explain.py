"""Why a movie was recommended: what its score loses when one thing about the person is taken away."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch

from gnnrec.errors import DataError
from gnnrec.graph import UserBatch, encode_users
from gnnrec.models.base import Recommender

PROFILE = "age, gender and occupation"
"""What stands in the ``because`` column for the profile."""


def explain(model: Recommender, who: Any, movies: Iterable[Any], k: int = 2) -> pd.DataFrame:
    """Name what speaks most for each of some movies, for one person.

    Works for any model: the person is scored again without each movie of the history, and without the profile.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    who : id, NewUser or mapping
        One person, as in `recommend`.
    movies : iterable of ids or titles
        What to explain, usually the movies that `recommend` returned.
    k : int
        At most so many reasons for each. Only what raises a score is a reason.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, because, effect``, strongest first for each movie; ``effect`` is how much lower the score is
        without it. A movie that nothing about the person speaks for has no row.

    Raises
    ------
    DataError
        More than one person, or an unknown movie.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> model = EASE.fit(Graph.from_dataset(make_sample(100, 80)))
    >>> explain(model, {1: 5, 2: 5}, [3], k=1).columns.tolist()
    ['movie_id', 'title', 'because', 'effect']
    """
    if not isinstance(model, Recommender):
        raise DataError(f"an explanation needs a model, such as fit or load returns, not {type(model).__name__}")
    if isinstance(movies, (str, bytes)) or not isinstance(movies, Iterable):
        raise DataError(f"movies must be a list of movies, not {movies!r}")
    if k < 1:
        raise DataError(f"k must be at least 1, not {k}")
    users, _ = encode_users(model.graph, who)
    if users.num_users != 1:
        raise DataError(f"explain takes one person at a time, not {users.num_users}")
    nodes = [model.graph.movie_node(movie) for movie in movies]
    full = model.score(users)[0, nodes].cpu()
    history = users.movie_index.tolist()
    without = torch.cat([model.score(_without(users, part)).cpu()[:, nodes] for part in _parts(len(history))])
    bare = model.score(users.without_profile(torch.ones(1, dtype=torch.bool)))[:, nodes].cpu()
    effect = full - torch.cat([without, bare])  # [len(history) + 1, len(nodes)]

    titles = model.graph.dataset.movies["title"].to_numpy()
    names = [*titles[history], PROFILE]
    rows = []
    for column, node in enumerate(nodes):
        values, places = effect[:, column].sort(descending=True, stable=True)
        for value, place in zip(values[:k].tolist(), places[:k].tolist(), strict=True):
            if value > 0:
                rows.append((model.graph.ids["movie"][node], titles[node], names[place], value))
    return pd.DataFrame(rows, columns=["movie_id", "title", "because", "effect"])


def _parts(length: int, size: int = 256) -> list[range]:
    """Return the places ``0 ... length - 1`` in parts; each place costs a copy of the history."""
    return [range(start, min(start + size, length)) for start in range(0, length, size)] or [range(0)]


def _without(users: UserBatch, places: range) -> UserBatch:
    """Return one person many times, each time without the movie at another place of the history."""
    length = users.user_index.numel()
    kept = ~torch.eye(length, dtype=torch.bool)[list(places)]  # [copies, history]
    row, edge = torch.nonzero(kept, as_tuple=True)
    copies = len(places)
    occupation = users.occupation[1]
    return dataclasses.replace(
        users,
        x=users.x.expand(copies, -1),
        occupation=(torch.arange(copies).repeat_interleave(len(occupation)), occupation.repeat(copies)),
        row=row,
        movie=users.movie_index[edge],
        rating=users.rating[edge],
        time=users.timestamp[edge],
    )
