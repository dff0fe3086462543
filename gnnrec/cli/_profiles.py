"""Where the interactive session keeps profiles: an interface, and an implementation in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gnnrec.errors import DataError


@dataclass(frozen=True)
class SavedProfile:
    """What somebody has rated, oldest first, and wants to see, by movie id."""

    ratings: Mapping[Any, float] = field(default_factory=dict)
    bucket_list: tuple[Any, ...] = ()


class ProfileStore(Protocol):
    """Profiles by name."""

    def names(self) -> list[str]:
        """Return the names of all profiles."""
        ...

    def save(self, name: str, profile: SavedProfile) -> None:
        """Keep a profile, in place of an earlier one of that name."""
        ...

    def open(self, name: str) -> SavedProfile:
        """Return a profile; a `DataError` if there is none of that name."""
        ...


class MemoryProfiles:
    """Profiles that end with the process."""

    def __init__(self) -> None:
        self._profiles: dict[str, SavedProfile] = {}

    def names(self) -> list[str]:
        """Return the names of all profiles."""
        return list(self._profiles)

    def save(self, name: str, profile: SavedProfile) -> None:
        """Keep a profile."""
        self._profiles[name] = profile

    def open(self, name: str) -> SavedProfile:
        """Return a profile."""
        if name not in self._profiles:
            known = ", ".join(self._profiles) or "none yet"
            raise DataError(f"there is no profile {name!r}; profiles: {known}")
        return self._profiles[name]
