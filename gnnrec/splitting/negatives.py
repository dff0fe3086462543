"""Sampled negatives: the movies among which each user's test movies are ranked.

Ranking among a few sampled movies is easier than among all movies, so metrics are much higher and not comparable with
those of full rankings. It is supported because many published results use it (He et al., "Neural Collaborative
Filtering", WWW 2017).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec._checks import as_path, check_integer, raise_at_first, shown
from gnnrec.data import Dataset
from gnnrec.data.convert import format_id
from gnnrec.data.tables import locator, read_files
from gnnrec.errors import ConfigError, DataError, Location

CHUNK = 1024
"""Number of users for whom negatives are sampled at a time; bounds memory to ``CHUNK * num_movies`` floats."""

_NCF_PAIR = re.compile(r"\(\s*([^,]+?)\s*,\s*([^,]+?)\s*\)")


def resolve_negatives(
    negatives: int | str | Path | pd.DataFrame, dataset: Dataset, test: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, str]:
    """Return checked negatives, sampled, read from a file or as given, and their description for reports.

    Parameters
    ----------
    negatives : int, path or pandas.DataFrame
        As for `gnnrec.Split.with_negatives`.
    dataset : Dataset
        The ratings of all parts.
    test : pandas.DataFrame
        The test ratings.
    seed : int
        Random seed for sampling.
    """
    if isinstance(negatives, pd.DataFrame):
        return check_negatives(negatives, dataset, test), "negatives as given"
    if not isinstance(negatives, (str, Path)):
        check_integer(negatives=negatives)
        return sample_negatives(dataset, test, negatives, seed), f"{negatives} negatives per user, seed {seed}"
    frame, locate = read_negatives(negatives, test)
    try:
        return check_negatives(frame, dataset, test), f"negatives of {Path(negatives).name}"
    except DataError as error:
        raise error.relocated(locate) from None


def sample_negatives(dataset: Dataset, test: pd.DataFrame, number: int, seed: int) -> pd.DataFrame:
    """Sample rated movies for each test user, except movies that the user has rated in any part.

    Parameters
    ----------
    dataset : Dataset
        The ratings of all parts.
    test : pandas.DataFrame
        The test ratings.
    number : int
        Movies per user, sampled uniformly without replacement.
    seed : int
        Random seed. The result does not depend on the order of the rows.

    Returns
    -------
    pandas.DataFrame
        ``user_id, movie_id``, sorted by both.

    Raises
    ------
    ConfigError
        Invalid `number`, or a user has fewer unrated movies.
    """
    check_integer(negatives=number)
    check_integer(0, seed=seed)
    users, movies = (pd.Index(np.sort(ids.unique())) for ids in (test["user_id"], dataset.ratings["movie_id"]))
    row = users.get_indexer(pd.Index(dataset.ratings["user_id"]))
    column = movies.get_indexer(pd.Index(dataset.ratings["movie_id"]))[row >= 0]
    row = row[row >= 0]
    num_unrated = len(movies) - np.bincount(row, minlength=len(users))
    if (num_unrated < number).any():
        worst = int(np.argmin(num_unrated))
        raise ConfigError(
            f"user {format_id(users[worst])} has rated all but {num_unrated[worst]} of {len(movies)} movies, so "
            f"{shown(number)} negatives cannot be sampled; choose a smaller number"
        )
    order = np.argsort(row, kind="stable")
    row, column = row[order], column[order]
    rng = np.random.default_rng(seed)
    chosen = []
    for start in range(0, len(users), CHUNK):
        keys = rng.random((min(CHUNK, len(users) - start), len(movies)))
        first, last = np.searchsorted(row, [start, start + CHUNK])
        keys[row[first:last] - start, column[first:last]] = 2.0  # larger than the key of any unrated movie
        chosen.append(np.sort(np.argpartition(keys, number - 1, axis=1)[:, :number], axis=1))
    columns = np.concatenate(chosen)  # [num_users, number]
    return pd.DataFrame({"user_id": users.repeat(number), "movie_id": movies[columns.ravel()]})


def check_negatives(negatives: pd.DataFrame, dataset: Dataset, test: pd.DataFrame) -> pd.DataFrame:
    """Return the negatives of the test users, ``user_id, movie_id``, without test movies of the same user.

    Raises
    ------
    DataError
        A movie is unknown or was rated by that user in another part, or a test user has no negatives.
    """
    try:
        rows = Dataset(negatives).ratings[["user_id", "movie_id"]]
    except DataError as error:
        raise error.relocated(lambda table, row: ("negatives", row)) from None

    def index_pairs(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        user = pd.Index(dataset.users["user_id"]).get_indexer(pd.Index(frame["user_id"]))
        movie = pd.Index(dataset.movies["movie_id"]).get_indexer(pd.Index(frame["movie_id"]))
        return user, movie, user * np.int64(len(dataset.movies)) + movie

    user, movie, pair = index_pairs(rows)
    _raise_at_first(
        movie < 0, rows, "movie {movie} is not in the movies table; negatives must be movies that can be ranked"
    )
    is_test = (user >= 0) & np.isin(pair, index_pairs(test)[2])
    if is_test.any():
        warnings.warn(
            f"{is_test.sum():,} of {len(rows):,} negatives are test movies of the same user, which are ranked anyway; "
            "they are left out",
            UserWarning,
            stacklevel=2,
        )
    rated = (user >= 0) & ~is_test & np.isin(pair, index_pairs(dataset.ratings)[2])
    _raise_at_first(rated, rows, "user {user} has rated movie {movie}, so it cannot be a negative; remove the row")
    missing = test["user_id"][~test["user_id"].isin(rows["user_id"][~is_test])]
    if len(missing):
        raise DataError(
            f"user {format_id(missing.iloc[0])} has test ratings but no negatives; add negatives for every test user"
        )
    return rows[rows["user_id"].isin(test["user_id"]) & ~is_test].reset_index(drop=True)


def read_negatives(path: str | Path, test: pd.DataFrame) -> tuple[pd.DataFrame, Callable[[str, int | None], Location]]:
    """Read negatives from a file; also return the function that maps a row to its file and line.

    The file is a table of ``user_id, movie_id``, or has one line per user in the format published with NCF,
    ``(user,movie)<tab>negative<tab>negative...``, where the first movie must be a test rating of that user.
    """
    path = as_path(path, "a file of negatives")
    if not path.is_file():
        raise DataError(f"the file of negatives {path} does not exist; give a number of negatives or a file")
    with path.open("rb") as file:
        is_ncf = file.read(1) == b"("
    if is_ncf:
        return _read_ncf(path, test)
    text_ids = {column for column in ("user_id", "movie_id") if test[column].dtype != "int64"}
    tables = read_files({"negatives": path}, {"negatives": "ratings"}, text_ids)
    return tables["negatives"].frame, locator(tables)


def _read_ncf(path: Path, test: pd.DataFrame) -> tuple[pd.DataFrame, Callable[[str, int | None], Location]]:
    convert = {column: int if test[column].dtype == "int64" else str.strip for column in ("user_id", "movie_id")}
    pairs = set(zip(test["user_id"].tolist(), test["movie_id"].tolist(), strict=True))
    users, movies, lines = [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        head, *tail = line.rstrip().split("\t")
        if (match := _NCF_PAIR.fullmatch(head.strip())) is None:
            raise DataError(f"{head!r} does not have the form (user,movie)", at=f"{path}:{number}")
        try:
            user, movie = convert["user_id"](match[1]), convert["movie_id"](match[2])
            negatives = [convert["movie_id"](text) for text in tail]
        except ValueError as error:
            raise DataError(
                f"an id is not an integer ({error}), but ids of the ratings are", at=f"{path}:{number}"
            ) from None
        if (user, movie) not in pairs:
            raise DataError(
                f"the rating of movie {movie!r} by user {user!r} is not in the test set; the file belongs to another "
                "split",
                at=f"{path}:{number}",
            )
        users += [user] * len(negatives)
        movies += negatives
        lines += [number] * len(negatives)
    frame = pd.DataFrame({"user_id": users, "movie_id": movies})
    return frame, lambda table, row: (table, row) if table != "negatives" or row is None else f"{path}:{lines[row]}"


def _raise_at_first(bad: np.ndarray, rows: pd.DataFrame, problem: str) -> None:
    def text(row: int) -> str:
        user, movie = (format_id(rows[column].iloc[row]) for column in ("user_id", "movie_id"))
        return problem.format(user=user, movie=movie)

    raise_at_first(bad, "negatives", text)
