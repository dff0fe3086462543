"""Movies and people of the generated world, as frames to show and as taste vectors to draw ratings from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gnnrec.data import vocabulary as words
from gnnrec.data.stories import opening, pick

TASTE_DIM = 8
LAST_YEAR = 2000
MAX_PARTS = 3


@dataclass(frozen=True, eq=False)
class Movies:
    """The movies; arrays are in the order of the rows of `frame`."""

    frame: pd.DataFrame
    taste: np.ndarray  # [num_movies, TASTE_DIM]
    theme: np.ndarray  # [num_movies]
    log_popularity: np.ndarray  # [num_movies]
    quality: np.ndarray  # [num_movies]
    sequel: np.ndarray  # [num_movies], row of the next film of the series, -1 if there is none


@dataclass(frozen=True, eq=False)
class People:
    """The people; arrays are in the order of the rows of `frame`."""

    frame: pd.DataFrame
    taste: np.ndarray  # [num_people, TASTE_DIM]
    drift: np.ndarray  # [num_people, TASTE_DIM], change of taste from the first day to the last
    leniency: np.ndarray  # [num_people]


def make_movies(count: int, rng: np.random.Generator) -> Movies:
    """Draw movies: themes, genres and years, and from these titles, plots and taste vectors."""
    genre_taste, theme_taste, era_taste = (_directions(n, rng) for n in (len(words.GENRES), len(words.THEMES), 1))
    names = list(words.THEMES)
    theme = rng.integers(len(names), size=count)
    year = LAST_YEAR - rng.exponential(12, count).clip(max=60).astype(int)
    part = _parts(year, rng.random(count) < 0.25)
    titles: list[str] = []
    taken: set[str] = set()
    genres: list[list[str]] = []
    for movie in range(count):
        if part[movie] > 1:  # a sequel keeps theme and genres and comes a little later
            theme[movie] = theme[movie - 1]
            year[movie] = year[movie - 1] + rng.integers(1, 3)
            titles.append(f"{titles[movie - part[movie] + 1]} {'I' * part[movie]}")
            genres.append(genres[-1])
        else:
            titles.append(_new_title(names[theme[movie]], taken, rng))
            genres.append(_draw_genres(names[theme[movie]], rng))
    has_genre = np.array([[genre in own for genre in words.GENRES] for own in genres], dtype=float)
    taste = (
        0.9 * theme_taste[theme]
        + has_genre @ genre_taste / np.sqrt(has_genre.sum(axis=1, keepdims=True))
        + 0.3 * era_taste * ((year - 1988) / 12)[:, None]
        + 0.25 * rng.standard_normal((count, TASTE_DIM)) / np.sqrt(TASTE_DIM)
    )
    frame = pd.DataFrame(
        {
            "movie_id": np.arange(1, count + 1),
            "title": [f"{title} ({one})" for title, one in zip(titles, year, strict=True)],
            "genres": ["|".join(own) for own in genres],
            "year": year,
            "plot": [opening(names[theme[movie]], genres[movie], rng) for movie in range(count)],
            "theme": [names[one] for one in theme],
        }
    )
    return Movies(
        frame=frame,
        taste=taste,
        theme=theme,
        log_popularity=(-0.8 * np.log(rng.permutation(count) + 0.03 * count + 2)).astype(np.float32),  # long tail
        quality=0.5 * rng.standard_normal(count),
        sequel=np.where(np.append(part[1:], 1) > 1, np.arange(1, count + 1), -1),
    )


def make_people(count: int, rng: np.random.Generator) -> People:
    """Draw people: about half of a person's taste follows from age, gender and occupation."""
    age_taste, gender_taste, job_taste = (_directions(n, rng) for n in (3, 1, len(words.OCCUPATIONS)))
    age = rng.gamma(4, 7, count).clip(0, 60).astype(int) + 14
    woman = rng.random(count) < 0.45
    job = rng.integers(len(words.OCCUPATIONS) - 1, size=count)
    job = np.where(age < 22, 0, np.where(age >= 65, len(words.OCCUPATIONS) - 1, job))
    # Smooth bumps over the years of life, so that neighbouring ages have similar tastes.
    bumps = np.exp(-(((age[:, None] - np.array([16, 35, 60])) / 12) ** 2))
    own = rng.standard_normal((count, TASTE_DIM)) / np.sqrt(TASTE_DIM)
    taste = bumps @ age_taste + gender_taste * np.where(woman, 0.6, -0.6)[:, None] + 0.6 * job_taste[job] + own
    frame = pd.DataFrame(
        {
            "user_id": np.arange(1, count + 1),
            "age": age,
            "gender": np.where(woman, "F", "M"),
            "occupation": np.array(words.OCCUPATIONS)[job],
        }
    )
    return People(frame, taste, _directions(count, rng), 0.3 * rng.standard_normal(count))


def _directions(count: int, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.standard_normal((count, TASTE_DIM))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _parts(year: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """Return which part of a series each movie is; 1 for those that continue nothing."""
    part = np.ones(len(year), dtype=int)
    for movie in range(1, len(year)):
        recent = year[movie - part[movie - 1]] > LAST_YEAR - 2 * MAX_PARTS
        if continues[movie] and part[movie - 1] < MAX_PARTS and not recent:
            part[movie] = part[movie - 1] + 1
    return part


def _draw_genres(theme: str, rng: np.random.Generator) -> list[str]:
    likely = words.THEMES[theme][0].split()
    own = list(rng.permutation(likely)[: pick((1, 1, 2, 2, 3), rng)])
    if rng.random() < 0.15:
        own[-1] = pick(words.GENRES, rng)
    return sorted({str(genre) for genre in own})


def _new_title(theme: str, taken: set[str], rng: np.random.Generator) -> str:
    nouns = words.THEMES[theme][1].split()
    while True:
        noun, other = rng.permutation(nouns)[:2]
        adjective, surname = pick(words.ADJECTIVES.split(), rng), pick(words.SURNAMES.split(), rng)
        title = pick(words.TITLE_SHAPES, rng).format(noun=noun, other=other, adjective=adjective, surname=surname)
        if len(taken) > 2000 and rng.random() < 0.1:  # a very large world runs out of plain titles
            title = f"{title}, Volume {len(taken)}"
        if title not in taken:
            taken.add(title)
            return title
