"""Append-only tables behind `Dataset`: adding rows costs as much as the rows added, not as the table.

Tables share the rows they have in common. What needs a whole table (its frame, its ratings by user) is put together
when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

MAX_PARTS = 32
"""Number of parts after which all but the first are joined."""
MIN_MERGE = 4096
"""Appended rows are kept apart until there are this many and they are an eighth of the table."""
CHUNK = 1 << 19
"""Ids that are looked up at once."""
MAX_INSERTS = 1000
"""With more appended ratings than this, sorting everything is faster than inserting them one by one."""

T = TypeVar("T")


class Parts(Generic[T]):
    """A value in parts, joined on first use.

    Parameters
    ----------
    parts : sequence
        At least one.
    join : callable
        Returns one value for a list of parts.

    Examples
    --------
    >>> numbers = Parts([np.array([1, 2])], np.concatenate)
    >>> more = numbers.append(np.array([3]))
    >>> numbers.joined.tolist(), more.joined.tolist()
    ([1, 2], [1, 2, 3])
    """

    def __init__(self, parts: Sequence[T], join: Callable[[list[T]], T]) -> None:
        self._parts, self._join = tuple(parts), join

    @property
    def first(self) -> T:
        """The first part; it has the columns of all."""
        return self._parts[0]

    @property
    def joined(self) -> T:
        """The whole value."""
        if len(self._parts) > 1:
            self._parts = (self._join(list(self._parts)),)
        return self._parts[0]

    def append(self, part: T) -> Parts[T]:
        """Return the value with another part; this one stays as it is."""
        first, *others = self._parts
        others.append(part)
        return Parts([first, *others] if len(others) < MAX_PARTS else [first, self._join(others)], self._join)


def concat_rows(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames with a fresh index."""
    return pd.concat(frames, ignore_index=True)


class IdIndex:
    """Ids in the order of their rows, and the row of each id.

    Parameters
    ----------
    ids : pandas.Index
        Unique ids.

    Examples
    --------
    >>> index = IdIndex(pd.Index([10, 30])).append(pd.Index([20]))
    >>> index.rows(pd.Index([20, 10, 99])).tolist(), len(index)
    ([2, 0, -1], 3)
    """

    def __init__(self, ids: pd.Index, added: pd.Index | None = None) -> None:
        self._ids, self._added = ids, ids[:0] if added is None else added
        self._all: pd.Index | None = None

    def __len__(self) -> int:
        return len(self._ids) + len(self._added)

    @property
    def are_numbers(self) -> bool:
        """Whether the ids are whole numbers; otherwise they are text."""
        return self._ids.dtype == "int64"

    @property
    def ids(self) -> pd.Index:
        """All ids."""
        if self._all is None:
            self._all = self._ids.append(self._added) if len(self._added) else self._ids
        return self._all

    def rows(self, ids: pd.Index) -> np.ndarray:
        """Return the row of each id, ``[n]`` int64; -1 for an unknown one."""
        rows = self._ids.get_indexer(ids)
        if len(self._added):
            added = self._added.get_indexer(ids)
            rows = np.where(added >= 0, added + len(self._ids), rows)
        return rows

    def codes(self, ids: pd.Series) -> np.ndarray:
        """Return the row of each id as ``[n]`` int32, as `rows` does; for many ids that repeat it takes less memory."""
        codes = np.empty(len(ids), dtype=np.int32)
        for start in range(0, len(ids), CHUNK):
            part = pd.Index(ids.iloc[start : start + CHUNK])
            if self.are_numbers:
                codes[start : start + CHUNK] = self.rows(part)
            else:  # look each text up once
                places, texts = part.factorize()
                codes[start : start + CHUNK] = self.rows(texts)[places]
        return codes

    def append(self, ids: pd.Index) -> IdIndex:
        """Return the index with more ids; this one stays as it is."""
        added = self._added.append(ids) if len(self._added) else ids
        if len(added) >= MIN_MERGE and 8 * len(added) >= len(self._ids):
            return IdIndex(self._ids.append(added))
        return IdIndex(self._ids, added)


