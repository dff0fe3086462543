"""The errors gnnrec raises on purpose, so that callers can tell them from bugs.

Every message names what was wrong, where, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable

Place = tuple[str, int | None] | str
"""Where a fault is: a text like ``ratings.csv:7``, or table and row; rows count from 0, None is all of them."""


class GnnrecError(Exception):
    """Base of all errors of this library.

    Examples
    --------
    >>> import gnnrec
    >>> try:
    ...     gnnrec.load_dataset("no/such/folder")
    ... except gnnrec.GnnrecError as error:
    ...     print(type(error).__name__)
    DataError
    """


class ConfigError(GnnrecError, ValueError):
    """A setting or an argument that cannot be used.

    Examples
    --------
    >>> from gnnrec import Config
    >>> try:
    ...     Config().override(["train.epochs=0"])
    ... except ConfigError as error:
    ...     print(error)
    config is not valid:
      train.epochs: Input should be greater than or equal to 1 (got 0)
    """


class DownloadError(GnnrecError):
    """A dataset could not be fetched; the message names the URL and the cause."""


class DataError(GnnrecError, ValueError):
    """Data that cannot be used.

    Parameters
    ----------
    problem : str
        What is wrong and what to do.
    at : Place, optional
        Where it is.
    earlier : Place, optional
        Where the other half of the fault is: the first of two duplicates.

    Examples
    --------
    >>> print(DataError("rating nan is not finite", at=("ratings", 3)))
    ratings row 3: rating nan is not finite
    >>> print(DataError("rating nan is not finite", at="ratings.csv:5"))
    ratings.csv:5: rating nan is not finite
    """

    def __init__(self, problem: str, *, at: Place | None = None, earlier: Place | None = None) -> None:
        self.problem, self.at, self.earlier = problem, at, earlier
        message = problem if at is None else f"{_text(at)}: {problem}"
        super().__init__(message if earlier is None else f"{message} (first at {_text(earlier)})")

    def moved(self, place: Callable[[str, int | None], Place]) -> DataError:
        """Return the same error with each ``(table, row)`` replaced by ``place(table, row)``.

        A frame knows its rows only; the reader that made the frame knows the file and the line.
        """
        at, earlier = (place(*where) if isinstance(where, tuple) else where for where in (self.at, self.earlier))
        return DataError(self.problem, at=at, earlier=earlier)


def _text(place: Place) -> str:
    if isinstance(place, str):
        return place
    return place[0] if place[1] is None else f"{place[0]} row {place[1]}"
