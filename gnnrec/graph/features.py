"""What is known about a user or a movie besides the ratings, as fixed-width rows of zeros and ones.

The widths do not depend on the data (except the genders found in it), so a person or movie that arrives
later is described in the same columns. What is not known is a row of zeros.
"""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import torch
from torch import Tensor

AGE_BINS = (18, 25, 35, 45, 50, 56)
"""Lower ends of the age groups after the first; the groups of MovieLens-1M."""

DECADES = tuple(range(1920, 2030, 10))
"""Decades of release; earlier movies count as the first, later ones as the last."""


def profile_features(ages: np.ndarray, genders: np.ndarray, num_genders: int) -> Tensor:
    """Return ``[n, 7 + num_genders]``, what is known of people besides their occupation.

    Parameters
    ----------
    ages : numpy.ndarray
        ``[n]`` years, NaN where not known.
    genders : numpy.ndarray
        ``[n]`` int64, the place of each among the known genders, -1 where not known.
    num_genders : int
    """
    return torch.cat([age_features(ages), one_hot(genders, num_genders)], dim=1)


def age_features(ages: np.ndarray) -> Tensor:
    """Return ``[n, 7]``, one column per age group; `ages` in years, NaN where not known."""
    codes = np.where(np.isnan(ages), -1, np.digitize(ages, AGE_BINS))
    return one_hot(codes, len(AGE_BINS) + 1)


def decade_features(years: np.ndarray) -> Tensor:
    """Return ``[n, 11]``, one column per decade of release; NaN where not known."""
    decades = np.clip((np.nan_to_num(years) - DECADES[0]) // 10, 0, len(DECADES) - 1)
    return one_hot(np.where(np.isnan(years), -1, decades), len(DECADES))


def one_hot(codes: np.ndarray, width: int) -> Tensor:
    """Return ``[len(codes), width]`` with a one in the column of each code; zeros for -1."""
    x = torch.zeros(len(codes), width)
    rows = np.flatnonzero(codes >= 0)
    x[torch.from_numpy(rows), torch.from_numpy(codes[rows].astype(np.int64))] = 1.0
    return x


def links(values: pd.Series, known: pd.Index, separator: str | None = None) -> tuple[Tensor, Tensor]:
    """Return the edges ``(row, node)`` from each row to the values it names.

    Parameters
    ----------
    values : pandas.Series of str
        One text per row; with a `separator`, several values in one text.
    known : pandas.Index
        The nodes. A value that is not among them makes no edge.
    separator : str, optional
        For example ``"|"`` in ``"Comedy|Drama"``.
    """
    texts = values.reset_index(drop=True).fillna("").astype(object)
    parts = texts.str.split(separator, regex=False).explode() if separator else texts
    node = known.get_indexer(pd.Index(parts))
    row = parts.index.to_numpy()
    return torch.from_numpy(row[node >= 0].astype(np.int64)), torch.from_numpy(node[node >= 0].astype(np.int64))


def distinct(values: pd.Series, separator: str | None = None, min_rows: int = 1) -> pd.Index:
    """Return the sorted values that occur in at least `min_rows` rows, as the nodes of a node type."""
    texts = values.dropna().astype(object)
    parts = texts.str.split(separator, regex=False).explode() if separator else texts
    often = (value for value, count in Counter(parts).items() if count >= min_rows)
    return pd.Index(sorted(set(often) - {""}), dtype=object)


def warn_of_new(values: pd.Series, known: pd.Index, what: str, separator: str | None = None) -> None:
    """Say which values of a column a graph that is made after training cannot use."""
    new = distinct(values, separator).difference(known)
    if len(new):
        warnings.warn(f"{what} {', '.join(map(repr, new))} was not seen in training and is ignored", stacklevel=4)
