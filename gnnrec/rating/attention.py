"""A rating predicted by attention: the candidate movie asks which of the rated ones tell about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.graph import Graph, UserBatch
from gnnrec.models.neighbors import check_grown
from gnnrec.models.sequential import columns
from gnnrec.rating.base import RatingPredictor, check_ratings
from gnnrec.training.loop import OptimizerConfig, Watch, batches, check_at_least, frozen, seeded, train

CHUNK = 32_768
"""Questions answered at once: each has a weight for every rated movie of the person."""

SCHEDULE = OptimizerConfig(epochs=60, learning_rate=2e-3, batch_size=32, weight_decay=0.1)
"""People at a time, with all that is read of their ratings."""

SHRINK = 10.0
"""Ratings that a person's bias is drawn towards 0 by."""


class AttentionNetwork(nn.Module):
    """Predicts ratings of candidates from rated movies; a candidate never sees its own rating."""

    def __init__(self, num_movies: int, dim: int, mean: float, bias: Tensor) -> None:
        super().__init__()
        self.num_movies, self.mean = num_movies, mean
        self.movie = nn.Embedding(num_movies + 1, dim, padding_idx=num_movies)
        self.bias = nn.Parameter(torch.cat([bias, torch.zeros(1)]))
        nn.init.normal_(self.movie.weight[:num_movies], std=0.1)
        self.query, self.key, self.user_movie, self.rated, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(5))

    def bias_of(self, movies: Tensor) -> Tensor:
        """Return the biases; as an embedding's, their gradient does not depend on the number of threads."""
        return nn.functional.embedding(movies, self.bias.unsqueeze(1)).squeeze(-1)

    def forward(self, history: Tensor, rating: Tensor, candidates: Tensor, own: Tensor) -> Tensor:
        """Return ``[num_users, num_candidates]``.

        Parameters
        ----------
        history, rating : Tensor
            ``[num_users, length]``, rated movies (`num_movies` is padding) and what they got.
        candidates : Tensor
            ``[num_users or 1, num_candidates]`` movies.
        own : Tensor
            ``[num_users, length]``, which candidate each rated movie is; any for padding.
        """
        real = (history < self.num_movies).float()
        away = (rating - self.mean - self.bias_of(history)) * real  # [num_users, length]
        read, asked = self.movie(history), self.movie(candidates)
        value = self.rated(read) * away.unsqueeze(2) + self.user_movie(read)  # [num_users, length, dim]
        # One more place with weight exp(0) and nothing to say, for who has no history or none that matters.
        key, value, open_ = (
            nn.functional.pad(part, (0, 0, 0, 1)) for part in (self.key(read), value, real.unsqueeze(2))
        )
        open_[:, -1] = 1.0
        query = (self.query(asked) / read.size(2) ** 0.5).expand(len(history), -1, -1)
        weight = torch.baddbmm(open_.mT.log(), query, key.mT)  # [num_users, num_candidates, length + 1]
        weight = weight.scatter(1, own.unsqueeze(1), -torch.inf).softmax(2)
        others = away.sum(1, keepdim=True).expand(-1, query.size(1)).scatter_add(1, own, -away)
        counts = real.sum(1, keepdim=True).expand(-1, query.size(1)).scatter_add(1, own, -real)
        person = others / (counts + SHRINK)  # [num_users, num_candidates]
        return self.mean + self.bias_of(candidates) + person + (self.out(asked) * (weight @ value)).sum(2)


def windows(users: UserBatch, edges: Tensor, num_movies: int, length: int) -> tuple[Tensor, Tensor]:
    """Return movies and ratings ``[num_users, length]`` of the last `edges` of each user; `num_movies` is padding."""
    edges = edges[users.movie_index[edges] < num_movies]  # what was not there in training says nothing
    row = users.user_index[edges]
    column = columns(row, users.num_users, length)
    row, column, edges = row[column >= 0], column[column >= 0], edges[column >= 0]
    movie = torch.full((users.num_users, length), num_movies)
    rating = torch.zeros(users.num_users, length)
    movie[row, column], rating[row, column] = users.movie_index[edges], users.rating[edges]
    return movie, rating


