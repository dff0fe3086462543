"""Made-up ratings of any number of users, written a million at a time, so that memory does not depend on their number.

Movies have a long tail of popularity (Zipf-Mandelbrot) and belong to one or two topics. A person likes a few topics,
and moves from some of them to others in the course of their ratings; some ratings go to what everybody watches. A
movie is rated once by a user. Everything follows from the seed: each block of users has a generator of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._io import write_atomic

BLOCK = 1_000_000
"""Ratings that are made at once."""
TOPICS = 8
"""Topics of a user."""
POPULAR = 0.2
"""Share of the ratings that follow popularity alone."""
SPARE = 1.3
"""Draws per rating, because some are of a movie that the person has rated already."""
ROUNDS = 6
"""How often those who still lack ratings draw again."""
LEAST = 20
"""Ratings of a user, as in MovieLens."""
FIRST, LAST = 820_454_400, 1_704_067_200
"""Seconds since 1970 of the years 1996 to 2023."""
GENRES = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
    "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
ABOUT = "about.json"


@dataclass(frozen=True)
class Size:
    """How much is made.

    Attributes
    ----------
    users, movies, ratings : int
        The number of ratings is met as far as users have not rated all movies of their topics.
    seed : int
    """

    users: int
    movies: int
    ratings: int
    seed: int = 0


@dataclass(frozen=True)
class Catalog:
    """Movies by topic.

    Attributes
    ----------
    movie : numpy.ndarray
        ``[n]`` int32, the movies of the first topic, then those of the second, and so on.
    cumulative : numpy.ndarray
        ``[n]`` float64, running sum of their weights.
    begin : numpy.ndarray
        ``[num_topics + 1]`` float64, where in the running sum each topic begins.
    popularity : numpy.ndarray
        ``[num_movies]`` float64, running sum of the popularity of all movies.
    quality : numpy.ndarray
        ``[num_movies]`` float32, how much higher the movie is rated than others.
    topic : numpy.ndarray
        ``[num_movies]`` int64, the first topic of each movie.
    """

    movie: np.ndarray
    cumulative: np.ndarray
    begin: np.ndarray
    popularity: np.ndarray
    quality: np.ndarray
    topic: np.ndarray

    @property
    def num_topics(self) -> int:
        return len(self.begin) - 1


def make_catalog(size: Size) -> Catalog:
    """Draw popularity, topics and quality of the movies."""
    random, n = np.random.default_rng([size.seed, 0]), size.movies
    weight = 1.0 / (random.permutation(n) + 10.0) ** 1.05
    number = int(np.clip(np.sqrt(n), 4, 1000))
    first, second = random.integers(number, size=(2, n))
    also = np.flatnonzero((random.random(n) < 0.5) & (first != second))
    movie, topic = np.concatenate([np.arange(n), also]), np.concatenate([first, second[also]])
    order = np.argsort(topic, kind="stable")
    movie, topic = movie[order].astype(np.int32), topic[order]
    cumulative = np.cumsum(weight[movie])
    ends = np.searchsorted(topic, np.arange(number + 1))
    begin = np.concatenate([[0.0], cumulative])[ends]
    quality = random.normal(0.0, 0.4, n).astype(np.float32)
    return Catalog(movie, cumulative, begin, np.cumsum(weight), quality, first)


def ratings_per_person(size: Size) -> np.ndarray:
    """Return ``[users]`` int64: a log-normal number of ratings each, which sum up to the number that is wanted."""
    random = np.random.default_rng([size.seed, 1])
    shape, most = random.lognormal(0.0, 1.1, size.users), max(LEAST, size.movies // 4)
    low, high = 0.0, size.ratings / shape.min()
    for _ in range(60):
        middle = (low + high) / 2
        total = np.clip(shape * middle, LEAST, most).astype(np.int64).sum()
        low, high = (middle, high) if total < size.ratings else (low, middle)
    counts = np.clip(shape * low, LEAST, most).astype(np.int64)
    lacking = size.ratings - int(counts.sum())
    if lacking > 0:
        counts[np.flatnonzero(counts < most)[:lacking]] += 1
    return counts


def blocks_of(counts: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the last person (exclusive) of each block of about `BLOCK` ratings."""
    ends = np.unique(np.searchsorted(np.cumsum(counts), np.arange(BLOCK, counts.sum() + BLOCK, BLOCK)) + 1)
    ends = np.minimum(ends, len(counts))
    bounds = np.unique(np.concatenate([[0], ends, [len(counts)]]))
    return [(int(low), int(high)) for low, high in pairwise(bounds)]


