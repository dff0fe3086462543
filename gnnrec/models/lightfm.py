"""LightFM, which factorises features; its maintained fork is optional: ``pip install lightfm-next``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.content import tag_matrix
from gnnrec.models.factorization import matrix, package
from gnnrec.models.neighbors import check_grown
from gnnrec.training.loop import NegativeSampler, Watch, seeded, train, trained_users

LOSSES = ("warp", "bpr")
CHECKED = 10_000
"""Pairs drawn after each epoch to tell how many are in the right order; LightFM reports no loss of its own."""


@dataclass(frozen=True, eq=False, repr=False)
class LightFM(Recommender):
    r"""A vector for each feature; people and movies are the sums of theirs (Kula, CBRecSys 2015).

    .. math:: s_{ui} = \left(\sum_{f \in F_u} p_f\right) \cdot \left(\sum_{g \in G_i} q_g\right) + \sum_{g \in G_i} b_g

    Features of a person are their id, age group, gender and occupation; those of a movie its id, genres and decade. A
    feature counts only if it was trained on, so somebody or something new is the sum of what is known besides the id.
    What somebody new has watched says nothing here. Vectors of posters and texts are left out: a step of LightFM costs
    as much as a movie has features.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    people, profile : Tensor
        ``[num_trained_users, dim]`` and ``[num_profile, dim]`` float32, of ids (zeros for who has no ratings) and of
        columns of ``UserBatch.x`` and occupations.
    movies, tags : Tensor
        ``[num_trained_movies, dim + 1]`` and ``[num_tags, dim + 1]`` float32, of ids (zeros for unrated ones) and of
        columns of `gnnrec.models.content.tag_matrix`; the last column is the bias.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = LightFM.fit(graph, dim=4, epochs=30)
    >>> recommend(model, 0, k=1)["movie_id"].tolist()  # what else people of that taste watch
    [0]
    """

    graph: Graph
    people: Tensor
    profile: Tensor
    movies: Tensor
    tags: Tensor
    name = "lightfm"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 64,
        learning_rate: float = 0.05,
        loss: str = "warp",
        epochs: int = 60,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Self:
        """Train by Adagrad, on one thread: with more, no two runs are alike.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of a vector; a bias of the movie comes on top.
        learning_rate : float
        loss : str
            ``"warp"`` (Weston, Bengio & Usunier, IJCAI 2011) or ``"bpr"``.
        epochs : int
            At most so many.
        seed : int
        watch : Watch, optional
            Stops early.

        Raises
        ------
        ConfigError
            Another loss, or the package is missing.
        """
        if loss not in LOSSES:
            raise ConfigError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        learner = package("lightfm", cls.name, "lightfm-next").LightFM(
            no_components=dim, loss=loss, learning_rate=learning_rate, random_state=seed
        )
        sparse = package("scipy.sparse", cls.name, "lightfm-next")
        users, watched = graph.users, matrix(graph.users, graph.num_movies).tocoo()
        attributes = [
            _Side(trained_users(graph), _profile(users)),
            _Side(torch.bincount(users.movie_index, minlength=graph.num_movies) > 0, tag_matrix(graph)),
        ]
        of_users, of_movies = (side.matrix(sparse) for side in attributes)

        def tables() -> list[Tensor]:
            (_, people), (bias, movies) = learner.get_user_representations(), learner.get_item_representations()
            learned = people, np.column_stack([movies, bias])
            return [table for side, both in zip(attributes, learned, strict=True) for table in side.tables(both)]

        unwatched = NegativeSampler(graph)

        def epoch() -> float:
            """Return the share of drawn pairs, of a watched and another movie, that are in the wrong order."""
            learner.fit_partial(watched, of_users, of_movies, epochs=1, num_threads=1)
            drawn = torch.randint(len(users.user_index), (CHECKED,), generator=generator)
            person, right = users.user_index[drawn], users.movie_index[drawn]
            wrong = unwatched.draw(person, generator)
            model = cls(graph, *tables())
            who, what = model._people(users)[person], model._movies()
            right_score, wrong_score = ((who * what[some, :-1]).sum(1) + what[some, -1] for some in (right, wrong))
            return float((right_score <= wrong_score).float().mean())

        with seeded(seed) as generator:
            return train(epoch, lambda: cls(graph, *tables()), epochs, watch or Watch())

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; of someone new only the profile counts."""
        movies = self._movies()
        return self._people(users) @ movies[:, :-1].T + movies[:, -1]

    def with_graph(self, graph: Graph) -> Self:
        """Return the same vectors on a larger graph; who and what was added later is the sum of what is known."""
        for kind, what, fitted in (("user", "users", self.people), ("movie", "movies", self.movies)):
            old, new = self.graph.ids[kind], graph.ids[kind]
            check_grown(len(fitted), len(new), what)
            if new is not old and not new[: len(fitted)].equals(old[: len(fitted)]):
                raise DataError(f"{self.name} was trained on other {what}; fit it on this graph")
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]`` without the bias."""
        return self._movies()[:, :-1]

    def _people(self, users: UserBatch) -> Tensor:
        vectors = _profile(users) @ self.profile
        trained = (users.node_id >= 0) & (users.node_id < len(self.people))
        vectors[trained] += self.people[users.node_id[trained]]
        return vectors

    def _movies(self) -> Tensor:
        vectors = tag_matrix(self.graph) @ self.tags
        vectors[: len(self.movies)] += self.movies
        return vectors

    def __repr__(self) -> str:
        return f"LightFM({self.graph.num_movies:,} movies)"


def _profile(users: UserBatch) -> Tensor:
    """Return ``[num_users, num_features + num_occupations]``, what is known of people besides what they watched."""
    works = torch.zeros(users.num_users, users.num_occupations)
    works[users.occupation] = 1.0
    return torch.cat([users.x, works], dim=1)


@dataclass(frozen=True, eq=False)
class _Side:
    """The features of one side, users or movies: a column for each id that was `trained` on, then those of `rest`."""

    trained: Tensor  # [n] bool
    rest: Tensor  # [n, num_rest]

    def matrix(self, sparse: Any) -> Any:
        """Return them as a SciPy CSR matrix."""
        ids = sparse.identity(len(self.trained), dtype=np.float32, format="csc")[:, self.trained.numpy()]
        return sparse.hstack([ids, sparse.csr_matrix(self.rest.numpy())], format="csr", dtype=np.float32)

    def tables(self, learned: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the vectors of all ids and of `rest`; where nothing was learned, zeros instead of where it began."""
        vectors = torch.from_numpy(learned.astype(np.float32))
        number = int(self.trained.sum())
        ids = torch.zeros(len(self.trained), vectors.size(1))
        ids[self.trained] = vectors[:number]
        used = self.rest[self.trained].any(dim=0)
        return ids, vectors[number:] * used.unsqueeze(1)
