"""The ranked lists of all test users, a chunk of users at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from gnnrec._torch import CHUNK_SIZE, stable_topk
from gnnrec.data import Dataset
from gnnrec.errors import DataError
from gnnrec.graph import Graph
from gnnrec.typing import Scorer


@dataclass(frozen=True, eq=False)
class RankingTask:
    """Test users and their movies.

    Attributes
    ----------
    users : Tensor
        ``[n]`` int64, nodes of the users with test rows, in the order in which they occur.
    candidates : Tensor
        ``[num_candidates]`` int64, movie nodes in ascending order.
    relevant : tuple of Tensor
        Row (into `users`) and movie of every test pair, sorted by row.
    hidden : tuple of Tensor
        The same of the pairs that are left out of the lists.
    offered : tuple of Tensor, optional
        The same of the only pairs that may be listed, where users have candidates of their own.
    """

    users: Tensor
    candidates: Tensor
    relevant: tuple[Tensor, Tensor]
    hidden: tuple[Tensor, Tensor]
    offered: tuple[Tensor, Tensor] | None = None


def ranking_task(
    graph: Graph,
    test: pd.DataFrame,
    mask: pd.DataFrame | None = None,
    candidates: Iterable[Any] | None = None,
    negatives: pd.DataFrame | None = None,
) -> RankingTask:
    """Check the frames against the graph and turn them into a `RankingTask`; see `gnnrec.evaluation.evaluate`."""
    rows = _cleaned(test, "test")
    nodes = _user_nodes(graph, rows["user_id"])
    movies = graph.movie_nodes(rows["movie_id"])
    users, row = _numbered(nodes)
    allowed = _candidates(graph, candidates)
    _check_candidates(rows, movies, allowed, graph.num_movies)
    batch = graph.user_batch(users)
    hidden = (
        batch.user_index * graph.num_movies + batch.movie_index
    )  # one number per pair, so that pairs sort and compare
    if mask is not None and len(mask):
        hidden = torch.cat([hidden, _pairs(graph, users, mask, "mask")[0]])
    hidden = hidden.sort().values
    pairs = row * graph.num_movies + movies
    _check_unseen(rows, pairs, hidden)
    relevant = pairs.sort().values
    offered = None
    if negatives is not None:
        others = _negatives(graph, users, negatives, allowed, hidden, relevant)
        offered = _split(torch.cat([relevant, others]).sort().values, graph.num_movies)
    return RankingTask(users, allowed, _split(relevant, graph.num_movies), _split(hidden, graph.num_movies), offered)


def _cleaned(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the pairs of a frame after the checks that all ratings go through."""
    if isinstance(frame, pd.DataFrame) and frame.empty:
        raise DataError(f"{name} is empty; evaluating needs at least one row of user_id and movie_id")
    try:
        return Dataset(frame).ratings
    except DataError as error:
        raise error.relocated(lambda table, row: (name, row)) from None


def _user_nodes(graph: Graph, ids: pd.Series) -> Tensor:
    nodes = graph.ids["user"].get_indexer(pd.Index(ids))
    if (nodes < 0).any():
        row = int((nodes < 0).argmax())
        raise DataError(
            f"user {_value(ids, row)!r} is not in the graph; pass their known ratings as history, or list them in the "
            "users table of the dataset the graph is built from",
            at=("test", row),
        )
    return torch.from_numpy(nodes.astype("int64"))


def _numbered(nodes: Tensor) -> tuple[Tensor, Tensor]:
    codes, firsts = pd.factorize(nodes.numpy())  # in the order of first occurrence
    return torch.from_numpy(firsts), torch.from_numpy(codes.astype("int64"))


def _candidates(graph: Graph, candidates: Iterable[Any] | None) -> Tensor:
    if candidates is None:
        return torch.arange(graph.num_movies)
    nodes = torch.unique(graph.movie_nodes(candidates))
    if len(nodes) == 0:
        raise DataError("candidates is empty; there is no movie to rank")
    return nodes


def _check_candidates(rows: pd.DataFrame, movies: Tensor, allowed: Tensor, num_movies: int) -> None:
    outside = torch.ones(num_movies, dtype=torch.bool)
    outside[allowed] = False
    if (wrong := outside[movies]).any():
        row = int(wrong.int().argmax())
        raise DataError(
            f"movie {_value(rows['movie_id'], row)!r} is not among the candidates and could never be found; add it to "
            "them or drop the row",
            at=("test", row),
        )


