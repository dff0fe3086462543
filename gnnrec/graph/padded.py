"""Users with padded histories of equal length, in fixed shapes for an exported network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from gnnrec.graph.users import UserBatch
from gnnrec.sparse import Adjacency


class PaddedAdjacency(Adjacency):
    """Edges in a fixed shape: the same number for every receiver, padded with missing ones.

    Equivalent to `Adjacency`, but without sorting, so that shapes do not depend on values.

    Parameters
    ----------
    col : Tensor
        ``[num_rows, width]`` int64, sender of each edge.
    mask : Tensor
        ``[num_rows, width]`` float, 0 for edges that are missing.
    num_cols : int
        Number of senders.

    Examples
    --------
    >>> adjacency = PaddedAdjacency(torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]]), num_cols=2)
    >>> adjacency.matmul(torch.tensor([1.0, 0.5, 2.0, 7.0]), torch.tensor([[1.0], [10.0]])).tolist()
    [[6.0], [20.0]]
    >>> adjacency.degrees()[0].tolist()
    [2.0, 1.0]
    """

    def __init__(self, col: Tensor, mask: Tensor, num_cols: int) -> None:
        self.num_rows, self.width = col.shape
        self.num_cols = num_cols
        self.mask = mask
        self.col = col.reshape(-1)
        self.row = torch.arange(self.num_rows, device=col.device).unsqueeze(1).expand(col.shape).reshape(-1)

    def matmul(self, weight: Tensor, x: Tensor) -> Tensor:
        """See `Adjacency.matmul`; weights of missing edges do not matter."""
        if x.size(0) == 0:
            return x.new_zeros(self.num_rows, x.size(1))
        known = torch.where(self.mask > 0, weight.reshape(self.mask.shape), 0.0)
        return (known.unsqueeze(2) * self._gathered(x)).sum(dim=1)

    def pool(self, aggregation: str, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return the mean, sum, max or min over the senders of each receiver, ``[num_rows, dim]``; 0 without any."""
        mask = self._kept(keep).unsqueeze(2) > 0
        values = self._gathered(x)
        if aggregation in ("mean", "sum"):
            total = torch.where(mask, values, 0.0).sum(dim=1)
            return total if aggregation == "sum" else total / mask.sum(dim=1).clamp(min=1)
        if aggregation not in ("max", "min"):
            raise NotImplementedError(f"aggregation {aggregation!r}")
        sign = 1.0 if aggregation == "max" else -1.0
        lowest = torch.finfo(values.dtype).min
        best = sign * torch.where(mask, sign * values, lowest).amax(dim=1)
        return torch.where(mask.any(dim=1), best, 0.0)

    def degrees(self, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Adjacency.degrees`."""
        kept = self._kept(keep)
        senders = kept.new_zeros(max(self.num_cols, 1)).index_add(0, self.col, kept.reshape(-1))
        return kept.sum(dim=1), senders[: self.num_cols]

    def _kept(self, keep: Tensor | None) -> Tensor:
        return self.mask if keep is None else self.mask * keep.reshape(self.mask.shape).float()

    def _gathered(self, x: Tensor) -> Tensor:
        return x[self.col].reshape(self.num_rows, self.width, x.size(1))


@dataclass(frozen=True, eq=False)
class PaddedUsers(UserBatch):
    """A `UserBatch` in which every user has the same number of edges; `mask` marks those that are ratings.

    Methods that take an edge mask must be given `mask`.

    Attributes
    ----------
    mask : Tensor
        ``[num_edges]`` float, 0 for padding. None is not allowed.
    movies : Tensor
        ``[num_users, length]`` int64, movie nodes; -1 is padding.
    occupation_node : Tensor
        ``[num_users]`` int64, -1 where unknown.

    Examples
    --------
    >>> users = PaddedUsers.from_arrays(
    ...     torch.zeros(2, 7), torch.tensor([-1, 0]), torch.tensor([[3, 4], [4, -1]]), torch.ones(2, 2),
    ...     torch.zeros(2, 2, dtype=torch.int64), num_movies=5, num_occupations=1,
    ... )
    >>> users.mask.tolist(), users.user_index.tolist(), users.recency_rank(users.mask).tolist()
    ([1.0, 1.0, 1.0, 0.0], [0, 0, 1, 1], [1.0, 0.0, 0.0, 0.0])
    """

    mask: Tensor | None = None
    movies: Tensor | None = None
    occupation_node: Tensor | None = None

    @classmethod
    def from_arrays(
        cls,
        x: Tensor,
        occupation: Tensor,
        movies: Tensor,
        ratings: Tensor,
        timestamps: Tensor,
        weights: Tensor | None = None,
        request_time: Tensor | None = None,
        *,
        num_movies: int,
        num_occupations: int,
    ) -> PaddedUsers:
        """Return users from profiles and padded histories.

        Parameters
        ----------
        x : Tensor
            ``[num_users, num_features]``, see `UserProfiles`.
        occupation : Tensor
            ``[num_users]`` int64, -1 where unknown.
        movies : Tensor
            ``[num_users, length]`` int64, movie nodes, oldest first; -1 is padding, anywhere.
        ratings, timestamps, weights : Tensor
            ``[num_users, length]``.
        request_time : Tensor, optional
            ``[num_users]`` int64, see `UserBatch`.
        num_movies, num_occupations : int
        """
        mask = (movies >= 0).float()
        rows = torch.arange(movies.size(0), device=movies.device)
        return cls(
            x=x,
            occupation=(rows, occupation),
            user_index=rows.unsqueeze(1).expand(movies.shape).reshape(-1),
            movie_index=movies.clamp(min=0).reshape(-1),
            rating=ratings.reshape(-1) * mask.reshape(-1),
            timestamp=timestamps.reshape(-1),
            node_id=torch.full_like(occupation, -1),
            num_movies=num_movies,
            num_occupations=num_occupations,
            weight=None if weights is None else weights.reshape(-1) * mask.reshape(-1),
            request_time=request_time,
            mask=mask.reshape(-1),
            movies=movies,
            occupation_node=occupation,
        )

    @cached_property
    def user_movie(self) -> PaddedAdjacency:
        """Adjacency from movies to users."""
        assert self.movies is not None
        return PaddedAdjacency(self.movies.clamp(min=0), (self.movies >= 0).float(), self.num_movies)

    @cached_property
    def user_occupation(self) -> PaddedAdjacency:
        """Adjacency from occupations to users."""
        assert self.occupation_node is not None
        node = self.occupation_node.unsqueeze(1)
        return PaddedAdjacency(node.clamp(min=0), (node >= 0).float(), self.num_occupations)

    def repeat(self, number: int) -> PaddedUsers:
        """See `UserBatch.repeat`."""
        assert self.mask is not None
        assert self.movies is not None
        assert self.occupation_node is not None
        made = super().repeat(number)
        assert isinstance(made, PaddedUsers)
        return replace(
            made,
            mask=self.mask.repeat(number),
            movies=self.movies.repeat(number, 1),
            occupation_node=self.occupation_node.repeat(number),
        )
