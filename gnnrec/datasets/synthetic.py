"""The dataset "sample": a generated set of movies, users and ratings, for tests, examples and first steps.

Preferences are vectors. A movie's vector is built from its theme, genres and era, which its title and plot reflect, and
its directors and actors have similar vectors; a user's vector from age, gender and occupation, an individual part and a
slow drift. Users watch in sessions: each session has a mood that favors one theme, and a sequel is often watched right
after the movie before it. So collaborative, content-based, demographic and sequential models all find a signal, and
popularity is a fair baseline.

The words of titles and plots are in ``synthetic_words.json``. The generated rows are part of the public contract: any
change to the order of random draws changes the dataset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TypedDict, TypeVar

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer, check_number, shown
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.registry import register_dataset

T = TypeVar("T")

PREFERENCE_DIM = 8
CHUNK_SIZE = 512  # users (or movies) at a time; memory is a few arrays of CHUNK_SIZE x num_movies (or x num_credits)

# Movies
LAST_YEAR = 2000
MAX_PARTS = 3  # movies of a series
OTHER_THEME_CHANCE = 0.2  # probability that a later plot sentence describes another theme

# Directors and actors
NUM_DIRECTORS, NUM_ACTORS = 5, 12  # times the square root of the number of movies
CREDIT_AFFINITY = 7.0  # weight of the similarity between a movie and a director or actor
SECOND_DIRECTOR_CHANCE = 0.08
SAME_CREDITS_CHANCE = 0.7  # probability that a sequel keeps directors and actors

# Ratings
NUM_SESSIONS = 6
PREFERENCE_WEIGHT, MOOD_WEIGHT, DRIFT_WEIGHT = 2.2, 2.0, 0.8  # relative to log-popularity
SEQUEL_CHANCE = 0.7
DAY = 86_400
FIRST_TIMESTAMP = 1_009_843_200  # 2002-01-01, after the newest movie


class Theme(TypedDict):
    """The genres that a theme favors, and its vocabulary."""

    genres: list[str]
    nouns: list[str]
    places: list[str]
    characters: list[str]


class Era(TypedDict):
    """Objects in the plots of movies from before a year."""

    before: int
    objects: list[str]


class Words(TypedDict):
    """The content of ``synthetic_words.json``; the order of every list and table matters."""

    themes: dict[str, Theme]
    genre_words: dict[str, list[str]]
    adjectives: list[str]
    surnames: list[str]
    title_templates: list[str]
    plot_templates: list[str]
    closing_templates: list[str]
    later_templates: list[str]
    eras: list[Era]
    first_names: list[str]
    family_names: list[str]
    occupations: list[str]


WORDS: Words = json.loads(
    resources.files("gnnrec.datasets").joinpath("synthetic_words.json").read_text(encoding="utf-8")
)
THEMES = tuple(WORDS["themes"])
GENRES = tuple(WORDS["genre_words"])


@dataclass(frozen=True, eq=False)
class SyntheticMovies:
    """The movies; arrays follow the rows of `frame`."""

    frame: pd.DataFrame
    preference: np.ndarray  # [num_movies, PREFERENCE_DIM]
    theme: np.ndarray  # [num_movies]
    log_popularity: np.ndarray  # [num_movies]
    quality: np.ndarray  # [num_movies]
    sequel: np.ndarray  # [num_movies], row of the next movie of the series, -1 without one


@dataclass(frozen=True, eq=False)
class SyntheticUsers:
    """The users; arrays follow the rows of `frame`."""

    frame: pd.DataFrame
    preference: np.ndarray  # [num_users, PREFERENCE_DIM]
    drift: np.ndarray  # [num_users, PREFERENCE_DIM], change of preference between the first and the last session
    leniency: np.ndarray  # [num_users]


MAX_SIZE = 10_000_000
"""Maximum number of users or movies of the sample."""


@register_dataset("sample")
def make_sample(num_users: int = 600, num_movies: int = 400, seed: int = 0, ratings_per_user: float = 50) -> Dataset:
    """Generate the dataset "sample"; equal arguments give equal rows.

    Movies depend on `seed` and `num_movies` alone, so images made for them stay valid; see `sample_posters`.

    Parameters
    ----------
    num_users, num_movies : int
        At least 2 users and 12 movies.
    seed : int
        Random seed, not negative.
    ratings_per_user : float
        Approximate mean number of ratings per user, at least 1; no user rates much more than half of the movies.

    Returns
    -------
    Dataset
        Named "sample". Ids are 1, 2, ...; movies have the additional columns ``plot``, ``theme``, ``directors`` and
        ``actors``; ratings are whole stars from 1 to 5, sorted by user and then by time.

    Raises
    ------
    ConfigError
        An argument is too small.

    Examples
    --------
    >>> make_sample(100, 80).movies["title"].iloc[2]
    'Broken Kiss (1978)'
    """
    for name, number in (("num_users", num_users), ("num_movies", num_movies)):
        check_integer(0, **{name: number})
        if number > MAX_SIZE:
            raise ConfigError(f"the sample has at most {MAX_SIZE:,} {name.removeprefix('num_')}, not {shown(number)}")
    check_number(ratings_per_user=ratings_per_user)
    check_integer(-(2**63), seed=seed)
    if num_users < 2 or num_movies < 12 or ratings_per_user < 1 or seed < 0:
        raise ConfigError(
            "the sample needs num_users >= 2, num_movies >= 12, seed >= 0 and ratings_per_user >= 1, "
            f"got {num_users}, {num_movies}, {seed} and {ratings_per_user}"
        )
    num_users, num_movies = int(num_users), int(num_movies)
    # One generator per part, so that a part can grow without changing the others.
    movie_rng, user_rng, rating_rng, text_rng = (np.random.default_rng([seed, stream]) for stream in range(4))
    movies, users = generate_movies(num_movies, movie_rng), generate_users(num_users, user_rng)
    # Most users rate few movies, some many; -0.18 makes the mean of the log-normal factor 1.
    counts = rating_rng.lognormal(-0.18, 0.6, num_users) * ratings_per_user
    counts = counts.round().astype(int).clip(1, num_movies // 2)
    chunks = np.array_split(np.arange(num_users), -(-num_users // CHUNK_SIZE))
    ratings = pd.concat([_generate_ratings(movies, users, counts, rows, rating_rng) for rows in chunks])
    directors, actors = _generate_credits(movies, text_rng)
    frame = movies.frame
    parts = zip(frame["plot"], frame["theme"], frame["genres"].str.split("|"), frame["year"], strict=True)
    plots = [_extend_plot(*part, text_rng) for part in parts]
    described = frame.assign(plot=plots, directors=directors, actors=actors)
    return Dataset(ratings.reset_index(drop=True), described, users.frame, "sample")


def generate_movies(num_movies: int, rng: np.random.Generator) -> SyntheticMovies:
    """Draw themes, genres and years of movies, and from these titles, short plots and preference vectors."""
    genre_vectors, theme_vectors, era_vector = (_unit_vectors(n, rng) for n in (len(GENRES), len(THEMES), 1))
    theme = rng.integers(len(THEMES), size=num_movies)
    year = LAST_YEAR - rng.exponential(12, num_movies).clip(max=60).astype(int)
    part = _series_parts(year, rng.random(num_movies) < 0.25)
    titles: list[str] = []
    taken: set[str] = set()
    genres: list[list[str]] = []
    for movie in range(num_movies):
        if part[movie] > 1:  # a sequel keeps theme and genres and follows a little later
            theme[movie] = theme[movie - 1]
            year[movie] = year[movie - 1] + rng.integers(1, 3)
            titles.append(f"{titles[movie - part[movie] + 1]} {'I' * part[movie]}")
            genres.append(genres[-1])
        else:
            titles.append(_draw_title(THEMES[theme[movie]], taken, rng))
            genres.append(_draw_genres(THEMES[theme[movie]], rng))
    has_genre = np.array([[genre in own for genre in GENRES] for own in genres], dtype=float)
    preference = (
        0.9 * theme_vectors[theme]
        + has_genre @ genre_vectors / np.sqrt(has_genre.sum(axis=1, keepdims=True))
        + 0.3 * era_vector * ((year - 1988) / 12)[:, None]
        + 0.25 * rng.standard_normal((num_movies, PREFERENCE_DIM)) / np.sqrt(PREFERENCE_DIM)
    )
    frame = pd.DataFrame(
        {
            "movie_id": np.arange(1, num_movies + 1),
            "title": [f"{title} ({one})" for title, one in zip(titles, year, strict=True)],
            "genres": ["|".join(own) for own in genres],
            "year": year,
            "plot": [_draw_plot(THEMES[theme[movie]], genres[movie], rng) for movie in range(num_movies)],
            "theme": [THEMES[one] for one in theme],
        }
    )
    ranks = rng.permutation(num_movies)
    return SyntheticMovies(
        frame=frame,
        preference=preference,
        theme=theme,
        log_popularity=(-0.8 * np.log(ranks + 0.03 * num_movies + 2)).astype(np.float32),  # long tail
        quality=0.5 * rng.standard_normal(num_movies),
        sequel=np.where(np.append(part[1:], 1) > 1, np.arange(1, num_movies + 1), -1),
    )


def generate_users(num_users: int, rng: np.random.Generator) -> SyntheticUsers:
    """Draw users; age, gender and occupation determine about half of a preference vector."""
    occupations = WORDS["occupations"]
    age_vectors, gender_vector, occupation_vectors = (_unit_vectors(n, rng) for n in (3, 1, len(occupations)))
    age = rng.gamma(4, 7, num_users).clip(0, 60).astype(int) + 14
    female = rng.random(num_users) < 0.45
    occupation = rng.integers(len(occupations) - 1, size=num_users)
    occupation = np.where(age < 22, 0, np.where(age >= 65, len(occupations) - 1, occupation))
    # Overlapping bumps, so that similar ages have similar preferences.
    bumps = np.exp(-(((age[:, None] - np.array([16, 35, 60])) / 12) ** 2))
    individual = rng.standard_normal((num_users, PREFERENCE_DIM)) / np.sqrt(PREFERENCE_DIM)
    preference = (
        bumps @ age_vectors
        + gender_vector * np.where(female, 0.6, -0.6)[:, None]
        + 0.6 * occupation_vectors[occupation]
        + individual
    )
    frame = pd.DataFrame(
        {
            "user_id": np.arange(1, num_users + 1),
            "age": age,
            "gender": np.where(female, "F", "M"),
            "occupation": np.array(occupations)[occupation],
        }
    )
    return SyntheticUsers(frame, preference, _unit_vectors(num_users, rng), 0.3 * rng.standard_normal(num_users))


def _generate_ratings(
    movies: SyntheticMovies, users: SyntheticUsers, counts: np.ndarray, rows: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw about ``counts[rows]`` ratings of the users `rows`, session by session, with sequels in addition."""
    shape = (len(rows), len(movies.preference))
    unseen = np.ones(shape, dtype=bool)
    watched = []  # (user, movie, time, affinity) of each session; `user` counts within `rows`
    for session in range(NUM_SESSIONS):
        drift = DRIFT_WEIGHT * (session / (NUM_SESSIONS - 1) - 0.5) * users.drift[rows]
        affinity = ((users.preference[rows] + drift) @ movies.preference.T).astype(np.float32)  # [num_rows, num_movies]
        logits = PREFERENCE_WEIGHT * affinity + movies.log_popularity
        mood = np.argmax(logits + _gumbel_noise(shape, rng), axis=1)  # the theme of one drawn movie is the mood
        in_mood = movies.theme[mood][:, None] == movies.theme
        keys = logits + MOOD_WEIGHT * in_mood + _gumbel_noise(shape, rng)
        keys[~unseen] = -np.inf
        quota = np.diff(counts[rows, None] * np.array([session, session + 1]) // NUM_SESSIONS)[:, 0]
        user, movie = _largest_per_row(keys, quota)
        time = session + 0.5 * rng.random(len(user))
        unseen[user, movie] = False
        watched.append((user, movie, time, affinity[user, movie]))
        for _ in range(MAX_PARTS - 1):
            keep = (movies.sequel[movie] >= 0) & (rng.random(len(movie)) < SEQUEL_CHANCE)
            user, movie, time = user[keep], movies.sequel[movie[keep]], time[keep] + 1e-4
            keep = unseen[user, movie]
            user, movie, time = user[keep], movie[keep], time[keep]
            unseen[user, movie] = False
            watched.append((user, movie, time, affinity[user, movie]))
    user, movie, time, liking = (np.concatenate(column) for column in zip(*watched, strict=True))
    order = np.lexsort((time, user))
    user, movie, time, liking = user[order], movie[order], time[order], liking[order]
    opinion = 3.3 + 0.6 * liking + movies.quality[movie] + users.leniency[rows][user]
    stars = (opinion + 0.6 * rng.standard_normal(len(movie))).round().clip(1, 5)
    start = rng.integers(365 * DAY, size=len(rows))
    return pd.DataFrame(
        {
            "user_id": users.frame["user_id"].to_numpy()[rows][user],
            "movie_id": movies.frame["movie_id"].to_numpy()[movie],
            "rating": stars.astype("float32"),
            "timestamp": FIRST_TIMESTAMP + start[user] + (time * 60 * DAY).astype("int64"),
        }
    )


def _generate_credits(movies: SyntheticMovies, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return directors and actors of each movie as ``"Ada Quist|Boris Ueda"``, the leading one first.

    Like movies, directors and actors have a preference vector and get movies similar to it; a few make many movies and
    most make few. So their names carry information about themes and genres, and a little beyond that.
    """
    num_movies = len(movies.preference)
    sizes = [round(per_root * num_movies**0.5) for per_root in (NUM_DIRECTORS, NUM_ACTORS)]
    num_directors = 1 + (rng.random(num_movies) < SECOND_DIRECTOR_CHANCE)
    num_actors = rng.integers(2, 5, num_movies)
    names = _draw_names(sum(sizes), rng)
    directors = _assign_names(movies, names[: sizes[0]], num_directors, rng)
    actors = _assign_names(movies, names[sizes[0] :], num_actors, rng)
    keeps = (movies.sequel >= 0) & (rng.random(num_movies) < SAME_CREDITS_CHANCE)
    for movie in np.flatnonzero(keeps):  # in order, because a third part copies from the second
        directors[movies.sequel[movie]], actors[movies.sequel[movie]] = directors[movie], actors[movie]
    return directors, actors


def _assign_names(movies: SyntheticMovies, names: list[str], counts: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Return ``counts[i]`` of the names for each movie i, joined by ``|``."""
    num_movies = len(movies.preference)
    # Each vector is near that of some movie, so that every name suits some movies.
    preference = movies.preference[rng.integers(num_movies, size=len(names))]
    preference = _normalize(preference + 0.5 * rng.standard_normal(preference.shape) / np.sqrt(PREFERENCE_DIM))
    log_popularity = -0.8 * np.log(np.arange(len(names)) + 2)  # long tail
    joined: list[str] = []
    for chunk in np.array_split(np.arange(num_movies), -(-num_movies // CHUNK_SIZE)):
        logits = CREDIT_AFFINITY * _normalize(movies.preference[chunk]) @ preference.T + log_popularity
        _, chosen = _largest_per_row(logits + _gumbel_noise(logits.shape, rng), counts[chunk])
        ends = np.cumsum(counts[chunk])[:-1]
        joined += ["|".join(names[index] for index in own) for own in np.split(chosen, ends)]
    return joined


def _draw_names(count: int, rng: np.random.Generator) -> list[str]:
    """Return distinct names; very large samples add initials."""
    pairs = [(first, last) for first in WORDS["first_names"] for last in WORDS["family_names"]]
    rounds = -(-count // len(pairs))
    initials = ["", *(f"{chr(ord('A') + number)}. " for number in range(rounds - 1))]
    names = [f"{first} {initial}{last}" for initial in initials for first, last in pairs]
    return [names[index] for index in rng.permutation(len(names))[:count]]


def _series_parts(year: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """Return the part of a series that each movie is; 1 for a first part or a single movie."""
    part = np.ones(len(year), dtype=int)
    for movie in range(1, len(year)):
        recent = year[movie - part[movie - 1]] > LAST_YEAR - 2 * MAX_PARTS
        if continues[movie] and part[movie - 1] < MAX_PARTS and not recent:
            part[movie] = part[movie - 1] + 1
    return part


def _draw_genres(theme: str, rng: np.random.Generator) -> list[str]:
    likely = WORDS["themes"][theme]["genres"]
    own = list(rng.permutation(likely)[: _pick((1, 1, 2, 2, 3), rng)])
    if rng.random() < 0.15:
        own[-1] = _pick(GENRES, rng)
    return sorted({str(genre) for genre in own})


def _draw_title(theme: str, taken: set[str], rng: np.random.Generator) -> str:
    nouns = WORDS["themes"][theme]["nouns"]
    while True:
        noun, other = rng.permutation(nouns)[:2]
        adjective, surname = _pick(WORDS["adjectives"], rng), _pick(WORDS["surnames"], rng)
        template = _pick(WORDS["title_templates"], rng)
        title = template.format(noun=noun, other=other, adjective=adjective, surname=surname)
        if len(taken) > 2000 and rng.random() < 0.1:  # a very large sample runs out of plain titles
            title = f"{title}, Volume {len(taken)}"
        if title not in taken:
            taken.add(title)
            return _with_articles(title)


def _draw_plot(theme: str, genres: list[str], rng: np.random.Generator) -> str:
    """Return the first two sentences of a plot."""
    template = _pick(WORDS["plot_templates"], rng)
    closing = _fill(_pick(WORDS["closing_templates"], rng), theme, genres, rng)
    return _fill(template, theme, genres, rng, closing=closing)


def _extend_plot(plot: str, theme: str, genres: list[str], year: int, rng: np.random.Generator) -> str:
    """Return a plot with up to two more sentences, each of which names an object of the era."""
    objects = next(era["objects"] for era in WORDS["eras"] if year < era["before"])
    order = rng.permutation(len(WORDS["later_templates"]))
    for index in order[: _pick((0, 1, 1, 2), rng)]:
        described = _pick(THEMES, rng) if rng.random() < OTHER_THEME_CHANCE else theme
        template = WORDS["later_templates"][index]
        plot = f"{plot} {_fill(template, described, genres, rng, object=_pick(objects, rng))}"
    return plot


def _fill(template: str, theme: str, genres: list[str], rng: np.random.Generator, **extra: str) -> str:
    words = WORDS["themes"][theme]
    genre_words = [word for genre in genres for word in WORDS["genre_words"][genre]]
    text = template.format(
        noun=_pick(words["nouns"], rng).lower(),
        place=_pick(words["places"], rng),
        character=_pick(words["characters"], rng),
        surname=_pick(WORDS["surnames"], rng),
        word=_pick(genre_words, rng),
        **extra,
    )
    return _with_articles(text)


def _with_articles(text: str) -> str:
    """Return the text with "an" for "a" before a vowel."""
    return re.sub(r"\b([Aa]) (?=[AEIOUaeiou])", r"\1n ", text)


def _pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """Return one of the options; much faster than `rng.choice`, which first converts them to an array."""
    return options[int(rng.integers(len(options)))]


def _unit_vectors(count: int, rng: np.random.Generator) -> np.ndarray:
    return _normalize(rng.standard_normal((count, PREFERENCE_DIM)))


def _normalize(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _gumbel_noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return float32 noise; the largest of logits plus noise are softmax draws without replacement."""
    return -np.log(np.maximum(rng.standard_exponential(shape, dtype=np.float32), np.float32(1e-30)))


def _largest_per_row(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the ``counts[i]`` largest finite values of each row i, in descending order."""
    most = max(1, int(counts.max()))
    columns = np.argpartition(-values, most - 1, axis=1)[:, :most]
    best = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-best, axis=1)
    best, columns = (np.take_along_axis(array, order, axis=1) for array in (best, columns))
    rows, ranks = np.nonzero((np.arange(most) < counts[:, None]) & np.isfinite(best))
    return rows, columns[rows, ranks]
