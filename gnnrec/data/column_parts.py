"""A column that is read in pieces and assembled with little memory."""

from __future__ import annotations

import numpy as np
import pandas as pd


class ColumnParts:
    """Pieces of a column: numbers of one type in one array, repeated strings stored once, with a code in each row.

    Parameters
    ----------
    name : str
        Of the column.

    Examples
    --------
    >>> parts = ColumnParts("user_id")
    >>> for piece in (["ann", "bob"], ["ann", "cy"]):
    ...     parts.append(pd.Series(piece, dtype="str"))
    >>> parts.join().tolist(), parts.is_mixed
    (['ann', 'bob', 'ann', 'cy'], False)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: list[pd.Series | np.ndarray | _Texts] = []

    @property
    def is_mixed(self) -> bool:
        """Whether some pieces are numbers and others are not."""
        return len({_is_number(part) for part in self._parts}) > 1

    def append(self, values: pd.Series) -> None:
        """Add a piece."""
        last = self._parts[-1] if self._parts else None
        if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
            numbers = values.to_numpy()
            if isinstance(last, np.ndarray) and last.dtype == numbers.dtype:
                length = len(last)
                last.resize(length + len(numbers), refcheck=False)  # grows where it is
                last[length:] = numbers
            else:
                self._parts.append(numbers.copy())
        elif isinstance(values.dtype, pd.StringDtype) and self._name in ("user_id", "movie_id"):
            if not isinstance(last, _Texts):
                self._parts.append(last := _Texts())
            last.extend(values)
        else:
            self._parts.append(values.copy())

    def join(self) -> pd.Series:
        """Return the whole column."""
        parts = [part.to_series() if isinstance(part, _Texts) else pd.Series(part, copy=False) for part in self._parts]
        whole = parts[0].reset_index(drop=True) if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        return whole.rename(self._name)


class _Texts:
    """Texts that repeat, such as ids."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._rows = np.zeros(0, dtype=np.int32)

    def extend(self, values: pd.Series) -> None:
        places, texts = values.factorize()
        codes = [self._codes.setdefault(str(text), len(self._codes)) for text in texts]
        length = len(self._rows)
        self._rows.resize(length + len(values), refcheck=False)
        self._rows[length:] = np.array([*codes, -1], dtype=np.int32)[places]  # -1 is missing

    def to_series(self) -> pd.Series:
        texts = pd.Series(list(self._codes), dtype="str").array
        return pd.Series(texts.take(self._rows, allow_fill=True))


def _is_number(part: pd.Series | np.ndarray | _Texts) -> bool:
    return not isinstance(part, _Texts) and bool(pd.api.types.is_numeric_dtype(part.dtype))
