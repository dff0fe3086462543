"""Users of a graph as batches, and the history of a batch as a table of ratings."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import pandas as pd
import torch
from torch import Tensor

from gnnrec._torch import csr_ranges
from gnnrec.data import Dataset
from gnnrec.graph.users import UserBatch, UserProfiles


class Users(Protocol):
    """The part of a `Graph` that batches of users need; see its attributes of these names."""

    @property
    def dataset(self) -> Dataset:
        """The dataset."""
        ...

    @property
    def profiles(self) -> UserProfiles:
        """Profiles of all users."""
        ...

    @property
    def users(self) -> UserBatch:
        """All users."""
        ...

    @property
    def user_ptr(self) -> Tensor:
        """``[num_users + 1]`` int64, where the ratings of each user begin."""
        ...

    @property
    def embedding_rows(self) -> Tensor:
        """Row of each user in embedding tables, ``[num_users]`` int64."""
        ...

    @property
    def has_removed_users(self) -> bool:
        """Whether `embedding_rows` differ from the user nodes."""
        ...

    @property
    def occupations(self) -> pd.Index:
        """The occupation nodes."""
        ...

    @property
    def num_movies(self) -> int:
        """Number of movies."""
        ...


def all_users(graph: Users) -> UserBatch:
    """Return all users of a graph, with their ratings sorted by time; see `Graph.users`."""
    histories = graph.dataset.rating_table.histories
    return UserBatch(
        x=graph.profiles.x,
        occupation=graph.profiles.occupation_edges(),
        user_index=torch.from_numpy(histories.user),
        movie_index=torch.from_numpy(histories.movie),
        rating=torch.from_numpy(histories.rating),
        timestamp=torch.from_numpy(histories.timestamp),
        node_id=graph.embedding_rows,
        num_movies=graph.num_movies,
        num_occupations=len(graph.occupations),
        weight=None if histories.weight is None else torch.from_numpy(histories.weight),
    )


def users_at(graph: Users, nodes: Tensor, until: Tensor | None) -> UserBatch:
    """Return some users of a graph, up to a position of their histories; see `Graph.user_batch`."""
    profiles, table = graph.profiles.take(nodes), graph.dataset.rating_table
    if until is None and not table.is_merged and "users" not in graph.__dict__:  # no merge for a few users
        found, place = table.histories_of(nodes.numpy())
        columns = (place, found.movie, found.rating, found.timestamp)
        row, movie, rating, timestamp = (torch.from_numpy(column) for column in columns)
        weight = None if found.weight is None else torch.from_numpy(found.weight)
    else:
        edge, row = csr_ranges(graph.user_ptr[nodes], graph.user_ptr[nodes + 1] if until is None else until)
        users = graph.users
        movie, rating, timestamp = users.movie_index[edge], users.rating[edge], users.timestamp[edge]
        weight = None if users.weight is None else users.weight[edge]
    return UserBatch(
        x=profiles.x,
        occupation=profiles.occupation_edges(),
        user_index=row,
        movie_index=movie,
        rating=rating,
        timestamp=timestamp,
        node_id=graph.embedding_rows[nodes] if graph.has_removed_users else nodes,
        num_movies=graph.num_movies,
        num_occupations=len(graph.occupations),
        weight=weight,
    )


def ratings_of(user: UserBatch, user_id: Hashable, movie_ids: pd.Index, *, timed: bool) -> pd.DataFrame:
    """Return the history of one user as a table of ratings.

    Parameters
    ----------
    user : UserBatch
        A batch of one user.
    user_id : int or str
        The id in the table.
    movie_ids : pandas.Index
        Id of each movie node.
    timed : bool
        Whether the table has a column ``timestamp``.
    """
    rows = pd.DataFrame(
        {
            "user_id": pd.Series([user_id] * len(user.movie_index)),
            "movie_id": movie_ids[user.movie_index.numpy()],
            "rating": user.rating.numpy(),
        }
    )
    return rows.assign(timestamp=user.timestamp.numpy()) if timed else rows
