"""Sorting ratings by user and time: integers are sorted as single numbers, several times faster than positions."""

from __future__ import annotations

import numpy as np

MIN_KEYED, KEY_BITS = 10_000, 63
"""Rows from which sorting them as numbers is worth while, and bits of these numbers."""
SORTED_AT_ONCE = 1 << 16
"""Rows that are compared at once, to see whether ratings are sorted."""


def sort_by_group(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the stable order by `group`, then by `value`; the same as ``numpy.lexsort((value, group))``, but faster.

    Examples
    --------
    >>> sort_by_group(np.array([1, 0, 1, 0]), np.array([5, 2, 4, 2])).tolist()
    [1, 3, 2, 0]
    """
    if len(group) < MIN_KEYED:
        return np.lexsort((value, group))
    if _is_sorted(group, value):
        return np.arange(len(group))
    grouped = None if (group[1:] >= group[:-1]).all() else _stable_argsort(group)
    groups, values = (group, value) if grouped is None else (group[grouped], value[grouped])
    low, counts = int(values.min()), np.bincount(groups)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    value_bits, place_bits = (int(values.max()) - low).bit_length(), int(counts.max() - 1).bit_length()
    if (len(counts) - 1).bit_length() + value_bits + place_bits > KEY_BITS:
        order = _stable_argsort(value)
        both: np.ndarray = order[_stable_argsort(group[order])]
        return both
    # Group, value and place within the group are one number; then only places near each other are looked up.
    keys = groups.astype(np.int64)
    keys <<= value_bits
    keys |= values.astype(np.int64) - low
    keys <<= place_bits
    keys |= np.arange(len(keys)) - starts
    keys.sort()
    keys &= (1 << place_bits) - 1
    keys += starts
    return keys if grouped is None else grouped[keys]


def _is_sorted(group: np.ndarray, value: np.ndarray) -> bool:
    """Return whether rows are sorted by group, then by value, as many files are."""
    for start in range(0, len(group) - 1, SORTED_AT_ONCE):  # most others are found out at once
        rows, after = slice(start, start + SORTED_AT_ONCE), slice(start + 1, start + SORTED_AT_ONCE + 1)
        first, second = group[rows][: len(group[after])], group[after]
        later = value[rows][: len(second)] <= value[after]
        if not ((first < second) | ((first == second) & later)).all():
            return False
    return True


def _stable_argsort(values: np.ndarray) -> np.ndarray:
    """Return the stable order of integers.

    Values and positions are sorted as one number where 63 bits hold both: NumPy sorts numbers several times faster than
    it sorts positions.
    """
    if not len(values):
        return np.arange(0)
    low, position_bits = int(values.min()), (len(values) - 1).bit_length()
    if (int(values.max()) - low).bit_length() + position_bits > KEY_BITS:
        return np.argsort(values, kind="stable")
    keys = values.astype(np.int64)
    keys -= low
    keys <<= position_bits
    keys |= np.arange(len(values))
    keys.sort()
    keys &= (1 << position_bits) - 1
    return keys
