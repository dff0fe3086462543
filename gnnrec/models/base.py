"""`Recommender`: base class of fitted models; subclasses implement `score`.

A fitted model is a graph and a way to score all its movies for a `UserBatch`. The graph neural network and all other
models derive from `Recommender` and inherit the rest, so they are used, evaluated, saved and compared in the same way.
"""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

import pandas as pd
import torch
from torch import Tensor

from gnnrec import _torch
from gnnrec._checks import as_path, check_flag, check_integer
from gnnrec._torch import check_scores, pick_device, stable_topk
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import evaluate
from gnnrec.graph import Graph, NewMovie, UserBatch, encode_users
from gnnrec.graph.new_users import asked_at
from gnnrec.models.filters import movie_mask
from gnnrec.models.graph_model import GraphModel
from gnnrec.models.lists import best_indexed_movies, best_movies
from gnnrec.models.storage import write_run
from gnnrec.reranking import Reranker, Reranking, RerankingOptions
from gnnrec.splitting import Split
from gnnrec.typing import Hyperparameters, MovieInput, UserInput

if TYPE_CHECKING:
    from gnnrec._pyg import HeteroData
    from gnnrec.models.index import MovieIndex


class Recommender(GraphModel):
    """A fitted model. It is immutable: methods that add ratings or movies return a new one.

    Subclasses are dataclasses with the fields `graph` and `estimator`, and implement `score`, `with_graph`,
    `similarity_embeddings` and `state`.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings, from training or added since.
    estimator : BaseEstimator
        The estimator that was fitted, with its hyperparameters.
    scores_are_new : bool
        Whether `score` returns a tensor that nothing else uses, so that it may be changed.
    history : list of dict
        Loss and metrics of each epoch, if the model is trained in epochs.
    report : dict
        Results recorded with `with_report`, as plain JSON values.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2], "movie_id": [7, 7, 8]})
    >>> model = Popularity().fit(Dataset(ratings))
    >>> more = model.add_ratings(pd.DataFrame({"user_id": [3], "movie_id": [8]}))
    >>> model.graph.num_users, more.graph.num_users, tuple(more.score(more.graph.users).shape)
    (2, 3, (3, 2))
    """

    graph: Graph
    estimator: Hyperparameters
    scores_are_new: ClassVar[bool] = False
    history: list[dict[str, Any]] = []  # noqa: RUF012 - never changed, only replaced
    report: dict[str, Any] = {}  # noqa: RUF012

    @abstractmethod
    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32; a higher score is a better recommendation."""

    @abstractmethod
    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``; the cosine of two rows is the similarity of two movies."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return the tensors that `Estimator.restore` rebuilds the model from."""

    @property
    def name(self) -> str:
        """Registered name of the model."""
        return self.estimator.name

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Hyperparameters of the model, as plain JSON values."""
        return self.estimator.model_dump(mode="json")

    @property
    def dataset(self) -> Dataset:
        """Ratings, movies and users of the graph."""
        return self.graph.dataset

    @property
    def hetero_data(self) -> HeteroData:
        """The graph as PyG's `HeteroData`."""
        return self.graph.hetero_data

    @property
    def ids(self) -> dict[str, pd.Index]:
        """The caller's id of every node, by node type."""
        return self.graph.ids

    @property
    def uses_request_time(self) -> bool:
        """Whether recommendations depend on the time of the request."""
        return False

    def encode_users(self, users: UserInput, *, unknown: str = "error", at: Any = None) -> tuple[UserBatch, pd.Index]:
        """Return users as the model sees them, and their ids or names; see `gnnrec.graph.encode_users`.

        If a model uses the request time and none is given, the current time is used.
        """
        batch, names = encode_users(self.graph, users, unknown=unknown, at=at)
        return (asked_at(batch, time.time()) if self.uses_request_time else batch), names

    def to(self, device: str) -> Self:
        """Return the model on another device; models without a network stay on the CPU.

        Raises
        ------
        ConfigError
            The device cannot be used.
        """
        pick_device(device)
        return self

    def with_report(self, **entries: Any) -> Self:
        """Return the same model with more entries in its `report`."""
        made = copy.copy(self)
        object.__setattr__(made, "report", {**self.report, **entries})
        return made

    def with_records(self, history: list[dict[str, Any]], report: dict[str, Any]) -> Self:
        """Return the same model with a given `history` and `report`."""
        made = copy.copy(self)
        object.__setattr__(made, "history", history)
        object.__setattr__(made, "report", report)
        return made

    def _extended(self, graph: Graph) -> Self:
        return self.with_graph(graph).with_records(self.history, self.report)

    def save(self, path: str | Path, *, keep: Iterable[str] = ()) -> Path:
        """Write a folder that `gnnrec.load` reads back; it is written atomically.

        It holds ``config.yaml`` (hyperparameters), ``weights.safetensors``, ``graph.safetensors`` and ``nodes.json``
        (ratings and tables), ``metrics.json`` and ``run.json``.

        Parameters
        ----------
        path : str or Path
            The folder. If it exists it must be a saved run, which is replaced.
        keep : iterable of str
            Files of the replaced run to keep: ``"checkpoint.safetensors"``, ``"split"``. Files that are not part of a
            run always stay.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            The folder exists and is not a saved run.
        """
        return write_run(as_path(path, "the folder of a run"), self, keep)

    def evaluate(self, test: pd.DataFrame | Split, **options: Any) -> pd.DataFrame:
        """Evaluate the model on test ratings; see `gnnrec.evaluate`."""
        return evaluate(self, test, **options)

    def recommend(
        self,
        users: UserInput,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Iterable[MovieInput] | None = None,
        exclude: Iterable[MovieInput] | None = None,
        genres: str | Iterable[str] | None = None,
        years: Any = None,
        min_ratings: int = 0,
        family_friendly: bool = False,
        offset: int = 0,
        at: Any = None,
        unknown: str = "error",
        index: MovieIndex | None = None,
        **reranking: Unpack[RerankingOptions],
    ) -> pd.DataFrame:
        """Recommend movies to known or new users.

        Parameters
        ----------
        users : user id, NewUser, mapping, list of these, or DataFrame
            A known user id; a `NewUser`; a mapping ``{movie id or title: rating}``; a list of any of these; or a
            frame, see `gnnrec.graph.encode_users`.
        k : int
            Number of movies per user; the result has fewer if fewer are left.
        exclude_seen : bool
            Exclude movies that the user has rated.
        candidates : iterable, optional
            Recommend only these movies (ids or titles).
        exclude : iterable, optional
            Do not recommend these movies (ids or titles).
        genres : str or iterable of str, optional
            Recommend only movies of at least one of these genres: ``"Drama"``, ``"Drama|Crime"`` or a list.
        years : int, tuple or str, optional
            Recommend only movies of this year, or from a first to a last year: ``(1990, 1999)``, ``(1990, None)``,
            ``"1990-1999"``. Movies without a year are excluded.
        min_ratings : int
            Recommend only movies with at least this many ratings in the graph.
        family_friendly : bool
            Recommend only movies for families; see `gnnrec.reranking.is_family_friendly`.
        offset : int
            Skip this many top movies, for paging: ranks begin with ``offset + 1``.
        at : time, optional
            Time of the request, as seconds since 1970 or anything that `pandas.Timestamp` reads; later ratings are
            ignored. `NewUser.at` takes precedence. Models that use the request time assume the current time by default.
        unknown : str
            ``"error"``; or ``"skip"`` to leave out rated, candidate or excluded movies that are unknown, which are
            logged.
        index : MovieIndex, optional
            Find the movies with an index, which is faster for 100,000 movies and more and may miss a few. Users for
            whom it finds too few are ranked exactly. Lists that are re-ranked need all scores.
        **reranking
            ``diversity, novelty, calibration`` (each between 0 and 1), ``max_per_genre, like, unlike``; see
            `gnnrec.reranking.Reranking`. `score` is still the model's score, so a re-ranked list is not sorted by it.

        Returns
        -------
        pandas.DataFrame
            ``user_id, movie_id, title, score, rank``, best first. A new user without a name is ``"new user"``, several
            are ``"new user 1"`` and so on. Equal scores are in the order of the movie table.

        Raises
        ------
        DataError
            A user or movie is unknown, several movies fit a title, or a score is NaN.
        ConfigError
            `k` is below 1, a genre is unknown, `years` is not a range of years, or the index belongs to another model.

        Examples
        --------
        >>> from gnnrec.models import Popularity
        >>> rows = [("ann", "heat"), ("ann", "alien"), ("bob", "heat"), ("bob", "brazil"), ("cem", "brazil")]
        >>> model = Popularity().fit(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
        >>> model.recommend({"heat": 5}, k=2)["movie_id"].tolist()
        ['brazil', 'alien']
        >>> model.recommend(["ann", "cem"], k=1)[["user_id", "movie_id"]].values.tolist()
        [['ann', 'brazil'], ['cem', 'heat']]
        """
        check_integer(k=k)
        check_integer(0, offset=offset)
        check_flag(exclude_seen=exclude_seen)
        k, offset = (min(int(number), self.graph.num_movies) for number in (k, offset))
        batch, names = self.encode_users(users, unknown=unknown, at=at)
        allowed = movie_mask(
            self.graph,
            candidates=candidates,
            exclude=exclude,
            genres=genres,
            years=years,
            min_ratings=min_ratings,
            family_friendly=family_friendly,
            unknown=unknown,
        )
        reranker = self.reranker(Reranking(**reranking), unknown)
        filters: dict[str, Any] = {"offset": offset, "exclude_seen": exclude_seen, "allowed": allowed}
        if index is not None:
            if reranker is not None:
                raise ConfigError("re-ranking needs the scores of all movies; leave out the index")
            index.check(self)  # type: ignore[arg-type]
        parts = []
        for start, chunk in _chunks(batch, narrow=index is not None):
            if index is not None:
                row, *found = best_indexed_movies(index, self, chunk, k, **filters)
                parts.append((row + start, *found))
                continue
            scores = self.score(chunk).cpu()
            check_scores(scores, self.name, names[start : start + chunk.num_users].tolist)
            row, *found = best_movies(scores, chunk, k, **filters, reranker=reranker, in_place=self.scores_are_new)
            parts.append((row + start, *found))
        user, movie, score, ranks = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        table = self.graph.dataset.movies
        return pd.DataFrame(
            {
                "user_id": names.to_numpy()[user],
                "movie_id": table["movie_id"].array.take(movie),  # `to_numpy` would convert all titles of the catalog
                "title": table["title"].array.take(movie),
                "score": score,
                "rank": ranks,
            }
        )

    def reranker(self, options: Reranking, unknown: str = "error") -> Reranker | None:
        """Return the re-ranker for these options, None if they have no effect."""
        if options.changes_nothing:
            return None
        needs_similarity = options.diversity or options.like is not None or options.unlike is not None
        unit = self.unit_similarity_embeddings if needs_similarity else None
        return Reranker(options, self.graph, unit, unknown)

    @cached_property
    def unit_similarity_embeddings(self) -> Tensor:
        """`similarity_embeddings` with rows of length 1, on the CPU."""
        return torch.nn.functional.normalize(self.similarity_embeddings().cpu(), dim=1)

    def similarity_to_new(self, movie: NewMovie) -> Tensor:
        """Return the cosine between a new movie and each movie of the graph, ``[num_movies]``."""
        grown = self.with_graph(self.graph.add_movie(movie)).unit_similarity_embeddings
        return grown[:-1] @ grown[-1]

    def similar_movies(
        self, movie: MovieInput, k: int = 10, *, candidates: Iterable[MovieInput] | None = None
    ) -> pd.DataFrame:
        """List the movies that are most similar to one movie.

        Parameters
        ----------
        movie : id, title or NewMovie
            A movie of the graph, or a description of a new one.
        k : int
            Number of movies.
        candidates : iterable, optional
            Only these movies (ids or titles).

        Returns
        -------
        pandas.DataFrame
            ``movie_id, title, similarity, rank``; similarity is a cosine in ``[-1, 1]``.

        Raises
        ------
        DataError
            The movie is unknown.
        ConfigError
            `k` is below 1.

        Examples
        --------
        >>> from gnnrec.models import ItemKNN
        >>> rows = [("ann", "heat"), ("ann", "ronin"), ("bob", "heat"), ("bob", "ronin"), ("cem", "brazil")]
        >>> model = ItemKNN().fit(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
        >>> model.similar_movies("heat", k=1)["movie_id"].tolist()
        ['ronin']
        """
        check_integer(k=k)
        k = min(int(k), self.graph.num_movies)
        if isinstance(movie, NewMovie):
            similarity = self.similarity_to_new(movie)
        else:
            node = self.graph.movie_node(movie)
            unit = self.unit_similarity_embeddings
            similarity = unit @ unit[node]
            similarity[node] = -torch.inf
        if similarity.isnan().any():
            title = self.graph.dataset.movies["title"].iloc[int(similarity.isnan().int().argmax())]
            raise DataError(
                f"the model {self.name!r} has NaN embeddings (for example of {title!r}), which cannot be compared"
            )
        if (allowed := movie_mask(self.graph, candidates=candidates)) is not None:
            similarity[~allowed] = -torch.inf
        values, nodes = (found.squeeze(0) for found in stable_topk(similarity.unsqueeze(0), k))
        kept = values > -torch.inf
        table = self.graph.dataset.movies.iloc[nodes[kept].numpy()]
        return pd.DataFrame(
            {
                "movie_id": table["movie_id"].to_numpy(),
                "title": table["title"].to_numpy(),
                "similarity": values[kept].numpy(),
                "rank": range(1, int(kept.sum()) + 1),
            }
        )


def _chunks(users: UserBatch, narrow: bool = False) -> Iterator[tuple[int, UserBatch]]:
    """Return parts of a batch, so small that the scores of all movies fit into memory, or `narrow` lists only."""
    step = _torch.CHUNK_SIZE if narrow else _torch.rows_per_chunk(users.num_movies, _torch.CHUNK_SIZE)
    if users.num_users <= step:  # no copy
        yield 0, users
        return
    for start in range(0, users.num_users, step):
        yield start, users.slice(start, min(start + step, users.num_users))
