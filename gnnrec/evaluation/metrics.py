"""Metrics of ranked lists: accuracy per user, properties of each list, coverage of the catalog.

A metric is a registered function. By default it takes ``hits`` ``[n, k]`` (whether the movie at that rank is relevant)
and ``num_relevant`` ``[n]``, and returns one value per user, ``[n]``::

    @register_metric("first_hit")
    def first_hit(hits, num_relevant):
        return hits[:, 0].float()

With ``of="lists"`` it takes ``lists`` and `CatalogStatistics` instead. Lists are ``[n, k]`` int64 movie nodes, best
first; -1 fills the end of a list that is too short. With ``of="histories"`` it takes `ListUsers` as well. With
``of="catalog"`` it takes lists and `CatalogStatistics` and returns one value for all users, which has no confidence
interval. Users for whom a metric is NaN do not count. Metrics of the package are reported by default, unless registered
with ``default=False``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrec.graph import Graph
from gnnrec.registry import register_metric

DEFINITIONS = "v1: recall / n, ndcg and map / min(k, n), ties in movie order"
"""Part of every fingerprint; `n` is the number of test movies of a user. Must change with any formula."""
MAX_PAIRS = 1_000_000
"""Maximum number of pairs of movies that are compared at a time; bounds memory to a few times as many floats."""


@register_metric("recall")
def recall(hits: Tensor, num_relevant: Tensor) -> Tensor:
    r"""Return the fraction of the relevant movies that are in the list: hits / `num_relevant`.

    As in the LightGCN and UltraGCN papers. `capped_recall` divides by :math:`\min(k, n)` instead, which gives larger
    values.

    Examples
    --------
    >>> recall(torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([4]))
    tensor([0.5000])
    """
    return hits.float().sum(1) / num_relevant


@register_metric("capped_recall", default=False)
def capped_recall(hits: Tensor, num_relevant: Tensor) -> Tensor:
    r"""Return hits / :math:`\min(k, n)`: a list of hits only scores 1, even if it has no room for all relevant movies.

    The Recall@k of Liang et al. ("Variational Autoencoders for Collaborative Filtering", WWW 2018, sec. 4.2) and of the
    papers that follow it; the name is from BEIR (Thakur et al., NeurIPS 2021). It equals `recall` for users with at
    most `k` relevant movies.

    Examples
    --------
    >>> capped_recall(torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), torch.tensor([4, 2]))
    tensor([0.6667, 0.5000])
    """
    return hits.float().sum(1) / _ideal_length(hits, num_relevant)


@register_metric("precision")
def precision(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Return the fraction of the `k` ranks with a relevant movie; ranks beyond the end of a list count as misses.

    Examples
    --------
    >>> precision(torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.tensor([2]))
    tensor([0.5000])
    """
    return hits.float().mean(1)


