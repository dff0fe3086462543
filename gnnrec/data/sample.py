"""Generates a small world of movies and people, so that everything runs where no dataset can be had.

Tastes are vectors. A movie's is made of its theme, genres and era, which its title and plot speak of, and people
of like taste make it; a person's of age, gender and occupation, a part of their own, and a slow drift. People watch in
spells: within a spell a mood favours one theme, and a sequel is often watched right after the film before it. So there
is something to learn for collaborative, content-based, demographic and sequential models, and popularity is a fair
baseline.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gnnrec.data.cast import make_cast
from gnnrec.data.dataset import Dataset
from gnnrec.data.draws import gumbel, largest
from gnnrec.data.stories import continued
from gnnrec.data.world import MAX_PARTS, Movies, People, make_movies, make_people
from gnnrec.errors import ConfigError

NUM_SPELLS = 6
TASTE, MOOD, DRIFT = 2.2, 2.0, 0.8  # how far taste, mood and time bend what is popular
SEQUEL_CHANCE = 0.7
FIRST_DAY = 1_009_843_200  # 2002-01-01, after the newest movie
DAY = 86_400
CHUNK = 512  # people at a time: memory is a few arrays of CHUNK x n_movies


def make_sample(n_users: int = 600, n_movies: int = 400, seed: int = 0, ratings_per_user: float = 50) -> Dataset:
    """Generate a dataset; the same arguments give the same rows.

    Movies depend on `seed` and `n_movies` only, so pictures made for them stay valid; `sample_posters` draws some.

    Parameters
    ----------
    n_users, n_movies : int
        At least 2 users and 12 movies.
    seed : int
        Another seed, another world.
    ratings_per_user : float
        About the mean number; nobody watches much more than half of the movies.

    Returns
    -------
    Dataset
        Named "sample". Ids are 1, 2, ...; movies have the extra columns ``plot``, ``theme``,
        ``directors`` and ``actors``; ratings are whole stars from 1 to 5, sorted by user and then by time.

    Raises
    ------
    ConfigError
        A size is too small.

    Examples
    --------
    >>> make_sample(100, 80).movies["title"].iloc[2]
    'Broken Kiss (1978)'
    """
    if n_users < 2 or n_movies < 12 or ratings_per_user < 1:
        raise ConfigError(
            "a sample needs n_users >= 2, n_movies >= 12 and ratings_per_user >= 1, "
            f"not {n_users}, {n_movies} and {ratings_per_user}"
        )
    movie_rng, people_rng, rating_rng = (np.random.default_rng([seed, stream]) for stream in range(3))
    movies, people = make_movies(n_movies, movie_rng), make_people(n_users, people_rng)
    # Most people watch a little, a few a lot; -0.18 makes the mean of the log-normal factor 1.
    counts = rating_rng.lognormal(-0.18, 0.6, n_users) * ratings_per_user
    counts = counts.round().astype(int).clip(1, n_movies // 2)
    chunks = np.array_split(np.arange(n_users), -(-n_users // CHUNK))
    ratings = pd.concat([_watch(movies, people, counts, chunk, rating_rng) for chunk in chunks], ignore_index=True)
    return Dataset(ratings, _described(movies, np.random.default_rng([seed, 3])), people.frame, "sample")


def _described(movies: Movies, rng: np.random.Generator) -> pd.DataFrame:
    """Return the movies with longer plots and the people behind them: a generator of its own moves nothing else."""
    frame = movies.frame
    directors, actors = make_cast(movies, rng)
    told = zip(frame["plot"], frame["theme"], frame["genres"].str.split("|"), frame["year"], strict=True)
    return frame.assign(plot=[continued(*one, rng) for one in told], directors=directors, actors=actors)


def _watch(
    movies: Movies, people: People, counts: np.ndarray, who: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Let the people `who` watch `counts[who]` movies and a few sequels, spell by spell, and rate them."""
    shape = (len(who), len(movies.taste))
    unseen = np.ones(shape, dtype=bool)
    watched = []  # (person, movie, when, liking) of each spell; `person` counts within the chunk
    for spell in range(NUM_SPELLS):
        taste = people.taste[who] + DRIFT * (spell / (NUM_SPELLS - 1) - 0.5) * people.drift[who]
        liking = (taste @ movies.taste.T).astype(np.float32)  # [len(who), num_movies]
        # One film, drawn like any other, sets the mood of the spell.
        wish = TASTE * liking + movies.log_popularity
        mood = np.argmax(wish + gumbel(shape, rng), axis=1)
        in_mood = movies.theme[mood][:, None] == movies.theme
        # Adding Gumbel noise and keeping the largest draws without replacement, each by its softmax weight.
        appeal = wish + MOOD * in_mood + gumbel(shape, rng)
        appeal[~unseen] = -np.inf
        todo = np.diff(counts[who, None] * np.array([spell, spell + 1]) // NUM_SPELLS)[:, 0]
        person, movie = largest(appeal, todo)
        when = spell + 0.5 * rng.random(len(person))
        unseen[person, movie] = False
        watched.append((person, movie, when, liking[person, movie]))
        for _ in range(MAX_PARTS - 1):
            keep = (movies.sequel[movie] >= 0) & (rng.random(len(movie)) < SEQUEL_CHANCE)
            person, movie, when = person[keep], movies.sequel[movie[keep]], when[keep] + 1e-4
            keep = unseen[person, movie]
            person, movie, when = person[keep], movie[keep], when[keep]
            unseen[person, movie] = False
            watched.append((person, movie, when, liking[person, movie]))
    person, movie, when, fit = (np.concatenate(column) for column in zip(*watched, strict=True))
    order = np.lexsort((when, person))
    person, movie, when, fit = person[order], movie[order], when[order], fit[order]
    opinion = 3.3 + 0.6 * fit + movies.quality[movie] + people.leniency[who][person]
    stars = (opinion + 0.6 * rng.standard_normal(len(movie))).round().clip(1, 5)
    joined = rng.integers(365 * DAY, size=len(who))
    return pd.DataFrame(
        {
            "user_id": people.frame["user_id"].to_numpy()[who][person],
            "movie_id": movies.frame["movie_id"].to_numpy()[movie],
            "rating": stars.astype("float32"),
            "timestamp": FIRST_DAY + joined[person] + (when * 60 * DAY).astype("int64"),
        }
    )
