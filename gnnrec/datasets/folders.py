"""Finds the files of a folder that hold ratings, movies and users."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from gnnrec.data.dialects import find_layout, names_of
from gnnrec.data.json_lines import is_json, read_json
from gnnrec.data.parquet import SUFFIXES as PARQUET_SUFFIXES
from gnnrec.data.parquet import is_parquet_folder, read_schema, table_suffix
from gnnrec.data.provenance import ABOUT_FILE, ReadLog, listed
from gnnrec.data.read_options import ReadOptions
from gnnrec.data.tables import Table, read_files
from gnnrec.data.text_files import open_text, stem_of, suffix_of
from gnnrec.datasets.imdb import FILES as IMDB_FILES
from gnnrec.datasets.kaggle import METADATA_FILES
from gnnrec.datasets.logs import read_log, sniff
from gnnrec.errors import DataError

TEXT_SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".dat",
    ".data",
    ".base",
    ".test",
    ".json",
    ".jsonl",
    ".ndjson",
    ".inter",
    ".item",
    ".user",
)
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".pq")
"""Suffixes of files that may be tables; each may be followed by that of a compression."""
RATINGS = """
    ratings rating interactions interaction bxbookratings bookratings userratings movieratings reviews review events
    userartists userratedmoviestimestamps recommendations ratingssmall inter
"""
MOVIES = """
    movies movie items item books book products product films film games game artists artist anime animes shows titles
    tracks songs bxbooks movietitles metadata meta businesses business recipes beers jokes
