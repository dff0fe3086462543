"""Small models for tests of evaluation: what `gnnrec.typing.Scorer` needs and no more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import pandas as pd
import torch

from gnnrec.graph import Graph, UserBatch


@dataclass(frozen=True, eq=False)
class FixedScorer:
    """Scores each movie with a given number, the same for all users."""

    graph: Graph
    scores: tuple[float, ...]
    name: str = "fixed"

    def score(self, users: UserBatch) -> torch.Tensor:
        return torch.tensor(self.scores).expand(users.num_users, -1)

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        return replace(self, graph=self.graph.add_ratings(ratings, users))


@dataclass(frozen=True, eq=False)
class RecordingScorer:
    """Scores all movies with 0 and records the users that it scores for."""

    graph: Graph
    batches: list[UserBatch] = field(default_factory=list)

    def score(self, users: UserBatch) -> torch.Tensor:
        self.batches.append(users)
        return torch.zeros(users.num_users, self.graph.num_movies)

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        return replace(self, graph=self.graph.add_ratings(ratings, users))


def pseudorandom(user: int, movie: int) -> float:
    """Return a score that looks random and is easy to compute anywhere."""
    return (user * 7919 + movie * 104_729) % 1_000_003 / 1_000_003


@dataclass(frozen=True, eq=False)
class PseudorandomScorer:
    """Scores movies with `pseudorandom`."""

    graph: Graph

    def score(self, users: UserBatch) -> torch.Tensor:
        ids = self.graph.ids
        rows = [[pseudorandom(ids["user"][user], movie) for movie in ids["movie"]] for user in users.node_id.tolist()]
        return torch.tensor(rows, dtype=torch.float64)

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        return replace(self, graph=self.graph.add_ratings(ratings, users))