@dataclass(frozen=True, eq=False)
class Histories:
    """Ratings sorted by user, then by time; equal times stay in file order.

    Attributes
    ----------
    user, movie : numpy.ndarray
        ``[num_ratings]`` int64, rows of the users and movies tables.
    rating : numpy.ndarray
        ``[num_ratings]`` float32, 1 where the data has no ratings.
    timestamp : numpy.ndarray
        ``[num_ratings]`` int64, 0 where the data has no times.
    weight : numpy.ndarray, optional
        ``[num_ratings]`` float32; None where the data has no weights.
    """

    user: np.ndarray
    movie: np.ndarray
    rating: np.ndarray
    timestamp: np.ndarray
    weight: np.ndarray | None = None

    @classmethod
    def from_rows(cls, frame: pd.DataFrame, user: np.ndarray, movie: np.ndarray) -> Histories:
        """Sort the rows of a ratings table."""
        time = frame["timestamp"].to_numpy() if "timestamp" in frame else np.zeros(len(frame), np.int64)
        rating = frame["rating"].to_numpy() if "rating" in frame else np.ones(len(frame), np.float32)
        order = sort_by_group(user, time)
        weight = frame["weight"].to_numpy()[order] if "weight" in frame else None
        return cls(user[order].astype(np.int64), movie[order].astype(np.int64), rating[order], time[order], weight)

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> Histories:
        """Return some of the ratings."""
        weight = None if self.weight is None else self.weight[rows]
        return Histories(self.user[rows], self.movie[rows], self.rating[rows], self.timestamp[rows], weight)

    def merge(self, added: Histories) -> Histories:
        """Return these and more ratings; where times are equal the added ones are later."""
        if len(added) > MAX_INSERTS:
            both = self.concatenate(added)
            return both.take(sort_by_group(both.user, both.timestamp))
        start, end = (np.searchsorted(self.user, added.user, side) for side in ("left", "right"))
        for at, (first, last, time) in enumerate(zip(start, end, added.timestamp, strict=True)):
            start[at] = first + np.searchsorted(self.timestamp[first:last], time, "right")
        return Histories(
            np.insert(self.user, start, added.user),
            np.insert(self.movie, start, added.movie),
            np.insert(self.rating, start, added.rating),
            np.insert(self.timestamp, start, added.timestamp),
            None if self.weight is None or added.weight is None else np.insert(self.weight, start, added.weight),
        )

    def concatenate(self, other: Histories) -> Histories:
        """Return the rows of both, these first."""
        return Histories(
            np.concatenate([self.user, other.user]),
            np.concatenate([self.movie, other.movie]),
            np.concatenate([self.rating, other.rating]),
            np.concatenate([self.timestamp, other.timestamp]),
            None if self.weight is None or other.weight is None else np.concatenate([self.weight, other.weight]),
        )

    def of_users(self, users: np.ndarray) -> tuple[Histories, np.ndarray]:
        """Return the ratings of some users, in their order, and for each rating the index of its user in `users`."""
        start, end = (np.searchsorted(self.user, users, side) for side in ("left", "right"))
        length = end - start
        place = np.repeat(np.arange(len(users)), length)
        offset = np.arange(length.sum()) - np.repeat(length.cumsum() - length, length)
        return self.take(start[place] + offset), place


