"""From the caller's ids and titles to nodes, with an error that helps when there is none."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.errors import DataError

MOST_COMPARED = 100_000
"""Among more names than these, an error proposes none: comparing would take seconds."""


class Vocabulary:
    """What the nodes of one type are called.

    Parameters
    ----------
    node_type : str
        For messages.
    ids : pandas.Index
        The id of every node.
    hint : str
        What to do about an unknown id.
    titles : pandas.Series of str, optional
        Another name for every node, upper or lower case; need not be unique.
    """

    def __init__(self, node_type: str, ids: pd.Index, hint: str, titles: pd.Series | None = None) -> None:
        self.node_type, self.ids, self.hint = node_type, ids, hint
        self.titles = [] if titles is None else titles.tolist()

    def nodes(self, ids: Iterable[Any]) -> Tensor:
        """Return the node of each id, ``[n]`` int64."""
        wanted = ids if isinstance(ids, pd.Index) else pd.Index(list(ids))
        nodes = self.ids.get_indexer(wanted)
        if (nodes < 0).any():
            raise self._unknown(wanted.tolist()[int(np.argmin(nodes))])
        return torch.from_numpy(nodes.astype(np.int64))

    def node(self, name: Any) -> int:
        """Return the node that has this id or, failing that, this title."""
        if not isinstance(name, Hashable):
            raise DataError(f"{self.node_type} {name!r} is neither an id nor a title")
        node = self._by_id.get(name)
        if node is not None:
            return node
        if not isinstance(name, str) or not self.titles:
            raise self._unknown(name)
        found = self._by_title.get(name.strip().casefold(), [])
        if len(found) > 1:
            which = ", ".join(str(self.ids[node]) for node in found)
            raise DataError(f"{len(found)} {self.node_type}s are called {name!r} (ids {which}); name one by its id")
        if found:
            return found[0]
        # On a command line or in JSON a number may come as text.
        if name.isdecimal() and int(name) in self._by_id:
            return self._by_id[int(name)]
        names = self._close(name)
        problem = [f"{self.node_type} {name!r} is not known"]
        if self.titles == [str(one) for one in self.ids]:
            what = f"{self.node_type}s"
            problem.append(f"the {what} have no titles; name them by id, or give a {what} table")
        if names:
            problem.append(f"did you mean {names}?")
        raise DataError("; ".join(problem))

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {name: node for node, name in enumerate(self.ids.tolist())}

    @cached_property
    def _by_title(self) -> dict[str, list[int]]:
        titles: dict[str, list[int]] = {}
        for node, title in enumerate(self.titles):
            titles.setdefault(title.casefold(), []).append(node)
        return titles

    def _close(self, name: str) -> str:
        """Return the titles and text ids that are spelled most alike, as a message shows them; at most three."""
        if len(self.ids) > MOST_COMPARED:
            return ""
        called = {title: self.titles[nodes[0]] for title, nodes in self._by_title.items()}
        called |= {one.casefold(): one for one in self.ids if isinstance(one, str)}
        close = difflib.get_close_matches(name.casefold(), called, n=3, cutoff=0.6)
        return ", ".join(repr(called[match]) for match in close)

    def _unknown(self, name: Any) -> DataError:
        names = self._close(name) if isinstance(name, str) else ""
        asked = f"; did you mean {names}?" if names else ""
        return DataError(f"{self.node_type} {name!r} is not in the graph; {self.hint}{asked}")
