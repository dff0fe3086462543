"""A history seen in several ways at once: all of it, what came last, what was liked; and then what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.config import ModelConfig
from gnnrec.graph import UserBatch
from gnnrec.graph.transitions import SECONDS_PER_DAY


class DateEncoding(nn.Module):
    """Turn the date of a person's last rating into a soft one-hot of periods.

    The time that the training ratings span is cut into equal periods; a date is shared between the two whose middles
    it is nearest to. DateEncoding before the first and after the last count as these. Someone whose ratings carry no time gets
    zeros.

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
    def prepare(self, time: Tensor) -> None:
        """Take the span of the training ratings."""
        known = time[time > 0]
        if len(known):
            self.first.copy_(known.min())
            self.last.copy_(known.max())

    def forward(self, batch: UserBatch, keep: Tensor) -> Tensor:
        """Return ``[num_users, width]``; only ratings where `keep` is not 0 are looked at."""
        last = batch.last_timestamp(keep)
        span = (self.last - self.first).clamp(min=1)
        place = ((last - self.first).double() / span).clamp(0, 1).float() * (self.width - 1)
        periods = torch.arange(self.width, device=place.device)
        near = (1 - (place.unsqueeze(1) - periods).abs()).clamp(min=0)  # [num_users, width]
        return near * (last > 0).unsqueeze(1)


class TemporalPooling(nn.Module):
    r"""Time-aware aggregation of a person's ratings.

    Each view weighs the same ratings differently and sums their messages with LightGCN's normalisation:

    .. math::
        e_v = \sum_{i \in N(u)} \frac{w_v(u, i)}{\sqrt{1 + \sum_j |w_v(u, j)|}} \sqrt{\frac{\bar d}{d_i + c}} \; m_i

    where :math:`w_v` is :math:`e^{-r/\tau}` with :math:`r` the number of ratings since (*rank* views),
    :math:`e^{-t/\tau}` with :math:`t` the days between the rating and the person's last one (*day* views), or a rank
    weight times the rating's distance from the person's mean (*rated* views, which can speak against a movie). With
    :math:`\tau = \infty` a view never forgets. The person's vector is

    .. math:: \sum_v \mu_v \odot e_v + \mathrm{MLP}([\mathrm{LN}(e_1, \ldots, e_V), c_u])

    Because :math:`\mu_v` has an entry for each dimension, every dimension learns how fast it forgets: its decay is the
    mixture :math:`\sum_v \mu_{vc} e^{-r/\tau_v}`. The hidden layer sees the views side by side, so that what came last
    may mean different things after different histories; this is what attention is used for elsewhere. :math:`c_u` is
    the context: the date of the last rating (see `DateEncoding`) and the length of the history.

    Parameters
    ----------
    dim : int
        Width of messages and of the result.
    position_decays, day_decays, rating_decays : sequence of float
        :math:`\tau` of each view; the last in ranks.
    date_features : bool
        Whether the network is told the date.
    hidden_dim : int
        Width of the hidden layer; 0 leaves the network out, and with it all that only it reads.
    dropout : float
        Of the hidden layer and of the result.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 1], "movie_id": [7, 8, 9], "timestamp": [10, 20, 30]})
    >>> batch = Graph.from_dataset(Dataset(ratings)).users
    >>> views = TemporalPooling(dim=4, position_decays=[1, float("inf")])
    >>> [[round(w, 2) for w in weight.tolist()] for weight in views.weights(batch, torch.ones(3))]
    [[0.14, 0.37, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        dim: int,
        position_decays: Sequence[float],
        day_decays: Sequence[float] = (),
        rating_decays: Sequence[float] = (),
        *,
        date_features: bool = False,
        hidden_dim: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.position_decays, self.day_decays, self.rating_decays = position_decays, day_decays, rating_decays
        num_views = len(position_decays) + len(day_decays) + len(rating_decays)
        mix = torch.zeros(num_views, dim)
        mix[: len(position_decays)] = 1 / max(len(position_decays), 1)
        self.mix = nn.Parameter(mix)
        self.dropout = nn.Dropout(dropout)
        self.dates: DateEncoding | None = None
        self.network: nn.Sequential | None = None
        if hidden_dim:
            self.dates = DateEncoding() if date_features else None
            self.norm = nn.LayerNorm(num_views * dim)
            width = num_views * dim + 1 + (self.dates.width if self.dates else 0)
            last = nn.Linear(hidden_dim, dim)
            nn.init.zeros_(last.weight)  # starts as the plain mixture
            nn.init.zeros_(last.bias)
            self.network = nn.Sequential(nn.Linear(width, hidden_dim), nn.GELU(), nn.Dropout(dropout), last)

    @classmethod
    def build(cls, model: ModelConfig) -> Self | None:
        """Return the views that a config describes, or None where it turns time off."""
        if not model.temporal:
            return None
        return cls(
            model.embedding_dim,
            model.position_decays,
            model.day_decays,
            model.rating_decays,
            date_features=model.date_features,
            hidden_dim=model.hidden_dim,
            dropout=model.dropout,
        )

    def forward(
        self, batch: UserBatch, message: Tensor, movie_degree: Tensor, typical_degree: Tensor, keep: Tensor | None
    ) -> Tensor:
        """Return ``[num_users, dim]``.

        Parameters
        ----------
        batch : UserBatch
        message : Tensor
            ``[num_movies, dim]``.
        movie_degree : Tensor
            ``[num_movies]``, :math:`d_i + c`.
        typical_degree : Tensor
            Scalar, the mean of the former.
        keep : Tensor, optional
            ``[num_edges]`` float, 0 for ratings that must not be seen.
        """
        keep = torch.ones_like(batch.rating) if keep is None else keep
        strength = (typical_degree.clamp(min=1) / movie_degree.clamp(min=1)).sqrt()[batch.movie_index]
        views = []  # each [num_users, dim]
        for weight in self.weights(batch, keep):
            total = weight.new_zeros(batch.num_users).index_add_(0, batch.user_index, weight.abs())
            views.append(batch.user_movie.matmul(weight * strength * (1 + total).rsqrt()[batch.user_index], message))
        z = torch.stack(views).mul(self.mix.unsqueeze(1)).sum(0)
        if self.network is not None:
            length = keep.new_zeros(batch.num_users).index_add_(0, batch.user_index, keep)
            context = [length.log1p().unsqueeze(1) / 5]  # 1 for about 150 ratings
            if self.dates is not None:
                context.append(self.dates(batch, keep))
            z = z + self.network(torch.cat([self.norm(torch.cat(views, dim=1)), *context], dim=1))
        return self.dropout(z)

    def weights(self, batch: UserBatch, keep: Tensor) -> list[Tensor]:
        """Return the weights ``[num_edges]`` of the ratings in every view."""
        rank = batch.recency_rank(keep)
        weights = [torch.exp(-rank / decay) * keep for decay in self.position_decays]
        if self.day_decays:
            days = (batch.last_timestamp(keep)[batch.user_index] - batch.timestamp).float() / SECONDS_PER_DAY
            weights += [torch.exp(-days.clamp(min=0) / decay) * keep for decay in self.day_decays]
        if self.rating_decays:
            count = keep.new_zeros(batch.num_users).index_add_(0, batch.user_index, keep)
            mean = keep.new_zeros(batch.num_users).index_add_(0, batch.user_index, keep * batch.rating) / count.clamp(
                min=1
            )
            distance = batch.rating - mean[batch.user_index]
            weights += [torch.exp(-rank / decay) * keep * distance for decay in self.rating_decays]
        return weights
