"""Random choice without replacement for many choosers at once, as the generated world needs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError

NUM_SPELLS = 6
TASTE, MOOD, DRIFT = 2.2, 2.0, 0.8  # how far taste, mood and time bend what is popular
SEQUEL_CHANCE = 0.7
FIRST_DAY = 1_009_843_200  # 2002-01-01, after the newest movie
DAY = 86_400
SAMPLE_CHUNK = 512  # people at a time: memory is a few arrays of SAMPLE_CHUNK x n_movies


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
    chunks = np.array_split(np.arange(n_users), -(-n_users // SAMPLE_CHUNK))
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
    genre_taste, theme_taste, era_taste = (_directions(n, rng) for n in (len(GENRES), len(THEMES), 1))
    names = list(THEMES)
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
    has_genre = np.array([[genre in own for genre in GENRES] for own in genres], dtype=float)
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
    age_taste, gender_taste, job_taste = (_directions(n, rng) for n in (3, 1, len(OCCUPATIONS)))
    age = rng.gamma(4, 7, count).clip(0, 60).astype(int) + 14
    woman = rng.random(count) < 0.45
    job = rng.integers(len(OCCUPATIONS) - 1, size=count)
    job = np.where(age < 22, 0, np.where(age >= 65, len(OCCUPATIONS) - 1, job))
    # Smooth bumps over the years of life, so that neighbouring ages have similar tastes.
    bumps = np.exp(-(((age[:, None] - np.array([16, 35, 60])) / 12) ** 2))
    own = rng.standard_normal((count, TASTE_DIM)) / np.sqrt(TASTE_DIM)
    taste = bumps @ age_taste + gender_taste * np.where(woman, 0.6, -0.6)[:, None] + 0.6 * job_taste[job] + own
    frame = pd.DataFrame(
        {
            "user_id": np.arange(1, count + 1),
            "age": age,
            "gender": np.where(woman, "F", "M"),
            "occupation": np.array(OCCUPATIONS)[job],
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
    likely = THEMES[theme][0].split()
    own = list(rng.permutation(likely)[: pick((1, 1, 2, 2, 3), rng)])
    if rng.random() < 0.15:
        own[-1] = pick(GENRES, rng)
    return sorted({str(genre) for genre in own})


def _new_title(theme: str, taken: set[str], rng: np.random.Generator) -> str:
    nouns = THEMES[theme][1].split()
    while True:
        noun, other = rng.permutation(nouns)[:2]
        adjective, surname = pick(ADJECTIVES.split(), rng), pick(SURNAMES.split(), rng)
        title = pick(TITLE_SHAPES, rng).format(noun=noun, other=other, adjective=adjective, surname=surname)
        if len(taken) > 2000 and rng.random() < 0.1:  # a very large world runs out of plain titles
            title = f"{title}, Volume {len(taken)}"
        if title not in taken:
            taken.add(title)
            return title


GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Horror",
    "Musical",
    "Romance",
    "Sci-Fi",
    "Thriller",
)

# theme: likely genres, nouns of titles and plots, places, people
THEMES: dict[str, tuple[str, str, str, str]] = {
    "sea": (
        "Adventure Drama Romance",
        "Harbour Tide Lighthouse Voyage Anchor Storm Island Reef",
        "a fishing village|a whaling ship|a drowned island|a lonely lighthouse",
        "captain sailor diver smuggler",
    ),
    "city": (
        "Crime Thriller Drama",
        "Alley Witness Verdict Ledger Alibi Neon Bridge Precinct",
        "a rainy capital|a night court|a bankrupt suburb|the old docks",
        "detective lawyer forger informer",
    ),
    "space": (
        "Sci-Fi Adventure Thriller",
        "Orbit Signal Comet Colony Engine Nebula Airlock Meridian",
        "a mining moon|a silent station|a generation ship|the last observatory",
        "pilot engineer android astronomer",
    ),
    "family": (
        "Comedy Drama Animation",
        "Kitchen Wedding Attic Holiday Cousin Garden Recipe Birthday",
        "a crowded farmhouse|a seaside hotel|a corner bakery|a caravan park",
        "grandmother stepfather twin neighbour",
    ),
    "haunting": (
        "Horror Thriller Drama",
        "Cellar Mirror Shadow Whisper Orchard Grave Candle Séance",
        "an abandoned school|a house on the moor|a flooded crypt|a snowed-in clinic",
        "widow priest caretaker medium",
    ),
    "war": (
        "Action Drama Adventure",
        "Regiment Front Convoy Armistice Bunker Medal Trench Border",
        "a besieged town|an occupied island|a field hospital|a mountain pass",
        "sergeant nurse deserter spy",
    ),
    "stage": (
        "Musical Romance Comedy",
        "Melody Curtain Waltz Chorus Spotlight Ballad Encore Piano",
        "a fading theatre|a travelling opera|a jazz cellar|a dance academy",
        "singer dancer composer understudy",
    ),
    "courtship": (
        "Romance Comedy Drama",
        "Letter Summer Promise Balcony Rose Kiss Umbrella Train",
        "a small bookshop|a vineyard|a night train|a provincial post office",
        "florist teacher translator bride",
    ),
    "heist": (
        "Crime Action Comedy",
        "Vault Diamond Getaway Safe Blueprint Casino Cargo Tunnel",
        "a casino|a private museum|a freight yard|a Swiss bank",
        "thief driver hacker magician",
    ),
    "fable": (
        "Animation Adventure Musical",
        "Dragon Lantern Fox Kingdom Wizard Acorn Feather Giant",
        "an enchanted forest|a castle in the clouds|a toy workshop|a talking zoo",
        "princess apprentice fox inventor",
    ),
    "nature": (
        "Documentary Adventure Drama",
        "River Glacier Migration Forest Desert Wolf Savannah Canopy",
        "the northern tundra|a rain forest|a dying lake|the high desert",
        "ranger biologist herder photographer",
    ),
    "machine": (
        "Sci-Fi Action Horror",
        "Circuit Virus Reactor Clone Protocol Laboratory Drone Mutation",
        "an underground laboratory|an automated city|a sealed reactor|a flooded server hall",
        "scientist cyborg programmer survivor",
    ),
}

GENRE_WORDS = {
    "Action": "chase explosion rescue showdown",
    "Adventure": "quest map journey treasure",
    "Animation": "spell wonder friendship puppet",
    "Comedy": "mishap prank farce misunderstanding",
    "Crime": "murder gang ransom swindle",
    "Documentary": "footage interview testimony chronicle",
    "Drama": "grief loyalty secret reconciliation",
    "Horror": "terror curse possession nightmare",
    "Musical": "song rehearsal tune dance",
    "Romance": "passion heartbreak longing proposal",
    "Sci-Fi": "future alien experiment planet",
    "Thriller": "conspiracy pursuit betrayal trap",
}

ADJECTIVES = (
    "Silent Crimson Last Hidden Golden Broken Distant Burning Quiet Forgotten Second Wild Bitter Pale "
    "Secret Long Empty Seventh Northern Bright Hollow Gentle Stolen "
    "Restless Frozen Little Lost Velvet Iron Sudden"
)

SURNAMES = (
    "Marlowe Okafor Lindqvist Moreau Castellan Ivanova Brandt Tanaka Whitlock Duarte Novak Ferreira "
    "Halloran Osei Petrakis Rahman Vance Ziegler Abara Kowalski"
)

TITLE_SHAPES = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "The {noun} of {surname}",
    "{surname}'s {noun}",
    "The {noun} and the {other}",
    "Beyond the {adjective} {noun}",
    "A {noun} for {surname}",
)

PLOT_SHAPES = (
    "In {place}, the {person} {surname} is drawn into a {word} when a {noun} comes to light. {more}",
    "A {person} returns to {place} and finds a {word} waiting beside the {noun}. {more}",
    "When the {noun} is lost, a young {person} must leave {place} and face the {word}. {more}",
    "Two people, a {person} and a stranger, share a {noun} in {place}, and with it a {word}. {more}",
)

MORE_SHAPES = (
    "Before long {word} and {noun} are all that is left.",
    "What begins with a {noun} ends in {word}.",
    "Only the {noun} knows of the {word} to come.",
)

# As above; {more} is a thing of the time.
LATER_SHAPES = (
    "Meanwhile a {person} in {place} keeps a {more} and says nothing of the {word}.",
    "An old {more} leads from {place} to the {noun}.",
    "A {person} who has had enough of {word} follows, {more} in hand.",
    "Nobody in {place} speaks of the {noun} any more, except a {person} with a {more}.",
)

# The year each era ends before, and its things
ERAS = (
    (1965, "telegram gramophone parade trolley"),
    (1980, "jukebox typewriter motorcycle slideshow"),
    (1990, "cassette answerphone synthesiser walkman"),
    (10_000, "pager modem website camcorder"),
)

FIRST_NAMES = (
    "Ada Basil Clara Dario Edith Felix Greta Hassan Ines Jonah Keiko Leopold Mirela Nadim Olive Piotr "
    "Quentin Rosa Stellan Tamar Ulrich Vera Wanda Xavier Yusuf Zora Amara Boris Carmen Dexter Elif Farida"
)

FAMILY_NAMES = (
    "Aldane Berrow Calder Dunmore Eskola Farkas Gallo Hartwig Imani Jelinek Kestrel Larue Mbeki Norrby "
    "Ostrander Pavone Quist Rosten Sandoval Thorne Ueda Varga Wexler Yarrow Zeller Ambrose Bellweather Cotrell "
    "Delacroix Engstrom"
)

OCCUPATIONS = (
    "student",
    "teacher",
    "engineer",
    "artist",
    "nurse",
    "farmer",
    "programmer",
    "lawyer",
    "sales",
    "retired",
)


NUM_DIRECTORS, NUM_ACTORS = 5, 12  # times the root of the number of movies
LEANING = 7.0  # how far taste bends who is asked most
SECOND_DIRECTOR = 0.08
KEPT = 0.7  # chance that a sequel is made by the same people
CAST_CHUNK = 512  # movies at a time: memory is a few arrays of CAST_CHUNK x people


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
    own = _cast_directions(own + 0.5 * rng.standard_normal(own.shape) / np.sqrt(TASTE_DIM))
    fame = -0.8 * np.log(np.arange(len(names)) + 2)  # long tail
    found: list[str] = []
    for chunk in np.array_split(np.arange(count), -(-count // CAST_CHUNK)):
        appeal = LEANING * _cast_directions(movies.taste[chunk]) @ own.T + fame
        _, person = largest(appeal + gumbel(appeal.shape, rng), wanted[chunk])
        ends = np.cumsum(wanted[chunk])[:-1]
        found += ["|".join(names[one] for one in theirs) for theirs in np.split(person, ends)]
    return found


def _cast_directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Return different names; those of a very large world have initials."""
    plain = [f"{first} @{last}" for first in FIRST_NAMES.split() for last in FAMILY_NAMES.split()]
    rounds = -(-count // len(plain))
    initials = ["", *(f"{chr(ord('A') + number)}. " for number in range(rounds - 1))]
    names = [name.replace("@", initial) for initial in initials for name in plain]
    return [names[place] for place in rng.permutation(len(names))[:count]]


T = TypeVar("T")

ELSEWHERE = 0.2
"""Chance that a further sentence tells of a place and people of any theme."""


def opening(theme: str, genres: list[str], rng: np.random.Generator) -> str:
    """Return the first two sentences of a plot."""
    shape = pick(PLOT_SHAPES, rng)
    more = _fill(pick(MORE_SHAPES, rng), theme, genres, rng)
    return _fill(shape, theme, genres, rng, more)


def continued(plot: str, theme: str, genres: list[str], year: int, rng: np.random.Generator) -> str:
    """Return a plot with up to two more sentences, in which there is a thing of the time."""
    things = next(things for end, things in ERAS if year < end).split()
    order = rng.permutation(len(LATER_SHAPES))
    for shape in order[: pick((0, 1, 1, 2), rng)]:
        theme_told = pick(list(THEMES), rng) if rng.random() < ELSEWHERE else theme
        plot = f"{plot} {_fill(LATER_SHAPES[shape], theme_told, genres, rng, pick(things, rng))}"
    return plot


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """Return one of the options; many times as fast as `rng.choice`, which makes an array of them first."""
    return options[int(rng.integers(len(options)))]


def _fill(shape: str, theme: str, genres: list[str], rng: np.random.Generator, more: str = "") -> str:
    _, nouns, places, people = THEMES[theme]
    genre_words = [word for genre in genres for word in GENRE_WORDS[genre].split()]
    text = shape.format(
        noun=pick(nouns.split(), rng).lower(),
        place=pick(places.split("|"), rng),
        person=pick(people.split(), rng),
        surname=pick(SURNAMES.split(), rng),
        word=pick(genre_words, rng),
        more=more,
    )
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def gumbel(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return float32 noise; adding it and keeping the largest draws without replacement, each by its softmax weight."""
    return -np.log(np.maximum(rng.standard_exponential(shape, dtype=np.float32), np.float32(1e-30)))


def largest(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the `counts[i]` largest values of each row i, the largest first, -inf left out."""
    most = max(1, int(counts.max()))
    columns = np.argpartition(-values, most - 1, axis=1)[:, :most]
    best = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-best, axis=1)
    best, columns = (np.take_along_axis(array, order, axis=1) for array in (best, columns))
    rows, ranks = np.nonzero((np.arange(most) < counts[:, None]) & np.isfinite(best))
    return rows, columns[rows, ranks]
