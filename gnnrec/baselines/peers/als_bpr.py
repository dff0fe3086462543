"""ALS and BPR of the package `implicit`, which is optional: ``pip install implicit``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gnnrec.baselines.counts import padded, times_watched
from gnnrec.baselines.itemitem import PRIOR
from gnnrec.baselines.peers.tables import TwoTables, zeros_for_added
from gnnrec.baselines.peers.training import Watch, check_at_least, train, trained_users
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.recommend import Recommender


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
    >>> from gnnrec.recommend import recommend
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
            How often both sides are solved.
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
        return cls(graph, fitted, times_watched(graph) / graph.num_users)

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32 from the histories in `users`, and nothing else of them."""
        watched = matrix(users, len(self.fitted.item_factors))
        with one_blas_thread():
            people = self.fitted.recalculate_user(np.arange(users.num_users), watched)
        return torch.from_numpy(people) @ self.movie_vectors().T + PRIOR * self.share

    def with_graph(self, graph: Graph) -> Self:
        """Return the same movies on a larger graph; one added later has a vector of zeros."""
        return replace(self, graph=graph, share=padded(self.share, graph.num_movies))

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(torch.from_numpy(self.fitted.item_factors), self.graph.num_movies)

    def __repr__(self) -> str:
        return f"ImplicitALS({self.graph.num_movies:,} movies)"


class ImplicitBPR(TwoTables):
    """Bayesian personalised ranking with matrix factorisation (Rendle et al., UAI 2009).

    `implicit` learns a vector for each user id and has no way to make one for someone new. It draws the movies to learn
    against as often as they are watched, not equally often, and so recommends less of what everybody watches.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
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

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias, zeros for movies added later."""
        return zeros_for_added(self.movies[:, :-1], self.graph.num_movies)


def matrix(users: UserBatch, num_movies: int) -> Any:
    """Return who watched what as a SciPy CSR matrix of ones; movies beyond `num_movies` are left out."""
    sparse = package("scipy.sparse", "implicit")
    known = users.movie < num_movies
    row, movie = users.row[known].numpy(), users.movie[known].numpy()
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, movie)), shape=(users.num_users, num_movies))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS from threads of its own beside those of `implicit`, which otherwise warns and is slow."""
    with package("threadpoolctl", "implicit").threadpool_limits(1, "blas"):
        yield
