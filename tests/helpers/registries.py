"""Registries that a test may add to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gnnrec import registry
from gnnrec.registry import Registry


@contextmanager
def restored_registries() -> Iterator[None]:
    """Undo registrations, imports and changes of the search path when the block ends."""
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    # Built-in objects stay registered: their modules would not run again.
    saved = [{name: dict(value) for name, value in vars(one).items() if name.startswith("_")} for one in registries]
    modules, path = set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        for one, before in zip(registries, saved, strict=True):
            for attribute, entries in before.items():
                now = getattr(one, attribute)
                for name in set(now) - set(entries) - set(one.builtin):
                    del now[name]
                now.update(entries)
        for name in set(sys.modules) - modules:
            if name.endswith("_plugin") or name.startswith("gnnrec_plugin"):  # as test plugins are called
                del sys.modules[name]
        sys.path[:] = path
