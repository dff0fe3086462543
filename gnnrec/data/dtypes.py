"""Values of any dtype as plain NumPy or pandas values: Arrow, categorical, UUID, Decimal, bytes, dates."""

from __future__ import annotations

import decimal
import uuid
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first
from gnnrec.errors import DataError

SLICE = 100_000
"""Texts that are looked at at once."""


def to_plain(values: pd.Series, table: str) -> pd.Series:
    """Return a column whose values are numbers, text, times or containers of these, whatever its dtype.

    Categories become their values, Arrow types their Python values, UUIDs and bytes text, Decimals numbers.

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
    if kinds <= {int, float, str, type(None)}:
        return values
    if kinds & {bytes, bytearray, memoryview, np.bytes_}:
        values = values.map(lambda item: _decode(item, values, table))
    if uuid.UUID in kinds:
        values = values.map(lambda item: str(item) if isinstance(item, uuid.UUID) else item)
    if decimal.Decimal in kinds:
        values = _from_decimals(values)
    return values


def kind_of(values: pd.Series) -> str:
    """Return what `pandas.api.types.infer_dtype` says, without making an object of each text."""
    if isinstance(values.dtype, pd.StringDtype):
        return "string" if len(values) else "empty"
    return str(pd.api.types.infer_dtype(values, skipna=True))


def is_blank(values: pd.Series) -> np.ndarray:
    """Return which texts are empty or blanks only, ``[n]`` bool; slice by slice, as texts are large."""
    found = np.zeros(len(values), dtype=bool)
    for start in range(0, len(values), SLICE):
        text = values.iloc[start : start + SLICE].astype("string").str.strip()
        found[start : start + SLICE] = (text == "").fillna(False).to_numpy(dtype=bool)
    return found


def refuse_containers(values: pd.Series, table: str) -> None:
    """Raise a `DataError` for the first value that is a list, an array, a mapping or the like."""
    if values.dtype == object:
        odd = values.map(lambda item: isinstance(item, (list, tuple, dict, set, frozenset, np.ndarray))).astype(bool)
        raise_at_first(
            odd,
            table,
            lambda row: f"{values.name} is {values.iloc[row]!r}; ids must be whole numbers or text",
        )


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
        raise DataError(f"{values.name} has bytes that are not UTF-8 text: {raw!r}", at=(table, None)) from None


def _from_decimals(values: pd.Series) -> pd.Series:
    def number(item: Any) -> Any:
        if not isinstance(item, decimal.Decimal):
            return item
        if not item.is_finite():
            return float("nan") if item.is_nan() else float(item)
        return int(item) if item == item.to_integral_value() else float(item)

    return pd.Series([number(item) for item in values.tolist()], index=values.index, name=values.name).infer_objects()
