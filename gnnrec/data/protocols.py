"""The named protocols: which ratings count, how they are divided, and how the lists are made and judged.

`Split.by_protocol` follows them. What published numbers belong to which is told in ``docs/reference/protocols.md``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gnnrec.errors import ConfigError

SCOPES = ("train", "train+valid")
"""Which rows are left out of the lists (``mask``), and which are known of the people at test time (``history``)."""


@dataclass(frozen=True)
class Protocol:
    """One way to measure, from the whole dataset to the list.

    Attributes
    ----------
    division : str
        The class method of `Split` that divides the ratings.
    about : str
        What is tested, in a few words.
    options : mapping
        Arguments of the division besides the dataset and the seed.
    settable : tuple of str
        Which of ``fold``, ``support`` and ``candidates`` the division can be asked for.
    seeded : bool
        The division draws something.
    min_rating, core : float and int, optional
        As for `Dataset.filtered`.
    mask, history : str
        One of `SCOPES`.
    negatives : int
        How many movies to draw for each user, to rank the test movies among; 0 ranks all.

    Examples
    --------
    >>> protocol = PROTOCOLS["next-movie-99"]
    >>> protocol.division, protocol.mask, protocol.negatives
    ('leave_last_out', 'train+valid', 99)
    >>> PROTOCOLS["unseen-users"].arguments("unseen-users", seed=0, support=3)
    {'support': 3}
    """

    division: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settable: tuple[str, ...] = ()
    seeded: bool = False
    min_rating: float | None = None
    core: int | None = None
    mask: str = "train"
    history: str = "train"
    negatives: int = 0

    def arguments(self, name: str, seed: int, **asked: Any) -> dict[str, Any]:
        """Return the arguments of the division; of `asked`, what is None is as the division has it.

        A `ConfigError` if something is asked for that this protocol, called `name`, has not.
        """
        given = {option: value for option, value in asked.items() if value is not None}
        for option in given:
            if option not in self.settable:
                having = ", ".join(other for other, steps in PROTOCOLS.items() if option in steps.settable)
                raise ConfigError(f"the protocol {name!r} has no {option} to choose; these have: {having}")
        return {**self.options, **({"seed": seed} if self.seeded else {}), **given}


PROTOCOLS: dict[str, Protocol] = {
    "random": Protocol("random", "a random tenth of each user's ratings", seeded=True),
    "recbole": Protocol(
        "random", "the same as in RecBole's benchmark", seeded=True, min_rating=3, core=10, mask="train+valid"
    ),
    "chronological": Protocol("chronological", "the newest fifth of each user's ratings"),
    "chronological-10core": Protocol(
        "chronological", "the same among ratings of 4 and 5", min_rating=4, core=10, mask="train+valid"
    ),
    "last-tenth": Protocol(
        "chronological",
        "the newest tenth of each user's ratings of 4 and 5, a fifth before it unknown",
        options={"fractions": (0.7, 0.2, 0.1)},
        min_rating=4,
        core=10,
        mask="train+valid",
    ),
    "next-tenth": Protocol(
        "chronological",
        "the tenth that follows what is known, a fifth after it for validation",
        options={"fractions": (0.7, 0.2, 0.1), "test_first": True},
        min_rating=4,
        core=10,
    ),
    "global-time": Protocol(
        "global_time", "the newest tenth of all ratings", mask="train+valid", history="train+valid"
    ),
    "leave-last-out": Protocol("leave_last_out", "each user's last rating, the one before it unknown"),
    "next-movie": Protocol(
        "leave_last_out", "each user's last rating, all before it known", mask="train+valid", history="train+valid"
    ),
    "next-movie-99": Protocol(
        "leave_last_out", "the same among 99 drawn movies", mask="train+valid", history="train+valid", negatives=99
    ),
    "held-out-users": Protocol(
        "held_out_users", "all ratings of a tenth of the users but five", settable=("support",), seeded=True
    ),
    "held-out-movies": Protocol("held_out_movies", "all ratings of a tenth of the movies", seeded=True),
    "unseen-movies": Protocol(
        "unseen_movies",
        "all ratings of a fixed tenth of the movies, among these",
        settable=("fold", "candidates"),
        mask="train+valid",
    ),
    "unseen-movies-by-time": Protocol(
        "unseen_movies_by_time",
        "all ratings of the newest tenth of the movies, among these",
        settable=("candidates",),
        mask="train+valid",
    ),
    "unseen-users": Protocol(
        "unseen_users", "all ratings of a fixed tenth of the users but five", settable=("fold", "support")
    ),
    "unseen-both": Protocol(
        "unseen_both",
        "what a fixed tenth of the users rated of a fixed tenth of the movies, among these",
        settable=("fold", "support", "candidates"),
    ),
}
"""Every protocol by name."""


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name; a `ConfigError` for another name lists them all."""
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(str(name), PROTOCOLS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}{hint}")
    return PROTOCOLS[name]


def check_scope(value: Any, what: str) -> str:
    """Return a mask or history after checking that it is one of `SCOPES`."""
    if value not in SCOPES:
        raise ConfigError(f"{what} must be one of {', '.join(SCOPES)}, not {value!r}")
    return value
