"""Histories: given or drawn at random, as a `UserBatch`; and zip files of exports."""

from __future__ import annotations

import copy
import dataclasses
import zipfile
from pathlib import Path

import torch
from hypothesis import strategies as st

from gnnrec.graph import Graph, UserBatch

NUM_MOVIES = 9
DAY = 86_400
Rating = tuple[int, float, int]
"""Movie, stars, seconds."""

LETTERBOXD = """Date,Name,Year,Letterboxd URI,Rating
2023-01-01,Heat,1995,https://boxd.it/1,4.5
2023-02-02,The Matrix,1999,https://boxd.it/2,5
2023-03-03,Psycho,1960,https://boxd.it/3,0.5
2023-04-04,Amélie,2001,https://boxd.it/4,
2023-05-05,Parasite,2019,https://boxd.it/5,5
2023-06-06,"Alien, Romulus",2024,https://boxd.it/6,2
"""


def batch_of_histories(users: list[list[Rating]], num_movies: int = NUM_MOVIES) -> UserBatch:
    """Return users without profiles; ratings are given oldest first."""
    rows = [(row, *rating) for row, own in enumerate(users) for rating in own]
    row, movie, rating, time = zip(*rows, strict=True) if rows else ((), (), (), ())
    return UserBatch(
        x=torch.zeros(len(users), 3),
        occupation=(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)),
        user_index=torch.tensor(row, dtype=torch.int64),
        movie_index=torch.tensor(movie, dtype=torch.int64),
        rating=torch.tensor(rating, dtype=torch.float32),
        timestamp=torch.tensor(time, dtype=torch.int64),
        node_id=torch.arange(len(users)),
        num_movies=num_movies,
        num_occupations=1,
    )


@st.composite
def histories(draw: st.DrawFn, most: int = NUM_MOVIES) -> list[list[Rating]]:
    """Draw up to five users; some have no ratings, some several in the same second."""
    users = []
    for _ in range(draw(st.integers(1, 5))):
        movies = draw(st.lists(st.integers(0, NUM_MOVIES - 1), unique=True, max_size=most))
        # Whole half days, so that "within so many days" is met exactly now and then.
        times = sorted(draw(st.integers(0, 20)) * DAY // 2 for _ in movies)
        users.append([(movie, float(draw(st.integers(1, 5))), time) for movie, time in zip(movies, times, strict=True)])
    return users


def flat(users: list[list[Rating]]) -> list[tuple[int, int, Rating]]:
    """Return user, position and rating of every edge, in the order of the batch."""
    return [(u, position, rating) for u, own in enumerate(users) for position, rating in enumerate(own)]


def replace_users(graph: Graph, **tensors: torch.Tensor) -> Graph:
    """Return a graph whose `Graph.users` has other tensors, for example shuffled movies."""
    made = copy.copy(graph)
    users = dataclasses.replace(graph.users, **tensors)
    made.__dict__.pop("user_ptr", None)
    made.__dict__["users"] = users
    return made


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip file with these members."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path
