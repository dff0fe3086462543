"""What every model can do once it can score: recommend movies, list similar ones, take in new ratings.

A model is a graph plus a way to score all movies for a `UserBatch`. The trained network and each baseline derive
from `Recommender` and inherit everything else, so they are asked, evaluated and compared in the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from gnnrec.errors import DataError
from gnnrec.graph import Graph, NewMovie, UserBatch, encode_users

CHUNK = 1024
"""People scored at once; bounds memory to ``CHUNK * num_movies`` floats."""


class Recommender(ABC):
    """A graph and a way to score its movies for people.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2], "movie_id": [7, 7, 8]})
    >>> model = Popularity.fit(Graph.from_dataset(Dataset(ratings)))
    >>> more = model.add_ratings(pd.DataFrame({"user_id": [3], "movie_id": [8]}))
    >>> model.graph.num_users, more.graph.num_users, tuple(more.score(more.graph.users).shape)
    (2, 3, (3, 2))
    """

    name: str
    graph: Graph

    @abstractmethod
    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; a higher score is a better recommendation."""

    @abstractmethod
    def with_graph(self, graph: Graph) -> Self:
        """Return the same model on a graph that holds more users, ratings or movies; nothing is trained."""

    @abstractmethod
    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, any width]`` whose cosine says how alike two movies are."""

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        """Return the model on a graph with more ratings; see `Graph.add_ratings`."""
        return self.with_graph(self.graph.add_ratings(ratings, users))

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, Any] | None = None) -> Self:
        """Return the model on a graph with more movies; see `Graph.add_movies`."""
        return self.with_graph(self.graph.add_movies(movies, features))


def recommend(
    model: Recommender,
    who: Any,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    candidates: Iterable[Any] | None = None,
) -> pd.DataFrame:
    """Recommend movies to known or new people.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    who : id, NewUser, mapping, list of these, or DataFrame
        A known user id; a `NewUser`; a mapping ``{movie id or title: rating}``; a list of any of these; or a
        frame, see `gnnrec.graph.new_users.encode_users`.
    k : int
        How many movies each; fewer come back where fewer are left.
    exclude_seen : bool
        Leave out what the person has rated.
    candidates : iterable, optional
        Recommend only from these movies (ids or titles).

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, score, rank``, best first; in front ``user_id`` when `who` is more than one person
        (a list or a frame). Equal scores are in the order of the movie table.

    Raises
    ------
    DataError
        An unknown user or movie, or `k` below 1.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> from gnnrec.data import Dataset
    >>> rows = [("ann", "heat"), ("ann", "alien"), ("bob", "heat"), ("bob", "brazil"), ("cem", "brazil")]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = Popularity.fit(Graph.from_dataset(dataset))
    >>> recommend(model, {"heat": 5}, k=2)["movie_id"].tolist()
    ['brazil', 'alien']
    >>> recommend(model, ["ann", "cem"], k=1)[["user_id", "movie_id"]].values.tolist()
    [['ann', 'brazil'], ['cem', 'heat']]
    """
    _check(model, k)
    users, names = encode_users(model.graph, who)
    allowed = _mask(model.graph, candidates)
    parts = []
    for start, batch in _chunks(users):
        scores = model.score(batch).cpu()
        scores = scores.clone() if exclude_seen or allowed is not None else scores
        if exclude_seen:
            scores[batch.user_index, batch.movie_index] = -torch.inf
        if allowed is not None:
            scores[:, ~allowed] = -torch.inf
        # A stable sort, not topk: equal scores must come in the same order every time.
        values, movies = stable_topk(scores, k)
        row, rank = torch.nonzero(values > -torch.inf, as_tuple=True)
        parts.append((row + start, movies[row, rank], values[row, rank], rank + 1))
    person, movie, score, place = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    table = model.graph.dataset.movies
    frame = pd.DataFrame(
        {
            "movie_id": table["movie_id"].to_numpy()[movie],
            "title": table["title"].to_numpy()[movie],
            "score": score,
            "rank": place,
        }
    )
    if _is_many(who):
        frame.insert(0, "user_id", names.to_numpy()[person])
    return frame


def similar_movies(
    model: Recommender, movie: Any, k: int = 10, *, candidates: Iterable[Any] | None = None
) -> pd.DataFrame:
    """List the movies that are most like one movie.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    movie : id, title or NewMovie
        One of the graph, or one that nobody has rated.
    k : int
        How many.
    candidates : iterable, optional
        Only these movies (ids or titles).

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, similarity, rank``; similarity is a cosine, in ``[-1, 1]``.

    Raises
    ------
    DataError
        An unknown movie, or `k` below 1.

    Examples
    --------
    >>> from gnnrec.models import ItemKNN
    >>> from gnnrec.data import Dataset
    >>> rows = [("ann", "heat"), ("ann", "ronin"), ("bob", "heat"), ("bob", "ronin"), ("cem", "brazil")]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = ItemKNN.fit(Graph.from_dataset(dataset))
    >>> similar_movies(model, "heat", k=1)["movie_id"].tolist()
    ['ronin']
    """
    _check(model, k)
    if isinstance(movie, NewMovie):
        model = model.with_graph(model.graph.add_movie(movie))
        node = model.graph.num_movies - 1
    else:
        node = model.graph.movie_node(movie)
    vectors = torch.nn.functional.normalize(model.similarity_embeddings().cpu(), dim=1)
    similarity = vectors @ vectors[node]
    similarity[node] = -torch.inf
    if (allowed := _mask(model.graph, candidates)) is not None:
        similarity[~allowed] = -torch.inf
    values, nodes = (found.squeeze(0) for found in stable_topk(similarity.unsqueeze(0), k))
    kept = values > -torch.inf
    table = model.graph.dataset.movies.iloc[nodes[kept].numpy()]
    return pd.DataFrame(
        {
            "movie_id": table["movie_id"].to_numpy(),
            "title": table["title"].to_numpy(),
            "similarity": values[kept].numpy(),
            "rank": range(1, int(kept.sum()) + 1),
        }
    )


def stable_topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the `k` best values and columns of each row, ties by the lower column.

    `torch.topk` alone leaves the order of ties open. It finds the value of the k-th place quickly; only what is at
    or above it is then sorted, stably.
    """
    k = min(k, scores.size(1))
    limit = scores.topk(k, dim=1).values[:, -1:]
    width = int((scores >= limit).sum(1).max())
    # The wider net holds every column tied with the last place. Putting it in column order makes the sort stable in it.
    columns = scores.topk(width, dim=1).indices.sort(dim=1).values
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return values[:, :k], columns.gather(1, order)[:, :k]


