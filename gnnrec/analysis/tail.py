"""How unequal counts are: few movies have many ratings, and many have few."""

from __future__ import annotations

import numpy as np
import pandas as pd


def by_doubling(counts: np.ndarray) -> pd.DataFrame:
    """Group counts into steps that double: 0, 1, 2-3, 4-7, 8-15, ...

    Parameters
    ----------
    counts : array_like
        ``[n]``, whole numbers from 0; of `counts_of`.

    Returns
    -------
    pandas.DataFrame
        ``at_least, at_most, number, share``; steps between the first and the last that somebody is in, empty ones too.

    Examples
    --------
    >>> by_doubling(np.array([1, 2, 3, 9]))[["at_least", "at_most", "number"]].values.tolist()
    [[1, 1, 1], [2, 3, 2], [4, 7, 0], [8, 15, 1]]
    """
    # frexp gives the number of binary digits: 0 for 0, 1 for 1, 2 for 2-3, 3 for 4-7, exactly.
    step = np.frexp(np.asarray(counts, dtype="float64"))[1]
    numbers = np.bincount(step)[step.min() :]
    steps = np.arange(step.min(), step.max() + 1)
    least = np.where(steps > 0, 2 ** np.maximum(steps - 1, 0), 0)
    most = np.where(steps > 0, 2**steps - 1, 0)
    return pd.DataFrame({"at_least": least, "at_most": most, "number": numbers, "share": numbers / len(step)})


def gini(counts: np.ndarray) -> float:
    """Return how unequal counts are: 0 when all are the same, towards 1 when one has nearly all.

    Parameters
    ----------
    counts : array_like
        ``[n]``, not negative, not all 0.

    Returns
    -------
    float
        The Gini coefficient, in ``[0, 1)``: ``2 sum(i * x_i) / (n * sum(x)) - (n + 1) / n`` for ``x`` in ascending
        order and ``i`` from 1, which is twice the area between the Lorenz curve and the diagonal (C. Gini,
        *Variabilità e mutabilità*, 1912).

    Examples
    --------
    >>> gini(np.array([3, 3, 3])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    x = np.sort(np.asarray(counts, dtype="float64"))
    n = len(x)
    value = 2 * (np.arange(1, n + 1) * x).sum() / (n * x.sum()) - (n + 1) / n
    return float(max(value, 0.0))  # equal counts may come out as -1e-17


def top_share(counts: np.ndarray, share: float = 0.1) -> float:
    """Return which part of all ratings the most rated have.

    Parameters
    ----------
    counts : array_like
        ``[n]``, not all 0.
    share : float
        How many count as the most rated: 0.1 is a tenth, rounded up to whole movies.

    Examples
    --------
    >>> top_share(np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 11]))
    0.55
    """
    x = np.sort(np.asarray(counts, dtype="float64"))[::-1]
    return float(x[: int(np.ceil(round(share * len(x), 9)))].sum() / x.sum())


def lorenz(counts: np.ndarray, points: int = 100) -> pd.DataFrame:
    """Return which part of the ratings the most rated have, for growing parts: the Lorenz curve from its upper end.

    Parameters
    ----------
    counts : array_like
        ``[n]``, not all 0.
    points : int
        About so many steps, and one more for the start.

    Returns
    -------
    pandas.DataFrame
        ``share``, of users or movies, the most rated first, and ``share_of_ratings``; both rise from 0 to 1. The
        classical curve starts with the least rated: ``1 - share`` against ``1 - share_of_ratings``.

    Examples
    --------
    >>> lorenz(np.array([1, 3])).values.tolist()
    [[0.0, 0.0], [0.5, 0.75], [1.0, 1.0]]
    """
    x = np.sort(np.asarray(counts, dtype="int64"))[::-1]
    so_far = np.concatenate([[0], np.cumsum(x)])
    places = np.unique(np.linspace(0, len(x), min(points, len(x)) + 1).round().astype(int))
    return pd.DataFrame({"share": places / len(x), "share_of_ratings": so_far[places] / so_far[-1]})
