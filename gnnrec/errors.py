"""Errors that gnnrec raises deliberately, to distinguish them from bugs.

Every message says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Self

Location = tuple[str, int | None] | str
"""Location of an error: text such as ``ratings.csv:7``, or a table and a row (from 0; None for the whole table)."""


MAX_MESSAGE = 2000
"""Maximum length of a message; the middle of a longer one, which repeats a huge value, is left out."""


class GnnrecError(Exception):
    r"""Base of all errors of this library.

    Messages may quote files. Control characters, which a terminal would interpret, and lone surrogates, which cannot be
    printed, are replaced by escapes.

    Examples
    --------
    >>> import gnnrec
    >>> try:
    ...     gnnrec.load_dataset("no/such/folder")
    ... except gnnrec.GnnrecError as error:
    ...     print(type(error).__name__)
    DataError
    >>> print(gnnrec.GnnrecError("unknown movie \x1b[31mHeat"))
    unknown movie \x1b[31mHeat
    """

    def __init__(self, *details: object) -> None:
        super().__init__(*(printable(one) if isinstance(one, str) else one for one in details))


class ConfigError(GnnrecError, ValueError):
    """An invalid setting or argument.

    Examples
    --------
    >>> from gnnrec import Config
    >>> try:
    ...     Config().override(["train.epochs=0"])
    ... except ConfigError as error:
    ...     print(error)
    config is not valid:
      train.epochs: must be at least 1, not 0
    """


class DownloadError(GnnrecError):
    """A download failed; the message names the URL and the cause."""


class StorageError(GnnrecError, OSError):
    """A file or folder cannot be written: no space, no permission, or in use. Earlier content is unchanged.

    Parameters
    ----------
    message : str
        What cannot be written, why, and what to do.

    Examples
    --------
    >>> print(StorageError.writing("runs/mine", OSError(errno.ENOSPC, "No space left on device")))
    runs/mine cannot be written: no space left on device; free some or choose another folder
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    @classmethod
    def writing(cls, path: str | Path, error: OSError) -> Self:
        """Return the error for a file or folder that could not be written because of an operating system error."""
        reason = (error.strerror or str(error) or type(error).__name__).strip()
        remedy = _REMEDIES.get(error.errno or 0, "")
        made = cls(f"{path} cannot be written: {reason[:1].lower()}{reason[1:]}{remedy}")
        made.errno, made.strerror, made.filename = error.errno, error.strerror, os.fspath(path)
        return made


_REMEDIES = {
    errno.ENOSPC: "; free some or choose another folder",
    errno.EDQUOT: "; free some space or choose another folder",
    errno.EFBIG: "; raise the limit of this process (ulimit -f) or choose another folder",
    errno.EROFS: "; choose another folder",
    errno.EACCES: "; choose another folder or change its permissions",
    errno.EPERM: "; choose another folder or change its permissions",
}


class OutOfMemoryError(GnnrecError, MemoryError):
    """There is not enough memory; the message says for what, and how to use less.

    Examples
    --------
    >>> isinstance(OutOfMemoryError("the scores need 20 GB"), MemoryError)
    True
    """


class DataError(GnnrecError, ValueError):
    """Invalid data.

    Parameters
    ----------
    problem : str
        What is wrong and what to do.
    at : Location, optional
        Where it is.
    earlier : Location, optional
        Location of the first of two duplicates.

    Examples
    --------
    >>> print(DataError("rating nan is not finite", at=("ratings", 3)))
    ratings row 3: rating nan is not finite
    >>> print(DataError("rating nan is not finite", at="ratings.csv:5"))
    ratings.csv:5: rating nan is not finite
    """

    def __init__(self, problem: str, *, at: Location | None = None, earlier: Location | None = None) -> None:
        self.problem, self.at, self.earlier = problem, at, earlier
        message = problem if at is None else f"{_text(at)}: {problem}"
        super().__init__(message if earlier is None else f"{message} (first at {_text(earlier)})")

    def relocated(self, locate: Callable[[str, int | None], Location]) -> DataError:
        """Return the same error with each ``(table, row)`` replaced by ``locate(table, row)``.

        Errors of a data frame name a row; the reader of the file translates it into file and line.
        """
        at, earlier = (locate(*where) if isinstance(where, tuple) else where for where in (self.at, self.earlier))
        return DataError(self.problem, at=at, earlier=earlier)


def printable(text: str, longest: int = MAX_MESSAGE) -> str:
    r"""Return text that is safe to print: no control characters except tabs and line ends, and a limited length.

    Examples
    --------
    >>> printable("\x1b[2J\ud800 caf\u00e9")
    '\\x1b[2J\\ud800 café'
    >>> printable("x" * 100, longest=20)
    'xxxxxxxx ... xxxxxxx'
    """
    if len(text) > longest:
        kept = longest - len(" ... ")
        text = f"{text[: kept - kept // 2]} ... {text[-(kept // 2) :]}"
    return text if text.isascii() and text.isprintable() else UNSAFE.sub(_escape, text)


UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks that change the direction of text, and lone surrogates."""


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _text(location: Location) -> str:
    if isinstance(location, str):
        return location
    return location[0] if location[1] is None else f"{location[0]} row {location[1]}"
