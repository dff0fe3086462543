"""Users as models see them: profile features and histories, the same for stored and for new users.

`gnnrec.user_features` defines the profile features, one per file; this module turns them into tensors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.data.user_columns import feature_column
from gnnrec.graph.vocabulary import one_hot
from gnnrec.sparse import Adjacency
from gnnrec.user_features import NumberFeature, UserFeature, user_features

NODE_FEATURE = "occupation"
"""The user feature whose values are nodes."""


def encode_feature(feature: UserFeature, values: np.ndarray, num_known: int) -> Tensor:
    """Return the model input for one feature, ``[num_users, width]`` float32; zeros where unknown.

    Parameters
    ----------
    feature : UserFeature
    values : numpy.ndarray
        ``[num_users]``: of a `NumberFeature` float64, NaN where unknown; of a `CategoryFeature` int64, position among
        the known values, -1 where unknown.
    num_known : int
        Number of known values of a `CategoryFeature`.

    Examples
    --------
    >>> from gnnrec.user_features import user_features
    >>> encode_feature(user_features()["age"], np.array([20.0, np.nan]), 0)
    tensor([[0., 1., 0., 0., 0., 0., 0.],
            [0., 0., 0., 0., 0., 0., 0.]])
    """
    if not isinstance(feature, NumberFeature):
        return one_hot(values, num_known)
    known = ~np.isnan(values)
    if not known.any():
        return torch.zeros(len(values), feature.width)
    if known.all():
        return torch.from_numpy(np.asarray(feature.encode(values), dtype=np.float32).reshape(-1, feature.width))
    x = torch.zeros(len(values), feature.width)
    encoded = np.asarray(feature.encode(values[known]), dtype=np.float32).reshape(-1, feature.width)
    x[torch.from_numpy(known)] = torch.from_numpy(encoded)
    return x


@dataclass(frozen=True, eq=False)
class UserProfiles:
    """Profiles of users: everything but their ratings.

    Attributes
    ----------
    x : Tensor
        ``[num_users, num_features]`` float32: the columns of each user feature but occupation, see `encode_feature`.
    occupation : Tensor
        ``[num_users]`` int64, occupation node, -1 where unknown.

    Examples
    --------
    >>> users = pd.DataFrame({"age": [25, None], "gender": ["F", None], "occupation": [None, "artist"]})
    >>> known = {"age": pd.Index([]), "gender": pd.Index(["F", "M"]), "occupation": pd.Index(["artist"])}
    >>> profiles = UserProfiles.from_table(users, known)
    >>> profiles.x.nonzero().tolist(), profiles.occupation.tolist()  # age group 2 and gender 0 of the first user
    ([[0, 2], [0, 7]], [-1, 0])
    """

    x: Tensor
    occupation: Tensor

    @classmethod
    def from_table(cls, users: pd.DataFrame, known: Mapping[str, pd.Index]) -> UserProfiles:
        """Return the profiles in a users table; `known` as for `from_values`."""
        values, features = {}, user_features()
        for name, categories in known.items():
            column = feature_column(users, features[name])
            values[name] = (
                column.to_numpy(dtype="float64", na_value=np.nan)
                if isinstance(features[name], NumberFeature)
                else categories.get_indexer(pd.Index(column.astype(object)))
            )
        return cls.from_values(values, known)

    @classmethod
    def from_values(cls, values: Mapping[str, np.ndarray], known: Mapping[str, pd.Index]) -> UserProfiles:
        """Return the profiles of users.

        Parameters
        ----------
        values : mapping of str to numpy.ndarray
            By feature, as for `encode_feature`.
        known : mapping of str to pandas.Index
            The features that a model sees, and the known values of those that are categories; empty for numbers.
        """
        features = user_features()
        x = [
            encode_feature(features[name], values[name], len(categories))
            for name, categories in known.items()
            if name != NODE_FEATURE
        ]
        return cls(torch.cat(x, dim=1), torch.from_numpy(values[NODE_FEATURE].astype(np.int64)))

    def __len__(self) -> int:
        return len(self.x)

    def occupation_edges(self) -> tuple[Tensor, Tensor]:
        """Return the edges ``(row, occupation node)``, each ``[num_known]`` int64."""
        row = torch.nonzero(self.occupation >= 0).squeeze(1)
        return row, self.occupation[row]

    def take(self, rows: Tensor) -> UserProfiles:
        """Return the profiles of some users."""
        return UserProfiles(self.x[rows], self.occupation[rows])

    def without(self, row: int) -> UserProfiles:
        """Return the profiles without that of one user."""
        return UserProfiles(*(torch.cat([values[:row], values[row + 1 :]]) for values in (self.x, self.occupation)))

    def append(self, other: UserProfiles) -> UserProfiles:
        """Return these profiles followed by others."""
        return UserProfiles(torch.cat([self.x, other.x]), torch.cat([self.occupation, other.occupation]))


@dataclass(frozen=True, eq=False)
class UserBatch:
    """Users as tensors: the only form in which a model sees users.

    Attributes
    ----------
    x : Tensor
        ``[num_users, num_features]`` float32, see `UserProfiles`; zeros where unknown.
    occupation : tuple of Tensor
        Edges ``(row, occupation node)``, both ``[num_known]`` int64.
    user_index, movie_index : Tensor
        ``[num_edges]`` int64, user and movie of each rating. Sorted by user, then oldest first.
    rating : Tensor
        ``[num_edges]`` float32.
    timestamp : Tensor
        ``[num_edges]`` int64, seconds since 1970, 0 where unknown.
    node_id : Tensor
        ``[num_users]`` int64, row of the user in the tables of models with user embeddings: the user node, but see
        `Graph.embedding_rows`; -1 for a new user.
    num_movies, num_occupations : int
        Number of movie and occupation nodes.
    weight : Tensor, optional
        ``[num_edges]`` float32, how much each rating counts; None if the data has no weights. Models use
        `relative_weight`.
    request_time : Tensor, optional
        ``[num_users]`` int64, when each user asks for recommendations, in seconds since 1970; 0 where unknown. None if
        no time is known. See `at`.

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
    >>> users.slice(1, 2).movie_index.tolist(), users.last_timestamp().tolist()
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
    weight: Tensor | None = None
    request_time: Tensor | None = None

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self.x.size(0)

    @cached_property
    def user_movie(self) -> Adjacency:
        """Adjacency from movies to users."""
        return Adjacency(self.user_index, self.movie_index, self.num_users, self.num_movies)

    @cached_property
    def user_occupation(self) -> Adjacency:
        """Adjacency from occupations to users."""
        return Adjacency(*self.occupation, self.num_users, self.num_occupations)

    def recency_rank(self, keep: Tensor | None = None) -> Tensor:
        """Return the number of later ratings by the same user, ``[num_edges]`` float32: 0 for the last one.

        Parameters
        ----------
        keep : Tensor, optional
            ``[num_edges]``, only ratings where it is 1 count.
        """
        ones = torch.ones(len(self.user_index), device=self.user_index.device) if keep is None else keep.float()
        so_far = ones.cumsum(0, dtype=torch.float64)  # float32 is exact only up to 16 million
        at_end = so_far.new_zeros(self.num_users).scatter_reduce(0, self.user_index, so_far, "amax", include_self=False)
        return (at_end[self.user_index] - so_far).float()

    def last_timestamp(self, keep: Tensor | None = None) -> Tensor:
        """Return the time of each user's last rating, ``[num_users]`` int64, 0 where unknown; `keep` as above."""
        time = self.timestamp if keep is None else self.timestamp * (keep > 0)
        return time.new_zeros(self.num_users).scatter_reduce(0, self.user_index, time, "amax", include_self=False)

    def relative_weight(self, keep: Tensor | None = None) -> Tensor | None:
        """Return each weight divided by the mean weight of its user, ``[num_edges]`` float32; None without weights.

        The result does not depend on the unit of the weights, and equal weights have the same effect as none.

        Parameters
        ----------
        keep : Tensor, optional
            ``[num_edges]``, the mean is that of the ratings where it is 1; so the others have no influence.
        """
        if self.weight is None:
            return None
        ones = torch.ones_like(self.weight) if keep is None else keep.float()
        zeros = ones.new_zeros(self.num_users)
        total = zeros.index_add(0, self.user_index, self.weight * ones)
        mean = total / zeros.index_add(0, self.user_index, ones).clamp(min=1)
        of_user = mean[self.user_index]
        return torch.where(of_user > 0, self.weight / of_user.clamp(min=1e-12), 1.0)

    def at(self, request_time: Tensor) -> UserBatch:
        """Return the users at the time of a request, without later ratings.

        Ratings without a time are kept.

        Parameters
        ----------
        request_time : Tensor
            ``[num_users]`` int64, seconds since 1970; 0 where unknown, and then all ratings are kept.

        Examples
        --------
        >>> early = graph.user_batch(torch.tensor([3])).at(torch.tensor([graph.users.timestamp.min() + 1]))
        >>> early.user_index.tolist(), early.num_users
        ([], 1)
        """
        asked = request_time[self.user_index]
        kept = (asked == 0) | (self.timestamp <= asked)
        if kept.all():
            return dataclasses.replace(self, request_time=request_time)
        return dataclasses.replace(
            self,
            user_index=self.user_index[kept],
            movie_index=self.movie_index[kept],
            rating=self.rating[kept],
            timestamp=self.timestamp[kept],
            weight=None if self.weight is None else self.weight[kept],
            request_time=request_time,
        )

    def time_since_last(self, keep: Tensor | None = None) -> Tensor:
        """Return the seconds from the last rating to the request, ``[num_users]`` float32; NaN where unknown.

        It is infinite for users without any rating that counts; `keep` as above.
        """
        nowhere = torch.full((self.num_users,), torch.nan, device=self.x.device)
        if self.request_time is None:
            return nowhere
        last = self.last_timestamp(keep)
        ones = torch.ones_like(self.rating) if keep is None else keep.to(self.rating.dtype)
        number = ones.new_zeros(self.num_users).index_add(0, self.user_index, ones)
        seconds = torch.where(last > 0, (self.request_time - last).clamp(min=0).to(nowhere.dtype), nowhere)
        seconds = torch.where(number > 0, seconds, torch.inf)
        return torch.where(self.request_time > 0, seconds, nowhere)

    def slice(self, start: int, end: int) -> UserBatch:
        """Return the users ``start`` to ``end - 1``."""
        first, last = torch.searchsorted(
            self.user_index, torch.tensor([start, end], device=self.user_index.device)
        ).tolist()
        row, node = self.occupation
        in_slice = (row >= start) & (row < end)
        return dataclasses.replace(
            self,
            x=self.x[start:end],
            occupation=(row[in_slice] - start, node[in_slice]),
            user_index=self.user_index[first:last] - start,
            movie_index=self.movie_index[first:last],
            rating=self.rating[first:last],
            timestamp=self.timestamp[first:last],
            node_id=self.node_id[start:end],
            weight=None if self.weight is None else self.weight[first:last],
            request_time=None if self.request_time is None else self.request_time[start:end],
        )

    def without_profile(self, hidden: Tensor) -> UserBatch:
        """Return the batch without the profiles of some users; `hidden` is ``[num_users]`` bool."""
        row, node = self.occupation
        occupation = (row[~hidden[row]], node[~hidden[row]])
        return dataclasses.replace(self, x=self.x.masked_fill(hidden.unsqueeze(1), 0.0), occupation=occupation)

    def to(self, device: torch.device | str) -> UserBatch:
        """Return the batch on another device."""
        names = ("x", "user_index", "movie_index", "rating", "timestamp", "node_id")
        tensors = {name: getattr(self, name).to(device) for name in names}
        for name in ("weight", "request_time"):
            if (optional := getattr(self, name)) is not None:
                tensors[name] = optional.to(device)
        row, node = self.occupation
        return dataclasses.replace(self, **tensors, occupation=(row.to(device), node.to(device)))

    @staticmethod
    def concatenate(batches: Sequence[UserBatch]) -> UserBatch:
        """Return the users of several batches as one, in order."""
        starts = np.cumsum([0] + [batch.num_users for batch in batches[:-1]])
        rows = [b.user_index + int(s) for b, s in zip(batches, starts, strict=True)]
        weights = [b.weight for b in batches if b.weight is not None]
        occupation_rows = [b.occupation[0] + int(s) for b, s in zip(batches, starts, strict=True)]
        times = [b.request_time for b in batches if b.request_time is not None]
        if times and len(times) < len(batches):
            times = [torch.zeros_like(b.node_id) if b.request_time is None else b.request_time for b in batches]
        return dataclasses.replace(
            batches[0],
            x=torch.cat([b.x for b in batches]),
            occupation=(torch.cat(occupation_rows), torch.cat([b.occupation[1] for b in batches])),
            user_index=torch.cat(rows),
            movie_index=torch.cat([b.movie_index for b in batches]),
            rating=torch.cat([b.rating for b in batches]),
            timestamp=torch.cat([b.timestamp for b in batches]),
            node_id=torch.cat([b.node_id for b in batches]),
            weight=torch.cat(weights) if len(weights) == len(batches) else None,
            request_time=torch.cat(times) if times else None,
        )

    def repeat(self, number: int) -> UserBatch:
        """Return the batch several times over: user `u` of copy `k` is row ``k * num_users + u``.

        Examples
        --------
        >>> users = graph.users.slice(0, 2)
        >>> twice = users.repeat(2)
        >>> twice.num_users, bool((twice.slice(2, 4).movie_index == users.movie_index).all())
        (4, True)
        """
        return UserBatch.concatenate([self] * number)
