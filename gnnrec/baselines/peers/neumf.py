"""NeuMF: a neural network in place of the inner product, the model of many a student project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.baselines.peers.pointwise import PairNetwork, pointwise
from gnnrec.baselines.peers.tables import Transductive, last_for_added, zeros_for_added
from gnnrec.baselines.peers.training import Schedule, Watch, frozen, seeded, train, trained_users
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch

CHUNK = 64
"""People scored at once: each has a vector of every layer for every movie."""


class NeuMFNetwork(PairNetwork):
    """GMF and an MLP side by side, each with tables of its own."""

    def __init__(self, num_users: int, num_movies: int, dim: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.gmf_user, self.gmf_movie = nn.Embedding(num_users, dim), nn.Embedding(num_movies, dim)
        half = layers[0] // 2
        self.mlp_user, self.mlp_movie = nn.Embedding(num_users, half), nn.Embedding(num_movies, half)
        for table in (self.gmf_user, self.gmf_movie, self.mlp_user, self.mlp_movie):
            nn.init.normal_(table.weight, std=0.1)
        self.first = nn.Linear(2 * half, layers[1])
        self.others = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(layers[1:]))
        self.out = nn.Linear(dim + layers[-1], 1)

    def embed(self, users: Tensor, movies: Tensor) -> tuple[Tensor, ...]:
        """Return the two vectors of GMF and the two of the MLP."""
        return self.gmf_user(users), self.gmf_movie(movies), self.mlp_user(users), self.mlp_movie(movies)

    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the scores ``[n]``."""
        gmf_user, gmf_movie, mlp_user, mlp_movie = embedded
        deep = torch.relu(self.first(torch.cat([mlp_user, mlp_movie], dim=-1)))
        for step in self.others:
            deep = torch.relu(step(deep))
        return self.out(torch.cat([gmf_user * gmf_movie, deep], dim=-1)).squeeze(-1)

    def all_logits(self, users: Tensor) -> Tensor:
        """Return ``[num_users, num_movies]``, equal to `logits` of every pair.

        The first layer is linear in the two halves, so each half is multiplied once and not once per pair.
        """
        user_half, movie_half = self.first.weight.chunk(2, dim=1)
        of_users = self.mlp_user(users) @ user_half.T + self.first.bias
        of_movies = self.mlp_movie.weight @ movie_half.T
        deep = torch.relu(of_users.unsqueeze(1) + of_movies)  # [num_users, num_movies, width]
        for step in self.others:
            deep = torch.relu(step(deep))
        dim = self.gmf_user.weight.size(1)
        weight = self.out.weight.squeeze(0)
        return (self.gmf_user(users) * weight[:dim]) @ self.gmf_movie.weight.T + deep @ weight[dim:] + self.out.bias


@dataclass(frozen=True, eq=False, repr=False)
class NeuMF(Transductive):
    """Neural matrix factorisation (He et al., WWW 2017): GMF and MLP fused, trained from scratch.

    Log loss with sampled movies (equation 7), the fusion of equation 12. Movies added later come last.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    network : NeuMFNetwork
    trained : Tensor
        ``[num_users]`` bool, who had ratings in training.
    trained_on : Graph
        The graph it was fitted on.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = NeuMF.fit(graph, dim=4, layers=(8, 4), schedule=Schedule(30, learning_rate=0.05, batch_size=64))
    >>> recommend(model, 0, k=1)["movie_id"].tolist()  # what else people of that taste watch
    [0]
    """

    graph: Graph
    network: NeuMFNetwork
    trained: Tensor
    trained_on: Graph
    name = "neumf"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 16,
        layers: tuple[int, ...] = (64, 32, 16),
        negatives: int = 4,
        schedule: Schedule = Schedule(epochs=30, learning_rate=1e-3, batch_size=1024),
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Self:
        """Train on the ratings of `graph`, each of which counts as 1.

        Parameters
        ----------
        graph : Graph
        dim : int
            Width of the vectors of GMF.
        layers : tuple of int
            Widths of the MLP: its input (user and movie have half each), then each layer.
        negatives : int
            Unwatched movies drawn for each rating.
        schedule : Schedule
        seed : int
        watch : Watch, optional
            Stops early.
        """
        if len(layers) < 2 or layers[0] % 2:
            raise ConfigError(f"layers must be at least two widths, the first one even, not {layers}")
        with seeded(seed) as generator:
            network = NeuMFNetwork(graph.num_users, graph.num_movies, dim, layers)
            epoch = pointwise(network, graph, generator, schedule, negatives=negatives)
            trained = trained_users(graph)
            return train(epoch, lambda: cls(graph, frozen(network), trained, graph), schedule.epochs, watch)

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; a `DataError` for someone who was not trained on."""
        with torch.no_grad():
            parts = [self.network.all_logits(part) for part in self.rows(users).split(CHUNK)]
        return last_for_added(torch.cat(parts), self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same network on a larger graph; its new ratings change nothing."""
        self.check_graph(graph)
        return replace(self, graph=graph)

    def movie_vectors(self) -> Tensor:
        """Return both vectors of each movie side by side, zeros for movies added later."""
        both = torch.cat([self.network.gmf_movie.weight, self.network.mlp_movie.weight], dim=1)
        return zeros_for_added(both, self.graph.num_movies)

    def __repr__(self) -> str:
        return f"NeuMF({len(self.trained):,} users, {self.network.gmf_movie.num_embeddings:,} movies)"