class RatingTable:
    """Ratings in file order, with the rows of their users and movies, and grouped by user.

    Parameters
    ----------
    frame : pandas.DataFrame
        Clean ratings.
    user, movie : numpy.ndarray
        ``[num_ratings]``, row of the user and of the movie of each rating.
    """

    def __init__(self, frame: pd.DataFrame, user: np.ndarray, movie: np.ndarray) -> None:
        self._frames = Parts([frame], concat_rows)
        codes = np.empty((2, len(frame)), dtype=np.int32)
        codes[0], codes[1] = user, movie
        self._codes = Parts([codes], _concat_columns)
        self._length = len(frame)
        # Sorted ratings, and appended ones that are not merged into them yet.
        self._histories: tuple[Histories | None, Histories | None] = None, None
        self._latest: int | None = None

    def __len__(self) -> int:
        return self._length

    @property
    def frame(self) -> pd.DataFrame:
        """All ratings in file order."""
        return self._frames.joined

    @property
    def columns(self) -> pd.Index:
        """Columns of `frame`."""
        return self._frames.first.columns

    @property
    def user(self) -> np.ndarray:
        """``[num_ratings]`` int32, row of the user of each rating."""
        user: np.ndarray = self._codes.joined[0]
        return user

    @property
    def movie(self) -> np.ndarray:
        """``[num_ratings]`` int32, row of the movie of each rating."""
        movie: np.ndarray = self._codes.joined[1]
        return movie

    @property
    def latest(self) -> int:
        """The latest timestamp."""
        if self._latest is None:
            self._latest = int(self.frame["timestamp"].max())
        return self._latest

    @property
    def is_merged(self) -> bool:
        """Whether no ratings were appended since `histories` was last put together."""
        return self._histories[1] is None

    @property
    def histories(self) -> Histories:
        """All ratings by user."""
        merged, added = self._histories
        if merged is None:
            merged = Histories.from_rows(self.frame, self.user, self.movie)
        elif added is not None:
            merged = merged.merge(added)
        self._histories = merged, None
        return merged

    def histories_of(self, users: np.ndarray) -> tuple[Histories, np.ndarray]:
        """Return the ratings of some users, and for each rating the index of its user in `users`.

        Parameters
        ----------
        users : numpy.ndarray
            ``[n]`` int64, rows of the users table; may repeat.
        """
        merged, added = self._histories
        found, place = (self.histories if merged is None else merged).of_users(users)
        if added is None:
            return found, place
        more, more_place = added.of_users(users)
        place = np.concatenate([place, more_place])
        both = found.concatenate(more)
        order = np.lexsort((both.timestamp, place))
        return both.take(order), place[order]

    def append(self, frame: pd.DataFrame, user: np.ndarray, movie: np.ndarray) -> RatingTable:
        """Return the table with more ratings; this one stays as it is."""
        if self._histories[0] is None:
            self.histories  # noqa: B018 - sorted once, for all tables that are made from this one
        merged, added = self._histories
        assert merged is not None
        rows = Histories.from_rows(frame, user, movie)
        made = RatingTable.__new__(RatingTable)
        made._frames = self._frames.append(frame)
        made._codes = self._codes.append(np.stack([user, movie]).astype(np.int32))
        made._length = len(self) + len(frame)
        made._histories = merged, rows if added is None else added.merge(rows)
        made._latest = max(self.latest, int(frame["timestamp"].max())) if "timestamp" in frame else None
        waiting = made._histories[1]
        if waiting is not None and len(waiting) >= MIN_MERGE and 8 * len(waiting) >= len(merged):
            made.histories  # noqa: B018
        return made


def sort_by_group(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the stable order by `group`, then by `value`; the same as ``numpy.lexsort((value, group))``, but faster.

    Examples
    --------
    >>> sort_by_group(np.array([1, 0, 1, 0]), np.array([5, 2, 4, 2])).tolist()
    [1, 3, 2, 0]
    """
    order = _radix_argsort(value, None)
    return _radix_argsort(group, order)


def _radix_argsort(values: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Return `order` stably sorted by integer values, 16 bits at a time, for which NumPy has a radix sort."""
    if not len(values):
        return np.arange(0)
    low = values.min()
    span = int(values.max()) - int(low)
    for shift in range(0, max(span.bit_length(), 1), 16):
        digits = ((values - low) >> shift).astype(np.uint16)
        step = np.argsort(digits if order is None else digits[order], kind="stable")
        order = step if order is None else order[step]
    assert order is not None
    return order


def _concat_columns(parts: list[np.ndarray]) -> np.ndarray[Any, Any]:
    return np.concatenate(parts, axis=1)
