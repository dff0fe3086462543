"""LightFM from its maintained fork (``pip install lightfm-next``)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.content import genre_decade_matrix
from gnnrec.models.estimator import Estimator
from gnnrec.models.factorization import check_same_ids, training_ids
from gnnrec.models.implicit_models import rating_matrix
from gnnrec.models.saved_state import check_shapes
from gnnrec.registry import register_model
from gnnrec.training.loop import FitRun, NegativeSampler, seeded, trained_users

NUM_CHECKED = 10_000
"""Pairs sampled after each epoch to estimate how many are in the right order; LightFM reports no loss."""


@register_model("lightfm", grid=[{"embedding_dim": 64}, {"embedding_dim": 128}])
class LightFM(Estimator):
    r"""Factorization of features: users and movies are sums of the embeddings of their features (Kula, CBRecSys 2015).

    .. math:: s_{ui} = \left(\sum_{f \in F_u} p_f\right) \cdot \left(\sum_{g \in G_i} q_g\right) + \sum_{g \in G_i} b_g

    Features of a user are the id, age group, gender and occupation; those of a movie the id, genres and decade. Only
    features with training ratings count, so a new user or movie is the sum of its other features. The history of a new
    user is not used. Content embeddings are left out: a step of LightFM takes time in proportion to a movie's features.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = LightFM(embedding_dim=4, epochs=30).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    package: ClassVar[str | None] = "lightfm"
    extra: ClassVar[str | None] = "baselines"
    trains_in_epochs: ClassVar[bool] = True

    embedding_dim: int = Field(64, ge=1)
    """Dimension of the embeddings, without the movie bias."""
    learning_rate: float = Field(0.05, gt=0, le=1e30)
    """Learning rate of Adagrad."""
    loss: Literal["warp", "bpr"] = "warp"
    """WARP (Weston, Bengio & Usunier, IJCAI 2011) or BPR."""
    epochs: int = Field(60, ge=1)
    """Maximum number of epochs."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    def fit_graph(self, graph: Graph, run: FitRun) -> LightFMModel:
        """Train on one thread; with more threads the result is not reproducible."""
        learner = importlib.import_module("lightfm").LightFM(
            no_components=self.embedding_dim,
            loss=self.loss,
            learning_rate=self.learning_rate,
            random_state=self.seed,
        )
        sparse = importlib.import_module("scipy.sparse")
        users, observed = graph.users, rating_matrix(graph.users, graph.num_movies).tocoo()
        trained_movies = torch.bincount(users.movie_index, minlength=graph.num_movies) > 0
        tables = [
            _FeatureTable(trained_users(graph), _profile(users)),
            _FeatureTable(trained_movies, genre_decade_matrix(graph)),
        ]
        user_features, movie_features = (table.matrix(sparse) for table in tables)

        def snapshot() -> LightFMModel:
            (_, user), (bias, movie) = learner.get_user_representations(), learner.get_item_representations()
            learned = user, np.column_stack([movie, bias])
            (user_ids, profile), (movie_ids, genres_decades) = (
                t.tables(both) for t, both in zip(tables, learned, strict=True)
            )
            return LightFMModel(graph, user_ids, profile, movie_ids, genres_decades, self)

        negatives = NegativeSampler(graph)

        def run_epoch() -> float:
            """Return the fraction of sampled pairs, of an observed and another movie, in the wrong order."""
            learner.fit_partial(observed, user_features, movie_features, epochs=1, num_threads=1)
            sampled = torch.randint(len(users.user_index), (NUM_CHECKED,), generator=generator)
            user, positive = users.user_index[sampled], users.movie_index[sampled]
            negative = negatives.sample(user, generator)
            model = snapshot()
            of_users, of_movies = model.user_embeddings(users)[user], model.movie_embeddings()
            right, wrong = (
                (of_users * of_movies[movies, :-1]).sum(1) + of_movies[movies, -1] for movies in (positive, negative)
            )
            return float((right <= wrong).float().mean())

        with seeded(self.seed) as generator:
            return run.run_epochs(run_epoch, snapshot, self.epochs)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> LightFMModel:
        """See `Estimator.restore`."""
        check_shapes(state, users="ud", profile="pd", movies="me", genres_decades="ge")
        return LightFMModel(graph=graph, estimator=self, **state)


@dataclass(frozen=True, eq=False, repr=False)
class LightFMModel(Recommender):
    """Fitted `LightFM`.

    Attributes
    ----------
    graph : Graph
    users, profile : Tensor
        ``[num_trained_users, dim]`` and ``[num_profile, dim]`` float32, embeddings of user ids (zeros for users without
        ratings) and of the columns of ``UserBatch.x`` and occupations.
    movies, genres_decades : Tensor
        ``[num_trained_movies, dim + 1]`` and ``[num_genres + 11, dim + 1]`` float32, embeddings of movie ids (zeros for
        movies without ratings) and of the columns of `gnnrec.models.content.genre_decade_matrix`. The last column is
        the bias.
    estimator : LightFM
    """

    graph: Graph
    users: Tensor
    profile: Tensor
    movies: Tensor
    genres_decades: Tensor
    estimator: LightFM

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; new users are scored by their profile."""
        movies = self.movie_embeddings()
        return self.user_embeddings(users) @ movies[:, :-1].T + movies[:, -1]

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; users and movies added later are the sum of their other features."""
        for kind, plural, fitted in (("user", "users", self.users), ("movie", "movies", self.movies)):
            old = training_ids(self.graph, len(fitted), len(fitted))[kind]
            check_same_ids(old, graph, kind, f"{self.name} was trained on other {plural}")
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias."""
        return self.movie_embeddings()[:, :-1]

    def user_embeddings(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, dim]``."""
        embeddings = _profile(users) @ self.profile
        trained = (users.node_id >= 0) & (users.node_id < len(self.users))
        embeddings[trained] += self.users[users.node_id[trained]]
        return embeddings

    def movie_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim + 1]``; the last column is the bias."""
        embeddings = genre_decade_matrix(self.graph) @ self.genres_decades
        embeddings[: len(self.movies)] += self.movies
        return embeddings

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {
            "users": self.users,
            "profile": self.profile,
            "movies": self.movies,
            "genres_decades": self.genres_decades,
        }

    def __repr__(self) -> str:
        return f"LightFMModel({self.graph.num_movies:,} movies)"


def _profile(users: UserBatch) -> Tensor:
    """Return ``[num_users, num_features + num_occupations]``: age, gender and occupation."""
    occupations = torch.zeros(users.num_users, users.num_occupations)
    occupations[users.occupation] = 1.0
    return torch.cat([users.x, occupations], dim=1)


@dataclass(frozen=True, eq=False)
class _FeatureTable:
    """Features of users or movies: a column per trained id, then the columns of `rest`."""

    trained: Tensor  # [n] bool
    rest: Tensor  # [n, num_rest]

    def matrix(self, sparse: Any) -> Any:
        """Return the features as a SciPy CSR matrix."""
        ids = sparse.identity(len(self.trained), dtype=np.float32, format="csc")[:, self.trained.numpy()]
        return sparse.hstack([ids, sparse.csr_matrix(self.rest.numpy())], format="csr", dtype=np.float32)

    def tables(self, learned: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all ids and of `rest`; zeros for features without training ratings."""
        vectors = torch.from_numpy(learned.astype(np.float32))
        number = int(self.trained.sum())
        ids = torch.zeros(len(self.trained), vectors.size(1))
        ids[self.trained] = vectors[:number]
        used = self.rest[self.trained].any(dim=0)
        return ids, vectors[number:] * used.unsqueeze(1)
