"""Confidence intervals of means over users: percentile bootstrap."""

from __future__ import annotations

import numpy as np

NUM_RESAMPLES = 1000
BLOCK = 4_000_000
"""Maximum number of random numbers in memory at a time."""


def bootstrap_intervals(values: np.ndarray, confidence: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return percentile bootstrap confidence intervals of the mean of each column.

    Users are resampled with replacement, the same for all columns (Efron & Tibshirani, "An Introduction to the
    Bootstrap", 1993, section 13.3).

    Parameters
    ----------
    values : numpy.ndarray
        ``[num_users, num_columns]``; NaN where a user does not count.
    confidence : float
        Confidence level, between 0 and 1.
    seed : int
        Random seed.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper bounds, each ``[num_columns]``; NaN where a column is empty.

    Examples
    --------
    >>> low, high = bootstrap_intervals(np.array([[0.0], [1.0], [1.0], [0.0]]), confidence=0.95, seed=0)
    >>> float(low[0]), float(high[0])
    (0.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    num_users = len(values)
    counts = ~np.isnan(values)
    filled = np.where(counts, values, 0.0).astype(np.float32)
    sums, sizes = [], []
    step = max(1, BLOCK // num_users)
    for start in range(0, NUM_RESAMPLES, step):
        rows = min(step, NUM_RESAMPLES - start)
        drawn = rng.integers(num_users, size=(rows, num_users), dtype=np.int32)
        drawn += (np.arange(rows, dtype=np.int32) * num_users)[:, None]
        # Counts of users in each resample turn the sums into matrix products.
        repeats = np.bincount(drawn.ravel(), minlength=rows * num_users).reshape(rows, num_users).astype(np.float32)
        sums.append(repeats @ filled)
        sizes.append(repeats @ counts.astype(np.float32))
    total, size = np.concatenate(sums), np.concatenate(sizes)  # [NUM_RESAMPLES, num_columns]
    means = np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)
    tail = (1 - confidence) / 2
    bounds = np.full((2, values.shape[1]), np.nan)
    defined = counts.any(axis=0)
    bounds[:, defined] = np.nanquantile(means[:, defined], [tail, 1 - tail], axis=0)
    return bounds[0], bounds[1]
