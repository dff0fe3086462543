"""`IdIndex`: ids in the order of their rows; ids can be appended and removed."""

from __future__ import annotations

import numpy as np
import pandas as pd

MIN_MERGE = 4096
"""Appended rows are stored separately until there are at least this many and they are an eighth of the table."""
CHUNK = 1 << 19
"""Number of ids that are looked up at a time."""
MIN_DENSE, MAX_GAPS = 10_000, 4
"""From this many ids on, and up to this many numbers between the lowest and the highest per id, ids are looked up in an
array of all these numbers."""
NO_ROWS = np.zeros(0, dtype=np.int64)


def rows_left(rows: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the numbers that rows have once others are removed; `removed` is sorted.

    Examples
    --------
    >>> left = rows_left(np.array([0, 3, 5]), removed=np.array([1, 4]))
    >>> left.tolist(), rows_before(left, np.array([1, 4])).tolist()
    ([0, 2, 3], [0, 3, 5])
    """
    return rows - np.searchsorted(removed, rows) if len(removed) else rows


def rows_before(rows: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the numbers that rows had before others were removed: the inverse of `rows_left`."""
    return rows + np.searchsorted(removed - np.arange(len(removed)), rows, "right") if len(removed) else rows


class IdIndex:
    """Ids in the order of their rows, and the row of each id.

    Appended ids may be text even if the others are whole numbers.

    Parameters
    ----------
    ids : pandas.Index
        Unique ids.
    added : pandas.Index, optional
        Further ids, which come after them.
    removed : numpy.ndarray, optional
        Sorted positions in `ids` that no longer count.

    Examples
    --------
    >>> index = IdIndex(pd.Index([10, 30])).append(pd.Index([20]))
    >>> index.rows(pd.Index([20, 10, 99])).tolist(), len(index)
    ([2, 0, -1], 3)
    """

    def __init__(self, ids: pd.Index, added: pd.Index | None = None, removed: np.ndarray = NO_ROWS) -> None:
        self._ids, self._added, self._removed = ids, ids[:0] if added is None else added, removed
        self._all: pd.Index | None = None

    @classmethod
    def from_mixed(cls, ids: pd.Index) -> IdIndex:
        """Return the index of ids that may mix whole numbers and text; text comes last, or all ids are text."""
        numbers = _count_leading_numbers(ids) if ids.dtype == object else 0
        if numbers in (0, len(ids)):
            return cls(pd.Index(ids.tolist()) if numbers else ids)
        return cls(pd.Index(ids[:numbers].tolist()), ids[numbers:])

    def __len__(self) -> int:
        return len(self._ids) - len(self._removed) + len(self._added)

    @property
    def are_numbers(self) -> bool:
        """Whether the ids are whole numbers, except for appended text; otherwise all are text."""
        return self._ids.dtype == "int64"

    @property
    def ids(self) -> pd.Index:
        """All ids."""
        if self._all is None:
            ids = self._ids.delete(self._removed) if len(self._removed) else self._ids
            self._all = ids.append(self._added) if len(self._added) else ids
        return self._all

    def rows(self, ids: pd.Index) -> np.ndarray:
        """Return the row of each id, ``[n]`` int64; -1 for an unknown one."""
        if self.are_numbers and not pd.api.types.is_numeric_dtype(ids.dtype):
            rows = np.full(len(ids), -1)
            numbers = np.array([isinstance(one, (int, np.integer)) for one in ids], dtype=bool)
            if numbers.any():
                rows[numbers] = self._ids.get_indexer(pd.Index(ids[numbers].tolist()))
        else:
            rows = self._ids.get_indexer(ids)
        if len(self._removed):
            at = np.searchsorted(self._removed, rows).clip(max=len(self._removed) - 1)
            rows = np.where((rows < 0) | (self._removed[at] == rows), -1, rows_left(rows, self._removed))
        if len(self._added):
            added = self._added.get_indexer(ids)
            rows = np.where(added >= 0, added + len(self._ids) - len(self._removed), rows)
        return rows

    def codes(self, ids: pd.Series) -> np.ndarray:
        """Return the row of each id as ``[n]`` int32, as `rows` does; for many ids that repeat it takes less memory."""
        codes = np.empty(len(ids), dtype=np.int32)
        numbers = ids.to_numpy() if ids.dtype == np.int64 else NO_ROWS
        if self.are_numbers and not len(self._added) and not len(self._removed) and _are_dense(self._ids, numbers):
            return _look_up(self._ids.to_numpy(), numbers, codes)
        for start in range(0, len(ids), CHUNK):
            part = pd.Index(ids.iloc[start : start + CHUNK])
            if self.are_numbers:
                codes[start : start + CHUNK] = self.rows(part)
            else:  # look each text up once
                places, texts = part.factorize()
                codes[start : start + CHUNK] = self.rows(texts)[places]
        return codes

    def append(self, ids: pd.Index) -> IdIndex:
        """Return the index with more ids; this one does not change."""
        added = self._added.append(ids) if len(self._added) else ids
        mixed = self.are_numbers and added.dtype != "int64"
        if not mixed and len(added) >= MIN_MERGE and 8 * len(added) >= len(self._ids):
            left = self._ids.delete(self._removed) if len(self._removed) else self._ids
            return IdIndex(left.append(added))
        return IdIndex(self._ids, added, self._removed)

    def without(self, row: int) -> IdIndex:
        """Return the index without the id of a row; this one does not change."""
        place = row - len(self._ids) + len(self._removed)
        if place >= 0:
            return IdIndex(self._ids, self._added.delete(place), self._removed)
        return IdIndex(self._ids, self._added, with_removed(self._removed, row))


def _are_dense(ids: pd.Index, numbers: np.ndarray) -> bool:
    """Return whether looking numbers up in an array of all possible ids is worth its memory."""
    return len(numbers) >= MIN_DENSE and len(ids) > 0 and int(ids.max()) - int(ids.min()) < MAX_GAPS * len(numbers)


def _look_up(ids: np.ndarray, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Fill `codes` with the place of each number among the ids, -1 where it is none of them."""
    low, high = int(ids.min()), int(ids.max())
    places = np.full(high - low + 1, -1, dtype=np.int32)
    places[ids - low] = np.arange(len(ids), dtype=np.int32)
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        if low <= part.min() and part.max() <= high:
            np.take(places, part - low, out=codes[start : start + CHUNK])
        else:
            known = (part >= low) & (part <= high)
            codes[start : start + CHUNK] = np.where(known, places[np.where(known, part, low) - low], -1)
    return codes


def sorted_unique(ids: pd.Series) -> np.ndarray:
    """Return the different ids, sorted: the same as ``numpy.sort(ids.unique())``, for many numbers faster.

    Examples
    --------
    >>> sorted_unique(pd.Series([7, 3, 7])).tolist()
    [3, 7]
    """
    if ids.dtype == np.int64 and len(ids) >= MIN_DENSE:
        numbers = ids.to_numpy()
        low = int(numbers.min())
        if int(numbers.max()) - low < MAX_GAPS * len(numbers):
            seen = np.zeros(int(numbers.max()) - low + 1, dtype=bool)
            for start in range(0, len(numbers), CHUNK):
                seen[numbers[start : start + CHUNK] - low] = True
            return np.flatnonzero(seen) + low
    return np.sort(ids.unique())


def unique_ids(ids: pd.Series) -> pd.Index:
    """Return the different ids in the order of their first rows: the same as ``ids.unique()``, for many numbers faster.

    Examples
    --------
    >>> unique_ids(pd.Series([7, 3, 7])).tolist()
    [7, 3]
    """
    if ids.dtype == np.int64 and len(ids) >= MIN_DENSE:
        numbers = ids.to_numpy()
        low = int(numbers.min())
        if int(numbers.max()) - low < MAX_GAPS * len(numbers):
            first = np.full(int(numbers.max()) - low + 1, -1)
            for start in range((len(numbers) - 1) // CHUNK * CHUNK, -1, -CHUNK):  # the first rows come last, and stay
                part = numbers[start : start + CHUNK] - low
                first[part[::-1]] = np.arange(start + len(part) - 1, start - 1, -1)
            seen = np.flatnonzero(first >= 0)
            ordered: pd.Index = pd.Index(seen[np.argsort(first[seen])] + low)
            return ordered
    if ids.dtype == np.float16:  # an index has no numbers of this type
        ids = ids.astype(np.float32)
    found: pd.Index = pd.Index(ids.unique())
    return found


def with_removed(removed: np.ndarray, row: int) -> np.ndarray:
    """Return the sorted numbers of removed rows with one more, whose number is counted without them."""
    (before,) = rows_before(np.array([row]), removed)
    return np.insert(removed, int(np.searchsorted(removed, before)), before)


def _count_leading_numbers(ids: pd.Index) -> int:
    are_text = np.array([isinstance(one, str) for one in ids], dtype=bool)
    return int(are_text.argmax()) if are_text.any() else len(ids)
