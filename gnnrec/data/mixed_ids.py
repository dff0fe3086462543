"""User ids that are whole numbers in some rows and text in others: names next to the numbers of a dataset."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.schema import (
    canonical_names,
    clean_users,
)
from gnnrec.errors import DataError


def spells_integer(text: Any) -> bool:
    """Return whether an id is text that spells a whole number, and so could be mistaken for another id.

    Examples
    --------
    >>> spells_integer("7"), spells_integer("-07 "), spells_integer("anna"), spells_integer("7a")
    (True, True, False, False)
    """
    if not isinstance(text, str):
        return False
    try:
        int(text)
    except ValueError:
        return False
    return True


_FIRST_CODE = 4_611_686_018_000_000_000  # code of the first string among ids that are whole numbers


def with_mixed_ids(clean: Callable[[pd.DataFrame], pd.DataFrame], frame: Any, table: str) -> pd.DataFrame:
    """Clean a table in which ``user_id`` may mix whole numbers and text."""
    if not isinstance(frame, pd.DataFrame):
        return clean(frame)
    names = {name: column for name, column in canonical_names(frame.columns, table).items() if column == "user_id"}
    frame = frame.rename(columns=names) if names else frame
    ids = frame.get("user_id")
    if not isinstance(ids, pd.Series) or ids.dtype != object:
        return clean(frame)
    is_text = np.array([isinstance(one, str) for one in ids], dtype=bool)
    is_number = np.array([isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in ids], dtype=bool)
    if is_text.all() or is_number.all() or not (is_text | is_number).all() or (ids == "").any():
        return clean(frame)
    texts = ids[is_text].unique()
    codes = {text: _FIRST_CODE + place for place, text in enumerate(texts)}
    try:
        cleaned = clean(frame.assign(user_id=[codes.get(one, one) for one in ids]))
    except DataError as error:  # replace codes by strings in the message
        problem = re.sub(
            rf"{_FIRST_CODE // 10**6}\d{{6}}", lambda match: repr(texts[int(match[0]) - _FIRST_CODE]), error.problem
        )
        raise DataError(problem, at=error.at, earlier=error.earlier) from None
    return cleaned.assign(user_id=pd.Series([_name(one, texts) for one in cleaned["user_id"].tolist()], dtype=object))


def _name(code: int, texts: np.ndarray) -> Any:
    return texts[code - _FIRST_CODE] if code >= _FIRST_CODE else code


def clean_mixed_users(frame: pd.DataFrame) -> pd.DataFrame:
    """Return users as in a `Dataset`, whose ids may mix whole numbers and text."""
    return with_mixed_ids(clean_users, frame, "users")
