"""`UserBatch`: people as every model sees them, a profile and a history, whether trained on or just arrived."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gnnrec.sparse import Adjacency


@dataclass(frozen=True, eq=False)
class UserBatch:
    """Some people as tensors; the only form in which a model ever sees a user.

    Attributes
    ----------
    x : Tensor
        ``[num_users, num_features]`` float32, age group and gender; zeros where not known.
    occupation : tuple of Tensor
        Edges ``(row, occupation node)``, both ``[num_known]`` int64.
    user_index, movie_index : Tensor
        ``[num_edges]`` int64: who watched what. Sorted by row, then oldest first.
    rating : Tensor
        ``[num_edges]`` float32.
    timestamp : Tensor
        ``[num_edges]`` int64, seconds since 1970, 0 where not known.
    node_id : Tensor
        ``[num_users]`` int64, the user's node in the graph, -1 for someone new. For models with a table of users;
        one that reads histories has no use for it.
    num_movies, num_occupations : int
        Number of nodes that the edges may lead to.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> rows = [(1, 7, 30), (1, 8, 10), (2, 8, 20)]
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> users = graph.users
    >>> users.user_index.tolist(), users.movie_index.tolist(), users.recency_rank().tolist()  # oldest first
    ([0, 0, 1], [1, 0, 1], [1.0, 0.0, 0.0])
    >>> users.slice(1, 2).movie.tolist(), users.last_timestamp().tolist()
    ([1], [30, 20])
    """

    x: Tensor
    occupation: tuple[Tensor, Tensor]
    user_index: Tensor
    movie_index: Tensor
    rating: Tensor
    timestamp: Tensor
    node_id: Tensor
    num_movies: int
    num_occupations: int

    @property
    def num_users(self) -> int:
        """Number of people."""
        return self.x.size(0)

    @cached_property
    def user_movie(self) -> Adjacency:
        """Movies to the people who watched them."""
        return Adjacency(self.user_index, self.movie_index, self.num_users, self.num_movies)

    @cached_property
    def user_occupation(self) -> Adjacency:
        """Occupations to people."""
        return Adjacency(*self.occupation, self.num_users, self.num_occupations)

    def recency_rank(self, keep: Tensor | None = None) -> Tensor:
        """Return how many later ratings the same person has, ``[num_edges]`` float32: 0 for the last one.

        Parameters
        ----------
        keep : Tensor, optional
            ``[num_edges]``, count only ratings where it is 1.
        """
        ones = torch.ones(len(self.user_index), device=self.user_index.device) if keep is None else keep.float()
        so_far = ones.cumsum(0, dtype=torch.float64)  # float32 cannot count beyond 16 million
        at_end = so_far.new_zeros(self.num_users).scatter_reduce(0, self.user_index, so_far, "amax", include_self=False)
        return (at_end[self.user_index] - so_far).float()

    def last_timestamp(self, keep: Tensor | None = None) -> Tensor:
        """Return the time of each person's last rating, ``[num_users]`` int64, 0 where not known; `keep` as above."""
        time = self.timestamp if keep is None else self.timestamp * (keep > 0)
        return time.new_zeros(self.num_users).scatter_reduce(0, self.user_index, time, "amax", include_self=False)

    def slice(self, start: int, end: int) -> UserBatch:
        """Return the people ``start`` to ``end - 1``."""
        first, last = torch.searchsorted(
            self.user_index, torch.tensor([start, end], device=self.user_index.device)
        ).tolist()
        row, node = self.occupation
        works = (row >= start) & (row < end)
        return dataclasses.replace(
            self,
            x=self.x[start:end],
            occupation=(row[works] - start, node[works]),
            user_index=self.user_index[first:last] - start,
            movie_index=self.movie_index[first:last],
            rating=self.rating[first:last],
            timestamp=self.timestamp[first:last],
            node_id=self.node_id[start:end],
        )

    def without_profile(self, hidden: Tensor) -> UserBatch:
        """Return the batch with nothing known about some people but their history; `hidden` ``[num_users]`` bool."""
        row, node = self.occupation
        occupation = (row[~hidden[row]], node[~hidden[row]])
        return dataclasses.replace(self, x=self.x.masked_fill(hidden.unsqueeze(1), 0.0), occupation=occupation)

    def to(self, device: torch.device | str) -> UserBatch:
        """Return the batch on another device."""
        tensors = ("x", "user_index", "movie_index", "rating", "timestamp", "node_id")
        moved = {name: getattr(self, name).to(device) for name in tensors}
        row, node = self.occupation
        return dataclasses.replace(self, **moved, occupation=(row.to(device), node.to(device)))

    @staticmethod
    def concatenate(batches: Sequence[UserBatch]) -> UserBatch:
        """Return the people of several batches as one, in order."""
        starts = np.cumsum([0] + [batch.num_users for batch in batches[:-1]])
        rows = [b.user_index + int(s) for b, s in zip(batches, starts, strict=True)]
        works = [b.occupation[0] + int(s) for b, s in zip(batches, starts, strict=True)]
        return dataclasses.replace(
            batches[0],
            x=torch.cat([b.x for b in batches]),
            occupation=(torch.cat(works), torch.cat([b.occupation[1] for b in batches])),
            user_index=torch.cat(rows),
            movie_index=torch.cat([b.movie_index for b in batches]),
            rating=torch.cat([b.rating for b in batches]),
            timestamp=torch.cat([b.timestamp for b in batches]),
            node_id=torch.cat([b.node_id for b in batches]),
        )