def _check_unseen(rows: pd.DataFrame, pairs: Tensor, hidden: Tensor) -> None:
    if (seen := _among(pairs, hidden)).any():
        row = int(seen.int().argmax())
        user, movie = _value(rows["user_id"], row), _value(rows["movie_id"], row)
        raise DataError(
            f"user {user!r} has movie {movie!r} in the history or the mask already; what was seen is not recommended, "
            "so it cannot be tested on",
            at=("test", row),
        )


def _negatives(
    graph: Graph, users: Tensor, negatives: pd.DataFrame, allowed: Tensor, hidden: Tensor, relevant: Tensor
) -> Tensor:
    """Return the pairs of test users and their negatives, none of which may be a candidate in name only."""
    pairs, rows = _pairs(graph, users, negatives, "negatives")
    of_nobody = torch.ones(len(users), dtype=torch.bool)
    of_nobody[pairs // graph.num_movies] = False
    if of_nobody.any():
        user = graph.ids["user"].tolist()[int(users[int(of_nobody.int().argmax())])]
        raise DataError(f"user {user!r} has test rows but no negatives; give every test user some")
    for bad, problem in (
        (_among(pairs, hidden), "in the history or the mask already, so it cannot be ranked"),
        (_among(pairs, relevant), "in the test rows, so it is no negative"),
        (~_among(pairs % graph.num_movies, allowed), "as a negative, but it is not among the candidates"),
    ):
        if bad.any():
            row = int(bad.int().argmax())
            user, movie = _value(rows["user_id"], row), _value(rows["movie_id"], row)
            raise DataError(f"user {user!r} has movie {movie!r} {problem}; drop it", at=("negatives", rows.index[row]))
    return pairs


def _pairs(graph: Graph, users: Tensor, frame: pd.DataFrame, name: str) -> tuple[Tensor, pd.DataFrame]:
    """Return the pairs of a frame that are of test users as numbers, and their rows."""
    rows = _cleaned(frame, name)
    movies = graph.movie_nodes(rows["movie_id"])
    row_of = torch.full((graph.num_users + 1,), -1)  # the last entry stands for users the graph does not know
    row_of[users] = torch.arange(len(users))
    row = row_of[torch.from_numpy(graph.ids["user"].get_indexer(pd.Index(rows["user_id"])).astype("int64"))]
    return (row * graph.num_movies + movies)[row >= 0], rows[(row >= 0).numpy()]


def _among(values: Tensor, ordered: Tensor) -> Tensor:
    """Return which values are in a sorted tensor."""
    if len(ordered) == 0:
        return torch.zeros(len(values), dtype=torch.bool)
    return ordered[torch.searchsorted(ordered, values).clamp(max=len(ordered) - 1)] == values


def _value(column: pd.Series, row: int) -> Any:
    """Return one value as Python's own type: messages should say 7, not np.int64(7)."""
    return column.iloc[[row]].tolist()[0]


def _split(pairs: Tensor, num_movies: int) -> tuple[Tensor, Tensor]:
    return pairs // num_movies, pairs % num_movies


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


def rank(model: Scorer, task: RankingTask, k: int) -> Ranking:
    """Rank the candidates for every user of the task.

    Parameters
    ----------
    model : Scorer
        Asked for `CHUNK_SIZE` users at once, which bounds the memory.
    task : RankingTask
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
    for start in range(0, len(task.users), CHUNK_SIZE):
        users = task.users[start : start + CHUNK_SIZE]
        scores = model.score(model.graph.user_batch(users)).cpu()
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
        values, found = stable_topk(scores, k)
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
    first, last = torch.searchsorted(pairs[0], torch.tensor([start, start + CHUNK_SIZE])).tolist()
    row, column = pairs[0][first:last] - start, column_of[pairs[1][first:last]]
    return row[column >= 0], column[column >= 0]


def _widened(values: Tensor, k: int, filler: int | bool) -> Tensor:
    return torch.nn.functional.pad(values, (0, k - values.size(1)), value=filler)
