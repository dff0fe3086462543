"""NeuMF: a neural network in place of the inner product, the model of many a student project."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.neighbors import PRIOR, check_grown, movie_counts, padded
from gnnrec.training.loop import (
    NegativeSampler,
    OptimizerConfig,
    Watch,
    batches,
    check_at_least,
    frozen,
    seeded,
    train,
    trained_users,
)


class Transductive(Recommender):
    """A model that learns something for each user; `trained` ``[num_users]`` bool says for whom, when it was fitted."""

    trained: Tensor
    trained_on: Graph

    def rows(self, users: UserBatch) -> Tensor:
        """Return the rows of these people in the table of users, ``[num_users]`` int64.

        Raises
        ------
        DataError
            Someone is not in it.
        """
        node = users.node_id.cpu()
        known = (node >= 0) & (node < len(self.trained))
        known[known.clone()] = self.trained[node[known]]
        if not known.all():
            first = int(node[~known][0])
            who = "someone new" if first < 0 else f"user {self.graph.ids['user'].tolist()[first]!r}"
            raise DataError(
                f"{self.name} learns a vector for each person and has none for {who}, who has no ratings in training; "
                "leave them out, or use a model that reads histories, such as ease or als"
            )
        return node

    def check_graph(self, graph: Graph) -> None:
        """Raise a `DataError` unless the users and movies of training are the first ones of `graph`."""
        for kind, what in (("user", "users"), ("movie", "movies")):
            old, new = self.trained_on.ids[kind], graph.ids[kind]
            check_grown(len(old), len(new), what)
            if new is not old and not new[: len(old)].equals(old):
                raise DataError(f"{self.name} was trained on other {what}; fit it on this graph")


@dataclass(frozen=True, eq=False, repr=False)
class DotProductModel(Transductive):
    r"""A vector for each user and each movie, and their product: :math:`s_{ui} = p_u \cdot q_i`.

    Movies added later come last, all alike.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    people, movies : Tensor
        ``[num_users, dim]`` and ``[num_movies, dim]`` float32.
    trained : Tensor
        ``[num_users]`` bool, who had ratings in training.
    trained_on : Graph
        The graph it was fitted on.
    """

    graph: Graph
    people: Tensor
    movies: Tensor
    trained: Tensor
    trained_on: Graph

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; a `DataError` for someone who was not trained on."""
        return last_for_added(self.people[self.rows(users)] @ self.movies.T, self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same tables on a larger graph; its new ratings change nothing."""
        self.check_graph(graph)
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(self.movies, self.graph.num_movies)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.people):,} users, {len(self.movies):,} movies)"


def last_for_added(scores: Tensor, num_movies: int) -> Tensor:
    """Return scores ``[n, num_movies]``: a movie added after training gets the lowest score of each person."""
    more = num_movies - scores.size(1)
    return scores if more == 0 else torch.cat([scores, scores.amin(1, keepdim=True).expand(-1, more)], dim=1)


def zeros_for_added(vectors: Tensor, num_movies: int) -> Tensor:
    """Return vectors ``[num_movies, dim]``: zeros for movies added after training."""
    return torch.nn.functional.pad(vectors, (0, 0, 0, num_movies - vectors.size(0)))


class PairNetwork(nn.Module, ABC):
    """Scores pairs of a user and a movie."""

    @abstractmethod
    def embed(self, users: Tensor, movies: Tensor) -> tuple[Tensor, ...]:
        """Return what the score is computed from, each ``[n, width]``, of the users and movies ``[n]``."""

    @abstractmethod
    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the scores ``[n]``."""


def pointwise(
    network: PairNetwork,
    graph: Graph,
    generator: torch.Generator,
    schedule: OptimizerConfig,
    *,
    negatives: int,
    reg: float = 0.0,
) -> Callable[[], float]:
    r"""Return a function that trains `network` for one epoch and returns its mean loss.

    The log loss, with :math:`D` every rating as a 1 and `negatives` unwatched movies of the same person as 0, drawn
    anew each time (He et al. 2017, eq. 7), and L2 on what the score was computed from:

    .. math:: -\sum_{(u, i) \in D} y_{ui} \log \sigma(s_{ui}) + (1 - y_{ui}) \log(1 - \sigma(s_{ui}))
    """
    check_at_least(1, negatives=negatives)
    check_at_least(0, reg=reg)
    optimizer, unwatched = schedule.optimizer(network), NegativeSampler(graph)

    def epoch() -> float:
        total = 0.0
        for edges in batches(len(graph.users.user_index), schedule.batch_size, generator):
            users = graph.users.user_index[edges].repeat(1 + negatives)  # [batch * (1 + negatives)]
            movies = torch.cat([graph.users.movie_index[edges], unwatched.draw(users[len(edges) :], generator)])
            watched = torch.zeros(len(users))
            watched[: len(edges)] = 1.0
            embedded = network.embed(users, movies)
            loss = nn.functional.binary_cross_entropy_with_logits(network.logits(*embedded), watched)
            if reg:
                loss = loss + reg * torch.stack([part.square().sum(1).mean() for part in embedded]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(edges)
        return total / len(graph.users.user_index)

    return epoch


def package(module: str, name: str, needed: str = "implicit") -> Any:
    """Import a module of a package that `name` needs, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{name} needs the package {needed}, which cannot be imported ({error}); pip install {needed}"
        ) from None


@dataclass(frozen=True, eq=False, repr=False)
class ImplicitALS(Recommender):
    r"""Weighted matrix factorisation by alternating least squares (Hu, Koren & Volinsky, ICDM 2008).

    Everybody's vector is solved for from their history when they are scored, with ``recalculate_user``: the exact
    solution for the movies as they are, also for someone new. As in item-kNN and EASE, popularity decides
    where the history says nothing.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    fitted : implicit.cpu.als.AlternatingLeastSquares
    share : Tensor
        ``[num_movies]`` float32, share of the users who rated each movie when it was fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = ImplicitALS.fit(graph, dim=4, reg=1.0)
    >>> recommend(model, 0, k=1)["movie_id"].tolist()  # what else people of that taste watch
    [0]
    """

    graph: Graph
    fitted: Any
    share: Tensor
    name = "als"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 128,
        reg: float = 50.0,
        alpha: float = 4.0,
        epochs: int = 15,
        seed: int = 0,
    ) -> Self:
        r"""Alternate between users and movies.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of a vector.
        reg : float
            :math:`\lambda` of the paper's equation 3.
        alpha : float
            Weight of what was watched; all else weighs 1.
        epochs : int
            How often both attributes are solved.
        seed : int
        """
        check_at_least(1, epochs=epochs)
        model = package("implicit.cpu.als", cls.name).AlternatingLeastSquares
        with one_blas_thread():
            fitted = model(
                factors=dim, regularization=reg, alpha=alpha, iterations=epochs,
                num_threads=torch.get_num_threads(), random_state=np.random.default_rng(seed),
            )  # fmt: skip
            fitted.fit(matrix(graph.users, graph.num_movies), show_progress=False)
        return cls(graph, fitted, movie_counts(graph) / graph.num_users)

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32 from the histories in `users`, and nothing else of them."""
        watched = matrix(users, len(self.fitted.item_factors))
        with one_blas_thread():
            people = self.fitted.recalculate_user(np.arange(users.num_users), watched)
        return torch.from_numpy(people) @ self.similarity_embeddings().T + PRIOR * self.share

    def with_graph(self, graph: Graph) -> Self:
        """Return the same movies on a larger graph; one added later has a vector of zeros."""
        return replace(self, graph=graph, share=padded(self.share, graph.num_movies))

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(torch.from_numpy(self.fitted.item_factors), self.graph.num_movies)

    def __repr__(self) -> str:
        return f"ImplicitALS({self.graph.num_movies:,} movies)"


class ImplicitBPR(DotProductModel):
    """Bayesian personalised ranking with matrix factorisation (Rendle et al., UAI 2009).

    `implicit` learns a vector for each user id and has no way to make one for someone new. It draws the movies to learn
    against as often as they are watched, not equally often, and so recommends less of what everybody watches.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = ImplicitBPR.fit(graph, dim=4, learning_rate=0.1, epochs=50)
    >>> recommend(model, 0, k=1)["movie_id"].tolist()  # what else people of that taste watch
    [0]
    """

    name = "bpr"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 64,
        learning_rate: float = 0.02,
        reg: float = 0.01,
        epochs: int = 200,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Self:
        """Train by SGD, on one thread: with more, no two runs are alike.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of a vector; a bias of the movie comes on top.
        learning_rate : float
        reg : float
            Weight of the squared vectors.
        epochs : int
            At most so many.
        seed : int
        watch : Watch, optional
            Stops early.
        """
        check_at_least(1, epochs=epochs)
        model = package("implicit.cpu.bpr", cls.name).BayesianPersonalizedRanking
        watched, trained = matrix(graph.users, graph.num_movies), trained_users(graph)
        with one_blas_thread():
            fitted = model(
                factors=dim, learning_rate=learning_rate, regularization=reg, iterations=1,
                num_threads=1, random_state=np.random.default_rng(seed),
            )  # fmt: skip

        def epoch() -> float:
            """Return the share of the drawn pairs that were in the wrong order."""
            found: list[tuple[int, int]] = []
            fitted.fit(
                watched, show_progress=False, callback=lambda _, __, right, skipped: found.append((right, skipped))
            )
            right, skipped = found[0]
            return 1 - right / max(watched.nnz - skipped, 1)

        def tables() -> tuple[Tensor, Tensor]:
            return torch.from_numpy(fitted.user_factors.copy()), torch.from_numpy(fitted.item_factors.copy())

        return train(epoch, lambda: cls(graph, *tables(), trained, graph), epochs, watch)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias, zeros for movies added later."""
        return zeros_for_added(self.movies[:, :-1], self.graph.num_movies)


def matrix(users: UserBatch, num_movies: int) -> Any:
    """Return who watched what as a SciPy CSR matrix of ones; movies beyond `num_movies` are left out."""
    sparse = package("scipy.sparse", "implicit")
    known = users.movie_index < num_movies
    row, movie = users.user_index[known].numpy(), users.movie_index[known].numpy()
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, movie)), shape=(users.num_users, num_movies))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS from threads of its own beside those of `implicit`, which otherwise warns and is slow."""
    with package("threadpoolctl", "implicit").threadpool_limits(1, "blas"):
        yield


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


class MatrixFactorization(DotProductModel):
    """Matrix factorisation as in "Neural Collaborative Filtering vs. Matrix Factorization Revisited".

    The dot product with the log loss over sampled movies, L2 on the vectors of each pair (Rendle et al., RecSys
    2020, sections 2 and 3). The paper trains by plain SGD; here it is Adam over batches. For predicted ratings
    see `gnnrec.rating.baselines.BiasedMF`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = MatrixFactorization.fit(graph, dim=4, schedule=OptimizerConfig(30, learning_rate=0.05, batch_size=64))
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
        schedule: OptimizerConfig = OptimizerConfig(epochs=60, learning_rate=5e-3, batch_size=4096),
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
        schedule : OptimizerConfig
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

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias, zeros for movies added later."""
        return zeros_for_added(self.movies[:, :-1], self.graph.num_movies)


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
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = NeuMF.fit(graph, dim=4, layers=(8, 4), schedule=OptimizerConfig(30, learning_rate=0.05, batch_size=64))
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
        schedule: OptimizerConfig = OptimizerConfig(epochs=30, learning_rate=1e-3, batch_size=1024),
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
        schedule : OptimizerConfig
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

    def similarity_embeddings(self) -> Tensor:
        """Return both vectors of each movie side by side, zeros for movies added later."""
        both = torch.cat([self.network.gmf_movie.weight, self.network.mlp_movie.weight], dim=1)
        return zeros_for_added(both, self.graph.num_movies)

    def __repr__(self) -> str:
        return f"NeuMF({len(self.trained):,} users, {self.network.gmf_movie.num_embeddings:,} movies)"
