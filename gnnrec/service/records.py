"""What the store keeps, as the rest of the service sees it: profiles, entries of lists, and jobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """A person, as stored.

    Examples
    --------
    >>> Profile(1, "Ann", None, None, None, 0).name
    'Ann'
    """

    id: int
    name: str
    age: int | None
    gender: str | None
    occupation: str | None
    created_at: int


@dataclass(frozen=True)
class Entry:
    """A movie in a history or list. `stars` is None if it is not rated.

    Examples
    --------
    >>> Entry("7", "Heat (1995)", 0, 4.5).stars
    4.5
    """

    movie_id: str
    title: str
    time: int
    stars: float | None = None


@dataclass(frozen=True)
class Job:
    """A background job: ``state`` is "running", "done" or "failed".

    Examples
    --------
    >>> Job(1, "running", 3, 10, "", 0, None).step
    3
    """

    id: int
    state: str
    step: int
    steps: int
    message: str
    created_at: int
    finished_at: int | None
