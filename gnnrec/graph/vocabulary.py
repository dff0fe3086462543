"""Vocabularies: the caller's ids, titles and attribute values, and the nodes they stand for."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.data.append_only import IdIndex
from gnnrec.errors import DataError

MAX_COMPARED = 100_000
"""With more names than this, errors suggest none: comparing them would take seconds."""


class Vocabulary:
    """Ids and titles of the nodes of one type.

    Parameters
    ----------
    node_type : str
        For messages.
    ids : IdIndex
        The id of every node.
    hint : str
        What to do about an unknown id, for messages.
    titles : pandas.Series of str, optional
        Title of every node, which is also accepted as its name, in upper or lower case; need not be unique.
    """

    def __init__(self, node_type: str, ids: IdIndex, hint: str, titles: pd.Series | None = None) -> None:
        self.node_type, self.ids, self.hint = node_type, ids, hint
        self.titles = [] if titles is None else titles.tolist()

    def nodes(self, ids: Iterable[Any]) -> Tensor:
        """Return the node of each id, ``[n]`` int64."""
        wanted = ids if isinstance(ids, pd.Index) else pd.Index(list(ids))
        nodes = self.ids.rows(wanted)
        if (nodes < 0).any():
            raise self._unknown(wanted.tolist()[int(np.argmin(nodes))])
        return torch.from_numpy(nodes.astype(np.int64))

    def node(self, name: Any) -> int:
        """Return the node with this id or, if there is none, with this title."""
        if not isinstance(name, Hashable):
            raise DataError(f"{self.node_type} {name!r} is neither an id nor a title")
        node = self._by_id.get(name)
        if node is not None:
            return node
        if not isinstance(name, str) or not self.titles:
            raise self._unknown(name)
        found = self._by_title.get(name.strip().casefold(), [])
        if len(found) > 1:
            ids = ", ".join(str(self.ids.ids[node]) for node in found)
            raise DataError(f"{len(found)} {self.node_type}s have the title {name!r} (ids {ids}); give an id")
        if found:
            return found[0]
        # On the command line and in JSON, a number may be text.
        if name.isdecimal() and int(name) in self._by_id:
            return self._by_id[int(name)]
        suggestions = self._close(name)
        problem = [f"unknown {self.node_type} {name!r}"]
        if self.titles == [str(one) for one in self.ids.ids]:
            what = f"{self.node_type}s"
            problem.append(f"the {what} have no titles; give an id, or load a {what} table")
        if suggestions:
            problem.append(f"did you mean {suggestions}?")
        raise DataError("; ".join(problem))

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {name: node for node, name in enumerate(self.ids.ids.tolist())}

    @cached_property
    def _by_title(self) -> dict[str, list[int]]:
        titles: dict[str, list[int]] = {}
        for node, title in enumerate(self.titles):
            titles.setdefault(title.casefold(), []).append(node)
        return titles

    def _close(self, name: str) -> str:
        """Return up to three titles and text ids of similar spelling, formatted for a message."""
        if len(self.ids) > MAX_COMPARED:
            return ""
        names = {title: self.titles[nodes[0]] for title, nodes in self._by_title.items()}
        names |= {one.casefold(): one for one in self.ids.ids if isinstance(one, str)}
        close = difflib.get_close_matches(name.casefold(), names, n=3, cutoff=0.6)
        return ", ".join(repr(names[match]) for match in close)

    def _unknown(self, name: Any) -> DataError:
        suggestions = self._close(name) if isinstance(name, str) else ""
        question = f"; did you mean {suggestions}?" if suggestions else ""
        return DataError(f"{self.node_type} {name!r} is not in the graph; {self.hint}{question}")


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
    x = torch.zeros(len(codes), width)
    rows = np.flatnonzero(codes >= 0)
    x[torch.from_numpy(rows), torch.from_numpy(codes[rows].astype(np.int64))] = 1.0
    return x
