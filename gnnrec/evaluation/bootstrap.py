"""How far a mean over users can be trusted: percentile intervals from resampling the users."""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000
BLOCK = 4_000_000
"""Draws held in memory at once."""


def intervals(values: np.ndarray, confidence: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the percentile bootstrap of the mean of each column.

    All columns use the same resamples, which draw as many users as there are, with replacement (Efron &
    Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3).

    Parameters
    ----------
    values : numpy.ndarray
        ``[num_users, num_columns]``; NaN where a user does not count.
    confidence : float
        Between 0 and 1.
    seed : int
        The same seed gives the same bounds.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper bounds, each ``[num_columns]``; NaN where a column is empty.

    Examples
    --------
    >>> low, high = intervals(np.array([[0.0], [1.0], [1.0], [0.0]]), confidence=0.95, seed=0)
    >>> float(low[0]), float(high[0])
    (0.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    num_users = len(values)
    counts = ~np.isnan(values)
    filled = np.where(counts, values, 0.0).astype(np.float32)
    sums, sizes = [], []
    step = max(1, BLOCK // num_users)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(num_users, size=(rows, num_users), dtype=np.int32)
        drawn += (np.arange(rows, dtype=np.int32) * num_users)[:, None]
        # How often each user is in each resample; the means are then two matrix products.
        times = np.bincount(drawn.ravel(), minlength=rows * num_users).reshape(rows, num_users).astype(np.float32)
        sums.append(times @ filled)
        sizes.append(times @ counts.astype(np.float32))
    total, size = np.concatenate(sums), np.concatenate(sizes)  # [RESAMPLES, num_columns]
    means = np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)
    edge = (1 - confidence) / 2
    bounds = np.full((2, values.shape[1]), np.nan)
    some = counts.any(axis=0)
    bounds[:, some] = np.nanquantile(means[:, some], [edge, 1 - edge], axis=0)
    return bounds[0], bounds[1]
