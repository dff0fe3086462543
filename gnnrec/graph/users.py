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
    row, movie : Tensor
        ``[num_edges]`` int64: who watched what. Sorted by row, then oldest first.
    rating : Tensor
        ``[num_edges]`` float32.
    time : Tensor
        ``[num_edges]`` int64, seconds since 1970, 0 where not known.
    node : Tensor
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
    >>> users.row.tolist(), users.movie.tolist(), users.ranks().tolist()  # oldest first
    ([0, 0, 1], [1, 0, 1], [1.0, 0.0, 0.0])
    >>> users.slice(1, 2).movie.tolist(), users.last_times().tolist()
    ([1], [30, 20])
    """

    x: Tensor
    occupation: tuple[Tensor, Tensor]
    row: Tensor
    movie: Tensor
    rating: Tensor
    time: Tensor
    node: Tensor
    num_movies: int
    num_occupations: int

    @property
    def num_users(self) -> int:
        """Number of people."""
        return self.x.size(0)

    @cached_property
    def watched(self) -> Adjacency:
        """Movies to the people who watched them."""
        return Adjacency(self.row, self.movie, self.num_users, self.num_movies)

    @cached_property
    def works_as(self) -> Adjacency:
        """Occupations to people."""
        return Adjacency(*self.occupation, self.num_users, self.num_occupations)

    def ranks(self, keep: Tensor | None = None) -> Tensor:
        """Return how many later ratings the same person has, ``[num_edges]`` float32: 0 for the last one.

        Parameters
        ----------
        keep : Tensor, optional
            ``[num_edges]``, count only ratings where it is 1.
        """
        ones = torch.ones(len(self.row), device=self.row.device) if keep is None else keep.float()
        so_far = ones.cumsum(0, dtype=torch.float64)  # float32 cannot count beyond 16 million
        at_end = so_far.new_zeros(self.num_users).scatter_reduce(0, self.row, so_far, "amax", include_self=False)
        return (at_end[self.row] - so_far).float()

    def last_times(self, keep: Tensor | None = None) -> Tensor:
        """Return the time of each person's last rating, ``[num_users]`` int64, 0 where not known; `keep` as above."""
        time = self.time if keep is None else self.time * (keep > 0)
        return time.new_zeros(self.num_users).scatter_reduce(0, self.row, time, "amax", include_self=False)

    def slice(self, start: int, end: int) -> UserBatch:
        """Return the people ``start`` to ``end - 1``."""
        first, last = torch.searchsorted(self.row, torch.tensor([start, end], device=self.row.device)).tolist()
        row, node = self.occupation
        works = (row >= start) & (row < end)
        return dataclasses.replace(
            self,
            x=self.x[start:end],
            occupation=(row[works] - start, node[works]),
            row=self.row[first:last] - start,
            movie=self.movie[first:last],
            rating=self.rating[first:last],
            time=self.time[first:last],
            node=self.node[start:end],
        )

    def without_profile(self, hidden: Tensor) -> UserBatch:
        """Return the batch with nothing known about some people but their history; `hidden` ``[num_users]`` bool."""
        row, node = self.occupation
        occupation = (row[~hidden[row]], node[~hidden[row]])
        return dataclasses.replace(self, x=self.x.masked_fill(hidden.unsqueeze(1), 0.0), occupation=occupation)

    def to(self, device: torch.device | str) -> UserBatch:
        """Return the batch on another device."""
        tensors = ("x", "row", "movie", "rating", "time", "node")
        moved = {name: getattr(self, name).to(device) for name in tensors}
        row, node = self.occupation
        return dataclasses.replace(self, **moved, occupation=(row.to(device), node.to(device)))

    @staticmethod
    def concatenate(batches: Sequence[UserBatch]) -> UserBatch:
        """Return the people of several batches as one, in order."""
        starts = np.cumsum([0] + [batch.num_users for batch in batches[:-1]])
        rows = [b.row + int(s) for b, s in zip(batches, starts, strict=True)]
        works = [b.occupation[0] + int(s) for b, s in zip(batches, starts, strict=True)]
        return dataclasses.replace(
            batches[0],
            x=torch.cat([b.x for b in batches]),
            occupation=(torch.cat(works), torch.cat([b.occupation[1] for b in batches])),
            row=torch.cat(rows),
            movie=torch.cat([b.movie for b in batches]),
            rating=torch.cat([b.rating for b in batches]),
            time=torch.cat([b.time for b in batches]),
            node=torch.cat([b.node for b in batches]),
        )
