"""Temporal pooling: histories weighted by order, date and rating, and an encoding of the date."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.config import ModelConfig
from gnnrec.graph import UserBatch
from gnnrec.graph.transitions import SECONDS_PER_DAY

LONGEST = 10 * 365.25 * SECONDS_PER_DAY
"""Maximum time since the last rating, in seconds; longer times are clipped."""


class DateEncoding(nn.Module):
    """Encodes the date of a user's last rating as a soft one-hot vector of periods.

    The time span of the training ratings is cut into equal periods; a date is shared between the two periods with the
    nearest centers. Dates outside the span are clipped to it. Without timestamps the result is zero.

    Parameters
    ----------
    width : int
        Number of periods.
    """

    first: Tensor
    last: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("first", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def prepare(self, timestamps: Tensor) -> None:
        """Set the time span to that of the training ratings."""
        known = timestamps[timestamps > 0]
        if len(known):
            self.first.copy_(known.min())
            self.last.copy_(known.max())

    def forward(self, users: UserBatch, edge_mask: Tensor) -> Tensor:
        """Return ``[num_users, width]``; ratings where `edge_mask` is 0 are ignored."""
        last = users.last_timestamp(edge_mask)
        span = (self.last - self.first).clamp(min=1)
        position = ((last - self.first).double() / span).clamp(0, 1).float() * (self.width - 1)
        centers = torch.arange(self.width, device=position.device)
        shares = (1 - (position.unsqueeze(1) - centers).abs()).clamp(min=0)  # [num_users, width]
        return shares * (last > 0).unsqueeze(1)


class RequestTimeEncoding(nn.Module):
    """Encodes the time from a user's last rating to the request as a soft one-hot vector of logarithmic buckets.

    What users watch next depends on whether they return after a second, on the same page, or after a year. A time is
    shared between the two buckets with the nearest centers; the centers divide :math:`log(1 + s)` evenly, from
    :math:`s = 0` seconds to ten years, as relative times are bucketed in HSTU (Zhai et al. 2024,
    https://arxiv.org/abs/2402.17152). Two more entries indicate a request in the same second, and the absence of
    ratings. Without a request time the result is zero.

    Parameters
    ----------
    num_buckets : int

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> ratings = pd.DataFrame({"user_id": [1, 2], "movie_id": [7, 7], "timestamp": [100, 100]})
    >>> users = Graph.from_dataset(Dataset(ratings)).users.at(torch.tensor([100, 10_000_000]))
    >>> [[round(x, 2) for x in row] for row in RequestTimeEncoding(4)(users, torch.ones(2)).tolist()]
    [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.53, 0.47, 0.0, 0.0]]
    """

    def __init__(self, num_buckets: int = 20) -> None:
        super().__init__()
        self.num_buckets = num_buckets
        self.width = num_buckets + 2

    def forward(self, users: UserBatch, edge_mask: Tensor) -> Tensor:
        """Return ``[num_users, num_buckets + 2]``; ratings where `edge_mask` is 0 are ignored."""
        seconds = users.time_since_last(edge_mask)
        share = (seconds.clamp(max=LONGEST).log1p() / math.log1p(LONGEST)).nan_to_num()
        centers = torch.arange(self.num_buckets, device=share.device)
        buckets = (1 - (share * (self.num_buckets - 1)).unsqueeze(1).sub(centers).abs()).clamp(min=0)
        flags = torch.stack([seconds == 0, seconds.isinf()], dim=1).to(buckets.dtype)
        return torch.cat([buckets * seconds.isfinite().unsqueeze(1), flags], dim=1)


class TemporalPooling(nn.Module):
    r"""Time-aware aggregation of a user's ratings.

    The messages of a history are pooled once per decay rate, with LightGCN's normalization:

    .. math::
        e_v = \sum_{i \in N(u)} \frac{w_v(u, i)}{\sqrt{1 + \sum_j |w_v(u, j)|}} \sqrt{\frac{\bar d}{d_i + c}} \; m_i

    where the weight :math:`w_v` is :math:`e^{-r/\tau}` with :math:`r` the number of later ratings (*position* decays),
    :math:`e^{-t/\tau}` with :math:`t` the days between the rating and the user's last one (*day* decays), or a position
    weight times the difference between the rating and the user's mean rating (*rating* decays; these weights can be
    negative). With :math:`\tau = \infty` there is no decay. The result is

    .. math:: \sum_v \mu_v \odot e_v + \mathrm{MLP}([\mathrm{LN}(e_1, \ldots, e_V), c_u])

    :math:`\mu_v` has an entry per dimension, so every dimension learns its own decay, the mixture
    :math:`\sum_v \mu_{vc} e^{-r/\tau_v}`. The hidden layer sees all poolings together, so that the last ratings can
    mean different things after different histories, as in attention. :math:`c_u` is the context: the length of the
    history, the date of the last rating (see `DateEncoding`) and the time since then (see `RequestTimeEncoding`).

    Parameters
    ----------
    embedding_dim : int
        Dimension of messages and result.
    position_decays, day_decays, rating_decays : sequence of float
        :math:`\tau` of each pooling, in ratings or days.
    date_features : bool
        Whether the hidden layer sees the date of the last rating.
    request_time_features : bool
        Whether the hidden layer sees the time from the last rating to the request.
    hidden_dim : int
        Width of the hidden layer; 0 for none, and then no context either.
    dropout : float
        Dropout of the hidden layer and of the result.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 1], "movie_id": [7, 8, 9], "timestamp": [10, 20, 30]})
    >>> users = Graph.from_dataset(Dataset(ratings)).users
    >>> pooling = TemporalPooling(embedding_dim=4, position_decays=[1, float("inf")])
    >>> [[round(w, 2) for w in weight.tolist()] for weight in pooling.edge_weights(users, torch.ones(3))]
    [[0.14, 0.37, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        embedding_dim: int,
        position_decays: Sequence[float],
        day_decays: Sequence[float] = (),
        rating_decays: Sequence[float] = (),
        *,
        date_features: bool = False,
        request_time_features: bool = False,
        hidden_dim: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.position_decays, self.day_decays, self.rating_decays = position_decays, day_decays, rating_decays
        num_poolings = len(position_decays) + len(day_decays) + len(rating_decays)
        mix = torch.zeros(num_poolings, embedding_dim)
        mix[: len(position_decays)] = 1 / max(len(position_decays), 1)
        self.mix = nn.Parameter(mix)
        self.dropout = nn.Dropout(dropout)
        self.dates: DateEncoding | None = None
        self.request_times: RequestTimeEncoding | None = None
        self.network: nn.Sequential | None = None
        if hidden_dim:
            self.dates = DateEncoding() if date_features else None
            self.request_times = RequestTimeEncoding() if request_time_features else None
            self.norm = nn.LayerNorm(num_poolings * embedding_dim)
            context = 1 + sum(encoding.width for encoding in (self.dates, self.request_times) if encoding is not None)
            width = num_poolings * embedding_dim + context
            last = nn.Linear(hidden_dim, embedding_dim)
            nn.init.zeros_(last.weight)  # training starts with the mixture alone
            nn.init.zeros_(last.bias)
            self.network = nn.Sequential(nn.Linear(width, hidden_dim), nn.GELU(), nn.Dropout(dropout), last)

    @classmethod
    def from_config(cls, config: ModelConfig) -> Self | None:
        """Return the pooling described by a config, None if ``temporal`` is false."""
        if not config.temporal:
            return None
        return cls(
            config.embedding_dim,
            config.position_decays,
            config.day_decays,
            config.rating_decays,
            date_features=config.date_features,
            request_time_features=config.request_time_features,
            hidden_dim=config.hidden_dim,
            dropout=config.dropout,
        )

    def forward(
        self, users: UserBatch, messages: Tensor, movie_degree: Tensor, mean_degree: Tensor, edge_mask: Tensor | None
    ) -> Tensor:
        """Pool the histories of users.

        Parameters
        ----------
        users : UserBatch
        messages : Tensor
            ``[num_movies, embedding_dim]``.
        movie_degree : Tensor
            ``[num_movies]``, :math:`d_i + c`.
        mean_degree : Tensor
            Scalar, mean of `movie_degree`.
        edge_mask : Tensor, optional
            ``[num_edges]`` float, 0 for ratings to ignore.

        Returns
        -------
        Tensor
            ``[num_users, embedding_dim]``.
        """
        edge_mask = torch.ones_like(users.rating) if edge_mask is None else edge_mask
        norm = (mean_degree.clamp(min=1) / movie_degree.clamp(min=1)).sqrt()[users.movie_index]
        pooled = []  # each [num_users, embedding_dim]
        for weight in self.edge_weights(users, edge_mask):
            total = _sum_by_user(weight.abs(), users)
            pooled.append(users.user_movie.matmul(weight * norm * (1 + total).rsqrt()[users.user_index], messages))
        z = torch.stack(pooled).mul(self.mix.unsqueeze(1)).sum(0)
        if self.network is not None:
            length = _sum_by_user(edge_mask, users)
            context = [length.log1p().unsqueeze(1) / 5]  # 1 for about 150 ratings
            if self.dates is not None:
                context.append(self.dates(users, edge_mask))
            if self.request_times is not None:
                context.append(self.request_times(users, edge_mask))
            z = z + self.network(torch.cat([self.norm(torch.cat(pooled, dim=1)), *context], dim=1))
        pooled_history: Tensor = self.dropout(z)
        return pooled_history

    def edge_weights(self, users: UserBatch, edge_mask: Tensor) -> list[Tensor]:
        """Return the weights of the ratings in each pooling, ``[num_edges]`` each."""
        rank = users.recency_rank(edge_mask)
        weights = [torch.exp(-rank / decay) * edge_mask for decay in self.position_decays]
        if self.day_decays:
            days = (users.last_timestamp(edge_mask)[users.user_index] - users.timestamp).float() / SECONDS_PER_DAY
            weights += [torch.exp(-days.clamp(min=0) / decay) * edge_mask for decay in self.day_decays]
        if self.rating_decays:
            mean = _sum_by_user(edge_mask * users.rating, users) / _sum_by_user(edge_mask, users).clamp(min=1)
            difference = users.rating - mean[users.user_index]
            weights += [torch.exp(-rank / decay) * edge_mask * difference for decay in self.rating_decays]
        return weights


def _sum_by_user(values: Tensor, users: UserBatch) -> Tensor:
    """Return ``[num_users]`` sums of edge values."""
    return values.new_zeros(users.num_users).index_add_(0, users.user_index, values)
