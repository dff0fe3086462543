"""Who made the movies of the generated world and who plays in them.

Directors and actors have a taste, as movies have one, and make the movies that suit it; few make many, many make few.
So their names tell of themes and genres, and a little more than these do.
"""

from __future__ import annotations

import numpy as np

from gnnrec.data import vocabulary as words
from gnnrec.data.draws import gumbel, largest
from gnnrec.data.world import TASTE_DIM, Movies

NUM_DIRECTORS, NUM_ACTORS = 5, 12  # times the root of the number of movies
LEANING = 7.0  # how far taste bends who is asked most
SECOND_DIRECTOR = 0.08
KEPT = 0.7  # chance that a sequel is made by the same people
CHUNK = 512  # movies at a time: memory is a few arrays of CHUNK x people


def make_cast(movies: Movies, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return the directors and the actors of each movie, as ``"Ada Quist|Boris Ueda"``, the leading one first."""
    count = len(movies.taste)
    pools = [round(per_root * count**0.5) for per_root in (NUM_DIRECTORS, NUM_ACTORS)]
    wanted = 1 + (rng.random(count) < SECOND_DIRECTOR), rng.integers(2, 5, count)
    names = _names(sum(pools), rng)
    directors = _assign(movies, names[: pools[0]], wanted[0], rng)
    actors = _assign(movies, names[pools[0] :], wanted[1], rng)
    for movie in np.flatnonzero((movies.sequel >= 0) & (rng.random(count) < KEPT)):  # in order: a third part, too
        directors[movies.sequel[movie]], actors[movies.sequel[movie]] = directors[movie], actors[movie]
    return directors, actors


def _assign(movies: Movies, names: list[str], wanted: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Return `wanted[i]` of the names for each movie i, joined."""
    count = len(movies.taste)
    # A person's taste is near that of some movie, so that nobody stands where there is nothing to make.
    own = movies.taste[rng.integers(count, size=len(names))]
    own = _directions(own + 0.5 * rng.standard_normal(own.shape) / np.sqrt(TASTE_DIM))
    fame = -0.8 * np.log(np.arange(len(names)) + 2)  # long tail
    found: list[str] = []
    for chunk in np.array_split(np.arange(count), -(-count // CHUNK)):
        appeal = LEANING * _directions(movies.taste[chunk]) @ own.T + fame
        _, person = largest(appeal + gumbel(appeal.shape, rng), wanted[chunk])
        ends = np.cumsum(wanted[chunk])[:-1]
        found += ["|".join(names[one] for one in theirs) for theirs in np.split(person, ends)]
    return found


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Return different names; those of a very large world have initials."""
    plain = [f"{first} @{last}" for first in words.FIRST_NAMES.split() for last in words.FAMILY_NAMES.split()]
    rounds = -(-count // len(plain))
    initials = ["", *(f"{chr(ord('A') + number)}. " for number in range(rounds - 1))]
    names = [name.replace("@", initial) for initial in initials for name in plain]
    return [names[place] for place in rng.permutation(len(names))[:count]]
