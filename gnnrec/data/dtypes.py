"""Converts any dtype to plain NumPy or pandas values: Arrow, categorical, UUID, Decimal, bytes, dates, tensors."""

from __future__ import annotations

import decimal
import enum
import fractions
import re
import uuid
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import plain, raise_at_first, shown
from gnnrec.errors import DataError

MAX_BITS = 10_000
"""Maximum number of bits of a whole number; Python refuses to format much larger ones."""
MAX_EXPONENT = 400
"""Maximum exponent of a Decimal that is converted to a whole number or a float."""
SLICE = 100_000
"""Number of strings that are processed at a time."""


def to_plain(values: pd.Series, table: str) -> pd.Series:
    """Return a column whose values are numbers, text, times or containers of these, whatever its dtype.

    Categories become their values, Arrow types their Python values, UUIDs and bytes text, Decimals, fractions and
    tensors without dimensions numbers. Text with a lone surrogate, which no file can hold, raises `DataError`.

    >>> to_plain(pd.Series([uuid.UUID(int=1)], name="user_id"), "ratings").tolist()
    ['00000000-0000-0000-0000-000000000001']
    >>> to_plain(pd.Series([decimal.Decimal("1"), decimal.Decimal("2.00")]), "ratings").tolist()
    [1, 2]
    >>> to_plain(pd.Series([b"ann", "bob"]), "ratings").tolist()
    ['ann', 'bob']
    """
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kind = dtype.categories.dtype
        missing = values.isna().any() and not isinstance(kind, pd.api.extensions.ExtensionDtype)
        return to_plain(values.astype(object if missing and kind.kind in "iub" else kind), table)
    if isinstance(dtype, pd.ArrowDtype) and (not pd.api.types.is_numeric_dtype(dtype) or "decimal" in str(dtype)):
        items = [None if missing else item for item, missing in zip(values.tolist(), values.isna(), strict=True)]
        values = pd.Series(items, index=values.index, name=values.name, dtype=object)
    if values.dtype != object:
        return values
    kinds = {type(item) for item in values.tolist()}
    if str in kinds:
        _refuse_surrogates(values, table)
    if int in kinds:
        huge = np.array([type(item) is int and item.bit_length() > MAX_BITS for item in values.tolist()], dtype=bool)
        raise_at_first(huge, table, lambda row: f"{values.name} is {shown(values.iloc[row])}, which is too large")
    if kinds <= {int, float, str, type(None)}:
        return values
    values = _with_plain_items(values)
    kinds = {type(item) for item in values.tolist()}
    if kinds & {bytes, bytearray, memoryview, np.bytes_}:
        values = values.map(lambda item: _decode(item, values, table))
    if uuid.UUID in kinds:
        values = values.map(lambda item: str(item) if isinstance(item, uuid.UUID) else item)
    if decimal.Decimal in kinds:
        values = _from_decimals(values)
    return values


def kind_of(values: pd.Series) -> str:
    """Return the result of `pandas.api.types.infer_dtype`, without creating a Python object per string."""
    if isinstance(values.dtype, pd.StringDtype):
        return "string" if len(values) else "empty"
    return str(pd.api.types.infer_dtype(values, skipna=True))


def is_blank(values: pd.Series) -> np.ndarray:
    """Return which strings are empty or only whitespace, ``[n]`` bool; in chunks, to save memory."""
    found = np.zeros(len(values), dtype=bool)
    for start in range(0, len(values), SLICE):
        text = values.iloc[start : start + SLICE].astype("string").str.strip()
        found[start : start + SLICE] = (text == "").fillna(False).to_numpy(dtype=bool)
    return found


def refuse_others(values: pd.Series, table: str, wanted: str, *kinds: type) -> None:
    """Raise a `DataError` for the first value that is neither missing nor of one of some types.

    Parameters
    ----------
    values : pandas.Series
        As of `to_plain`; other dtypes than object are left alone.
    table : str
        For messages.
    wanted : str
        Description of the expected values, for messages.
    *kinds : type
        True and False are numbers only if `bool` is one of them.
    """
    if values.dtype != object:
        return
    allowed = tuple(kinds)
    odd = np.array([not isinstance(item, allowed) and not _is_missing(item) for item in values.tolist()], dtype=bool)
    if bool not in kinds:
        odd |= np.array([isinstance(item, bool | np.bool_) for item in values.tolist()], dtype=bool)
    raise_at_first(odd, table, lambda row: f"{values.name} is {shown(values.tolist()[row])}; {wanted}")


def refuse_containers(values: pd.Series, table: str) -> None:
    """Raise a `DataError` for the first value that is a container such as a list, which cannot be an id."""
    number = (int, float, np.integer, np.floating)
    refuse_others(values, table, "ids must be whole numbers or text", str, *number, bool)


def _is_missing(item: Any) -> bool:
    return item is None or item is pd.NA or item is pd.NaT or (isinstance(item, float) and item != item)


def _refuse_surrogates(values: pd.Series, table: str) -> None:
    items = values.tolist()
    try:
        "".join(item for item in items if type(item) is str).encode()
    except UnicodeEncodeError:
        row = next(row for row, item in enumerate(items) if isinstance(item, str) and _SURROGATES.search(item))
        problem = f"{values.name} {shown(items[row])} has half of a surrogate pair, which no file can hold; correct it"
        raise DataError(problem, at=(table, row)) from None


_SURROGATES = re.compile("[\ud800-\udfff]")


def _with_plain_items(values: pd.Series) -> pd.Series:
    """Return a column with objects that represent numbers or text converted to these."""

    def item(given: Any) -> Any:
        given = given if isinstance(given, np.datetime64 | np.timedelta64) else plain(given)
        if isinstance(given, str) and type(given) is not str:
            return str(given)
        if isinstance(given, fractions.Fraction):
            return int(given) if given.denominator == 1 else float(given)
        if isinstance(given, enum.Enum) and isinstance(given, int):
            return int(given)
        return given

    found = np.empty(len(values), dtype=object)
    for place, given in enumerate(values.tolist()):
        found[place] = item(given)
    return pd.Series(found, index=values.index, name=values.name)


def _decode(item: Any, values: pd.Series, table: str) -> Any:
    if not isinstance(item, (bytes, bytearray, memoryview)):
        return item
    raw = bytes(item)
    try:
        text = raw.decode("utf-8")
        if text.isprintable() or len(raw) != 16:
            return text
        return str(uuid.UUID(bytes=raw))
    except UnicodeDecodeError:
        if len(raw) == 16:
            return str(uuid.UUID(bytes=raw))
        raise DataError(f"{values.name} has bytes that are not UTF-8 text: {shown(raw)}", at=(table, None)) from None


def _from_decimals(values: pd.Series) -> pd.Series:
    def number(item: Any) -> Any:
        if not isinstance(item, decimal.Decimal):
            return item
        if not item.is_finite():
            return float("nan") if item.is_nan() else float(item)
        if abs(item.adjusted()) > MAX_EXPONENT:  # its digits would fill the memory
            return float(item)
        return int(item) if item == item.to_integral_value() else float(item)

    return pd.Series([number(item) for item in values.tolist()], index=values.index, name=values.name).infer_objects()
