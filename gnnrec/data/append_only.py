"""Tables behind `Dataset`: adding or removing rows costs as much as those rows, not as the table.

Tables are immutable and share the rows they have in common. Removed rows are recorded separately. What needs a whole
table (its frame, its ratings by user) is assembled on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, Self, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from gnnrec.data.frames import take_rows
from gnnrec.data.id_index import MIN_MERGE, NO_ROWS, rows_before, rows_left, with_removed
from gnnrec.data.sorting import sort_by_group

MAX_PARTS = 32
"""Number of parts after which all but the first are joined."""
MAX_INSERTS = 1000
"""With more appended ratings than this, sorting everything is faster than inserting them one by one."""
NUM_NEWEST = 1024
"""Number of the latest ratings that are searched for one that is not removed."""

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
        """Return the value with another part; this one does not change."""
        first, *others = self._parts
        others.append(part)
        return Parts([first, *others] if len(others) < MAX_PARTS else [first, self._join(others)], self._join)


def concat_rows(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames with a fresh index."""
    return pd.concat(frames, ignore_index=True)


class FrameParts(Parts[Any]):
    """A frame stored in parts, from which rows can be removed; the parts are joined on first use.

    Examples
    --------
    >>> frames = FrameParts([pd.DataFrame({"a": [1, 2]})], concat_rows)
    >>> frames.without(0).append(pd.DataFrame({"a": [3]})).joined["a"].tolist(), frames.joined["a"].tolist()
    ([2, 3], [1, 2])
    """

    def __init__(self, parts: Sequence[Any], join: Callable[[list[Any]], Any] = concat_rows) -> None:
        super().__init__(parts, join)

    @property
    def joined(self) -> pd.DataFrame:
        """The whole frame."""
        if len(self._parts) > 1:
            frames, kept, length = [], NO_ROWS, 0
            for part in self._parts:
                if isinstance(part, int):
                    kept = np.delete(kept, part)
                else:
                    frames.append(part)
                    kept = np.concatenate([kept, np.arange(length, length + len(part))])
                    length += len(part)
            whole = self._join(frames)
            self._parts = (whole if len(kept) == length else whole.iloc[kept].reset_index(drop=True),)
        return self._parts[0]  # type: ignore[no-any-return]

    def append(self, part: pd.DataFrame) -> FrameParts:
        """Return the frame with more rows; this one does not change."""
        return self._with(part)

    def without(self, row: int) -> FrameParts:
        """Return the frame without a row; this one does not change."""
        return self._with(int(row))

    def _with(self, part: pd.DataFrame | int) -> FrameParts:
        made = FrameParts([*self._parts, part], self._join)
        if len(made._parts) <= MAX_PARTS + 1:
            return made
        first, *others = made._parts
        if any(isinstance(other, int) for other in others):
            return FrameParts([made.joined], self._join)
        return FrameParts([first, self._join(others)], self._join)


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

    @cached_property
    def newest(self) -> np.ndarray:
        """Positions of the latest ratings, latest first."""
        last = (
            np.argpartition(self.timestamp, -NUM_NEWEST)[-NUM_NEWEST:]
            if len(self) > NUM_NEWEST
            else np.arange(len(self))
        )
        return last[np.argsort(-self.timestamp[last], kind="stable")]

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

    def rows_of(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the ratings of some users, and for each the index of its user in `users`."""
        start, end = (np.searchsorted(self.user, users, side) for side in ("left", "right"))
        length = end - start
        place = np.repeat(np.arange(len(users)), length)
        offset = np.arange(length.sum()) - np.repeat(length.cumsum() - length, length)
        return start[place] + offset, place


_Rated: TypeAlias = tuple[pd.DataFrame, tuple[np.ndarray, np.ndarray]]
"""Ratings, and the row of the user and of the movie of each, ``[n]`` int32."""


def _pairs(user: np.ndarray, movie: np.ndarray) -> np.ndarray:
    """Return one number for each user and movie."""
    return (user.astype(np.int64) << 32) | movie.astype(np.int64)


def _apply(steps: Sequence[_Rated | np.ndarray]) -> tuple[_Rated | None, np.ndarray]:
    """Return the ratings that are left after adding ratings and removing pairs, and all pairs that were removed."""
    added = [(time, step) for time, step in enumerate(steps) if isinstance(step, tuple)]
    removed = [(time, step) for time, step in enumerate(steps) if not isinstance(step, tuple)]
    pairs = np.concatenate([step for _, step in removed]) if removed else NO_ROWS
    if not added:
        return None, pairs
    frames, codes = [step[0] for _, step in added], [step[1] for _, step in added]
    frame, code = frames[0], codes[0]
    if len(added) > 1:
        users, movies = zip(*codes, strict=True)
        frame, code = concat_rows(frames), (np.concatenate(users), np.concatenate(movies))
    if not len(pairs):
        return (frame, code), pairs
    last = np.repeat([time for time, _ in removed], [len(step) for _, step in removed])
    order = np.lexsort((-last, pairs))
    known, first = np.unique(pairs[order], return_index=True)
    last = last[order][first]  # when each pair was last removed
    mine = _pairs(*code)
    at = np.searchsorted(known, mine).clip(max=len(known) - 1)
    time = np.repeat([time for time, _ in added], [len(one) for one in frames])
    kept = ~((known[at] == mine) & (time < last[at]))
    if kept.all():
        return (frame, code), pairs
    return (frame[kept].reset_index(drop=True), (code[0][kept], code[1][kept])), pairs


class RatingTable:
    """Ratings in file order, with the rows of their users and movies, and grouped by user.

    Parameters
    ----------
    frame : pandas.DataFrame
        Clean ratings.
    user, movie : numpy.ndarray
        ``[num_ratings]``, row of the user and of the movie of each rating.
    """

    # Inside, users keep the row they had before some were removed (`_removed`, sorted), one numbering for the file
    # order and one for the histories, until these are assembled.

    def __init__(self, frame: pd.DataFrame, user: np.ndarray, movie: np.ndarray) -> None:
        codes = np.asarray(user, dtype=np.int32), np.asarray(movie, dtype=np.int32)
        self._length = len(frame)
        # The ratings of the file, ratings added since, removed pairs, and rows of removed users.
        self._steps: tuple[tuple[_Rated | np.ndarray, ...], np.ndarray] = ((frame, codes),), NO_ROWS
        # Sorted ratings, appended ones that are not merged yet, positions of removed ones, and removed users.
        self._sorted: tuple[Histories | None, Histories | None, np.ndarray, np.ndarray] = None, None, NO_ROWS, NO_ROWS
        self._latest: int | None = None

    @classmethod
    def from_sorted(cls, frame: pd.DataFrame, user: np.ndarray, movie: np.ndarray, histories: Histories) -> Self:
        """Return the table of ratings that are sorted by user and time in the file, so that they are `histories`."""
        made = cls(frame, user, movie)
        made._sorted = histories, None, NO_ROWS, NO_ROWS
        return made

    def __len__(self) -> int:
        return self._length

    @property
    def _file(self) -> _Rated:
        steps, removed = self._steps
        if len(steps) > 1 or len(removed):
            found, _ = _apply(steps)
            assert found is not None
            frame, codes = found
            if len(removed):
                codes = rows_left(codes[0], removed).astype(np.int32), codes[1]
            self._steps = ((frame, codes),), NO_ROWS
            return frame, codes
        return steps[0]  # type: ignore[return-value]

    @property
    def frame(self) -> pd.DataFrame:
        """All ratings in file order."""
        return self._file[0]

    @property
    def columns(self) -> pd.Index:
        """Columns of `frame`."""
        return self._steps[0][0][0].columns

    @property
    def user(self) -> np.ndarray:
        """``[num_ratings]`` int32, row of the user of each rating."""
        return self._file[1][0]

    @property
    def movie(self) -> np.ndarray:
        """``[num_ratings]`` int32, row of the movie of each rating."""
        return self._file[1][1]

    @property
    def latest(self) -> int:
        """The latest timestamp, 0 without ratings."""
        if self._latest is None:
            merged, added, hidden, _ = self._merged
            times = [] if added is None else [added.timestamp]
            newest = merged.newest[~np.isin(merged.newest, hidden)] if len(hidden) else merged.newest
            if not len(newest):
                newest = np.delete(np.arange(len(merged)), hidden)
                times.append(merged.timestamp[newest])
            else:
                times.append(merged.timestamp[newest[:1]])
            self._latest = max((int(time.max()) for time in times if len(time)), default=0)
        return self._latest

    @property
    def is_merged(self) -> bool:
        """Whether nothing was added or removed since `histories` was last assembled."""
        _, added, hidden, removed = self._sorted
        return added is None and not len(hidden) and not len(removed)

    @property
    def _merged(self) -> tuple[Histories, Histories | None, np.ndarray, np.ndarray]:
        """`_sorted`, after sorting if there is nothing sorted yet."""
        merged, added, hidden, removed = self._sorted
        if merged is None:
            merged = Histories.from_rows(self.frame, self.user, self.movie)
            self._sorted = merged, added, hidden, removed
        return merged, added, hidden, removed

    @property
    def histories(self) -> Histories:
        """All ratings by user."""
        merged, added, hidden, removed = self._merged
        if len(hidden):
            kept = np.ones(len(merged), dtype=bool)
            kept[hidden] = False
            merged = merged.take(kept)
        if len(removed):
            merged = replace(merged, user=rows_left(merged.user, removed))
            added = None if added is None else replace(added, user=rows_left(added.user, removed))
        if added is not None:
            merged = merged.merge(added)
        self._sorted = merged, None, NO_ROWS, NO_ROWS
        return merged

    def histories_of(self, users: np.ndarray) -> tuple[Histories, np.ndarray]:
        """Return the ratings of some users, and for each rating the index of its user in `users`.

        Parameters
        ----------
        users : numpy.ndarray
            ``[n]`` int64, rows of the users table; may repeat.
        """
        merged, added, hidden, removed = self._merged
        before = rows_before(users, removed)
        rows, place = merged.rows_of(before)
        if len(hidden):
            kept = hidden[np.searchsorted(hidden, rows).clip(max=len(hidden) - 1)] != rows
            rows, place = rows[kept], place[kept]
        found = merged.take(rows)
        if added is not None:
            rows, more_place = added.rows_of(before)
            found, place = found.concatenate(added.take(rows)), np.concatenate([place, more_place])
            order = np.lexsort((found.timestamp, place))
            found, place = found.take(order), place[order]
        return replace(found, user=users[place]) if len(removed) else found, place

    def _with(self, **values: Any) -> RatingTable:
        made = RatingTable.__new__(RatingTable)
        made.__dict__.update({**self.__dict__, **values})
        _, added, hidden, removed = made._sorted
        waiting = len(hidden) + len(removed) + (0 if added is None else len(added))
        if waiting >= MIN_MERGE and 8 * waiting >= len(made):
            made.histories  # noqa: B018
        return made

    def _with_step(
        self, step: Callable[[np.ndarray], _Rated | np.ndarray]
    ) -> tuple[tuple[_Rated | np.ndarray, ...], np.ndarray]:
        (first, *others), removed = self._steps  # read once, because another thread may assemble the file concurrently
        others.append(step(removed))
        if len(others) > MAX_PARTS:
            left, pairs = _apply(others)
            # The pairs were removed from `first`; what is left of the others was added after that.
            others = [*([pairs] if len(pairs) else []), *([] if left is None else [left])]
        return (first, *others), removed

    def take(self, rows: np.ndarray) -> RatingTable:
        """Return the table of some ratings, ``[n]`` int, in the order of `rows`."""
        return RatingTable(take_rows(self.frame, rows), self.user[rows], self.movie[rows])

    def append(self, frame: pd.DataFrame, user: np.ndarray, movie: np.ndarray) -> RatingTable:
        """Return the table with more ratings; this one does not change."""
        merged, added, hidden, removed = self._merged
        rows = Histories.from_rows(frame, rows_before(user.astype(np.int64), removed), movie)
        latest = max(self.latest, int(frame["timestamp"].max())) if "timestamp" in frame and len(frame) else None
        return self._with(
            _steps=self._with_step(
                lambda gone: (frame, (rows_before(user, gone).astype(np.int32), movie.astype(np.int32)))
            ),
            _sorted=(merged, rows if added is None else added.merge(rows), hidden, removed),
            _length=len(self) + len(frame),
            _latest=latest,
        )

    def remove(self, user: np.ndarray, movie: np.ndarray) -> RatingTable:
        """Return the table without the ratings of some movies by some users; this one does not change.

        Parameters
        ----------
        user, movie : numpy.ndarray
            ``[n]`` int64; every pair must be in the table, once.
        """
        if not len(user):
            return self
        merged, added, hidden, removed = self._merged
        before = rows_before(user, removed)
        pairs = _pairs(before, movie)
        rows, _ = merged.rows_of(np.unique(before))
        rows = rows[np.isin(_pairs(merged.user[rows], merged.movie[rows]), pairs)]
        hidden = np.union1d(hidden, rows)
        if added is not None:
            kept = ~np.isin(_pairs(added.user, added.movie), pairs)
            added = added.take(kept) if kept.any() else None
        return self._with(
            _steps=self._with_step(lambda gone: _pairs(rows_before(user, gone), movie)),
            _sorted=(merged, added, hidden, removed),
            _length=len(self) - len(user),
            _latest=None,
        )

    def remove_user(self, row: int) -> RatingTable:
        """Return the table without a user and their ratings; rows of later users move up. This one does not change."""
        movies = self.histories_of(np.array([row]))[0].movie
        made = self.remove(np.full(len(movies), row, dtype=np.int64), movies)
        (steps, gone), (merged, added, hidden, removed) = made._steps, made._merged
        return made._with(
            _steps=(steps, with_removed(gone, row)),
            _sorted=(merged, added, hidden, with_removed(removed, row)),
        )
