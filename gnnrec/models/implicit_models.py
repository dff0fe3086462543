"""ALS and BPR from the package `implicit` (``pip install 'gnnrec[baselines]'``)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import movie_counts, padded
from gnnrec.models.estimator import Estimator
from gnnrec.models.factorization import DotProductEstimator, DotProductModel, training_ids, zeros_for_added
from gnnrec.models.neighbors import POPULARITY_WEIGHT
from gnnrec.models.saved_state import check_shapes
from gnnrec.registry import register_model
from gnnrec.training.loop import FitRun, trained_users

BPR_PATIENCE = 20


@register_model(
    "als",
    grid=[{"alpha": 4.0, "reg": 50.0}, {"alpha": 4.0, "reg": 25.0}, {"alpha": 10.0, "reg": 100.0}],
)
class ALS(Estimator):
    r"""Weighted matrix factorization by alternating least squares (Hu, Koren & Volinsky, ICDM 2008).

    Every user, known or new, is folded in when scored: ``recalculate_user`` solves for the user's embedding given the
    movie embeddings. As in item-kNN and EASE, an empty history gets the most popular movies.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = ALS(embedding_dim=4, reg=1.0).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    package: ClassVar[str | None] = "implicit"
    extra: ClassVar[str | None] = "baselines"

    embedding_dim: int = Field(128, ge=1)
    """Dimension of the embeddings."""
    reg: float = Field(50.0, ge=0)
    r"""L2 regularization :math:`\lambda` of the paper's equation 3."""
    alpha: float = Field(4.0, gt=0)
    """Confidence of observed movies; all others have 1."""
    edge_weights: bool = True
    """Whether weights of interactions (play counts, hours) scale the confidence."""
    epochs: int = Field(15, ge=1)
    """Alternations."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    def fit_graph(self, graph: Graph, run: FitRun) -> ALSModel:
        """See `Estimator.fit_graph`."""
        with one_blas_thread():
            fitted = self._solver(np.random.default_rng(self.seed))
            fitted.fit(self.matrix(graph.users, graph.num_movies), show_progress=False)
        return ALSModel(graph, fitted, movie_counts(graph) / graph.num_users, self)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> ALSModel:
        """See `Estimator.restore`."""
        check_shapes(state, movies="md", share="n")
        fitted = self._solver(None)
        fitted.item_factors = state["movies"].numpy()
        return ALSModel(graph, fitted, padded(state["share"], graph.num_movies), self)

    def matrix(self, users: UserBatch, num_movies: int) -> Any:
        r"""Return the matrix whose `alpha`-fold is the confidence.

        With :math:`w` the `UserBatch.relative_weight`, the confidence is :math:`1 + (\alpha - 1) w`: `alpha` at the
        mean weight of a user, and never below 1 if `alpha` is not.
        """
        relative = users.relative_weight() if self.edge_weights else None
        values = None if relative is None else (1 + (self.alpha - 1) * relative) / self.alpha
        return rating_matrix(users, num_movies, values)

    def _solver(self, random_state: np.random.Generator | None) -> Any:
        als = importlib.import_module("implicit.cpu.als").AlternatingLeastSquares
        return als(
            factors=self.embedding_dim,
            regularization=self.reg,
            alpha=self.alpha,
            iterations=self.epochs,
            num_threads=torch.get_num_threads(),
            random_state=random_state,
        )


@dataclass(frozen=True, eq=False, repr=False)
class ALSModel(Recommender):
    """Fitted `ALS`. Users are folded in: their embeddings are solved from their histories.

    Attributes
    ----------
    graph : Graph
    fitted : implicit.cpu.als.AlternatingLeastSquares
    share : Tensor
        ``[num_movies]`` float32, fraction of users who rated each movie in training.
    estimator : ALS
    """

    graph: Graph
    fitted: Any
    share: Tensor
    estimator: ALS

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32, from the histories alone."""
        history = self.estimator.matrix(users, len(self.fitted.item_factors))
        with one_blas_thread():
            embeddings = self.fitted.recalculate_user(np.arange(users.num_users), history)
        return torch.from_numpy(embeddings) @ self.similarity_embeddings().T + POPULARITY_WEIGHT * self.share

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; movies added later have an embedding of zeros."""
        return replace(self, graph=graph, share=padded(self.share, graph.num_movies))

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(torch.from_numpy(self.fitted.item_factors), self.graph.num_movies)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {"movies": torch.from_numpy(self.fitted.item_factors), "share": self.share}

    def __repr__(self) -> str:
        return f"ALSModel({self.graph.num_movies:,} movies)"


@register_model("bpr")
class BPR(DotProductEstimator):
    """Bayesian personalized ranking with matrix factorization (Rendle et al., UAI 2009).

    Weights of interactions are not used: `implicit` samples every rating equally often. It samples negatives in
    proportion to their popularity, and therefore recommends fewer popular movies.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = BPR(embedding_dim=4, learning_rate=0.1, epochs=50).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    package: ClassVar[str | None] = "implicit"
    extra: ClassVar[str | None] = "baselines"

    embedding_dim: int = Field(64, ge=1)
    """Dimension of the embeddings, without the movie bias."""
    learning_rate: float = Field(0.02, gt=0, le=1e30)
    """Learning rate of SGD."""
    reg: float = Field(0.01, ge=0)
    """L2 regularization of the embeddings."""
    epochs: int = Field(200, ge=1)
    """Maximum number of epochs."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    def fit_graph(self, graph: Graph, run: FitRun) -> DotProductModel:
        """Train by SGD on one thread; with more threads the result is not reproducible."""
        solver = importlib.import_module("implicit.cpu.bpr").BayesianPersonalizedRanking
        observed, trained, ids = rating_matrix(graph.users, graph.num_movies), trained_users(graph), training_ids(graph)
        with one_blas_thread():
            fitted = solver(
                factors=self.embedding_dim,
                learning_rate=self.learning_rate,
                regularization=self.reg,
                iterations=1,
                num_threads=1,
                random_state=np.random.default_rng(self.seed),
            )

        def run_epoch() -> float:
            """Return the fraction of sampled pairs in the wrong order."""
            found: list[tuple[int, int]] = []
            fitted.fit(
                observed, show_progress=False, callback=lambda _, __, right, skipped: found.append((right, skipped))
            )
            right, skipped = found[0]
            return 1 - right / max(int(observed.nnz) - skipped, 1)

        def snapshot() -> DotProductModel:
            # The last column of the movies is their bias; that of the users is 1.
            users, movies = (torch.from_numpy(table.copy()) for table in (fitted.user_factors, fitted.item_factors))
            return DotProductModel(
                graph, users[:, :-1].clone(), movies[:, :-1].clone(), movies[:, -1].clone(), trained, ids, self
            )

        return run.run_epochs(run_epoch, snapshot, self.epochs, BPR_PATIENCE)


def rating_matrix(users: UserBatch, num_movies: int, values: Tensor | None = None) -> Any:
    """Return the ratings as a SciPy CSR matrix of ones, or of given values; movies beyond `num_movies` are left out."""
    sparse = importlib.import_module("scipy.sparse")
    known = users.movie_index < num_movies
    row, movie = users.user_index[known].numpy(), users.movie_index[known].numpy()
    entries = np.ones(len(row), np.float32) if values is None else values[known].numpy()
    return sparse.csr_matrix((entries, (row, movie)), shape=(users.num_users, num_movies))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread while `implicit` uses its own threads; otherwise it warns and is slow."""
    with importlib.import_module("threadpoolctl").threadpool_limits(1, "blas"):
        yield