def _chunks(users: UserBatch) -> Iterable[tuple[int, UserBatch]]:
    for start in range(0, users.num_users, CHUNK):
        yield start, users.slice(start, min(start + CHUNK, users.num_users))


def _mask(graph: Graph, candidates: Iterable[Any] | None) -> Tensor | None:
    if candidates is None:
        return None
    mask = torch.zeros(graph.num_movies, dtype=torch.bool)
    if isinstance(candidates, (str, bytes)) or not isinstance(candidates, Iterable):
        raise DataError(f"candidates must be a list of movies, not {candidates!r}")
    wanted = list(candidates)
    # Ids in one look-up, which matters for thousands of them; what is no id is a title or an error.
    nodes = graph.ids["movie"].get_indexer(pd.Index(wanted, dtype=object)).tolist()
    mask[[node if node >= 0 else graph.movie_node(movie) for node, movie in zip(nodes, wanted, strict=True)]] = True
    return mask


def _is_many(who: Any) -> bool:
    return isinstance(who, Iterable) and not isinstance(who, (str, bytes, Mapping))


def _check(model: Any, k: Any) -> None:
    if not isinstance(model, Recommender):
        raise DataError(f"recommendations need a model, such as fit or load returns, not {type(model).__name__}")
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise DataError(f"k must be a whole number of at least 1, not {k!r}")