def make_block(size: Size, catalog: Catalog, counts: np.ndarray, first: int, last: int) -> dict[str, np.ndarray]:
    """Return the ratings of some users, sorted by user and movie, as in MovieLens: ids from 1, half stars, times."""
    random, wanted = np.random.default_rng([size.seed, 2, first]), counts[first:last]
    users = len(wanted)
    # Topics that many movies have are liked by more users.
    liked = np.searchsorted(catalog.begin, random.random((users, TOPICS)) * catalog.begin[-1], "right") - 1
    liked = liked.clip(max=catalog.num_topics - 1)
    early, late = (random.dirichlet(np.full(TOPICS, 0.7), users).astype(np.float32) for _ in range(2))
    pairs, when = np.zeros(0, np.int64), np.zeros(0, np.float32)
    lacking = wanted
    for attempt in range(ROUNDS):
        number = np.ceil(lacking * SPARE * (1 + attempt)).astype(np.int64)
        person, moment = np.repeat(np.arange(users), number), random.random(int(number.sum()), dtype=np.float32)
        movie = _draw(random, catalog, liked, early, late, person, moment, flat=attempt / ROUNDS)
        pairs, when = np.concatenate([pairs, person * size.movies + movie]), np.concatenate([when, moment])
        pairs, kept = np.unique(pairs, return_index=True)
        when = when[kept]
        lacking = (wanted - np.bincount(pairs // size.movies, minlength=users)).clip(min=0)
        if not lacking.any():
            break
    person = pairs // size.movies
    # Of those that are too many a random part goes.
    order = np.lexsort((random.random(len(pairs)), person))
    begins = np.concatenate([[0], np.cumsum(np.bincount(person, minlength=users))])
    kept = order[np.arange(len(order)) - begins[person[order]] < wanted[person[order]]]
    kept.sort()
    person, movie, when = person[kept], pairs[kept] % size.movies, when[kept]
    joined = FIRST + (LAST - FIRST) * random.random(users) ** 0.7
    stay = np.minimum(random.lognormal(14.0, 2.0, users), LAST - joined)
    leaning, noise = random.normal(0, 0.4, users), random.normal(0, 0.7, len(person))
    likes = (liked[person] == catalog.topic[movie][:, None]).any(axis=1)
    stars = 3.4 + leaning[person] + catalog.quality[movie] + 0.4 * likes + noise
    return {
        "user_id": person + first + 1,
        "movie_id": movie + 1,
        "rating": (np.round(stars * 2) / 2).clip(0.5, 5.0).astype(np.float32),
        "timestamp": (joined[person] + stay[person] * when).astype(np.int64),
    }


def _draw(
    random: np.random.Generator,
    catalog: Catalog,
    liked: np.ndarray,
    early: np.ndarray,
    late: np.ndarray,
    person: np.ndarray,
    moment: np.ndarray,
    flat: float,
) -> np.ndarray:
    """Draw a movie for each person and moment of their history, from 0 to 1; `flat` of them regardless of topics."""
    chosen = random.random(len(person), dtype=np.float32)
    topic = np.full(len(person), TOPICS - 1)
    reached = np.zeros(len(person), np.float32)
    for place in range(TOPICS - 1, -1, -1):  # the taste is a mixture that moves from `early` to `late`
        reached += early[person, place] * (1 - moment) + late[person, place] * moment
        topic = np.where((reached > chosen) & (topic == TOPICS - 1), place, topic)
    topic = liked[person, topic]
    begin, end = catalog.begin[topic], catalog.begin[topic + 1]
    place = np.searchsorted(catalog.cumulative, begin + (end - begin) * random.random(len(person)), "right")
    movie = catalog.movie[place.clip(max=len(catalog.movie) - 1)].astype(np.int64)
    share = POPULAR + flat * (1 - POPULAR)
    popular = np.flatnonzero(random.random(len(person)) < share)
    place = np.searchsorted(catalog.popularity, random.random(len(popular)) * catalog.popularity[-1], "right")
    movie[popular] = place.clip(max=len(catalog.popularity) - 1)
    return movie


def make_movies(size: Size, catalog: Catalog) -> pd.DataFrame:
    """Return titles, with years, and genres, which follow from the topics."""
    random = np.random.default_rng([size.seed, 3])
    names = np.array(GENRES)[np.stack([catalog.topic % len(GENRES), (catalog.topic * 7 + 3) % len(GENRES)])]
    years = 1930 + (93 * random.random(size.movies) ** 0.5).astype(np.int64)
    number = np.arange(1, size.movies + 1)
    return pd.DataFrame({
        "movie_id": number,
        "title": [f"Movie {one} ({year})" for one, year in zip(number, years, strict=True)],
        "genres": ["|".join(dict.fromkeys(pair)) for pair in names.T],
    })  # fmt: skip


def blocks(size: Size) -> Iterator[dict[str, np.ndarray]]:
    """Yield all ratings in blocks, sorted by user."""
    catalog, counts = make_catalog(size), ratings_per_person(size)
    for first, last in blocks_of(counts):
        yield make_block(size, catalog, counts, first, last)


def write(size: Size, folder: Path) -> dict[str, Any]:
    """Write ``parquet/ratings/part-00000.parquet`` and so on, ``csv/ratings.csv``, and movies beside both.

    A folder that holds the same already is left as it is. Returns what ``about.json`` says.
    """
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    wanted = asdict(size)
    if (folder / ABOUT).is_file():
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if {key: about.get(key) for key in wanted} == wanted:
            return about
    for name in ("parquet", "csv"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "parquet" / "ratings").mkdir(parents=True)
    (folder / "csv").mkdir()
    schema = pyarrow.schema([
        ("user_id", pyarrow.int64()), ("movie_id", pyarrow.int64()), ("rating", pyarrow.float32()),
        ("timestamp", pyarrow.int64()),
    ])  # fmt: skip
    written = 0
    with (folder / "csv" / "ratings.csv").open("wb") as file:
        file.write((",".join(schema.names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False)
        for number, block in enumerate(blocks(size)):
            table = pyarrow.table(block, schema=schema)
            pyarrow.parquet.write_table(table, folder / "parquet" / "ratings" / f"part-{number:05d}.parquet")
            pyarrow.csv.write_csv(table, file, options)
            written += len(table)
    movies = make_movies(size, make_catalog(size))
    movies.to_parquet(folder / "parquet" / "movies.parquet", index=False)
    movies.to_csv(folder / "csv" / "movies.csv", index=False)
    about = {**wanted, "written": written}
    write_atomic(folder / ABOUT, (json.dumps(about) + "\n").encode())
    return about