@dataclass(frozen=True, eq=False, repr=False)
class HistoryAttention(RatingPredictor):
    r"""Ratings by attention of the candidate over the rated history.

    .. math::
        \hat r_{ui} = \mu + b_i + b_u + o_i \cdot \sum_{h \in H_u \setminus i}
        \alpha_{ih} \left( (r_{uh} - \mu - b_h) x_h + y_h \right), \; \alpha_{ih} \propto \exp(q_i \cdot k_h / \sqrt{d})

    It is asymmetric SVD (Koren, KDD 2008, eq. 13) with attention (Vaswani et al. 2017, eq. 1) where that takes the
    plain mean; :math:`b_u` is the shrunk mean of what the ratings differ by. All vectors are linear maps of one
    embedding per movie. There is no table of users. Trained with the squared error of each rating given the person's
    others.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    network : AttentionNetwork
    length : int
        Latest ratings of a person that are read.
    scale : tuple of float
        Lowest and highest of the training ratings.
    """

    graph: Graph
    network: AttentionNetwork
    length: int
    scale: tuple[float, float]
    name = "history attention"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        *,
        dim: int = 32,
        length: int = 100,
        schedule: OptimizerConfig = SCHEDULE,
        seed: int = 0,
        watch: Watch | None = None,
        device: str = "cpu",
    ) -> Self:
        """Train on the ratings of `graph`.

        Parameters
        ----------
        graph : Graph
            With ratings.
        dim : int
            Width of an embedding.
        length : int
            Ratings of a person that are read: drawn anew in each epoch, the latest ones afterwards.
        schedule : OptimizerConfig
        seed : int
        watch : Watch, optional
            Stops early.
        device : str
            Where PyTorch computes.
        """
        check_ratings(graph.dataset)
        check_at_least(1, dim=dim, length=length)
        users, mean = graph.users, float(graph.users.rating.mean())
        scale = users.rating.min().item(), users.rating.max().item()
        counts = torch.bincount(users.movie_index, minlength=graph.num_movies)
        sums = torch.bincount(users.movie_index, users.rating - mean, minlength=graph.num_movies)
        with seeded(seed) as generator:
            network = AttentionNetwork(graph.num_movies, dim, mean, sums / (counts + SHRINK)).to(device)
            optimizer = schedule.optimizer(network)

            def epoch() -> float:
                chance = torch.rand(len(users.user_index), generator=generator, dtype=torch.float64)
                history, rating = windows(users, (users.user_index + chance).argsort(), graph.num_movies, length)
                total = torch.zeros((), device=device)
                for nodes in batches(graph.num_users, schedule.batch_size, generator):
                    real = (history[nodes] < graph.num_movies).to(device)
                    movies, truth = history[nodes].to(device), rating[nodes].to(device)
                    own = torch.arange(length, device=device).expand_as(movies)
                    wrong = (network(movies, truth, movies, own) - truth)[real]
                    if not len(wrong):
                        continue
                    loss = wrong.square().mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += wrong.detach().square().sum()
                return total.item() / int((history < graph.num_movies).sum())

            return train(epoch, lambda: cls(graph, frozen(network), length, scale), schedule.epochs, watch)

    def predict(self, users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
        """See `RatingPredictor.predict`; a movie added later is taken for an average one."""
        known, device = self.network.num_movies, self.network.bias.device
        # Each question once. What is asked of a person stands in a row, after the padding in column 0.
        pairs, again = (row * (known + 1) + movie.clamp(max=known)).unique(return_inverse=True)
        row, movie = pairs // (known + 1), pairs % (known + 1)
        width = int(torch.bincount(row).max()) if len(row) else 0
        place = row, columns(row, users.num_users, width) + 1
        asked = torch.full((users.num_users, width + 1), known)
        asked[place] = movie
        history, rating = windows(users, torch.arange(len(users.user_index)), known, self.length)
        size = max(1, CHUNK // (width + 1))
        parts = []
        with torch.no_grad():
            for batch in zip(history.split(size), rating.split(size), asked.split(size), strict=True):
                movies, truth, candidates = (part.to(device) for part in batch)
                # Column 0, whose answer nobody reads, for what is not asked: argmax takes the first of equals.
                own = (movies.unsqueeze(2) == candidates.unsqueeze(1)).int().argmax(2)
                parts.append(self.network(movies, truth, candidates, own).cpu())
        return torch.cat(parts)[place][again].clamp(*self.scale)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`."""
        check_grown(self.network.num_movies, graph.num_movies)
        return replace(self, graph=graph)

    def __repr__(self) -> str:
        return f"HistoryAttention({self.network.num_movies:,} movies)"
