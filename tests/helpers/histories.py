"""Histories by hand and at random, as the tensors a model sees."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from gnnrec.graph import UserBatch

NUM_MOVIES = 9
DAY = 86_400
Rating = tuple[int, float, int]
"""Movie, stars, seconds."""


def batch_of_histories(people: list[list[Rating]], num_movies: int = NUM_MOVIES) -> UserBatch:
    """Return people of whom nothing is known but what they rated, oldest first."""
    rows = [(row, *rating) for row, own in enumerate(people) for rating in own]
    row, movie, rating, time = zip(*rows, strict=True) if rows else ((), (), (), ())
    return UserBatch(
        x=torch.zeros(len(people), 3),
        occupation=(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)),
        row=torch.tensor(row, dtype=torch.int64),
        movie=torch.tensor(movie, dtype=torch.int64),
        rating=torch.tensor(rating, dtype=torch.float32),
        time=torch.tensor(time, dtype=torch.int64),
        node=torch.arange(len(people)),
        num_movies=num_movies,
        num_occupations=1,
    )


@st.composite
def histories(draw: st.DrawFn, most: int = NUM_MOVIES) -> list[list[Rating]]:
    """Draw up to five people; some have no rating, some ratings the same second, some no time at all."""
    people = []
    for _ in range(draw(st.integers(1, 5))):
        movies = draw(st.lists(st.integers(0, NUM_MOVIES - 1), unique=True, max_size=most))
        # Whole half days, so that "within so many days" is met exactly now and then.
        times = sorted(draw(st.integers(0, 20)) * DAY // 2 for _ in movies)
        people.append(
            [(movie, float(draw(st.integers(1, 5))), time) for movie, time in zip(movies, times, strict=True)]
        )
    return people


def flat(people: list[list[Rating]]) -> list[tuple[int, int, Rating]]:
    """Return person, place and rating of every edge, in the order of the batch."""
    return [(u, place, rating) for u, own in enumerate(people) for place, rating in enumerate(own)]
