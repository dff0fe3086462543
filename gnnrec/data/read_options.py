"""Options for reading files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from gnnrec._checks import as_path, did_you_mean, shown
from gnnrec.data.schema import COLUMNS
from gnnrec.data.times import check_date_format
from gnnrec.errors import ConfigError

DUPLICATES = ("error", "first", "last", "mean", "max", "sum")
"""How to handle several rows of the same user and movie."""
ERRORS = ("raise", "skip")
"""How to handle rows that cannot be read."""
_SEPARATORS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_NO_SEPARATOR = re.compile('[\r\n\0"\ud800-\udfff]')


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading the files of a dataset; see `gnnrec.load_dataset`.

    Raises
    ------
    ConfigError
        A value is invalid.

    Examples
    --------
    >>> ReadOptions(duplicates="newest")
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: duplicates must be error, first, last, mean, max or sum, not 'newest'
    """

    columns: Mapping[Any, str | None] | Sequence[str] | None = None
    sep: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    header: bool | None = None
    date_format: str | None = None
    day_first: bool | None = None
    duplicates: str = "error"
    errors: str = "raise"
    rejected: str | Path | None = None
    rating_scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, value, choices in (("duplicates", self.duplicates, DUPLICATES), ("errors", self.errors, ERRORS)):
            if not isinstance(value, str) or value not in choices:
                text = f"{', '.join(choices[:-1])} or {choices[-1]}"
                raise ConfigError(f"{name} must be {text}, not {shown(value)}")
        if self.decimal is not None and not (isinstance(self.decimal, str) and self.decimal in (".", ",")):
            raise ConfigError(f"decimal must be '.' or ',', not {shown(self.decimal)}")
        for name, flag in (("header", self.header), ("day_first", self.day_first)):
            if flag is not None and not isinstance(flag, bool):
                raise ConfigError(f"{name} must be true, false or left out, not {shown(flag)}")
        if self.sep is not None:
            if not isinstance(self.sep, str) or not self.sep or _NO_SEPARATOR.search(self.sep):
                raise ConfigError(f"sep must be a string such as ';', not {shown(self.sep)}")
            object.__setattr__(self, "sep", _SEPARATORS.get(self.sep, self.sep))
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
                read: Any = "".encode(self.encoding).decode(self.encoding)
            except (LookupError, TypeError, ValueError):
                read = None
            if not isinstance(read, str):
                raise ConfigError(
                    f"encoding {shown(self.encoding)} is unknown; examples: utf-8, cp1252, utf-16"
                ) from None
        check_date_format(self.date_format)
        if self.rejected is not None:
            as_path(self.rejected, "rejected")
        if self.rejected is not None and self.errors != "skip":
            raise ConfigError("rejected is the file for skipped rows and requires errors='skip'")
        self._check_columns()
        self._check_scale()

    def _check_columns(self) -> None:
        if self.columns is None:
            return
        if isinstance(self.columns, str) or not isinstance(self.columns, (Mapping, Sequence)):
            raise ConfigError(
                f"columns must map names in the file to names here, as in {{'asin': 'movie_id'}}, "
                f"not {shown(self.columns)}"
            )
        known = {name for table in COLUMNS.values() for name in table}
        for name in self.named.values():
            if name is not None and not (isinstance(name, str) and name in known):
                hint = did_you_mean(shown(name), known) or f"; choose from {', '.join(sorted(known))}"
                raise ConfigError(f"columns: {shown(name)} is not a gnnrec column{hint}")

    def _check_scale(self) -> None:
        if self.rating_scale is None:
            return
        try:
            low, high = (float(value) for value in self.rating_scale)
            if any(isinstance(value, bool) for value in self.rating_scale) or not (isfinite(low) and isfinite(high)):
                raise ValueError
        except (TypeError, ValueError, ArithmeticError, RuntimeError):
            raise ConfigError(
                f"rating_scale must be the lowest and the highest rating, as in (1, 5), not {shown(self.rating_scale)}"
            ) from None
        if not low < high:
            raise ConfigError(f"rating_scale must be the lowest and the highest rating, not ({low:g}, {high:g})")
        object.__setattr__(self, "rating_scale", (low, high))

    @property
    def named(self) -> dict[Any, str | None]:
        """Canonical names by the name, or the position from 0, of a column in the file; None ignores a column."""
        if self.columns is None:
            return {}
        if isinstance(self.columns, Mapping):
            return {key: value or None for key, value in self.columns.items()}
        return {position: name or None for position, name in enumerate(self.columns)}

    @property
    def skips(self) -> bool:
        """Whether rows that cannot be read are skipped."""
        return self.errors == "skip"


DEFAULT_OPTIONS = ReadOptions()
