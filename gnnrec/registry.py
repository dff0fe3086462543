"""Registries of named extensions: a decorator adds one, built-in ones are imported on first use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from gnnrec.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects of one kind by name.

    Parameters
    ----------
    kind : str
        Used in error messages.
    builtin : mapping of str to str
        Built-in names and the modules that register them.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self.kind, self._builtin = kind, dict(builtin)
        self._entries: dict[str, tuple[T, Mapping[str, Any]]] = {}

    def register(self, name: str, **metadata: Any) -> Callable[[T], T]:
        """Return a decorator that registers an object under `name`."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ConfigError(f"{self.kind} {name!r} is already registered; choose another name")
            self._entries[name] = (entry, metadata)
            return entry

        return add

    def names(self) -> list[str]:
        """Return all names, built-in ones first."""
        return list(dict.fromkeys([*self._builtin, *self._entries]))

    def get(self, name: str) -> T:
        """Return the object registered under `name`."""
        return self._entry(name)[0]

    def metadata(self, name: str) -> Mapping[str, Any]:
        """Return the metadata registered under `name`."""
        return self._entry(name)[1]

    def _entry(self, name: str) -> tuple[T, Mapping[str, Any]]:
        if name not in self._entries and name in self._builtin:
            importlib.import_module(self._builtin[name])
        if name not in self._entries:
            close = difflib.get_close_matches(name, self.names(), 1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(self.names())}"
            raise ConfigError(f"unknown {self.kind} {name!r}; {hint}")
        return self._entries[name]


FEATURE_ENCODERS: Registry[Any] = Registry(
    "feature encoder",
    {
        "clip": "gnnrec.features.encoders.clip",
        "clip-text": "gnnrec.features.encoders.clip",
        "sentence": "gnnrec.features.encoders.sentence",
        "tfidf": "gnnrec.features.encoders.tfidf",
        "color": "gnnrec.features.encoders.color",
    },
)
register_feature_encoder = FEATURE_ENCODERS.register