"""
USERS = "users user bxusers members customers readers profiles useridprofile"
LINKS = "links link linkssmall"
SIDE = ("fullplot", "omdb")
_PATTERNS = {
    "ratings": (
        re.compile(r"(ratings|reviews|interactions).*|.*(ratings|reviews|interactions|ratedmovies)"),
        RATINGS.split(),
    ),
    "movies": (
        re.compile(r"meta.*|.*(books|items|movies|metadata|business|games|products|artists|recipes|beers)"),
        MOVIES.split(),
    ),
    "users": (re.compile(r".*users"), USERS.split()),
    "links": (re.compile(r"(?!)"), LINKS.split()),
}
_DOCUMENTS = re.compile(r"readme.*|licen[cs]e.*|.*checksums?|requirements.*", re.IGNORECASE)
OWN_NAMES = ("movies", "users")
"""Names of tables that must list every movie and every user; others may be incomplete."""


def tables_in(folder: Path) -> list[Path]:
    """Return the files of a folder that may be tables, by name, and its folders of Parquet files."""
    files = sorted(path for path in folder.iterdir() if path.is_file() or is_parquet_folder(path))
    files = [path for path in files if path.name != ABOUT_FILE and not path.name.startswith((".", "_"))]
    return [path for path in files if table_suffix(path) in TABLE_SUFFIXES and not _DOCUMENTS.fullmatch(stem_of(path))]


def plain_name(path: Path) -> str:
    """Return the name of a file in lower case, without suffixes and punctuation.

    >>> plain_name(Path("BX-Book-Ratings.csv"))
    'bxbookratings'
    """
    return re.sub(r"[\W_]", "", stem_of(path).lower())


def _rank(path: Path, role: str) -> tuple[int, int] | None:
    """Return how well the name of a file fits a role, smaller is better; None if it does not fit."""
    if suffix_of(path) in (".inter", ".item", ".user"):
        return (
            (0, 0) if suffix_of(path) == {"ratings": ".inter", "movies": ".item", "users": ".user"}.get(role) else None
        )
    pattern, names = _PATTERNS[role]
    name, suffix = plain_name(path), TABLE_SUFFIXES.index(table_suffix(path))
    if stem_of(path).lower() in IMDB_FILES or name in SIDE:
        return None
    if name in names:
        return names.index(name), suffix
    return (len(names), suffix) if pattern.fullmatch(name) else None


def find_roles(paths: Iterable[Path], options: ReadOptions) -> dict[str, Path]:
    """Return the files of the roles "ratings", "movies", "users" and "links", by name, else by their columns."""
    paths = [path for path in paths if plain_name(path) not in METADATA_FILES]
    roles: dict[str, Path] = {}
    for role, (_, names) in _PATTERNS.items():
        ranked = sorted((rank, path) for path in paths if (rank := _rank(path, role)) and rank[0] < len(names))
        if ranked:
            roles[role] = ranked[0][1]
    if "ratings" not in roles:
        rest = [path for path in paths if path not in roles.values()]
        named = [path for path in rest if _rank(path, "ratings")]
        found = _by_columns(named or rest, options) or _by_columns(rest, options)
        if found is not None:
            roles["ratings"] = found
    for role in _PATTERNS:
        ranked = sorted((rank, path) for path in paths if path not in roles.values() and (rank := _rank(path, role)))
        if role not in ("ratings", *roles) and ranked:
            roles[role] = ranked[0][1]
    return roles


def _by_columns(paths: list[Path], options: ReadOptions) -> Path | None:
    """Return the only file with columns of users and movies, or the only one of these that has ratings or counts."""
    found = {path: columns for path in paths if {"user_id", "movie_id"} <= (columns := _columns(path, options))}
    rated = [path for path, columns in found.items() if {"rating", "weight"} & columns]
    chosen = rated or list(found)
    if len(chosen) > 1:
        raise DataError(
            f"{chosen[0].parent} has several files that may hold the ratings: {listed(path.name for path in chosen)}; "
            "give the path of one"
        )
    return chosen[0] if chosen else paths[0] if len(paths) == 1 else None  # reading it reports the error


def _columns(path: Path, options: ReadOptions) -> set[str]:
    """Return the canonical column names of a ratings table; empty for other tables."""
    try:
        if table_suffix(path) in PARQUET_SUFFIXES:
            header = read_schema(path)
        else:
            source = open_text(path, options.encoding, lenient=True)
            if is_json(source):
                return set(read_json(source, "ratings", replace(options, errors="skip"), ReadLog()).frame.columns)
            header = list(find_layout(source, "ratings", options).header)
    except (DataError, ImportError, OSError, ValueError):
        return set()
    return {str(name) for name in {*header, *names_of(header, "ratings", options).values()}}


def netflix_files(folder: Path) -> list[Path]:
    """Return the files of the Netflix prize in a folder: ``combined_data_1.txt`` and so on, or ``mv_0000001.txt``."""
    found = sorted(folder.glob("combined_data_*.txt*"), key=lambda path: (len(path.name), path.name))
    return found or sorted([*folder.glob("mv_*.txt"), *folder.glob("training_set/mv_*.txt")])


def read_tables(folder: Path, options: ReadOptions, log: ReadLog) -> tuple[dict[str, Table], dict[str, Path]]:
    """Read the tables of a folder.

    Returns
    -------
    tables : dict of str to Table
        "ratings", and where there are such files "movies", "users", "links", "fullplot" and "omdb".
    others : dict of str to Path
        Files that are read later, by `plain_name`, such as IMDb's.
    """
    paths = tables_in(folder)
    special: dict[str, Table] = {}
    roles: dict[str, Path] = {}
    if logs := netflix_files(folder):
        special = read_log(logs, "netflix", log)
    else:
        roles = find_roles(paths, options)
        if "ratings" not in roles or _are_lists(roles["ratings"]):
            roles.pop("ratings", None)
            logs = [path for path in paths if path not in roles.values()]
            formats = {path: kind for path in logs if table_suffix(path) in TEXT_SUFFIXES and (kind := sniff(path))}
            logs = list(formats)[:1]
            if logs:
                kind = formats[logs[0]]
                if kind == "lists":  # train.txt and test.txt
                    logs = [path for path in formats if formats[path] == kind]
                special = read_log(logs, kind, log)
        elif table_suffix(roles["ratings"]) in TEXT_SUFFIXES and (kind := sniff(roles["ratings"])):
            logs = [roles.pop("ratings")]
            special = read_log(logs, kind, log)
    if special:
        roles |= {
            role: path
            for role, path in find_roles([p for p in paths if p not in logs], options).items()
            if role != "ratings"
        }
    if "movies" in special:
        roles.pop("movies", None)
    if "ratings" not in roles and not special:
        return {}, {}
    kinds = {"ratings": "ratings", "movies": "movies", "users": "users", "links": "movies"}
    wanted = dict(roles)
    if "movies" in roles or "movies" in special:
        wanted |= {name: path for path in paths if (name := plain_name(path)) in SIDE}
    text_ids = {
        column for table in special.values() for column in ("user_id", "movie_id")
        if column in table.frame and table.frame[column].dtype.kind not in "iuf"
    }  # fmt: skip
    tables = special | read_files(wanted, {name: kinds.get(name, "movies") for name in wanted}, text_ids, options, log)
    used = {*wanted.values(), *logs}
    others = {stem_of(path).lower(): path for path in paths if path not in used}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))):
        if inner in paths:
            continue
        if stem_of(inner).lower() in IMDB_FILES and len(files := tables_in(inner)) == 1:
            others[stem_of(inner).lower()] = files[0]  # title.basics.tsv/data.tsv, as archives of IMDb's files are
        elif any(_rank(path, role) for path in tables_in(inner) for role in ("ratings", "movies", "users")):
            log.unused_files.append(f"{inner.name}/")
    return tables, others


def _are_lists(path: Path) -> bool:
    """Return whether a file has a user and items in each line, such as train.txt, whose columns cannot be named."""
    return table_suffix(path) in TEXT_SUFFIXES and sniff(path) == "lists"


def beside(path: Path) -> dict[str, Path]:
    """Return the files of movies and users that belong to a file of ratings in RecBole's format."""
    if suffix_of(path) != ".inter":
        return {}
    names = {"movies": ".item", "users": ".user"}
    found = {role: path.with_name(stem_of(path) + suffix) for role, suffix in names.items()}
    return {role: file for role, file in found.items() if file.is_file()}


def must_be_complete(table: Table, kind: str) -> bool:
    """Return whether a table must list every id of the ratings; only files with gnnrec's own names must."""
    return stem_of(table.path) in OWN_NAMES and not _is_book_crossing(table, kind)


def _is_book_crossing(table: Table, kind: str) -> bool:
    names: Mapping[str, object] = dict.fromkeys(map(str, table.frame.columns))
    return kind == "users" and "Location" in names
