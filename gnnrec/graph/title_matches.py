"""Results of looking up a title: one movie, several equally good ones, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Found:
    """The movie that a name refers to.

    Parameters
    ----------
    node : int
        Movie node.
    how : str
        ``"id"``, ``"title"`` (the exact one), ``"name"`` (the same words), ``"part"`` or ``"similar"``.

    Examples
    --------
    >>> graph.titles.find(7)
    Found(node=6, how='id')
    """

    node: int
    how: str


@dataclass(frozen=True)
class Ambiguous:
    """Several movies that a name may refer to.

    Parameters
    ----------
    nodes : tuple of int
        Movie nodes.
    how : str
        As in `Found`.

    Examples
    --------
    >>> movies = pd.DataFrame({"movie_id": [1, 2], "title": ["Psycho (1960)", "Psycho (1998)"], "year": [1960, 1998]})
    >>> gnnrec.graph.TitleIndex(movies).find("psycho")
    Ambiguous(nodes=(0, 1), how='name')
    """

    nodes: tuple[int, ...]
    how: str


@dataclass(frozen=True)
class NotFound:
    """No movie is similar enough.

    Examples
    --------
    >>> graph.titles.find("A Film That Nobody Made")
    NotFound()
    """


def choose_best(best: dict[int, Any], how: str) -> Found | Ambiguous | NotFound:
    """Return the movie with the lowest rank, or all movies that share it."""
    if not best:
        return NotFound()
    lowest = min(best.values())
    nodes = sorted(node for node, rank in best.items() if rank == lowest)
    return Found(nodes[0], how) if len(nodes) == 1 else Ambiguous(tuple(nodes), how)
