"""`Reranking`: options of one request, and `Reranker`, which applies them to the scores of one user.

All options work on the scores of any model and the embeddings it compares movies by. Movies are chosen one after the
other, each the best in view of those before it, from the `POOL` best by score; when these are used up, from the next.
Pages of a list are therefore consistent, and a longer list begins with the shorter one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from gnnrec._checks import check_integer, entries, is_listing, shown
from gnnrec._torch import stable_topk
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph
from gnnrec.typing import MovieInput

POOL = 200
"""Number of movies that are re-ranked at a time."""
SMOOTHING = 0.01
"""Share of the history's genres in those of the list, so that their divergence is finite; Steck's alpha."""


class RerankingOptions(TypedDict, total=False):
    """Options of `Reranking`, all optional.

    Examples
    --------
    >>> options: RerankingOptions = {"diversity": 0.3, "unlike": "Heat (1995)"}
    >>> Reranking(**options).diversity
    0.3
    """

    diversity: float
    novelty: float
    calibration: float
    max_per_genre: int | None
    like: MovieInput | Iterable[MovieInput] | None
    unlike: MovieInput | Iterable[MovieInput] | None


def _share() -> float:
    """Return a field for a number between 0 and 1, where 0 changes nothing."""
    made: float = field(default=0.0, metadata={"share": True})
    return made


@dataclass(frozen=True)
class Reranking:
    r"""How to re-rank the movies with the best scores. Without options nothing changes.

    Within the `POOL` best, scores are scaled to between 0 and 1, :math:`s_i`. The next movie is the one with the most

    .. math::
        (1 - c) \left[(1 - d) \left((1 - n)\, s_i + n\, b_i\right) - d \max_{j \in L} \cos(i, j)\right]
        - c \operatorname{KL}(p \,\|\, q(L \cup i))

    for a list `L` so far: maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998) and calibration (Steck, RecSys
    2018), with :math:`b_i`, the self-information of a movie (Zhou et al., PNAS 2010), as a share of the largest
    possible.

    Attributes
    ----------
    diversity : float
        `d`, between 0 and 1: preference for movies that differ from those before them, by the model's embeddings.
    novelty : float
        `n`, between 0 and 1: preference for movies that few users have rated.
    calibration : float
        `c`, between 0 and 1: how closely the genres of the list follow those of the history.
    max_per_genre : int, optional
        Maximum number of movies per genre, counted from the first rank; the list may be shorter than `k`.
    like, unlike : movie or iterable of movies, optional
        More movies like these, fewer like those (ids or titles). The similarity to them is added to or taken from the
        scores, both with a mean of 0 and a maximum of 1: the most similar movie gains as much as the best one is above
        the average. The movies themselves are excluded.

    Raises
    ------
    ConfigError
        A share is not between 0 and 1, or `max_per_genre` is below 1.

    Examples
    --------
    >>> Reranking().changes_nothing, Reranking(novelty=0.2).changes_nothing
    (True, False)
    """

    diversity: float = _share()
    novelty: float = _share()
    calibration: float = _share()
    max_per_genre: int | None = None
    like: MovieInput | Iterable[MovieInput] | None = None
    unlike: MovieInput | Iterable[MovieInput] | None = None

    def __post_init__(self) -> None:
        for name, value in self._shares.items():
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
                raise ConfigError(f"{name} must be a number between 0 and 1, not {shown(value)}")
        if self.max_per_genre is not None:
            check_integer(max_per_genre=self.max_per_genre)
            object.__setattr__(self, "max_per_genre", min(int(self.max_per_genre), 2**31))

    @property
    def changes_nothing(self) -> bool:
        """Whether no option is set."""
        return not self._is_greedy and not self._anchors("like") and not self._anchors("unlike")

    @property
    def _is_greedy(self) -> bool:
        return any(self._shares.values()) or self.max_per_genre is not None

    @property
    def _shares(self) -> dict[str, float]:
        return {one.name: getattr(self, one.name) for one in fields(self) if "share" in one.metadata}

    def _anchors(self, name: str) -> list[Any]:
        given = getattr(self, name)
        if given is None:
            return []
        return entries(given, "movies") if is_listing(given) and not isinstance(given, Mapping) else [given]


class Reranker:
    """Applies a `Reranking` to the scores of one user after the other.

    Parameters
    ----------
    options : Reranking
    graph : Graph
    unit_embeddings : Tensor
        ``[num_movies, dim]``, rows of length 1; the cosine of two rows is the similarity of two movies.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out unknown movies in `like` and `unlike`.

    Raises
    ------
    DataError
        A movie in `like` or `unlike` is unknown.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> model = EASE(reg=50).fit(dataset)
    >>> reranker = Reranker(Reranking(diversity=0.5), model.graph, model.unit_similarity_embeddings)
    >>> scores = model.score(model.graph.user_batch(torch.tensor([0])))[0]
    >>> reranker.rank(scores, torch.tensor([0, 1]), 3).shape
    torch.Size([3])
    """

    def __init__(
        self, options: Reranking, graph: Graph, unit_embeddings: Tensor | None = None, unknown: str = "error"
    ) -> None:
        self.options = options
        self.graph = graph
        if unit_embeddings is not None:
            self._unit = torch.nan_to_num(unit_embeddings, 0.0, 0.0, 0.0)
        self._like, self._unlike = (self._nodes(name, unknown) for name in ("like", "unlike"))
        if options.novelty:
            counts = np.maximum(np.bincount(graph.dataset.rating_table.movie, minlength=graph.num_movies), 1)
            num_users = max(2, graph.num_users)
            self._information = np.clip(np.log2(num_users / counts) / math.log2(num_users), 0, 1)
        if options.calibration or options.max_per_genre is not None:
            genres = torch.zeros(graph.num_movies, len(graph.genres), dtype=torch.float64)
            genres[graph.movies.attribute_edges["genres"]] = 1.0
            self._genres = genres.numpy()
            self._shares = self._genres / np.maximum(self._genres.sum(1, keepdims=True), 1)

    def _nodes(self, name: str, unknown: str) -> list[int]:
        movies = self.options._anchors(name)
        found = self.graph.movie_nodes_by_name(movies, unknown=unknown) if movies else []
        return [node for node in found if node is not None]

    def rank(self, scores: Tensor, history: Tensor, k: int) -> Tensor:
        """Return the movie nodes of a list, best first, ``[at most k]`` int64.

        Parameters
        ----------
        scores : Tensor
            ``[num_movies]``; ``-inf`` for movies that may not be in the list.
        history : Tensor
            Movie nodes of the user's history.
        k : int
        """
        scores = self._anchored(scores)
        if not self.options._is_greedy:
            values, nodes = stable_topk(scores.unsqueeze(0), k)
            return nodes[0, values[0] > -torch.inf]
        wanted = self._genre_shares(history)
        chosen: list[int] = []
        most = int((scores > -torch.inf).sum())
        ordered = stable_topk(scores.unsqueeze(0), min(most, -(-k // POOL) * POOL))[1][0]
        start = 0
        while len(chosen) < k and start < most:
            if start >= len(ordered):  # genres at their maximum require more movies than usual
                ordered = stable_topk(scores.unsqueeze(0), most)[1][0]
            self._choose(ordered[start : start + POOL], scores, wanted, chosen, k)
            start += POOL
        return torch.tensor(chosen, dtype=torch.int64)

    def _anchored(self, scores: Tensor) -> Tensor:
        """Return scores with the similarity to the movies of `like` and `unlike`."""
        if not self._like and not self._unlike:
            return scores
        listed = scores > -torch.inf
        listed[self._like + self._unlike] = False
        total = torch.full_like(scores, -torch.inf)
        if not listed.any():
            return total
        total[listed] = _centered(scores[listed])
        for nodes, sign in ((self._like, 1), (self._unlike, -1)):
            if nodes:
                total[listed] += sign * _centered((self._unit[listed] @ self._unit[nodes].T).mean(1))
        return total

    def _genre_shares(self, history: Tensor) -> np.ndarray | None:
        """Return the distribution of genres in a history, None if there is nothing to calibrate to."""
        if not self.options.calibration or not len(history):
            return None
        shares = self._shares[history.numpy()].sum(0)
        return shares / shares.sum() if shares.sum() > 0 else None

    def _choose(self, pool: Tensor, scores: Tensor, wanted: np.ndarray | None, chosen: list[int], k: int) -> None:
        """Extend a list by movies of a pool, until it has `k` or no other is allowed."""
        options, nodes = self.options, pool.numpy()
        relevance = scores[pool].numpy().astype(np.float64)
        relevance = (relevance - relevance.min()) / (np.ptp(relevance) or 1.0)
        if options.novelty:
            relevance = (1 - options.novelty) * relevance + options.novelty * self._information[nodes]
        free = np.ones(len(nodes), dtype=bool)
        nearest = np.full(len(nodes), -np.inf)
        if options.diversity:
            unit = self._unit[pool].numpy().astype(np.float64)
            if chosen:
                nearest = (unit @ self._unit[chosen].numpy().astype(np.float64).T).max(1)
        if options.max_per_genre is not None:
            genres = self._genres[nodes]
            used = self._genres[chosen].sum(0)
        if wanted is not None:
            shares = self._shares[nodes]
            total = self._shares[chosen].sum(0)
        while len(chosen) < k:
            if options.max_per_genre is not None:
                free &= ~(genres[:, used >= options.max_per_genre] > 0).any(1)
            if not free.any():
                return
            gain = relevance
            if options.diversity:
                gain = (1 - options.diversity) * gain - options.diversity * np.where(nearest > -np.inf, nearest, 0.0)
            if wanted is not None:
                gain = (1 - options.calibration) * gain - options.calibration * _divergence(wanted, total + shares)
            place = int(np.where(free, gain, -np.inf).argmax())
            free[place] = False
            chosen.append(int(nodes[place]))
            if options.diversity:
                nearest = np.maximum(nearest, unit @ unit[place])
            if options.max_per_genre is not None:
                used = used + genres[place]
            if wanted is not None:
                total = total + shares[place]


def _centered(values: Tensor) -> Tensor:
    """Return values with mean 0 and maximum 1; zeros if all are equal."""
    centered = values - values.mean()
    largest = float(centered.max())
    return centered / largest if largest > 1e-6 * float(values.abs().max()) else torch.zeros_like(values)


def _divergence(wanted: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the Kullback-Leibler divergence of each row of genre weights from a distribution, in nats."""
    own = totals / np.maximum(totals.sum(1, keepdims=True), 1e-12)
    own = (1 - SMOOTHING) * own + SMOOTHING * wanted
    some = wanted > 0
    result: np.ndarray = (wanted[some] * np.log(wanted[some] / own[:, some])).sum(1)
    return result
