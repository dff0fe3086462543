"""Classifies ratings as dislikes."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec.graph.users import UserBatch

SHRINKAGE = 2.0
"""Weight of the mean of all ratings in `rating_baseline`, as a multiple of the variance of all ratings."""
MAX_STD = 0.3
"""Limit of the standard deviation, as a fraction of the range of ratings, for ratings that are mostly extremes."""
MARGINS = {0.5: 0.5, 1.5: 1.0}
"""Thresholds for dislikes, in standard deviations below the user's baseline, and the weight subtracted at each.

From half a standard deviation on, a movie counts half; from 1.5 on, it counts minus one half."""

HALF_LENGTH = 20
"""Number of ratings at which a dislike matters half as much as in a history of one movie."""


def rating_statistics(rating: Tensor, scale: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of ratings, scalars in float32; zeros without ratings.

    The standard deviation is at most `MAX_STD` of the range, so that the lowest rating is always far from the mean.

    Where all ratings are in the upper half of their scale, low ones were filtered out: a 4 out of 5 is not a dislike
    because the only other rating is a 5. Then the mean is the middle of the scale, and the standard deviation `MAX_STD`
    of its range.

    Parameters
    ----------
    rating : Tensor
        ``[num_ratings]``.
    scale : tuple of float, optional
        Lowest and highest possible rating, see `gnnrec.Dataset.rating_scale`.

    Examples
    --------
    >>> [value.item() for value in rating_statistics(torch.tensor([1.0, 5.0]))]
    [3.0, 1.2000000476837158]
    >>> [value.item() for value in rating_statistics(torch.tensor([4.0, 5.0]), scale=(1, 5))]
    [3.0, 1.2000000476837158]
    """
    if not len(rating):
        return torch.zeros(()), torch.zeros(())
    values = rating.double()
    if scale is not None and bool((values > sum(scale) / 2).all()):
        values = torch.tensor(scale, dtype=torch.float64)
    return values.mean().float(), torch.minimum(
        values.std(correction=0), MAX_STD * (values.max() - values.min())
    ).float()


def rating_baseline(users: UserBatch, mean: Tensor, std: Tensor, edge_mask: Tensor | None = None) -> Tensor:
    r"""Return the rating that each user would give a movie they neither like nor dislike, ``[num_users]``.

    It is the user's own mean, shrunk toward the mean :math:`\bar r` of all ratings where the user's ratings differ
    little:

    .. math:: b_u = \bar r + \frac{S_u}{S_u + \kappa \sigma^2} (\bar r_u - \bar r), \qquad
        S_u = \sum_{i \in N(u)} (r_{ui} - \bar r_u)^2

    If all ratings of a user are equal, their mean says nothing: :math:`S_u = 0`, and the baseline is :math:`\bar r`.

    Parameters
    ----------
    users : UserBatch
    mean, std : Tensor
        :math:`\bar r` and :math:`\sigma`, from `rating_statistics` of the training ratings.
    edge_mask : Tensor, optional
        ``[num_edges]`` float, 0 for ratings to ignore.
    """
    keep = torch.ones_like(users.rating) if edge_mask is None else edge_mask
    rating = users.rating - mean  # exactly 0 if all ratings are equal
    own = _sum_by_user(rating * keep, users) / _sum_by_user(keep, users).clamp(min=1)
    spread = _sum_by_user((rating - own[users.user_index]).square() * keep, users)
    trust = torch.where(spread > 1e-6, spread / (spread + SHRINKAGE * std**2).clamp(min=1e-6), 0.0)
    return mean + trust * own


def disliked(
    users: UserBatch, mean: Tensor, std: Tensor, edge_mask: Tensor | None = None, margin: float = min(MARGINS)
) -> Tensor:
    """Return ``[num_edges]`` bool, true for ratings that are `margin` standard deviations below the user's baseline.

    The other parameters are those of `rating_baseline`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> rows = [(1, 7, 1), (1, 8, 1), (2, 7, 5), (2, 8, 5), (3, 7, 2), (3, 8, 4)]
    >>> ratings = pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"])
    >>> users = Graph.from_dataset(Dataset(ratings)).users
    >>> disliked(users, *rating_statistics(users.rating)).tolist()
    [True, True, False, False, True, False]
    """
    return below_baseline(users, rating_baseline(users, mean, std, edge_mask), std, margin)


def below_baseline(users: UserBatch, baseline: Tensor, std: Tensor, margin: float) -> Tensor:
    """Return ``[num_edges]`` bool, true for ratings `margin` standard deviations below the baseline of their user.

    See `disliked`, which this is for a baseline that is already known.
    """
    return users.rating < baseline[users.user_index] - margin * std - 1e-4


def short_history_weight(users: UserBatch, edge_mask: Tensor | None = None) -> Tensor:
    """Return ``[num_users]``, how much a dislike matters: 1 without ratings, a half with `HALF_LENGTH` ratings.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> ratings = pd.DataFrame({"user_id": [1] * 20 + [2] * 5, "movie_id": [*range(20), *range(5)]})
    >>> short_history_weight(Graph.from_dataset(Dataset(ratings)).users)
    tensor([0.5000, 0.8000])
    """
    keep = torch.ones(len(users.user_index), device=users.user_index.device) if edge_mask is None else edge_mask
    return HALF_LENGTH / (HALF_LENGTH + _sum_by_user(keep, users))


def _sum_by_user(values: Tensor, users: UserBatch) -> Tensor:
    return values.new_zeros(users.num_users).index_add_(0, users.user_index, values)
