"""Ranked lists of all test users: `RankingTask` defines what to rank, `rank` ranks it in chunks of users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import raise_at_first, shown
from gnnrec._torch import CHUNK_SIZE, check_scores, rows_per_chunk, stable_topk
from gnnrec.data import Dataset
from gnnrec.data.mixed_ids import spells_integer, with_mixed_ids
from gnnrec.errors import DataError
from gnnrec.graph import Graph
from gnnrec.typing import Scorer


@dataclass(frozen=True, eq=False)
class RankingTask:
    """Test users, their relevant movies and the movies to rank, as nodes of a graph.

    Pairs are two tensors ``[num_pairs]`` int64 sorted by row: the row in `users`, and the movie node.

    Attributes
    ----------
    users : Tensor
        ``[n]`` int64, user nodes in the order of their first test ratings.
    candidates : Tensor
        ``[num_candidates]`` int64, movie nodes in ascending order.
    relevant : tuple of Tensor
        Test pairs.
    masked : tuple of Tensor
        Pairs excluded from the lists.
    user_candidates : tuple of Tensor, optional
        The only pairs that may be in the lists, if candidates differ between users.
    request_time : Tensor, optional
        ``[n]`` int64, when each user asks, in seconds since 1970: at the first test rating. See `UserBatch.at`.
    """

    users: Tensor
    candidates: Tensor
    relevant: tuple[Tensor, Tensor]
    masked: tuple[Tensor, Tensor]
    user_candidates: tuple[Tensor, Tensor] | None = None
    request_time: Tensor | None = None

    @classmethod
    def from_frames(
        cls,
        graph: Graph,
        test: pd.DataFrame,
        mask: pd.DataFrame | None = None,
        candidates: Iterable[Any] | None = None,
        negatives: pd.DataFrame | None = None,
        request_times: bool = False,
    ) -> RankingTask:
        """Check data frames against a graph; see `gnnrec.evaluation.evaluate` for arguments and errors."""
        rows = clean_rows(test, "test")
        users, row = _unique_users(_user_nodes(graph, rows["user_id"]))
        movies = graph.movie_nodes(rows["movie_id"])
        ranked = _candidate_nodes(graph, candidates)
        _check_candidates(rows, movies, ranked, graph.num_movies)
        # One number per pair makes pairs easy to sort and compare.
        batch = graph.user_batch(users)
        masked = batch.user_index * graph.num_movies + batch.movie_index
        if mask is not None and len(mask):
            masked = torch.cat([masked, _pairs(graph, users, mask, "mask")[0]])
        masked = masked.sort().values
        pairs = row * graph.num_movies + movies
        _check_not_masked(rows, pairs, masked)
        relevant = pairs.sort().values
        user_candidates = None
        if negatives is not None:
            sampled = _negative_pairs(graph, users, negatives, ranked, masked, relevant)
            user_candidates = _unpack(torch.cat([relevant, sampled]).sort().values, graph.num_movies)
        return cls(
            users=users,
            candidates=ranked,
            relevant=_unpack(relevant, graph.num_movies),
            masked=_unpack(masked, graph.num_movies),
            user_candidates=user_candidates,
            request_time=_first_times(rows, row, len(users)) if request_times else None,
        )


@dataclass(frozen=True, eq=False)
class Ranking:
    """Ranked lists, and which of their movies are relevant.

    Attributes
    ----------
    lists : Tensor
        ``[n, k]`` int64, movie nodes, best first; -1 fills the end of lists that are too short.
    hits : Tensor
        ``[n, k]`` bool, whether the movie at that rank is relevant.
    num_relevant : Tensor
        ``[n]`` int64.
    """

    lists: Tensor
    hits: Tensor
    num_relevant: Tensor


def rank(model: Scorer, task: RankingTask, k: int) -> Ranking:
    """Rank the candidates for every user of a task.

    Parameters
    ----------
    model : Scorer
        Scores a chunk of users at a time, which bounds the memory.
    task : RankingTask
        Its nodes are those of ``model.graph``.
    k : int
        Length of the lists.

    Returns
    -------
    Ranking

    Raises
    ------
    DataError
        A score is NaN.
    """
    column_of = torch.full((model.graph.num_movies,), -1)
    column_of[task.candidates] = torch.arange(len(task.candidates))
    all_movies = len(task.candidates) == model.graph.num_movies
    lists, hits = [], []
    name, ids = getattr(model, "name", type(model).__name__), model.graph.ids["user"]
    step = rows_per_chunk(model.graph.num_movies, CHUNK_SIZE)
    for start in range(0, len(task.users), step):
        users = task.users[start : start + step]
        rows = range(start, start + step)
        batch = model.graph.user_batch(users)
        if task.request_time is not None:
            batch = batch.at(task.request_time[start : start + step])
        scores = model.score(batch).cpu()
        scores = scores.clone() if all_movies else scores[:, task.candidates]  # [chunk, num_candidates]
        check_scores(scores, name, lambda users=users: ids[users.numpy()].tolist())  # type: ignore[misc]
        scores[_chunk_pairs(task.masked, rows, column_of)] = -torch.inf
        if task.user_candidates is not None:
            excluded = torch.ones(scores.shape, dtype=torch.bool)
            excluded[_chunk_pairs(task.user_candidates, rows, column_of)] = False
            scores[excluded] = -torch.inf
        values, columns = stable_topk(scores, k)
        relevant = torch.zeros(scores.shape, dtype=torch.bool)
        relevant[_chunk_pairs(task.relevant, rows, column_of)] = True
        listed = values > -torch.inf
        lists.append(torch.where(listed, task.candidates[columns], -1))
        hits.append(relevant.gather(1, columns) & listed)
    return Ranking(
        lists=_pad(torch.cat(lists), k, -1),
        hits=_pad(torch.cat(hits), k, False),
        num_relevant=torch.bincount(task.relevant[0], minlength=len(task.users)),
    )


def _chunk_pairs(pairs: tuple[Tensor, Tensor], rows: range, column_of: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of the pairs in some rows, without movies that are not candidates."""
    first, last = torch.searchsorted(pairs[0], torch.tensor([rows.start, rows.stop])).tolist()
    row, column = pairs[0][first:last] - rows.start, column_of[pairs[1][first:last]]
    return row[column >= 0], column[column >= 0]


