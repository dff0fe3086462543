"""Negatives: for each test user, the movies among which the test movies are to be ranked.

Ranking among a few drawn movies is easier than among all and its numbers are far higher; it is here because much was
published that way (He et al., "Neural Collaborative Filtering", WWW 2017).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first
from gnnrec.data import Dataset
from gnnrec.data.schema import format_id
from gnnrec.data.tables import locator, read_files
from gnnrec.errors import ConfigError, DataError, Location

CHUNK = 1024
"""People drawn for at once; bounds memory to ``CHUNK * len(catalogue)`` numbers."""

_HEAD = re.compile(r"\(\s*([^,]+?)\s*,\s*([^,]+?)\s*\)")


def resolve_negatives(
    negatives: int | str | Path | pd.DataFrame, whole: Dataset, test: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, str]:
    """Return the negatives that are drawn, read_negatives or given, check_negatives, and a line that says which they are."""
    if isinstance(negatives, pd.DataFrame):
        return check_negatives(negatives, whole, test), "negatives as given"
    if not isinstance(negatives, (str, Path)):
        return sample_negatives(whole, test, negatives, seed), f"{negatives} negatives per user, seed {seed}"
    frame, place = read_negatives(negatives, test)
    try:
        return check_negatives(frame, whole, test), f"negatives of {Path(negatives).name}"
    except DataError as error:
        raise error.relocated(place) from None


def sample_negatives(whole: Dataset, test: pd.DataFrame, number: int, seed: int) -> pd.DataFrame:
    """Draw `number` rated movies for each test user, none of which that user has rated in any part.

    Parameters
    ----------
    whole : Dataset
        The ratings of all parts.
    test : pandas.DataFrame
        Its users are drawn for.
    number : int
        Movies per user, drawn evenly and without repetition.
    seed : int
        The same seed draws the same movies, whatever the order of the rows.

    Returns
    -------
    pandas.DataFrame
        ``user_id, movie_id``, sorted by both.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigError(f"the number of negatives must be a whole number of at least 1, not {number!r}")
    users, movies = (pd.Index(np.sort(ids.unique())) for ids in (test["user_id"], whole.ratings["movie_id"]))
    row = users.get_indexer(pd.Index(whole.ratings["user_id"]))
    column = movies.get_indexer(pd.Index(whole.ratings["movie_id"]))[row >= 0]
    row = row[row >= 0]
    left = len(movies) - np.bincount(row, minlength=len(users))
    if (left < number).any():
        few = int(np.argmin(left))
        raise ConfigError(
            f"user {format_id(users[few])} has rated all but {left[few]} of {len(movies)} movies, so {number} negatives "
            "cannot be drawn; ask for fewer"
        )
    order = np.argsort(row, kind="stable")
    row, column = row[order], column[order]
    rng = np.random.default_rng(seed)
    chosen = []
    for start in range(0, len(users), CHUNK):
        keys = rng.random((min(CHUNK, len(users) - start), len(movies)))
        first, last = np.searchsorted(row, [start, start + CHUNK])
        keys[row[first:last] - start, column[first:last]] = 2.0  # behind all that may be drawn
        chosen.append(np.sort(np.argpartition(keys, number - 1, axis=1)[:, :number], axis=1))
    columns = np.concatenate(chosen)  # [num_users, number]
    return pd.DataFrame({"user_id": users.repeat(number), "movie_id": movies[columns.ravel()]})


def check_negatives(negatives: pd.DataFrame, whole: Dataset, test: pd.DataFrame) -> pd.DataFrame:
    """Return the negatives of the test users, ``user_id, movie_id``.

    A `DataError` names the row of a movie that nobody knows, or that its user has rated in some part, and a test user
    who has none.
    """
    try:
        rows = Dataset(negatives).ratings[["user_id", "movie_id"]]
    except DataError as error:
        raise error.relocated(lambda table, row: ("negatives", row)) from None
    numbers = {}
    for name, frame in (("negatives", rows), ("rated", whole.ratings)):
        user = pd.Index(whole.users["user_id"]).get_indexer(pd.Index(frame["user_id"]))
        movie = pd.Index(whole.movies["movie_id"]).get_indexer(pd.Index(frame["movie_id"]))
        numbers[name] = user, movie, user * np.int64(len(whole.movies)) + movie
    user, movie, pair = numbers["negatives"]
    _raise_at_first(
        movie < 0, rows, "movie {movie} is not in the movies table; negatives must be movies that can be ranked"
    )
    rated = (user >= 0) & np.isin(pair, numbers["rated"][2])
    _raise_at_first(rated, rows, "user {user} has rated movie {movie}, so it is no negative; drop the row")
    lacking = test["user_id"][~test["user_id"].isin(rows["user_id"])]
    if len(lacking):
        raise DataError(f"user {format_id(lacking.iloc[0])} has test rows but no negatives; give every test user some")
    return rows[rows["user_id"].isin(test["user_id"])].reset_index(drop=True)


def read_negatives(path: str | Path, test: pd.DataFrame) -> tuple[pd.DataFrame, Callable[[str, int | None], Location]]:
    """Read negatives from a file, and return them with the function that names file and line of a row.

    The file is either a table of ``user_id, movie_id``, or has a line per user as published with NCF,
    ``(user,movie)<tab>negative<tab>negative...``, whose first movie must be a test row of that user.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is not a file; negatives are a number, or a file of user_id and movie_id")
    with path.open("rb") as file:
        by_line = file.read(1) == b"("
    if by_line:
        return _read_lines(path, test)
    text_ids = {column for column in ("user_id", "movie_id") if test[column].dtype != "int64"}
    tables = read_files({"negatives": path}, {"negatives": "ratings"}, text_ids)
    return tables["negatives"].frame, locator(tables)


def _read_lines(path: Path, test: pd.DataFrame) -> tuple[pd.DataFrame, Callable[[str, int | None], Location]]:
    convert = {column: int if test[column].dtype == "int64" else str.strip for column in ("user_id", "movie_id")}
    pairs = set(zip(test["user_id"].tolist(), test["movie_id"].tolist(), strict=True))
    users, movies, lines = [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        head, *tail = line.rstrip().split("\t")
        if (pair := _HEAD.fullmatch(head.strip())) is None:
            raise DataError(f"{head!r} is not (user,movie)", at=f"{path}:{number}")
        try:
            user, movie = convert["user_id"](pair[1]), convert["movie_id"](pair[2])
            others = [convert["movie_id"](text) for text in tail]
        except ValueError as error:
            raise DataError(
                f"an id is no whole number ({error}), as it is in the ratings", at=f"{path}:{number}"
            ) from None
        if (user, movie) not in pairs:
            raise DataError(
                f"user {user!r} and movie {movie!r} are no test row; the file belongs to another split",
                at=f"{path}:{number}",
            )
        users += [user] * len(others)
        movies += others
        lines += [number] * len(others)
    frame = pd.DataFrame({"user_id": users, "movie_id": movies})
    return frame, lambda table, row: (table, row) if table != "negatives" or row is None else f"{path}:{lines[row]}"


def _raise_at_first(bad: np.ndarray, rows: pd.DataFrame, problem: str) -> None:
    def text(row: int) -> str:
        user, movie = (format_id(rows[column].iloc[row]) for column in ("user_id", "movie_id"))
        return problem.format(user=user, movie=movie)

    raise_at_first(bad, "negatives", text)
