"""Registries of named extensions; a decorator adds one, and the built-in ones are imported on first use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from gnnrec.errors import ConfigError

T = TypeVar("T")
F = TypeVar("F")


class Registry(Generic[T]):
    """Objects of one kind by name.

    Parameters
    ----------
    kind : str
        Used in error messages, e.g. "dataset".
    builtin : mapping of str to str
        Built-in names and the modules that register them.

    Examples
    --------
    >>> shapes = Registry("shape", {})
    >>> @shapes.register("square", corners=4)
    ... def square():
    ...     return "square"
    >>> shapes.get("square")()
    'square'
    >>> shapes.metadata("square")["corners"]
    4
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self._builtin = dict(builtin)
        self._entries: dict[str, tuple[T, Mapping[str, Any]]] = {}

    def register(self, name: str, **metadata: Any) -> Callable[[F], F]:
        """Return a decorator that registers an object under `name`."""

        def decorator(entry: F) -> F:
            if name in self._entries:
                raise ConfigError(f"{self.kind} {name!r} is already registered; choose another name")
            self._entries[name] = (entry, MappingProxyType(metadata))  # type: ignore[assignment]
            return entry

        return decorator

    def names(self) -> list[str]:
        """Return all names, the built-in ones first."""
        return list(dict.fromkeys([*self._builtin, *self._entries]))

    def get(self, name: str) -> T:
        """Return the object registered under `name`."""
        return self._entry(name)[0]

    def metadata(self, name: str) -> Mapping[str, Any]:
        """Return what was registered together with `name`."""
        return self._entry(name)[1]

    def _entry(self, name: str) -> tuple[T, Mapping[str, Any]]:
        if name not in self._entries and name in self._builtin:
            importlib.import_module(self._builtin[name])
        if name not in self._entries:
            close = difflib.get_close_matches(name, self.names(), 1)
            hint = f"did you mean {close[0]!r}? Choose one of" if close else "choose one of"
            raise ConfigError(f"unknown {self.kind} {name!r}; {hint} {', '.join(self.names())}")
        return self._entries[name]


_MOVIELENS = ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest")

DATASETS: Registry[Callable[..., Any]] = Registry(
    "dataset", {"sample": "gnnrec.datasets.synthetic"} | dict.fromkeys(_MOVIELENS, "gnnrec.datasets.movielens")
)
register_dataset = DATASETS.register
