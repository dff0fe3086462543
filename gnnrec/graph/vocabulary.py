"""Vocabularies: map the caller's ids and attribute values to nodes."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import NO_MOVIE, NO_USER, plain_ids, shown
from gnnrec.data.id_index import IdIndex
from gnnrec.errors import DataError

MAX_COMPARED = 100_000
"""Maximum number of names that are compared for suggestions in errors; more would take seconds."""


class Vocabulary:
    """Ids of the nodes of one type.

    Parameters
    ----------
    node_type : str
        For messages.
    ids : IdIndex
        The id of every node.
    hint : str
        What to do about an unknown id, for messages.
    """

    def __init__(self, node_type: str, ids: IdIndex, hint: str) -> None:
        self.node_type, self.ids, self.hint = node_type, ids, hint

    def nodes(self, ids: Iterable[Any]) -> Tensor:
        """Return the node of each id, ``[n]`` int64."""
        wanted = ids if isinstance(ids, pd.Index) else _index(ids, self.node_type)
        nodes = self.ids.rows(wanted)
        if (nodes < 0).any():
            first = wanted.tolist()[int(np.argmin(nodes))]
            self.check_type([first])
            raise self._unknown(first)
        return torch.from_numpy(nodes.astype(np.int64))

    def find(self, name: Any) -> int:
        """Return the node with this id, -1 if there is none; faster than `nodes` for a few ids."""
        return self._by_id.get(name, -1)

    def check_type(self, ids: Iterable[Any]) -> None:
        """Raise a `DataError` for the first id that would be known if its type (text or number) were different.

        Examples
        --------
        >>> vocabulary = Vocabulary("user", IdIndex(pd.Index([1, 2])), "add it")
        >>> vocabulary.check_type([2, "ann", 7])
        >>> vocabulary.check_type(["2"])
        Traceback (most recent call last):
            ...
        gnnrec.errors.DataError: user '2' is text, but the user ids of the graph are whole numbers; convert yours
        """
        are_numbers = self.ids.are_numbers
        for one in ids:
            is_text = isinstance(one, str)
            if is_text != are_numbers:
                continue
            twin = _as_integer(one) if is_text else shown(one)
            if twin in self._by_id:
                mine, theirs = ("text", "whole numbers") if is_text else ("not text", "text")
                raise DataError(
                    f"{self.node_type} {shown(one)} is {mine}, but the {self.node_type} ids of the graph are {theirs}; "
                    "convert yours"
                )

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {name: node for node, name in enumerate(self.ids.ids.tolist())}

    def _close(self, name: str) -> str:
        """Return up to three text ids of similar spelling, formatted for a message."""
        if len(self.ids) > MAX_COMPARED:
            return ""
        names = {one.casefold(): one for one in self.ids.ids if isinstance(one, str)}
        close = difflib.get_close_matches(name.casefold(), names, n=3, cutoff=0.6)
        return ", ".join(repr(names[match]) for match in close)

    def _unknown(self, name: Any) -> DataError:
        suggestions = self._close(name) if isinstance(name, str) else ""
        question = f"; did you mean {suggestions}?" if suggestions else ""
        return DataError(f"{self.node_type} {shown(name)} is not in the graph; {self.hint}{question}")


def _index(ids: Iterable[Any], node_type: str) -> pd.Index:
    """Return ids as an index; ids of checked frames are unchanged."""
    if isinstance(ids, pd.Series) and (ids.dtype == "int64" or isinstance(ids.dtype, pd.StringDtype)):
        return pd.Index(ids)
    found = plain_ids(ids, node_type, NO_USER if node_type == "user" else NO_MOVIE)
    index: pd.Index = pd.Index(found, dtype=object if any(isinstance(one, str) for one in found) else None)
    return index


def _as_integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def distinct_values(values: pd.Series, separator: str | None = None, min_rows: int = 1) -> pd.Index:
    """Return the sorted values that occur in at least `min_rows` rows: the nodes of one type.

    Parameters
    ----------
    values : pandas.Series of str
        One text per row; with a `separator`, several values in one text.
    separator : str, optional
        For example ``"|"`` in ``"Comedy|Drama"``.
    min_rows : int
    """
    _, found = _split(values, separator)
    counts = Counter(found)
    return pd.Index(sorted(value for value, count in counts.items() if count >= min_rows), dtype=object)


def value_edges(values: pd.Series, known: pd.Index, separator: str | None = None) -> tuple[Tensor, Tensor]:
    """Return the edges ``(row, node)`` from each row to its values; values that are not `known` have no edge.

    Parameters
    ----------
    values, separator
        As for `distinct_values`.
    known : pandas.Index
        The nodes.
    """
    row, found = _split(values, separator)
    node = known.get_indexer(pd.Index(found, dtype=object))
    return torch.from_numpy(row[node >= 0]), torch.from_numpy(node[node >= 0].astype(np.int64))


def _split(values: pd.Series, separator: str | None) -> tuple[np.ndarray, list[str]]:
    """Return the row, ``[num_values]`` int64, and the text of each value that is not empty or missing."""
    texts = [text if isinstance(text, str) else "" for text in values.tolist()]
    split = [text.split(separator) if separator else [text] for text in texts]
    row = np.repeat(np.arange(len(split)), np.array([len(parts) for parts in split], dtype=np.int64))
    found = list(chain.from_iterable(split))
    if "" not in found:
        return row, found
    return row[[bool(value) for value in found]], [value for value in found if value]


def warn_unknown_values(values: pd.Series, known: pd.Index, what: str, separator: str | None = None) -> None:
    """Warn about values that a graph with fixed vocabularies cannot use."""
    new = [value for value in distinct_values(values, separator) if value not in known]
    if new:
        warnings.warn(f"{what} {', '.join(map(repr, new))} was not seen in training and is ignored", stacklevel=4)


def one_hot(codes: np.ndarray, width: int) -> Tensor:
    """Return ``[len(codes), width]`` with a one in the column of each code; zeros for -1."""
    x = np.zeros((len(codes), width), dtype=np.float32)
    rows = np.flatnonzero(codes >= 0)
    x[rows, codes[rows].astype(np.int64)] = 1.0
    return torch.from_numpy(x)
