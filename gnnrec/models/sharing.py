"""What several fits on the same data can share: the graph, and what models compute from it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_shared: ContextVar[dict[tuple[str, int], tuple[Any, Any]] | None] = ContextVar("shared", default=None)


@contextmanager
def shared_inputs() -> Iterator[None]:
    """Context of fits on the same data, such as those of a grid: `shareable` functions compute everything once.

    What they return lives until the context ends. Other threads share nothing.

    Examples
    --------
    >>> from gnnrec.models.counts import cooccurrence_counts
    >>> with shared_inputs():
    ...     cooccurrence_counts(graph) is cooccurrence_counts(graph)
    True
    >>> cooccurrence_counts(graph) is cooccurrence_counts(graph)
    False
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def shareable(function: Callable[[S], T]) -> Callable[[S], T]:
    """Let `shared_inputs` share what a function of one immutable object returns; callers must not change it.

    Examples
    --------
    >>> @shareable
    ... def total(values):
    ...     print("adding")
    ...     return sum(values)
    >>> values = (1, 2)
    >>> with shared_inputs():
    ...     total(values) + total(values)
    adding
    6
    """
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def once(source: S) -> T:
        shared = _shared.get()
        if shared is None:
            return function(source)
        key = name, id(source)
        if key not in shared:
            shared[key] = source, function(source)  # with its source, so that the id stays taken
        made: T = shared[key][1]
        return made

    return once
