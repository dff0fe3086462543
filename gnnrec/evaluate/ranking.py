"""The ranked lists of all test users, a chunk of users at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrec.errors import DataError
from gnnrec.evaluate.task import Task
from gnnrec.recommend import CHUNK, Recommender, top


@dataclass(frozen=True, eq=False)
class Ranking:
    """What was recommended to whom, and whether it was right.

    Attributes
    ----------
    lists : Tensor
        ``[n, k]`` int64, movie nodes, best first; -1 where nothing was left to recommend.
    hits : Tensor
        ``[n, k]`` bool, where the movie at that rank is relevant.
    num_relevant : Tensor
        ``[n]`` int64.
    """

    lists: Tensor
    hits: Tensor
    num_relevant: Tensor


def rank(model: Recommender, task: Task, k: int) -> Ranking:
    """Rank the candidates for every user of the task.

    Parameters
    ----------
    model : Recommender
        Asked for `CHUNK` users at once, which bounds the memory.
    task : Task
        In terms of the nodes of ``model.graph``.
    k : int
        Length of the lists.

    Raises
    ------
    DataError
        A score is NaN.
    """
    column_of = torch.full((model.graph.num_movies,), -1)
    column_of[task.candidates] = torch.arange(len(task.candidates))
    narrowed = len(task.candidates) < model.graph.num_movies
    lists, hits = [], []
    for start in range(0, len(task.users), CHUNK):
        users = task.users[start : start + CHUNK]
        scores = model.score(model.graph.known_users(users)).cpu()
        scores = scores[:, task.candidates] if narrowed else scores.clone()  # [chunk, num_candidates]
        # One NaN makes its row's sum NaN; so do opposite infinities, hence the second look.
        if scores.sum(1).isnan().any() and (wrong := scores.isnan().any(1)).any():
            user = model.graph.ids["user"].tolist()[int(users[int(wrong.int().argmax())])]
            raise DataError(f"{model.name} scores movies for user {user!r} with NaN; the model is broken")
        row, column = _of_chunk(task.hidden, start, column_of)
        scores[row, column] = -torch.inf
        if task.offered is not None:
            others = torch.ones(scores.shape, dtype=torch.bool)
            others[_of_chunk(task.offered, start, column_of)] = False
            scores[others] = -torch.inf
        values, found = top(scores, k)
        relevant = torch.zeros(scores.shape, dtype=torch.bool)
        relevant[_of_chunk(task.relevant, start, column_of)] = True
        shown = values > -torch.inf
        lists.append(torch.where(shown, task.candidates[found], -1))
        hits.append(relevant.gather(1, found) & shown)
    return Ranking(
        lists=_widened(torch.cat(lists), k, -1),
        hits=_widened(torch.cat(hits), k, False),
        num_relevant=torch.bincount(task.relevant[0], minlength=len(task.users)),
    )


def _of_chunk(pairs: tuple[Tensor, Tensor], start: int, column_of: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of the pairs of one chunk; those of movies that are no candidates drop out."""
    first, last = torch.searchsorted(pairs[0], torch.tensor([start, start + CHUNK])).tolist()
    row, column = pairs[0][first:last] - start, column_of[pairs[1][first:last]]
    return row[column >= 0], column[column >= 0]


def _widened(values: Tensor, k: int, filler: int | bool) -> Tensor:
    return torch.nn.functional.pad(values, (0, k - values.size(1)), value=filler)
