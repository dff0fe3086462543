"""Numbers as people write them: decimal commas, and commas, points or spaces as thousands separators."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gnnrec.data.read_options import ReadOptions
from gnnrec.errors import DataError

COMMAS, POINTS, BLANKS = "decimal commas", "commas between thousands", "signs between thousands"
"""Notations, as reported; `POINTS` has a decimal point."""
_COLUMNS = {"ratings": ("rating", "weight"), "movies": ("year", "runtime"), "users": ("age",)}
_SIGN = r"[+-]?"


def convert_numbers(frame: pd.DataFrame, kind: str, options: ReadOptions) -> list[str]:
    """Convert numbers that Python cannot parse, in place; return their notations.

    Raises
    ------
    DataError
        A comma may be a decimal comma or a thousands separator.
    """
    notes: list[str] = []
    for column in _COLUMNS[kind]:
        if column not in frame or pd.api.types.is_numeric_dtype(frame[column].dtype):
            continue
        text = frame[column].astype("string").str.strip()
        if (found := read_numbers(text, options.decimal, is_duration=column == "runtime")) is not None:
            frame[column], note = found[0].astype(object), found[1]
            notes.append(note)
            continue
        unsure = text.str.fullmatch(rf"{_SIGN}\d{{1,3}},\d{{3}}", na=False)
        if options.decimal is None and column != "runtime" and unsure.any() and _are_numbers(text):
            row = int(np.argmax(unsure.to_numpy()))
            problem = f"{column} {text.iloc[row]!r} may have a decimal comma or one between thousands; set decimal"
            raise DataError(problem, at=(kind, row))
    return list(dict.fromkeys(notes))


def read_numbers(text: pd.Series, decimal: str | None, *, is_duration: bool = False) -> tuple[pd.Series, str] | None:
    """Return numbers with a decimal point and without thousands separators, and the notation; None if already plain.

    Parameters
    ----------
    text : pandas.Series of str
        Missing and empty ones are unchanged.
    decimal : str, optional
        The decimal mark; by default inferred from the column.
    is_duration : bool
        Whether a comma is a thousands separator, as in 1,440 minutes.

    Examples
    --------
    >>> read_numbers(pd.Series(["4,5", "3"]), None)[0].tolist()
    ['4.5', '3']
    >>> read_numbers(pd.Series(["1,234.5", "12"]), None)[0].tolist()
    ['1234.5', '12']
    >>> read_numbers(pd.Series(["1.234,5", "10.000"]), None)[0].tolist()
    ['1234.5', '10000']
    >>> read_numbers(pd.Series(["1,234", "5"]), None) is None, read_numbers(pd.Series(["1,234", "5"]), ".")[0].tolist()
    (True, ['1234', '5'])
    """
    known = text[text.notna() & (text != "")]
    if not len(known):
        return None
    for mark in ("'", "’", "\u00a0", "\u202f", " "):
        if known.str.contains(mark, regex=False).any():
            if not known.str.fullmatch(_grouped(mark, "[.,]")).all():
                return None
            text, plain = (
                text.str.replace(mark, "", regex=False),
                read_numbers(text.str.replace(mark, "", regex=False), decimal),
            )
            return (text, BLANKS) if plain is None else plain
    by_commas, by_points = (
        known.str.fullmatch(_grouped(*marks)).all()
        and (decimal == marks[1][-1] or known.str.contains(_sure(*marks)).any())
        for marks in ((",", r"\."), (r"\.", ","))
    )
    if by_commas and decimal != ",":
        return (text.str.replace(",", "", regex=False), POINTS) if known.str.contains(",", regex=False).any() else None
    if decimal == "." or is_duration:
        return None
    if by_points:
        return _with_points(text.str.replace(".", "", regex=False)), COMMAS
    if not known.str.contains(",", regex=False).any():
        return None
    commas = known[known.str.contains(",", regex=False)]
    if not commas.str.fullmatch(rf"{_SIGN}\d*,\d*").all():
        return None
    if decimal is None and commas.str.fullmatch(rf"{_SIGN}\d{{1,3}},\d{{3}}").all():
        return None
    return _with_points(text), COMMAS


def _with_points(text: pd.Series) -> pd.Series:
    return text.str.replace(",", ".", regex=False)


def _grouped(mark: str, point: str) -> str:
    """Return the pattern of numbers with or without a mark between thousands."""
    return rf"{_SIGN}\d{{1,3}}(?:{mark}\d{{3}})+(?:{point}\d*)?|{_SIGN}\d*(?:{point}\d*)?"


def _sure(mark: str, point: str) -> str:
    """Return the pattern of numbers in which the mark can only be one between thousands."""
    return rf"{mark}\d{{3}}{point}\d*$|{mark}\d{{3}}{mark}\d{{3}}"


def _are_numbers(text: pd.Series) -> bool:
    known = text[text.notna() & (text != "")]
    return bool(known.str.fullmatch(rf"{_SIGN}[\d.,]+").all())
