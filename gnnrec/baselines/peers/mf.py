"""Matrix factorisation for ranking: a vector for each user and each movie, and their product."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.baselines.peers.pointwise import PairNetwork, pointwise
from gnnrec.baselines.peers.tables import TwoTables, zeros_for_added
from gnnrec.baselines.peers.training import Schedule, Watch, seeded, train, trained_users
from gnnrec.graph import Graph


class DotProduct(PairNetwork):
    r""":math:`s_{ui} = p_u \cdot q_i + b_i`; a bias of the user would change nobody's list."""

    def __init__(self, num_users: int, num_movies: int, dim: int) -> None:
        super().__init__()
        self.user, self.movie = nn.Embedding(num_users, dim), nn.Embedding(num_movies, dim)
        self.bias = nn.Parameter(torch.zeros(num_movies))
        nn.init.normal_(self.user.weight, std=0.1)
        nn.init.normal_(self.movie.weight, std=0.1)

    def embed(self, users: Tensor, movies: Tensor) -> tuple[Tensor, ...]:
        """Return both vectors and the bias of the movie."""
        # An embedding's gradient is summed in a fixed order on every number of threads, that of an index is not.
        return self.user(users), self.movie(movies), nn.functional.embedding(movies, self.bias.unsqueeze(1))

    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the products plus biases ``[n]``."""
        user, movie, bias = embedded
        return (user * movie).sum(1) + bias.squeeze(1)


class MatrixFactorization(TwoTables):
    """Matrix factorisation as in "Neural Collaborative Filtering vs. Matrix Factorization Revisited".

    The dot product with the log loss over sampled movies, L2 on the vectors of each pair (Rendle et al., RecSys
    2020, sections 2 and 3). The paper trains by plain SGD; here it is Adam over batches. For predicted ratings
    see `gnnrec.rating.baselines.BiasedMF`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = MatrixFactorization.fit(graph, dim=4, schedule=Schedule(30, learning_rate=0.05, batch_size=64))
    >>> recommend(model, 0, k=1)["movie_id"].tolist()  # what else people of that taste watch
    [0]
    """

    name = "mf"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 64,
        negatives: int = 8,
        reg: float = 0.005,
        schedule: Schedule = Schedule(epochs=60, learning_rate=5e-3, batch_size=4096),
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Self:
        """Train on the ratings of `graph`, each of which counts as 1.

        Parameters
        ----------
        graph : Graph
        dim : int
            Width of a vector.
        negatives : int
            Unwatched movies drawn for each rating.
        reg : float
            Weight of the squared vectors.
        schedule : Schedule
        seed : int
        watch : Watch, optional
            Stops early.
        """
        with seeded(seed) as generator:
            network = DotProduct(graph.num_users, graph.num_movies, dim)
            epoch = pointwise(network, graph, generator, schedule, negatives=negatives, reg=reg)
            trained = trained_users(graph)

            @torch.no_grad()
            def tables() -> tuple[Tensor, Tensor]:
                user, movie = network.user.weight, network.movie.weight
                people = torch.cat([user, torch.ones(len(user), 1)], dim=1)  # the 1 takes the bias along
                return people, torch.cat([movie, network.bias.unsqueeze(1)], dim=1)

            return train(epoch, lambda: cls(graph, *tables(), trained, graph), schedule.epochs, watch)

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias, zeros for movies added later."""
        return zeros_for_added(self.movies[:, :-1], self.graph.num_movies)
