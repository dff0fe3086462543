"""Joins the tables of a dataset: finds the movie ids that the ratings use, and adds rows for ids that a table lacks."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.convert import to_imdb_ids, to_years
from gnnrec.data.dtypes import refuse_containers
from gnnrec.data.id_index import unique_ids
from gnnrec.data.provenance import ReadLog
from gnnrec.data.schema import COLUMNS, OPTIONAL_MOVIE_COLUMNS
from gnnrec.data.side_tables import add_side_tables
from gnnrec.data.tables import Table, locator
from gnnrec.data.user_columns import clean_feature
from gnnrec.datasets.folders import must_be_complete
from gnnrec.datasets.imdb import add_imdb_columns, find_imdb_files
from gnnrec.datasets.kaggle import read_metadata
from gnnrec.errors import DataError
from gnnrec.user_features import user_features

_ID_NAMES = (*COLUMNS["movies"]["movie_id"].aliases, "goodreadsbookid", "workid", "bestbookid", "imdbid", "tmdbid")
_RELEASE = re.compile(r"(release|released|publication|published|first)(date|on)?|daterelease|datereleased")
_ENTITY = re.compile(r"&(?:amp|quot|lt|gt|apos|nbsp|#\d+|#x[0-9a-f]+);", re.IGNORECASE)
_TCONST = re.compile(r"tt\d{6,}")


def join_tables(
    tables: dict[str, Table], others: Mapping[str, Path], log: ReadLog, *, lenient: bool = False
) -> dict[str, Table]:
    """Return ratings, movies and users that fit together.

    Parameters
    ----------
    tables : dict of str to Table
        "ratings", "movies", "users", "links", "fullplot", "omdb".
    others : mapping of str to Path
        Files by name without suffix: those of IMDb and of The Movies Dataset are read here.
    log : ReadLog
    lenient : bool
        Invalid values of movies and users become missing.
    """
    ratings = tables["ratings"]
    if "movie_id" in ratings.frame:
        try:
            refuse_containers(ratings.frame["movie_id"], "ratings")
        except DataError as error:
            raise error.relocated(locator({"ratings": ratings})) from None
    rated = unique_ids(ratings.frame["movie_id"]) if "movie_id" in ratings.frame else pd.Index([])
    rest = dict(others)
    if "movies" not in tables and "moviesmetadata" in _plain(rest):
        _add_metadata(tables, rest, log, lenient)
    if "movies" in tables:
        movies = _choose_ids(tables["movies"], rated, log)
        movies = _refine(movies, log)
        if lenient or not must_be_complete(movies, "movies"):
            movies = _repair(movies, "movie_id", "movies", log)
            movies = _complete(movies, "movie_id", rated, log)
        sides: dict[str, Table] = {name: tables[name] for name in ("fullplot", "omdb", "links") if name in tables}
        if sides and "movie_id" in movies.frame:
            movies = add_side_tables(movies, sides)
        tables["movies"] = movies
    elif "links" in tables and find_imdb_files(rest):
        frame = tables["links"].frame
        tables["movies"] = _complete(Table(tables["links"].path, frame, tables["links"].line), "movie_id", rated, log)
    if imdb := find_imdb_files(rest):
        _add_imdb(tables, imdb, rated, rest, log)
    if "users" in tables and (lenient or not must_be_complete(tables["users"], "users")):
        users = _repair(tables["users"], "user_id", "users", log)
        if "user_id" in ratings.frame:
            users = _complete(users, "user_id", unique_ids(ratings.frame["user_id"]), log)
        tables["users"] = users
    log.unused_files += [path.name for path in rest.values()]
    return {name: tables[name] for name in ("ratings", "movies", "users") if name in tables}


def _plain(files: Mapping[str, Path]) -> dict[str, str]:
    return {re.sub(r"[\W_]", "", name): name for name in files}


def _add_metadata(tables: dict[str, Table], rest: dict[str, Path], log: ReadLog, lenient: bool) -> None:
    """Make the movies table from The Movies Dataset; links.csv maps TMDB ids to those of the ratings."""
    names = _plain(rest)
    path = rest.pop(names["moviesmetadata"])
    credits = rest.pop(names["credits"]) if "credits" in names else None
    if "links" not in tables:
        log.warn(f"{path.name} has TMDB ids but the ratings have MovieLens ids; put links.csv next to it to join them")
        return
    found = read_metadata(path, credits, log, skips=lenient)
    links = tables.pop("links")
    ids = links.frame[["movie_id", "tmdb_id"]].dropna()
    ids = ids.assign(tmdb_id=pd.to_numeric(ids["tmdb_id"], errors="coerce")).dropna().drop_duplicates("movie_id")
    frame = ids.merge(found, on="tmdb_id", how="inner").reset_index(drop=True)
    tables["movies"] = Table(path, frame)
    log.assume(f"the TMDB ids of {path.name} are mapped to movie ids by {links.path.name}")


def _choose_ids(table: Table, rated: pd.Index, log: ReadLog) -> Table:
    """Use the column that contains most of the ids in the ratings as movie ids."""
    frame = table.frame
    if "movie_id" not in frame or not len(rated):
        return table
    if frame["movie_id"].dtype == rated.dtype and rated.isin(frame["movie_id"]).all():
        return table
    wanted = set(rated.astype(str))

    def share(column: str) -> float:
        values = frame[column].dropna()
        if pd.api.types.is_float_dtype(values.dtype) and (values % 1 == 0).all():
            values = values.astype("int64")
        return len(wanted & set(values.astype(str))) / len(wanted)

    own = share("movie_id")
    if own == 1:
        return table
    plain = {str(column): re.sub(r"[\W_]", "", str(column).lower()) for column in frame.columns}
    others = {column: share(column) for column, name in plain.items() if column != "movie_id" and name in _ID_NAMES}
    if not others or max(others.values()) <= own:
        return table
    best = max(others, key=lambda column: others[column])
    values = frame[best]
    if pd.api.types.is_numeric_dtype(rated.dtype):
        numbers = pd.to_numeric(values, errors="coerce")
        values = numbers.astype("int64") if numbers.notna().all() else values
    else:
        values = values.astype(str)
    renamed = frame.assign(**{best: values}).rename(columns={"movie_id": "other_id", best: "movie_id"})
    log.renamed.setdefault(table.path.name, {})[best] = "movie_id"
    log.renamed[table.path.name] = {
        old: new for old, new in log.renamed[table.path.name].items() if new != "movie_id" or old == best
    }
    log.assume(f"{best} of {table.path.name} holds the movie ids: it has {others[best]:.0%} of those in the ratings")
    return table.with_frame(renamed)


def _refine(table: Table, log: ReadLog) -> Table:
    """Decode HTML entities in titles, and take the year from a date of release."""
    frame, name = table.frame, table.path.name
    if "title" in frame and not pd.api.types.is_numeric_dtype(frame["title"].dtype):
        has = frame["title"].astype("string").str.contains(_ENTITY, na=False)
        if has.any():
            frame = frame.assign(
                title=frame["title"].map(lambda text: html.unescape(text) if isinstance(text, str) else text)
            )
            log.assume(f"HTML entities in {counted(int(has.sum()), 'title')} of {name} are decoded")
    if "plot" in frame and frame["plot"].dtype == object:
        frame = frame.assign(
            plot=frame["plot"].map(lambda text: " ".join(map(str, text)) if isinstance(text, list) else text)
        )
    if "year" not in frame:
        dates = [column for column in frame if _RELEASE.fullmatch(re.sub(r"[\W_]", "", str(column).lower()))]
        if dates:
            years = frame[dates[0]].astype("string").str.extract(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")[0]
            frame = frame.assign(year=pd.to_numeric(years).astype("Int64"))
            log.assume(f"the year of each movie is taken from {dates[0]} of {name}")
    return table.with_frame(frame)


def _repair(table: Table, key: str, kind: str, log: ReadLog) -> Table:
    """Drop rows without an id or with a repeated id, and invalid values."""
    frame = table.frame
    if key not in frame:
        return table
    blank = frame[key].isna() | (frame[key].astype("string").str.strip() == "").fillna(False).astype(bool)
    again = (frame[key].duplicated() & ~blank).to_numpy()
    for number, what in ((int(blank.sum()), f"without a {key}"), (int(again.sum()), f"with a repeated {key}")):
        if number:
            log.note(f"{counted(number, 'row')} of {table.path.name} {what}")
    if (lost := blank.to_numpy(dtype=bool) | again).any():
        table = table.take(np.flatnonzero(~lost))
        frame = table.frame
    checks: dict[str, Callable[[pd.Series], pd.Series]] = {
        name: partial(clean_feature, one) for name, one in user_features().items()
    }
    if kind == "movies":
        checks = {**OPTIONAL_MOVIE_COLUMNS, "year": to_years}
    for column, check in checks.items():
        if column in frame:
            frame = frame.assign(**{column: _valid(frame[column], check, table, log)})
    return table.with_frame(frame)


def _valid(values: pd.Series, check: Callable[[pd.Series], pd.Series], table: Table, log: ReadLog) -> pd.Series:
    """Return a column with invalid values removed."""
    try:
        check(values)
    except DataError:
        pass
    else:
        return values
    problems: dict[object, str] = {}
    for value in values.dropna().unique():
        try:
            check(pd.Series([value], name=values.name))
        except DataError as error:
            problems[value] = error.problem
    bad = values.isin(list(problems)).to_numpy()
    for row in np.flatnonzero(bad):
        log.replace(table.locate(int(row)), problems[values.iloc[row]])
    return values.astype(object).mask(bad, None)


def _complete(table: Table, key: str, rated: pd.Index, log: ReadLog) -> Table:
    """Add a row for each id of the ratings that the table lacks."""
    frame = table.frame
    if key not in frame:
        return table
    numeric = [pd.api.types.is_numeric_dtype(these.dtype) for these in (frame[key], rated)]
    if numeric[0] != numeric[1]:
        return table
    missing = rated[~rated.isin(frame[key])]
    if not len(missing):
        return table
    if len(missing) == len(rated):
        raise DataError(f"none of the {key[:-3]}s in the ratings is in this file; check its ids", at=str(table.path))
    log.add(f"{counted(len(missing), key[:-3])} of the ratings that {table.path.name} does not have, with only an id")
    more = pd.DataFrame({key: missing})
    return Table(table.path, pd.concat([frame, more], ignore_index=True), table.line, table.unused)


def _add_imdb(
    tables: dict[str, Table], imdb: dict[str, Path], rated: pd.Index, rest: dict[str, Path], log: ReadLog
) -> None:
    """Add IMDb's columns to the movies that have an IMDb id, in a column of its own or as the movie id."""
    for name in imdb:
        rest.pop(name, None)
    movies = tables.get("movies")
    frame = pd.DataFrame({"movie_id": np.sort(rated)}) if movies is None else movies.frame
    if "movie_id" not in frame:
        return
    ids = frame["movie_id"].astype("string").str.strip()
    if "imdb_id" not in frame and ids.str.fullmatch(_TCONST, na=False).mean() > 0.5:
        frame = frame.assign(imdb_id=ids.where(ids.str.fullmatch(_TCONST, na=False)))
    if "imdb_id" not in frame:
        log.warn("the files of IMDb are not used: no movie has an imdb_id; add links.csv or a column imdb_id")
        return
    frame = frame.assign(imdb_id=to_imdb_ids(frame["imdb_id"]))
    path = movies.path if movies is not None else next(iter(imdb.values()))
    tables["movies"] = Table(path, add_imdb_columns(frame, imdb, log), movies.line if movies is not None else None)
