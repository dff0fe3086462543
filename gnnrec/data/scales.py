"""Recognizes rating scales, and tells ratings from counts such as plays or hours."""

from __future__ import annotations

import numpy as np

SCALES = ((0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (0.5, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (-10.0, 10.0))
"""Usual rating scales, the narrowest first."""
WIDE_SCALE = (0.0, 100.0)
MAX_OUTSIDE = 0.01
"""Share of values that may lie outside a scale and still count as mistakes."""


def rating_scale_of(values: np.ndarray) -> tuple[float, float]:
    """Return the narrowest usual scale that fits the ratings, or their range if none does.

    A scale still fits if up to 1% of the values lie outside it.

    >>> rating_scale_of(np.array([1, 4, 3.5])), rating_scale_of(np.array([7, 2])), rating_scale_of(np.array([-3, 70]))
    ((0.5, 5.0), (1.0, 10.0), (-3.0, 70.0))
    """
    smallest, largest = values.min(), values.max()
    halves = bool((values % 1 != 0).any())
    for low, high in SCALES:
        if (low, high) == (1.0, 5.0) and halves:
            continue  # half stars begin at 0.5
        if low <= smallest and largest <= high:
            return low, high
        if high > 1.0 and np.count_nonzero((values < low) | (values > high)) <= MAX_OUTSIDE * len(values):
            return low, high
    low, high = WIDE_SCALE
    return (low, high) if low <= smallest and largest <= high else (float(smallest), float(largest))


def are_counts(values: np.ndarray) -> bool:
    """Return whether numbers look like counts or hours, which have a heavy tail, rather than like ratings.

    >>> are_counts(np.array([1, 1, 2, 3, 560])), are_counts(np.array([1, 4, 5])), are_counts(np.array([55, 70, 98]))
    (True, False, False)
    """
    if not len(values) or values.min() < 0:
        return False
    _low, high = rating_scale_of(values)
    if values.max() > WIDE_SCALE[1]:
        return bool(high > WIDE_SCALE[1])
    # Up to 100: only where most values are small and the largest is far away.
    return bool(high > 10 and (values % 1 == 0).all() and np.median(values) <= 3 and values.max() >= 20)
