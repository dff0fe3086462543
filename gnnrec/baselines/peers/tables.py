"""Models with a table of users: they know the people they were trained on, and nobody else.

Such a model finds a person by `UserBatch.node`. It has no vector for someone new, nor for someone without ratings in
training, and says so instead of recommending something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.baselines.counts import check_grown
from gnnrec.errors import DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.recommend import Recommender


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
        node = users.node.cpu()
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
class TwoTables(Transductive):
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

    def movie_vectors(self) -> Tensor:
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
