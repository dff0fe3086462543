"""Questions that people may ask a model, drawn from a number: plain, odd and hostile; and digests of the answers."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import gnnrec

ODD_RATINGS = (
    *(0, 5, 5.0, -1, 0.5, 10**6, 10**400, 1e308, math.nan, math.inf, -math.inf, "5", "five", "", None, True, b"5"),
    *(np.float32(4), np.int8(3), np.nan, decimal.Decimal("4.5"), [5], (4, 5), {"stars": 5}, 3 + 0j),
    *(datetime.date(2001, 1, 1), pd.NA, pd.NaT, np.array(4), np.array([4]), object),
)
ODD_MOVIES = (
    *(0, -1, 10**18, 10**30, 1.0, 1.5, math.nan, math.inf, True, None, "", " ", "1", "001", "Heat", "Heat (1995)"),
    *("x" * 5000, "\ud800", "\x00", "\x1b[31m", "é" * 40, "*", "'; DROP TABLE movies; --", b"1", (1,), [1], {1}),
    *(np.int64(1), np.uint64(2**63), np.float64(2.0), decimal.Decimal(1), datetime.date(2001, 1, 1), pd.NA, object),
)
ODD_COUNTS = (0, -1, 1, 3, 10**9, 2**63, 10**30, 1.5, "5", None, True, math.nan, [5], np.int64(4))
ODD_GENRES = ("Drama", "Drama|Crime", "", "drama", "Nonsense", [], ["Drama", None], 5, "|", "Drama|")
ODD_YEARS = (1990, (1990, 1999), (None, None), (1999, 1990), "1990-", "-", "later", 10**20, math.nan, [1], -5)
CLEAR = (gnnrec.GnnrecError, TypeError)
"""What a wrong question may raise."""


def draw(rng: random.Random, model: Any) -> tuple[str, Callable[[], Any]]:
    """Return the kind of a question, and the function that asks it.

    The kind is "plain" if the question is one that must be answered, else "odd".
    """
    movies, users = model.graph.dataset.movies, model.graph.dataset.users
    if rng.random() < 0.5:
        return "plain", _plain(rng, model, movies, users)
    return "odd", _odd(rng, model, movies)


def _plain(rng: random.Random, model: Any, movies: pd.DataFrame, users: pd.DataFrame) -> Callable[[], Any]:
    movie_ids, titles, user_ids = movies["movie_id"].tolist(), movies["title"].tolist(), users["user_id"].tolist()
    stars = {rng.choice(movie_ids): rng.choice((1, 2, 3, 3.5, 4, 5)) for _ in range(rng.randint(1, 12))}
    kind = rng.randrange(8)
    if kind == 0:
        chosen = rng.sample(user_ids, rng.randint(1, min(5, len(user_ids))))
        return lambda: gnnrec.recommend(model, chosen, k=5)
    if kind == 1:
        named = {rng.choice(titles): rng.choice((2, 4, 5)) for _ in range(rng.randint(1, 4))}
        return lambda: gnnrec.recommend(model, named, k=3, unknown="skip")
    if kind == 2:
        age, gender = rng.randint(1, 99), rng.choice(("F", "M"))
        return lambda: gnnrec.recommend(model, gnnrec.NewUser(age=age, gender=gender, ratings=stars), k=5)
    if kind == 3:
        movie = rng.choice(movie_ids)
        return lambda: gnnrec.similar_movies(model, movie, k=5)
    if kind == 4:
        some = rng.sample(movie_ids, min(15, len(movie_ids)))
        return lambda: gnnrec.recommend(model, stars, k=5, candidates=some)
    if kind == 5:
        return lambda: gnnrec.recommend(model, stars, k=5, diversity=0.3, offset=2)
    if kind == 6:
        user, movie = rng.choice(user_ids), rng.choice(movie_ids)
        return lambda: gnnrec.explain(model, user, [movie], k=2)
    return lambda: gnnrec.recommend(model, stars, k=10)


def _odd(rng: random.Random, model: Any, movies: pd.DataFrame) -> Callable[[], Any]:
    movie_ids = movies["movie_id"].tolist()
    kind = rng.randrange(8)
    movie, rating = rng.choice(ODD_MOVIES), rng.choice(ODD_RATINGS)
    if kind == 0:
        return lambda: gnnrec.recommend(model, {movie: 4, movie_ids[0]: 3}, k=3)
    if kind == 1:
        known = rng.choice(movie_ids)
        return lambda: gnnrec.recommend(model, {known: rating}, k=3)
    if kind == 2:
        count = rng.choice(ODD_COUNTS)
        return lambda: gnnrec.recommend(model, 1, k=count)
    if kind == 3:
        return lambda: gnnrec.recommend(model, rng_list(movie, rating), k=3)
    if kind == 4:
        genres, years = rng.choice(ODD_GENRES), rng.choice((None, *ODD_YEARS))
        return lambda: gnnrec.recommend(model, 1, k=3, genres=genres, years=years)
    if kind == 5:
        return lambda: gnnrec.similar_movies(model, movie, k=3)
    if kind == 6:
        age, occupation = rng.choice((*ODD_COUNTS, *ODD_RATINGS)), rng.choice(ODD_MOVIES)
        return lambda: gnnrec.recommend(model, gnnrec.NewUser(age=age, occupation=occupation), k=3)
    many = {rng.choice(movie_ids): rng.uniform(1, 5) for _ in range(300)}
    return lambda: gnnrec.recommend(model, [many, {}, 1, movie], k=3, exclude=[movie])


def rng_list(movie: Any, rating: Any) -> list[Any]:
    """Return users of several kinds at once."""
    return [1, movie, {1: rating}]


def ask(question: Callable[[], Any]) -> tuple[bytes, str | None]:
    """Return a digest of the answer, and what is wrong with it: neither an answer nor a clear error."""
    try:
        answer = question()
    except CLEAR as error:
        return digest(f"{type(error).__name__}: {error}"), None
    except Exception as error:
        return digest(type(error).__name__), f"{type(error).__name__}: {str(error)[:200]}"
    if not isinstance(answer, pd.DataFrame):
        return digest(repr(answer)), f"answered {type(answer).__name__}"
    if "score" in answer and not np.isfinite(answer["score"].to_numpy()).all():
        return digest("not finite"), "a score is not finite"
    return digest(frame_text(answer)), None


def frame_text(frame: pd.DataFrame) -> str:
    """Return a frame with all digits of its numbers."""
    return repr([(str(name), frame[name].tolist()) for name in frame])


def digest(text: str) -> bytes:
    """Return eight bytes that differ for other texts."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