@register_metric("hit_rate")
def hit_rate(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Return 1 where at least one relevant movie is in the list, else 0: HR@k.

    With one relevant movie per user, as in leave-one-out, it equals `recall`.

    Examples
    --------
    >>> hit_rate(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([3, 1]))
    tensor([1., 0.])
    """
    return hits.bool().any(1).float()


@register_metric("mrr")
def mrr(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Return 1 / rank of the first relevant movie, 0 if there is none in the list (Voorhees, TREC-8, 1999).

    Examples
    --------
    >>> mrr(torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), torch.tensor([2, 1]))
    tensor([0.5000, 0.0000])
    """
    return (hits.float() / _ranks(hits)).amax(1)


@register_metric("ndcg")
def ndcg(hits: Tensor, num_relevant: Tensor) -> Tensor:
    r"""Return the normalized discounted cumulative gain (Järvelin & Kekäläinen, TOIS 2002) of binary relevance.

    .. math:: \frac{\sum_{r \le k} h_r / \log_2(r + 1)}{\sum_{r \le \min(k, n)} 1 / \log_2(r + 1)}

    A list of hits only scores 1, whether `k` or `n` is larger. With one relevant movie per user it is
    :math:`1 / \log_2(r + 1)` at rank `r`, 0 if that is beyond `k`.

    Examples
    --------
    >>> ndcg(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([5, 1]))
    tensor([0.6131, 0.6309])
    """
    discount = 1 / torch.log2(_ranks(hits) + 1)  # [k]
    return (hits.float() @ discount) / discount.cumsum(0)[_ideal_length(hits, num_relevant) - 1]


@register_metric("map")
def average_precision(hits: Tensor, num_relevant: Tensor) -> Tensor:
    r"""Return the average precision, whose mean over users is MAP.

    .. math:: \frac{1}{\min(k, n)} \sum_{r \le k} h_r \cdot \frac{1}{r} \sum_{q \le r} h_q

    As in Manning, Raghavan & Schütze, "Introduction to Information Retrieval", 2008, sec. 8.4, for a list that ends at
    `k`. Divided by :math:`\min(k, n)`, so a list of hits only scores 1; dividing by `n` gives smaller values for
    users with more than `k` relevant movies.

    Examples
    --------
    >>> average_precision(torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([2]))
    tensor([0.8333])
    """
    hits = hits.float()
    precisions = hits.cumsum(1) / _ranks(hits)  # [n, k]
    return (hits * precisions).sum(1) / _ideal_length(hits, num_relevant)


@register_metric("dislikes", of="disliked", default=False)
def dislikes(hits: Tensor, num_disliked: Tensor) -> Tensor:
    """Return the fraction of the `k` ranks with a movie that the user dislikes by a test rating; lower is better.

    Here `hits` says whether the movie at that rank is disliked. Reported by `evaluate` with a relevance threshold.

    Examples
    --------
    >>> dislikes(torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.tensor([2]))
    tensor([0.5000])
    """
    return hits.float().mean(1)


def _ranks(hits: Tensor) -> Tensor:
    return torch.arange(1, hits.size(1) + 1, dtype=torch.float32, device=hits.device)


def _ideal_length(hits: Tensor, num_relevant: Tensor) -> Tensor:
    return num_relevant.clamp(max=hits.size(1))


@dataclass(frozen=True, eq=False)
class CatalogStatistics:
    """Statistics of the movies and of the training ratings, for metrics of lists.

    Attributes
    ----------
    counts : Tensor
        ``[num_movies]`` int64, training ratings of each movie.
    num_users : int
        Users with a training rating.
    genres : Tensor
        ``[num_movies, num_genres]`` float32 of 0 and 1.
    num_candidates : int
        Movies that are ranked.
    unit_embeddings : Tensor, optional
        ``[num_movies, dim]``, rows of length 1, by which the model compares movies; only for metrics registered with
        ``embeddings=True``.

    Examples
    --------
    >>> catalog = CatalogStatistics.from_graph(graph, num_candidates=40)
    >>> catalog.num_users, tuple(catalog.counts.shape), tuple(catalog.genres.shape)
    (60, (40,), (40, 12))
    """

    counts: Tensor
    num_users: int
    genres: Tensor
    num_candidates: int
    unit_embeddings: Tensor | None = None

    @classmethod
    def from_graph(cls, graph: Graph, num_candidates: int, unit_embeddings: Tensor | None = None) -> CatalogStatistics:
        """Return the statistics of a training graph."""
        genres = torch.zeros(graph.num_movies, len(graph.genres))
        genres[graph.movies.attribute_edges["genres"]] = 1.0
        counts = torch.bincount(graph.users.movie_index, minlength=graph.num_movies)
        num_users = int(torch.count_nonzero(torch.bincount(graph.users.user_index)))
        return cls(counts, num_users, genres, num_candidates, unit_embeddings)


@register_metric("coverage", of="catalog")
def coverage(lists: Tensor, catalog: CatalogStatistics) -> float:
    """Return the fraction of the candidate movies that are in at least one list ("aggregate diversity").

    Source: Ge, Delgado-Battenfeld & Jannach, "Beyond accuracy", RecSys 2010.

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.tensor([8, 2, 1, 0]), 8, torch.zeros(4, 1), num_candidates=4)
    >>> coverage(torch.tensor([[0, 1], [0, -1]]), catalog)
    0.5
    """
    return int(torch.count_nonzero(torch.bincount(lists[lists >= 0]))) / catalog.num_candidates


@register_metric("novelty", of="lists")
def novelty(lists: Tensor, catalog: CatalogStatistics) -> Tensor:
    r"""Return the mean self-information of each list in bits: :math:`-\log_2(c_i / N)` averaged over its movies.

    :math:`c_i` is the number of training ratings of movie `i`, `N` the number of users with a training rating. Movies
    without ratings count as rated once. Empty lists are NaN.

    Source: Zhou et al., PNAS 2010; Vargas & Castells, RecSys 2011.

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.tensor([8, 2]), 8, torch.zeros(2, 1), num_candidates=2)
    >>> novelty(torch.tensor([[0, 1], [1, -1]]), catalog)
    tensor([1., 2.])
    """
    information = -torch.log2(catalog.counts.clamp(min=1) / catalog.num_users)
    filled = lists >= 0
    return (information[lists.clamp(min=0)] * filled).sum(1) / filled.sum(1)


@register_metric("diversity", of="lists")
def genre_diversity(lists: Tensor, catalog: CatalogStatistics) -> Tensor:
    r"""Return the mean Jaccard distance between the genres of all pairs of movies of each list.

    .. math:: \operatorname{mean}_{i < j} \; 1 - \frac{|G_i \cap G_j|}{|G_i \cup G_j|}

    The intra-list diversity of Ziegler et al. (WWW 2005) with sets of genres. Pairs in which a movie has no genre are
    left out; lists without any other pair are NaN.

    Examples
    --------
    >>> genres = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    >>> catalog = CatalogStatistics(torch.ones(3), 1, genres, num_candidates=3)
    >>> genre_diversity(torch.tensor([[0, 1, 2], [0, 2, -1]]), catalog)
    tensor([0.5000,    nan])
    """
    return torch.cat(
        [
            _genre_diversity(part, catalog.genres)
            for part in lists.split(max(1, MAX_PAIRS // max(1, lists.size(1) ** 2)))
        ]
    )


def _genre_diversity(lists: Tensor, genres: Tensor) -> Tensor:
    own = genres[lists.clamp(min=0)] * (lists >= 0).unsqueeze(2)  # [n, k, num_genres]
    size = own.sum(2)  # [n, k]
    shared = own @ own.transpose(1, 2)  # [n, k, k]
    union = size.unsqueeze(1) + size.unsqueeze(2) - shared
    known = size > 0
    pairs = torch.triu(known.unsqueeze(1) & known.unsqueeze(2), diagonal=1)
    distance = torch.where(pairs, 1 - shared / union.clamp(min=1), 0.0)
    return distance.sum((1, 2)) / pairs.sum((1, 2))
