"""Metrics of lists beyond accuracy; `evaluate` computes them only on request.

Those registered with ``of="histories"`` take ``lists``, `CatalogStatistics` and `ListUsers`. Metrics of one user are
NaN where the user has no history, the list is empty, or no movie has a genre.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrec.evaluation.metrics import MAX_PAIRS, CatalogStatistics
from gnnrec.registry import register_metric

SMOOTHING = 0.01
"""Share of the history's genres that is mixed into those of the list, so that their divergence is finite."""


@dataclass(frozen=True, eq=False)
class ListUsers:
    """The users of ranked lists and their histories.

    Attributes
    ----------
    user_index, movie_index : Tensor
        ``[num_ratings]`` int64: the row of the user, and the movie node, of each rating in the histories.
    hits : Tensor
        ``[n, k]`` bool, whether the movie at that rank is relevant.

    Examples
    --------
    >>> ListUsers(torch.tensor([0, 0]), torch.tensor([3, 5]), torch.tensor([[True, False]])).num_users
    1
    """

    user_index: Tensor
    movie_index: Tensor
    hits: Tensor

    @property
    def num_users(self) -> int:
        """Number of lists."""
        return len(self.hits)

    def totals(self, values: Tensor) -> Tensor:
        """Return the sum of values of movies over each history, ``[n, ...]``."""
        result = torch.zeros(self.num_users, *values.shape[1:], dtype=torch.float32)
        return result.index_add(0, self.user_index, values.float()[self.movie_index])


