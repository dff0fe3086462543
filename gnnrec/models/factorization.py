"""Matrix factorization with a user embedding table: MF and NeuMF, and the base class of models with such a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import pandas as pd
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from gnnrec._torch import rows_per_chunk
from gnnrec.errors import DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import check_grown
from gnnrec.models.estimator import Estimator
from gnnrec.models.saved_state import build_with, check_shapes
from gnnrec.registry import register_model
from gnnrec.training.loop import FitRun, NegativeSampler, OptimizerConfig, batches, frozen, seeded, trained_users

CHUNK = 64
"""Maximum number of users that `NeuMF` scores at a time; fewer with many movies, because every pair has activations."""


class TransductiveModel(Recommender):
    """A fitted model with an embedding per user, which cannot score new users.

    Attributes
    ----------
    trained : Tensor
        ``[num_users]`` bool, users with training ratings.
    trained_ids : dict of str to pandas.Index
        User and movie ids of the training graph.
    """

    trained: Tensor
    trained_ids: dict[str, pd.Index]

    def user_rows(self, users: UserBatch) -> Tensor:
        """Return the rows of users in the embedding table, ``[num_users]`` int64.

        Raises
        ------
        DataError
            A user has no embedding.
        """
        node = users.node_id.cpu()
        known = (node >= 0) & (node < len(self.trained))
        known[known.clone()] = self.trained[node[known]]
        if not known.all():
            first = int(node[~known][0])
            user = "a new user" if first < 0 else f"user {_id_of_row(self.graph, first)!r}"
            raise DataError(
                f"{self.name} learns an embedding per user and has none for {user}, who has no training ratings; "
                "leave such users out, or use a model that reads histories, such as ease or als"
            )
        return node

    def check_graph(self, graph: Graph) -> None:
        """Raise a `DataError` unless the users and movies of training come first in `graph`."""
        for kind, plural in (("user", "users"), ("movie", "movies")):
            check_same_ids(self.trained_ids[kind], graph, kind, f"{self.name} was trained on other {plural}")


def _id_of_row(graph: Graph, row: int) -> Any:
    place = int((graph.embedding_rows == row).int().argmax())
    return graph.ids["user"].tolist()[place]


def check_same_ids(old: pd.Index, graph: Graph, kind: str, problem: str) -> None:
    """Raise a `DataError` unless the users (or movies) of training come first in `graph`; users may be removed."""
    new = graph.ids[kind]
    if kind == "user" and graph.has_removed_users:
        rows = graph.embedding_rows.numpy()
        trained = (rows >= 0) & (rows < len(old))
        same = new[trained].tolist() == old[rows[trained]].tolist()
    else:
        check_grown(len(old), len(new), f"{kind}s")
        first = new[: len(old)]
        same = new is old or first.equals(old) or first.tolist() == old.tolist()
    if not same:
        raise DataError(f"{problem}; fit it on this graph")


def training_ids(graph: Graph, num_users: int | None = None, num_movies: int | None = None) -> dict[str, pd.Index]:
    """Return user and movie ids of a graph; only the first ones of a graph that has grown since training."""
    users = graph.ids["user"]
    if graph.has_removed_users:  # the remaining users, in their rows
        rows = graph.embedding_rows.numpy()
        trained = (rows >= 0) & (rows < (num_users or len(rows)))
        ids: list[Any] = [None] * (num_users or len(rows))
        for row, one in zip(rows[trained].tolist(), users[trained].tolist(), strict=True):
            ids[row] = one
        return {"user": pd.Index(ids, dtype=object), "movie": graph.ids["movie"][:num_movies]}
    return {"user": users[:num_users], "movie": graph.ids["movie"][:num_movies]}


@dataclass(frozen=True, eq=False, repr=False)
class DotProductModel(TransductiveModel):
    r"""Fitted embeddings of users and movies, scored by :math:`s_{ui} = p_u \cdot q_i + b_i`.

    Movies added later get the lowest score.

    Attributes
    ----------
    graph : Graph
    users, movies : Tensor
        ``[num_users, dim]`` and ``[num_movies, dim]`` float32.
    bias : Tensor or None
        ``[num_movies]`` float32; None for models without.
    trained : Tensor
        ``[num_users]`` bool, users with training ratings.
    trained_ids : dict of str to pandas.Index
        User and movie ids of the training graph.
    estimator : Estimator
    """

    graph: Graph
    users: Tensor
    movies: Tensor
    bias: Tensor | None
    trained: Tensor
    trained_ids: dict[str, pd.Index]
    estimator: Estimator

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; raise `DataError` for users without an embedding."""
        embeddings, movies = self.users[self.user_rows(users)], self.movies
        if self.bias is not None:  # one product for embeddings and bias
            embeddings = torch.nn.functional.pad(embeddings, (0, 1), value=1.0)
            movies = torch.cat([movies, self.bias.unsqueeze(1)], dim=1)
        return lowest_for_added(embeddings @ movies.T, self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; new ratings change nothing."""
        self.check_graph(graph)
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias, zeros for movies added later."""
        return zeros_for_added(self.movies, self.graph.num_movies)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        bias = {} if self.bias is None else {"bias": self.bias}
        return {"users": self.users, "movies": self.movies, "trained": self.trained, **bias}

    def __repr__(self) -> str:
        return f"DotProductModel({self.name}, {len(self.users):,} users, {len(self.movies):,} movies)"


class DotProductEstimator(Estimator):
    """Base of the estimators whose fitted model is a `DotProductModel`."""

    serves_new_users: ClassVar[bool] = False
    trains_in_epochs: ClassVar[bool] = True

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> DotProductModel:
        """See `Estimator.restore`."""
        check_shapes(state, users="ud", movies="md", trained="u", bias="?m")
        ids = training_ids(graph, len(state["users"]), len(state["movies"]))
        return DotProductModel(graph, state["users"], state["movies"], state.get("bias"), state["trained"], ids, self)


def lowest_for_added(scores: Tensor, num_movies: int) -> Tensor:
    """Return scores ``[n, num_movies]``: movies added after training get each user's lowest score."""
    more = num_movies - scores.size(1)
    return scores if more == 0 else torch.cat([scores, scores.amin(1, keepdim=True).expand(-1, more)], dim=1)


def zeros_for_added(embeddings: Tensor, num_movies: int) -> Tensor:
    """Return embeddings ``[num_movies, dim]``: zeros for movies added after training."""
    return torch.nn.functional.pad(embeddings, (0, 0, 0, num_movies - embeddings.size(0)))


class PairNetwork(nn.Module, ABC):
    """Scores pairs of a user and a movie."""

    @abstractmethod
    def embed(self, users: Tensor, movies: Tensor) -> tuple[Tensor, ...]:
        """Return the embeddings that the score of users and movies ``[n]`` is computed from, each ``[n, dim]``."""

    @abstractmethod
    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the scores ``[n]``."""


def pointwise_epochs(
    network: PairNetwork,
    graph: Graph,
    generator: torch.Generator,
    config: OptimizerConfig,
    *,
    num_negatives: int,
    reg: float = 0.0,
) -> Callable[[], float]:
    r"""Return a function that trains a network for one epoch and returns its mean loss.

    Binary cross entropy, with :math:`D` every rating as a positive and `num_negatives` unobserved movies of the same
    user as negatives, resampled each time (He et al. 2017, eq. 7), plus L2 on the embeddings:

    .. math:: -\sum_{(u, i) \in D} y_{ui} \log \sigma(s_{ui}) + (1 - y_{ui}) \log(1 - \sigma(s_{ui}))
    """
    optimizer, negatives = config.optimizer(network), NegativeSampler(graph)

    def run_epoch() -> float:
        total = 0.0
        for edges in batches(len(graph.users.user_index), config.batch_size, generator):
            users = graph.users.user_index[edges].repeat(1 + num_negatives)  # [batch * (1 + num_negatives)]
            movies = torch.cat([graph.users.movie_index[edges], negatives.sample(users[len(edges) :], generator)])
            labels = torch.zeros(len(users))
            labels[: len(edges)] = 1.0
            embedded = network.embed(users, movies)
            loss = nn.functional.binary_cross_entropy_with_logits(network.logits(*embedded), labels)
            if reg:
                loss = loss + reg * torch.stack([part.square().sum(1).mean() for part in embedded]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(edges)
        return total / len(graph.users.user_index)

    return run_epoch


class DotProduct(PairNetwork):
    r""":math:`s_{ui} = p_u \cdot q_i + b_i`; a user bias would not change any ranking."""

    def __init__(self, num_users: int, num_movies: int, dim: int) -> None:
        super().__init__()
        self.user, self.movie = nn.Embedding(num_users, dim), nn.Embedding(num_movies, dim)
        self.bias = nn.Parameter(torch.zeros(num_movies))
        nn.init.normal_(self.user.weight, std=0.1)
        nn.init.normal_(self.movie.weight, std=0.1)

    def embed(self, users: Tensor, movies: Tensor) -> tuple[Tensor, ...]:
        """Return both embeddings and the movie bias."""
        # Unlike indexing, an embedding look-up sums its gradient in the same order on any number of threads.
        return self.user(users), self.movie(movies), nn.functional.embedding(movies, self.bias.unsqueeze(1))

    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the scores ``[n]``."""
        user, movie, bias = embedded
        return (user * movie).sum(1) + bias.squeeze(1)


@register_model("mf")
class MF(DotProductEstimator, OptimizerConfig):
    """Matrix factorization as in "Neural Collaborative Filtering vs. Matrix Factorization Revisited".

    Dot products, binary cross entropy over sampled negatives, and L2 on the embeddings of each pair (Rendle et al.,
    RecSys 2020, sections 2 and 3). The paper trains by SGD; here it is Adam on batches. For rating prediction see
    `gnnrec.ratings.baselines.BiasedMF`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = MF(embedding_dim=4, epochs=30, learning_rate=0.05, batch_size=64).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    embedding_dim: int = Field(64, ge=1)
    """Dimension of the embeddings."""
    num_negatives: int = Field(8, ge=1)
    """Unobserved movies sampled per rating."""
    reg: float = Field(0.005, ge=0)
    """L2 regularization of the embeddings."""
    epochs: int = Field(60, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(5e-3, gt=0, le=1e30)
    """Learning rate of AdamW."""
    batch_size: int = Field(4096, ge=1)
    """Ratings per step."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    def fit_graph(self, graph: Graph, run: FitRun) -> DotProductModel:
        """See `Estimator.fit_graph`."""
        with seeded(self.seed) as generator:
            network = DotProduct(graph.num_users, graph.num_movies, self.embedding_dim)
            run_epoch = pointwise_epochs(
                network, graph, generator, self, num_negatives=self.num_negatives, reg=self.reg
            )
            trained, ids = trained_users(graph), training_ids(graph)

            def snapshot() -> DotProductModel:
                tables = (network.user.weight, network.movie.weight, network.bias)
                users, movies, bias = (table.detach().clone() for table in tables)
                return DotProductModel(graph, users, movies, bias, trained, ids, self)

            return run.run_epochs(run_epoch, snapshot, self.epochs)


class NeuMFNetwork(PairNetwork):
    """GMF and an MLP in parallel, each with its own embeddings."""

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
        """Return the embeddings of GMF and of the MLP."""
        return self.gmf_user(users), self.gmf_movie(movies), self.mlp_user(users), self.mlp_movie(movies)

    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the scores ``[n]``."""
        gmf_user, gmf_movie, mlp_user, mlp_movie = embedded
        deep = torch.relu(self.first(torch.cat([mlp_user, mlp_movie], dim=-1)))
        for step in self.others:
            deep = torch.relu(step(deep))
        scores: Tensor = self.out(torch.cat([gmf_user * gmf_movie, deep], dim=-1)).squeeze(-1)
        return scores

    def all_logits(self, users: Tensor) -> Tensor:
        """Return ``[num_users, num_movies]``, equal to `logits` of every pair.

        The first layer is linear in its two halves, so each half is computed once rather than once per pair.
        """
        user_half, movie_half = self.first.weight.chunk(2, dim=1)
        user_part = self.mlp_user(users) @ user_half.T + self.first.bias
        movie_part = self.mlp_movie.weight @ movie_half.T
        deep = torch.relu(user_part.unsqueeze(1) + movie_part)  # [num_users, num_movies, width]
        for step in self.others:
            deep = torch.relu(step(deep))
        dim = self.gmf_user.weight.size(1)
        weight = self.out.weight.squeeze(0)
        gmf: Tensor = (self.gmf_user(users) * weight[:dim]) @ self.gmf_movie.weight.T
        return gmf + deep @ weight[dim:] + self.out.bias


@register_model("neumf")
class NeuMF(Estimator, OptimizerConfig):
    """Neural matrix factorization (He et al., WWW 2017): GMF and MLP fused (eq. 12), trained from scratch.

    Binary cross entropy over sampled negatives (eq. 7). Movies added later get the lowest score.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = NeuMF(embedding_dim=4, layers=(8, 4), epochs=30, learning_rate=0.05, batch_size=64).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    serves_new_users: ClassVar[bool] = False
    trains_in_epochs: ClassVar[bool] = True

    embedding_dim: int = Field(16, ge=1)
    """Dimension of the embeddings of GMF."""
    layers: tuple[int, ...] = (64, 32, 16)
    """Widths of the MLP: its input (user and movie have half each), then each layer."""
    num_negatives: int = Field(4, ge=1)
    """Unobserved movies sampled per rating."""
    epochs: int = Field(30, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(1e-3, gt=0, le=1e30)
    """Learning rate of AdamW."""
    batch_size: int = Field(1024, ge=1)
    """Ratings per step."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    @field_validator("layers")
    @classmethod
    def _two_layers_or_more(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) < 2 or value[0] % 2 or min(value) < 1:
            raise ValueError(f"layers must be at least two widths, the first one even, not {value}")
        return value

    def fit_graph(self, graph: Graph, run: FitRun) -> NeuMFModel:
        """See `Estimator.fit_graph`."""
        with seeded(self.seed) as generator:
            network = NeuMFNetwork(graph.num_users, graph.num_movies, self.embedding_dim, self.layers)
            run_epoch = pointwise_epochs(network, graph, generator, self, num_negatives=self.num_negatives)
            trained, ids = trained_users(graph), training_ids(graph)
            return run.run_epochs(
                run_epoch, lambda: NeuMFModel(graph, frozen(network), trained, ids, self), self.epochs
            )

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> NeuMFModel:
        """See `Estimator.restore`."""
        weights = {name: value for name, value in state.items() if name != "trained"}
        num_users, num_movies = len(weights["gmf_user.weight"]), len(weights["gmf_movie.weight"])
        check_shapes({"trained": state["trained"]}, trained="u")
        network = build_with(weights, lambda: NeuMFNetwork(num_users, num_movies, self.embedding_dim, self.layers))
        return NeuMFModel(graph, frozen(network), state["trained"], training_ids(graph, num_users, num_movies), self)


@dataclass(frozen=True, eq=False, repr=False)
class NeuMFModel(TransductiveModel):
    """Fitted `NeuMF`.

    Attributes
    ----------
    graph : Graph
    network : NeuMFNetwork
    trained : Tensor
        ``[num_users]`` bool, users with training ratings.
    trained_ids : dict of str to pandas.Index
        User and movie ids of the training graph.
    estimator : NeuMF
    """

    graph: Graph
    network: NeuMFNetwork
    trained: Tensor
    trained_ids: dict[str, pd.Index]
    estimator: Estimator

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; raise `DataError` for users without an embedding."""
        width = self.graph.num_movies * max(self.estimator.layers)  # type: ignore[attr-defined]
        with torch.no_grad():
            parts = [
                self.network.all_logits(part) for part in self.user_rows(users).split(rows_per_chunk(width, CHUNK))
            ]
        return lowest_for_added(torch.cat(parts), self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; new ratings change nothing."""
        self.check_graph(graph)
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> Tensor:
        """Return the embeddings of GMF and MLP concatenated, zeros for movies added later."""
        both = torch.cat([self.network.gmf_movie.weight, self.network.mlp_movie.weight], dim=1)
        return zeros_for_added(both, self.graph.num_movies)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {**self.network.state_dict(), "trained": self.trained}

    def __repr__(self) -> str:
        return f"NeuMFModel({len(self.trained):,} users, {self.network.gmf_movie.num_embeddings:,} movies)"