def _pad(values: Tensor, k: int, filler: int | bool) -> Tensor:
    padded: Tensor = torch.nn.functional.pad(values, (0, k - values.size(1)), value=filler)
    return padded


def clean_rows(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of a frame after the checks of all ratings."""
    if isinstance(frame, pd.DataFrame) and not len(frame):
        raise DataError(f"{name} is empty; evaluation needs at least one row of user_id and movie_id")
    try:
        return with_mixed_ids(lambda ratings: Dataset(ratings).ratings, frame, "ratings")
    except DataError as error:
        raise error.relocated(lambda table, row: (name, row)) from None


def _user_nodes(graph: Graph, ids: pd.Series) -> Tensor:
    nodes = graph.ids["user"].get_indexer(pd.Index(ids))
    raise_at_first(
        nodes < 0,
        "test",
        lambda row: (
            f"user {shown(_value(ids, row))} is not in the graph; pass their known ratings as history, or add them to "
            "the users table of the dataset"
        ),
    )
    return torch.from_numpy(nodes.astype("int64"))


def _unique_users(nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Return distinct nodes in the order of first occurrence, and for each row the position of its node there."""
    codes, users = pd.factorize(nodes.numpy())
    return torch.from_numpy(users), torch.from_numpy(codes.astype("int64"))


def _first_times(rows: pd.DataFrame, row: Tensor, num_users: int) -> Tensor:
    """Return the time of each user's first test rating, ``[num_users]`` int64."""
    if "timestamp" not in rows:
        raise DataError("request times need timestamps, and the test ratings have no column 'timestamp'")
    times = torch.from_numpy(rows["timestamp"].to_numpy(dtype="int64", copy=True))
    raise_at_first((times <= 0).numpy(), "test", lambda row: "the timestamp is 0, so that the request time is unknown")
    return times.new_zeros(num_users).scatter_reduce(0, row, times, "amin", include_self=False)


def _candidate_nodes(graph: Graph, candidates: Iterable[Any] | None) -> Tensor:
    if candidates is None:
        return torch.arange(graph.num_movies)
    nodes: Tensor = torch.unique(graph.movie_nodes(candidates))
    if len(nodes) == 0:
        raise DataError("candidates is empty; there are no movies to rank")
    return nodes


def _check_candidates(rows: pd.DataFrame, movies: Tensor, candidates: Tensor, num_movies: int) -> None:
    outside = torch.ones(num_movies, dtype=torch.bool)
    outside[candidates] = False
    raise_at_first(
        outside[movies].numpy(),
        "test",
        lambda row: (
            f"movie {_value(rows['movie_id'], row)!r} is not among the candidates, so it can never be ranked; add "
            "it to the candidates or remove the row"
        ),
    )


def _check_not_masked(rows: pd.DataFrame, pairs: Tensor, masked: Tensor) -> None:
    raise_at_first(
        _is_in(pairs, masked).numpy(),
        "test",
        lambda row: (
            f"the rating of movie {_value(rows['movie_id'], row)!r} by user {_value(rows['user_id'], row)!r} is also "
            "in the history or the mask; such movies are never recommended, so remove the row"
        ),
    )


def _negative_pairs(
    graph: Graph, users: Tensor, negatives: pd.DataFrame, candidates: Tensor, masked: Tensor, relevant: Tensor
) -> Tensor:
    """Return the pairs of test users and their negatives as numbers."""
    pairs, rows = _pairs(graph, users, negatives, "negatives")
    missing = torch.ones(len(users), dtype=torch.bool)
    missing[pairs // graph.num_movies] = False
    if missing.any():
        user = graph.ids["user"].tolist()[int(users[int(missing.int().argmax())])]
        raise DataError(f"user {user!r} has test ratings but no negatives; add negatives for every test user")
    for bad, problem in (
        (_is_in(pairs, masked), "is also in the history or the mask"),
        (_is_in(pairs, relevant), "is also a test rating"),
        (~_is_in(pairs % graph.num_movies, candidates), "is not among the candidates"),
    ):
        if bad.any():
            row = int(bad.int().argmax())
            user, movie = _value(rows["user_id"], row), _value(rows["movie_id"], row)
            raise DataError(
                f"the negative movie {movie!r} of user {user!r} {problem}; remove the row",
                at=("negatives", rows.index[row]),
            )
    return pairs


def _pairs(graph: Graph, users: Tensor, frame: pd.DataFrame, name: str) -> tuple[Tensor, pd.DataFrame]:
    """Return the pairs of test users in a frame as numbers, and their rows."""
    rows = clean_rows(frame, name)
    # Other users are ignored, but ids of another type are an error.
    is_number = rows["user_id"].dtype == "int64"
    named = graph.ids["user"].dtype == object and not is_number and not rows["user_id"].map(spells_integer).any()
    if is_number != graph.dataset.user_ids.are_numbers and not named:
        mine, theirs = ("whole numbers", "text") if is_number else ("text", "whole numbers")
        raise DataError(f"user_id is {mine} but {theirs} in the graph; use the same type in both", at=(name, None))
    movies = graph.movie_nodes(rows["movie_id"])
    row_of = torch.full((graph.num_users + 1,), -1)  # the last entry is for unknown users, whose index is -1
    row_of[users] = torch.arange(len(users))
    row = row_of[torch.from_numpy(graph.ids["user"].get_indexer(pd.Index(rows["user_id"])).astype("int64"))]
    return (row * graph.num_movies + movies)[row >= 0], rows[(row >= 0).numpy()]


def _unpack(pairs: Tensor, num_movies: int) -> tuple[Tensor, Tensor]:
    return pairs // num_movies, pairs % num_movies


def _is_in(values: Tensor, ordered: Tensor) -> Tensor:
    """Return which values are in a sorted tensor."""
    if len(ordered) == 0:
        return torch.zeros(len(values), dtype=torch.bool)
    found: Tensor = ordered[torch.searchsorted(ordered, values).clamp(max=len(ordered) - 1)] == values
    return found


def _value(column: pd.Series, row: int) -> Any:
    """Return a value as a Python object, so that messages show 7, not np.int64(7)."""
    return column.iloc[[row]].tolist()[0]
