"""IMDb's own TSV files as side tables, joined by IMDb id.

These are ``title.basics``, ``title.crew``, ``title.principals`` and ``name.basics``. They are larger than a dataset,
so they are read piece by piece, and only the rows of its movies are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pandas as pd

from gnnrec.data.compression import compression_of
from gnnrec.data.provenance import ReadLog
from gnnrec.data.text_files import open_text
from gnnrec.errors import DataError

FILES = ("title.basics", "title.ratings", "title.crew", "title.principals", "name.basics")
"""Names without suffix; ``title.ratings`` only has averages, which are not used."""
MAX_ACTORS = 4
"""Number of actors that are kept per movie, in the order of the credits."""
ROWS = 200_000

_COLUMNS = {
    "title.basics": ("tconst", "primaryTitle", "startYear", "runtimeMinutes", "genres"),
    "title.crew": ("tconst", "directors"),
    "title.principals": ("tconst", "ordering", "nconst", "category"),
    "name.basics": ("nconst", "primaryName"),
}


def find_imdb_files(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files that are IMDb's, by their names without suffix."""
    return {name: path for name, path in files.items() if name in FILES}


def add_imdb_columns(movies: pd.DataFrame, files: Mapping[str, Path], log: ReadLog) -> pd.DataFrame:
    """Fill in missing genres, years, runtimes, directors and actors of movies from IMDb.

    Parameters
    ----------
    movies : pandas.DataFrame
        With ``imdb_id``, such as tt0114709, missing where unknown.
    files : mapping of str to Path
        From `find_imdb_files`.
    log : ReadLog
    """
    wanted = set(movies["imdb_id"].dropna())
    found = pd.DataFrame(index=pd.Index(sorted(wanted), name="tconst"))
    if "title.basics" in files:
        basics = _rows(files["title.basics"], "title.basics", "tconst", wanted, log).set_index("tconst")
        names = {"primaryTitle": "title", "startYear": "year", "runtimeMinutes": "runtime", "genres": "genres"}
        found = found.join(basics.rename(columns=names).assign(genres=basics["genres"].str.replace(",", "|")))
    people = pd.DataFrame({"tconst": [], "nconst": [], "role": []}, dtype=str)
    if "title.principals" in files:
        people = _principals(files["title.principals"], wanted, log)
    if "title.crew" in files and not (people["role"] == "directors").any():
        crew = _rows(files["title.crew"], "title.crew", "tconst", wanted, log).dropna()
        crew = crew.assign(nconst=crew["directors"].str.split(","), role="directors").explode("nconst")
        people = pd.concat([people, crew[["tconst", "nconst", "role"]]], ignore_index=True)
    if "name.basics" in files and len(people):
        names_of = _rows(files["name.basics"], "name.basics", "nconst", set(people["nconst"]), log)
        people = people.assign(name=people["nconst"].map(names_of.set_index("nconst")["primaryName"])).dropna()
        for role, rows in people.groupby("role"):
            found[str(role)] = rows.drop_duplicates(["tconst", "name"]).groupby("tconst")["name"].agg("|".join)
    if "title.ratings" in files:
        log.unused_files.append(files["title.ratings"].name)
    return _fill(movies, found)


def _fill(movies: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Fill values that are missing."""
    rows = found.reindex(movies["imdb_id"]).set_axis(movies.index)
    filled = movies.copy()
    for column, values in rows.items():
        if column in filled:
            own = filled[column].astype(object)
            known = own.notna() & (own != "")
            if column == "title":
                known &= own.astype(str) != filled["movie_id"].astype(str)
            values = own.where(known, values.astype(object))
        filled[column] = values
    return filled


def _principals(path: Path, wanted: Collection[str], log: ReadLog) -> pd.DataFrame:
    rows = _rows(path, "title.principals", "tconst", wanted, log)
    roles = {"director": "directors", "actor": "actors", "actress": "actors", "self": "actors"}
    rows = rows.assign(role=rows["category"].map(roles), ordering=pd.to_numeric(rows["ordering"], errors="coerce"))
    rows = rows.dropna(subset="role").sort_values(["tconst", "ordering"], kind="stable")
    rank = rows.groupby(["tconst", "role"]).cumcount()
    return rows.loc[(rows["role"] == "directors") | (rank < MAX_ACTORS), ["tconst", "nconst", "role"]]


def _rows(path: Path, name: str, key: str, wanted: Collection[str], log: ReadLog) -> pd.DataFrame:
    """Return the rows of a file whose key is wanted."""
    columns = list(_COLUMNS[name])
    pieces = [piece[piece[key].isin(wanted)] for piece in _pieces(path, columns)]
    log.read(path, [*filter(None, [compression_of(path)]), "IMDb"])
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=columns, dtype=str)


def _pieces(path: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    source = open_text(path)
    try:
        with pd.read_csv(
            source.file, sep="\t", quoting=3, dtype=str, na_values=[r"\N"], keep_default_na=False,
            usecols=columns, chunksize=ROWS, encoding="utf-8-sig",
        ) as pieces:  # fmt: skip
            yield from pieces
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} is not a file of IMDb with the columns {', '.join(columns)}: {error}") from error
