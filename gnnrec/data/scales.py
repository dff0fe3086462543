"""Recognizes rating scales, and distinguishes ratings from counts such as plays or hours."""

from __future__ import annotations

import numpy as np

SCALES = ((0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (0.5, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (-10.0, 10.0))
"""Usual rating scales, the narrowest first."""
WIDE_SCALE = (0.0, 100.0)
MAX_OUTSIDE = 0.01
"""Maximum share of values outside a scale, which are then treated as mistakes."""
MIN_NOT_GIVEN = 0.2
"""Minimum share of zeros among ratings from 1 to 10 for a zero to mean that no rating was given."""


def rating_scale_of(values: np.ndarray) -> tuple[float, float]:
    """Return the narrowest usual scale that fits the ratings, or their range if none does.

    A scale still fits if up to 1% of the values lie outside it.

    >>> rating_scale_of(np.array([1, 4, 3.5])), rating_scale_of(np.array([7, 2])), rating_scale_of(np.array([-3, 70]))
    ((0.5, 5.0), (1.0, 10.0), (-3.0, 70.0))
    """
    smallest, largest = values.min(), values.max()
    halves = bool((np.floor(values) != values).any())
    for low, high in SCALES:
        if (low, high) == (1.0, 5.0) and halves:
            continue  # half stars begin at 0.5
        if low <= smallest and largest <= high:
            return low, high
        if high > 1.0 and np.count_nonzero((values < low) | (values > high)) <= MAX_OUTSIDE * len(values):
            return low, high
    low, high = WIDE_SCALE
    return (low, high) if low <= smallest and largest <= high else (float(smallest), float(largest))


def not_given(values: np.ndarray, zero_is_none: bool = False) -> np.ndarray | None:
    """Return where a value means that no rating was given, ``[n]`` bool; None if there is no such value.

    This is -1 among ratings from 0.5, as in lists of anime, and 0 among whole numbers from 1 to 10 if it is at
    least a fifth of all, as among the books of Book-Crossing. On a scale that begins at 0 that many zeros are rare.

    Parameters
    ----------
    values : numpy.ndarray
        Finite ratings.
    zero_is_none : bool
        Whether every 0 means that no rating was given.

    Examples
    --------
    >>> not_given(np.array([8.0, -1.0, 7.0])).tolist(), not_given(np.array([0.0, 0.0, 8.0])).tolist()
    ([False, True, False], [True, True, False])
    >>> not_given(np.array([0.0, 4.0, 5.0])), not_given(np.array([-1.0, 0.0, 1.0]))
    (None, None)
    """
    if len(values) and values.min() > 0:
        return None
    for mark, share in ((-1.0, 0.0), (0.0, 0.0 if zero_is_none else MIN_NOT_GIVEN)):
        found: np.ndarray = values == mark
        others = values[~found]
        if not found.any() or not len(others) or found.mean() < share:
            continue
        if mark == -1.0 and others.min() >= 0.5 and others.max() > 1:  # 1 and -1 are likes and dislikes
            return found
        whole = zero_is_none or bool((others % 1 == 0).all() and 5 < others.max() <= 10)
        if mark == 0.0 and others.min() >= 1 and whole:
            return found
    return None


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