@register_metric("intra_list_distance", of="lists", embeddings=True, default=False)
def intra_list_distance(lists: Tensor, catalog: CatalogStatistics) -> Tensor:
    r"""Return the mean of :math:`1 - \cos(i, j)` over all pairs of movies of each list, by the model's embeddings.

    The intra-list diversity of Ziegler et al. (WWW 2005). Models differ in their embeddings: compare lists of one
    model. Lists of fewer than two movies are NaN.

    Examples
    --------
    >>> unit = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> catalog = CatalogStatistics(torch.ones(3), 1, torch.zeros(3, 1), 3, unit)
    >>> intra_list_distance(torch.tensor([[0, 1, -1], [1, 2, -1]]), catalog)
    tensor([1., 2.])
    """
    if catalog.unit_embeddings is None:
        return torch.full((len(lists),), torch.nan)
    unit, found = catalog.unit_embeddings, []
    for part in lists.split(max(1, MAX_PAIRS // max(1, lists.size(1) * unit.size(1)))):
        filled = (part >= 0).float()
        own = unit[part.clamp(min=0)] * filled.unsqueeze(2)
        number = filled.sum(1)
        squares = own.square().sum((1, 2))
        found.append(1 - (own.sum(1).square().sum(1) - squares) / (number * (number - 1)))
    return torch.cat(found) if found else torch.zeros(0)


@register_metric("genre_consistency", of="histories", default=False)
def genre_consistency(lists: Tensor, catalog: CatalogStatistics, users: ListUsers) -> Tensor:
    r"""Return the Jaccard similarity of the genres in the history and those in the list.

    .. math:: \frac{|G_{history} \cap G_{list}|}{|G_{history} \cup G_{list}|}

    The coefficient is Jaccard's (1901).

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.ones(2), 1, torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 2)
    >>> users = ListUsers(torch.tensor([0]), torch.tensor([0]), torch.ones(1, 1))
    >>> genre_consistency(torch.tensor([[1]]), catalog, users)
    tensor([0.5000])
    """
    history, listed = users.totals(catalog.genres) > 0, _list_totals(lists, catalog.genres) > 0
    result = (history & listed).sum(1) / (history | listed).sum(1)
    return torch.where(history.any(1) & listed.any(1), result, torch.nan)


@register_metric("miscalibration", of="histories", default=False)
def miscalibration(lists: Tensor, catalog: CatalogStatistics, users: ListUsers) -> Tensor:
    r"""Return the Kullback-Leibler divergence of the list's genres from those of the history, in nats; 0 is best.

    .. math:: \sum_g p_g \log \frac{p_g}{0.99\, q_g + 0.01\, p_g}

    Each movie counts 1, divided equally among its genres. Source: Steck, "Calibrated recommendations", RecSys 2018.

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.ones(2), 1, torch.eye(2), 2)
    >>> users = ListUsers(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.ones(2, 1))
    >>> miscalibration(torch.tensor([[0], [0]]), catalog, users)
    tensor([0.0000, 4.6052])
    """
    shares = catalog.genres / catalog.genres.sum(1, keepdim=True).clamp(min=1)
    history, listed = users.totals(shares), _list_totals(lists, shares)
    known = (history.sum(1) > 0) & (listed.sum(1) > 0)
    p = history / history.sum(1, keepdim=True).clamp(min=1e-9)
    q = listed / listed.sum(1, keepdim=True).clamp(min=1e-9)
    q = (1 - SMOOTHING) * q + SMOOTHING * p
    divergence = torch.where(p > 0, p * torch.log(p / q), 0.0).sum(1)
    return torch.where(known, divergence, torch.nan)


@register_metric("popularity_lift", of="histories", default=False)
def popularity_lift(lists: Tensor, catalog: CatalogStatistics, users: ListUsers) -> Tensor:
    """Return the relative difference between the mean popularity of the list and that of the history.

    0 means equally popular, 1 twice as popular. Source: Abdollahpouri et al., "The unfairness of popularity bias in
    recommendation", RMSE workshop 2019 (there for groups of users).

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.tensor([9, 3]), 9, torch.zeros(2, 1), 2)
    >>> popularity_lift(torch.tensor([[0]]), catalog, ListUsers(torch.tensor([0]), torch.tensor([1]), torch.ones(1, 1)))
    tensor([2.])
    """
    ones = torch.ones(len(catalog.counts))
    own = users.totals(catalog.counts) / users.totals(ones)
    listed = _list_totals(lists, catalog.counts.float()) / (lists >= 0).sum(1)
    return torch.where(own > 0, listed / own - 1, torch.nan)


@register_metric("serendipity", of="histories", default=False)
def serendipity(lists: Tensor, catalog: CatalogStatistics, users: ListUsers) -> Tensor:
    """Return the share of the list that is relevant and not among the most popular movies.

    The list of most popular movies has the same length and excludes the user's history. Source: Ge,
    Delgado-Battenfeld & Jannach, "Beyond accuracy", RecSys 2010, with popularity as the primitive model.

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.tensor([9, 5, 3]), 9, torch.zeros(3, 1), 3)
    >>> users = ListUsers(torch.tensor([0]), torch.tensor([0]), torch.tensor([[True, True]]))
    >>> serendipity(torch.tensor([[2, 1]]), catalog, users)  # without its history, the two most popular are 1 and 2
    tensor([0.])
    """
    k = lists.size(1)
    place = torch.empty(len(catalog.counts), dtype=torch.int64)
    place[catalog.counts.argsort(descending=True, stable=True)] = torch.arange(len(catalog.counts))
    # A movie is expected if fewer than k movies outside the history are more popular.
    own = torch.full(
        (users.num_users, int(torch.bincount(users.user_index).max()) if len(users.user_index) else 1), 2**62
    )
    order = torch.argsort(users.user_index * len(place) + place[users.movie_index])
    rows = users.user_index[order]
    first = torch.searchsorted(rows, torch.arange(users.num_users))
    own[rows, torch.arange(len(rows)) - first[rows]] = place[users.movie_index[order]]
    places = place[lists.clamp(min=0)]
    expected = places - torch.searchsorted(own, places.contiguous()) < k
    return (users.hits.bool() & ~expected & (lists >= 0)).float().sum(1) / k


@register_metric("gini", of="catalog", default=False)
def gini(lists: Tensor, catalog: CatalogStatistics) -> float:
    r"""Return the Gini coefficient of recommendation counts: 0 if all candidates are equal, near 1 for a single movie.

    .. math:: \frac{1}{m} \sum_{i=1}^{m} (2i - m - 1) \frac{e_i}{\sum_j e_j}

    for `m` candidates and the numbers of lists with each, :math:`e_i`, in ascending order. Source: Fleder & Hosanagar,
    Management Science 2009.

    Examples
    --------
    >>> catalog = CatalogStatistics(torch.ones(4), 1, torch.zeros(4, 1), 4)
    >>> gini(torch.tensor([[0, 1], [2, 3]]), catalog), gini(torch.tensor([[0], [0]]), catalog)
    (0.0, 0.75)
    """
    listed = lists[lists >= 0]
    if not len(listed):
        return float("nan")
    exposure = torch.bincount(listed).double()
    exposure = exposure[exposure > 0].sort().values
    m = catalog.num_candidates
    place = torch.arange(m - len(exposure) + 1, m + 1, dtype=torch.float64)
    return float(((2 * place - m - 1) * exposure).sum() / exposure.sum() / m)


def _list_totals(lists: Tensor, values: Tensor) -> Tensor:
    """Return the sum of values of movies over each list, ``[n, ...]``."""
    filled = lists >= 0
    own = values[lists.clamp(min=0)]
    return (own * filled.view(*filled.shape, *[1] * (own.dim() - 2))).sum(1)
