"""Raw frames become those of a `Dataset`: our names, our types, one row of each, nothing that is not known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from gnnrec.errors import DataError

ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    "ratings": {
        "user_id": ("userid", "user", "uid"),
        "movie_id": ("movieid", "movie", "itemid", "item", "iid", "mid"),
        "rating": ("rating", "score", "stars"),
        "timestamp": ("timestamp", "time", "datetime", "date", "ts"),
    },
    "movies": {
        "movie_id": ("movieid", "movie", "itemid", "item", "iid", "mid", "id"),
        "title": ("title", "movietitle", "name"),
        "genres": ("genres", "genre"),
        "year": ("year", "releaseyear"),
        "plot": ("plotfull", "fullplot", "plot", "overview", "synopsis", "description"),
        "directors": ("directors", "director"),
        "actors": ("actors", "actor", "cast"),
        "runtime": ("runtime", "runtimeminutes"),
        "imdb_id": ("imdbid",),
        "tmdb_id": ("tmdbid",),
    },
    "users": {
        "user_id": ("userid", "user", "uid", "id"),
        "age": ("age",),
        "gender": ("gender", "sex"),
        "occupation": ("occupation", "job"),
    },
}
"""Spellings of each column, lower case and without punctuation, best first."""

UNKNOWN = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "<NA>", r"\N"})
"""Texts that mean "not known" in optional columns. Not "none": ML-100k has people of that occupation."""

LATEST_TIMESTAMP = 253_402_300_799  # the last second of the year 9999; beyond it the unit is wrong
DEFAULT_RATING = 5.0
"""Rating of a movie that is only named as liked."""
OLDEST = 150
"""Years; a higher age is a slip. `NewUser` has the same bound."""

_NO_NAMES = UNKNOWN | {"(no genres listed)"}
_LARGEST_ID = 2**63 - 1
_LARGEST = float(np.finfo(np.float32).max)  # ratings are kept as float32, where more is infinite
_YEAR_IN_TITLE = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\)\s*)?$")  # "(1995)", "(2006–2007)", "(1995) (V)"


def canonical_names(names: Iterable[object], table: str) -> dict[object, str]:
    """Map the columns that are known under another name to our name, e.g. ``{"userId": "user_id"}``."""
    plain = {name: re.sub(r"[\W_]", "", str(name).lower()) for name in names}
    renamed: dict[object, str] = {}
    for ours, spellings in ALIASES[table].items():
        if ours in plain:
            continue
        found = [name for spelling in spellings for name, text in plain.items() if text == spelling]
        found = [name for name in found if name not in renamed]
        if found:
            renamed[found[0]] = ours
    return renamed


def to_ids(values: pd.Series, table: str) -> pd.Series:
    """Return ids as int64 or as text, never a mixture; a missing id is an error."""
    column = str(values.name)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    missing = values.isna()
    if not pd.api.types.is_numeric_dtype(values.dtype):
        missing |= (values == "").fillna(False).astype(bool)
    stop_at(missing, table, lambda row: f"{column} is missing; every row needs one")
    if pd.api.types.is_bool_dtype(values.dtype):
        raise DataError(f"{column} holds truth values; ids are whole numbers or text", at=(table, None))
    if pd.api.types.is_float_dtype(values.dtype):
        stop_at(
            values % 1 != 0,
            table,
            lambda row: f"{column} {values.iloc[row]} is not a whole number",
        )
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if pd.api.types.is_numeric_dtype(values.dtype) or kind == "integer":
        largest = _LARGEST_ID
        if pd.api.types.is_float_dtype(values.dtype):  # beyond this they skip whole numbers, so two ids may be one
            largest = 2 ** (np.finfo(values.to_numpy().dtype).nmant + 1) - 1
        stop_at(
            (values > largest) | (values < -largest),
            table,
            lambda row: f"{column} {format_id(values.iloc[row])} is too large for an id; use text",
        )
        return values.astype("int64")
    if kind not in ("string", "empty"):
        text = values.map(lambda value: isinstance(value, str)).astype(bool)
        odd = text if not text.iloc[0] else ~text
        row = int(np.argmax(odd))
        one, other = format_id(values.iloc[row]), format_id(values.iloc[0])
        problem = f"{column} {one} is of another type than {other}; make all ids whole numbers or all text"
        raise DataError(problem, at=(table, row))
    return values.astype(str)


def to_numbers(values: pd.Series, table: str, *, optional: bool = False) -> pd.Series:
    """Return float64; missing (unless `optional`), not finite or not a number is an error."""
    column = str(values.name)
    raw, missing = values, values.isna()
    if not pd.api.types.is_numeric_dtype(values.dtype):
        if optional:
            missing = missing | values.astype("string").str.strip().isin(UNKNOWN).fillna(False).astype(bool)
        else:
            _stop_at_blank(values, table)
        values = pd.to_numeric(values.astype(object).where(~missing, None), errors="coerce")
        stop_at(
            values.isna() & ~missing & ~_spells_nan(raw),
            table,
            lambda row: f"{column} {raw.iloc[row]!r} is not a number",
        )
    numbers = pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), index=values.index, name=column)
    infinite = ~numbers.abs().le(_LARGEST) & ~(numbers.isna() & optional)
    stop_at(infinite, table, lambda row: f"{column} {numbers.iloc[row]} is not finite; correct or drop the row")
    return numbers


def to_ages(values: pd.Series, table: str) -> pd.Series:
    """Return years as Float64, missing where not known."""
    ages = to_numbers(values, table, optional=True)
    stop_at(
        (ages < 0) | (ages > OLDEST),
        table,
        lambda row: f"age {ages.iloc[row]:g} is not between 0 and {OLDEST} years; correct it or leave it out",
    )
    return ages.astype("Float64")


def to_timestamps(values: pd.Series, table: str) -> pd.Series:
    """Return int64 seconds since 1970 from whole numbers, datetimes or ISO texts."""
    if len(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        values = _parse_times(values, table)
    numbers = values if pd.api.types.is_integer_dtype(values.dtype) else to_numbers(values, table)
    if not pd.api.types.is_integer_dtype(numbers.dtype):
        stop_at(
            numbers % 1 != 0,
            table,
            lambda row: f"timestamp {numbers.iloc[row]} is not whole seconds",
        )
    stop_at(numbers.isna(), table, lambda row: "timestamp is missing; give every row one, or drop the column")
    stop_at(numbers < 0, table, lambda row: f"timestamp {numbers.iloc[row]} is negative")
    late = numbers > LATEST_TIMESTAMP
    stop_at(late, table, lambda row: f"timestamp {numbers.iloc[row]} is no time in seconds; convert it to seconds")
    return numbers.astype("int64")


def to_names(values: pd.Series) -> pd.Series:
    """Return lists or texts of several names, such as genres, as ``"Comedy|Drama"``, empty where none are known."""
    return pd.Series([_joined(value) for value in values.tolist()], index=values.index, dtype=str, name=values.name)


def to_text(values: pd.Series, unknown: Iterable[str] = UNKNOWN) -> pd.Series:
    """Return nullable text; blanks and other spellings of "unknown" become `pandas.NA`."""
    if pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # codes that met a missing value on their way: 4, not "4.0"
    text = values.astype("string").str.strip()
    return text.mask(text.isin(unknown))


def to_categories(values: pd.Series, known: Iterable[str] = ()) -> pd.Series:
    """Return nullable text in which spellings that differ only in case or surrounding blanks have become one.

    A `known` spelling wins, else the most frequent, of several the first.

    >>> to_categories(pd.Series(["artist", "Nurse", " Artist", "Artist"])).tolist()
    ['Artist', 'Nurse', 'Artist', 'Artist']
    """
    text = to_text(values)
    found = [spelling for spelling, _ in Counter(text.dropna()).most_common()]
    chosen: dict[str, str] = {}
    for spelling in (*known, *found):
        chosen.setdefault(spelling.casefold(), spelling)
    return text.map({spelling: chosen[spelling.casefold()] for spelling in found}).astype("string")


def years_in(titles: pd.Series) -> pd.Series:
    """Return the year at the end of each title as Int64, missing where there is none.

    >>> years_in(pd.Series(["Toy Story (1995)", "Babylon 5"])).tolist()
    [1995, <NA>]
    """
    found = [_YEAR_IN_TITLE.search(title) for title in titles]
    return pd.Series([int(match[1]) if match else pd.NA for match in found], index=titles.index, dtype="Int64")


def stop_at(bad: pd.Series, table: str, problem: Callable[[int], str]) -> None:
    """Raise for the first row where `bad` holds; `problem` makes its text from the row."""
    flags = bad.to_numpy(dtype=bool, na_value=False)
    if flags.any():
        row = int(np.argmax(flags))
        raise DataError(problem(row), at=(table, row))


def format_id(value: object) -> str:
    """Return a value as an error should show it: 5, not ``np.int64(5)``."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _joined(value: object) -> str:
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        parts = [str(part) for part in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    else:
        parts = str(value).split("|") if isinstance(value, str) else []
    parts = [part.strip() for part in parts]
    return "|".join(dict.fromkeys(part for part in parts if part not in _NO_NAMES))


def _parse_times(values: pd.Series, table: str) -> pd.Series:
    """Turn datetimes or texts into whole seconds; the first value decides what a column of texts holds."""
    raw = values
    if pd.api.types.infer_dtype(values, skipna=True) == "string":
        _stop_at_blank(values, table)
        if pd.notna(pd.to_numeric(values.iloc[:1], errors="coerce")).all():
            return to_numbers(values, table)
        values = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    elif not pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = pd.to_datetime(values, utc=True, errors="coerce")
    stop_at(
        values.isna(),
        table,
        lambda row: f"timestamp {raw.iloc[row]!r} is no time; give seconds since 1970 or ISO text (2001-03-09T12:00)",
    )
    if values.dt.tz is not None:
        values = values.dt.tz_convert(None)
    return values.astype("datetime64[s]").astype("int64")


def _spells_nan(values: pd.Series) -> pd.Series:
    return values.astype("string").str.strip().str.lower().isin({"nan", "+nan", "-nan"})


def _stop_at_blank(values: pd.Series, table: str) -> None:
    blank = values.astype("string").str.strip() == ""
    stop_at(blank, table, lambda row: f"{values.name} is missing; give every row one, or drop the column")


_RUNTIME = r"(?:(?P<hours>\d+) ?h(?:ours?)?)? ?(?:(?P<minutes>\d[\d,]*(?:\.\d+)?) ?(?:min(?:utes?)?\.?)?)?"
_IMDB_DIGITS = 7  # at least; ids that are given as numbers have lost their zeros


def to_minutes(values: pd.Series) -> pd.Series:
    """Return running times as Int64 minutes, missing where not known; 0 stands for that, too.

    >>> to_minutes(pd.Series(["81 min", 90, "2 h 5 min", "N/A", 0])).tolist()
    [81, 90, 125, <NA>, <NA>]
    """
    if not pd.api.types.is_numeric_dtype(values.dtype):
        text = to_text(values)
        stop_at(
            text.notna() & ~text.str.fullmatch(_RUNTIME, na=False),
            "movies",
            lambda row: f"runtime {format_id(values.iloc[row])} is no time; give minutes (81) or a text (81 min)",
        )
        parts = text.str.replace(",", "").str.extract(_RUNTIME).astype("Float64")
        values = (60 * parts["hours"].fillna(0) + parts["minutes"].fillna(0)).rename("runtime")
    minutes = to_numbers(values, "movies", optional=True)
    stop_at(minutes < 0, "movies", lambda row: f"runtime {minutes.iloc[row]:g} is negative")
    return minutes.mask(minutes == 0).round().astype("Int64")


def to_imdb_ids(values: pd.Series) -> pd.Series:
    """Return IMDb's ids of titles as nullable text, missing where not known.

    >>> to_imdb_ids(pd.Series(["tt0114709", "0114709", "114709", ""])).tolist()
    ['tt0114709', 'tt0114709', 'tt0114709', <NA>]
    """
    text = to_text(values)
    digits = text.str.removeprefix("tt")
    stop_at(
        text.notna() & ~digits.str.fullmatch(r"[0-9]{1,12}", na=False),
        "movies",
        lambda row: f"imdb_id {format_id(values.iloc[row])} is no id of a title at IMDb, such as tt0114709",
    )
    return "tt" + digits.str.zfill(_IMDB_DIGITS)


def to_tmdb_ids(values: pd.Series) -> pd.Series:
    """Return TMDB's ids of movies as Int64, missing where not known."""
    numbers = to_numbers(values, "movies", optional=True)
    stop_at(
        (numbers % 1 != 0) & numbers.notna() | (numbers < 1),
        "movies",
        lambda row: f"tmdb_id {format_id(values.iloc[row])} is no id of a movie at TMDB, a whole number such as 862",
    )
    return numbers.astype("Int64")


FACTS: dict[str, Callable[[pd.Series], pd.Series]] = {
    "plot": to_text,
    "directors": to_names,
    "actors": to_names,
    "runtime": to_minutes,
    "imdb_id": to_imdb_ids,
    "tmdb_id": to_tmdb_ids,
}
"""The columns of a movies table that are neither required nor made up, and what gives each its type."""


AS_GIVEN = "columns as given"
"""Under this key the `attrs` of a frame hold the names that its file has."""


def clean_ratings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ratings as they stand in a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "ratings", ("user_id", "movie_id"))
    if frame.empty:
        raise DataError("no rows; at least one rating is needed", at=("ratings", None))
    clean = {column: to_ids(frame[column], "ratings") for column in ("user_id", "movie_id")}
    if "rating" in frame:
        clean["rating"] = to_numbers(frame["rating"], "ratings").astype("float32")
    if "timestamp" in frame:
        clean["timestamp"] = to_timestamps(frame["timestamp"], "ratings")
    return pd.DataFrame(clean)


def clean_movies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return movies as they stand in a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "movies", ("movie_id",))
    ids = _unique(to_ids(frame["movie_id"], "movies"), "movies")
    given = (
        to_text(frame["title"], unknown=[""]) if "title" in frame else pd.Series(pd.NA, index=ids.index, dtype="string")
    )
    titles = given.fillna(ids.astype("string")).astype(str)
    genres = to_names(frame["genres"] if "genres" in frame else pd.Series("", index=ids.index))
    years = years_in(titles)
    if "year" in frame:
        numbers = to_numbers(frame["year"], "movies", optional=True)
        years = numbers.round().astype("Int64").fillna(years)
    frame = frame.assign(**{column: typed(frame[column]) for column, typed in FACTS.items() if column in frame})
    return _with_extras({"movie_id": ids, "title": titles, "genres": genres, "year": years}, frame)


def clean_users(frame: pd.DataFrame) -> pd.DataFrame:
    """Return users as they stand in a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "users", ("user_id",))
    ids = _unique(to_ids(frame["user_id"], "users"), "users")
    unknown = pd.Series(pd.NA, index=ids.index)
    ages = to_ages(frame["age"] if "age" in frame else unknown.rename("age"), "users")
    clean = {"user_id": ids, "age": ages}
    for column in ("gender", "occupation"):
        clean[column] = to_categories(frame.get(column, unknown))
    return _with_extras(clean, frame)


def check_ratings(ratings: pd.DataFrame, movies: pd.DataFrame, users: pd.DataFrame) -> None:
    """Raise a `DataError` for a rating of an unknown movie or by an unknown user, and for a pair that comes twice."""
    codes = {}
    for table, frame, column in (("movies", movies, "movie_id"), ("users", users, "user_id")):
        ids, known = ratings[column], frame[column]
        if len(known) and (ids.dtype == "int64") != (known.dtype == "int64"):
            one, other = ("text", "whole numbers") if known.dtype == "int64" else ("whole numbers", "text")
            raise DataError(f"{column} is {one} in ratings but {other} in {table}; use the same type in both")
        codes[column] = pd.Index(known).get_indexer(pd.Index(ids))
        if (codes[column] < 0).any():
            row = int(np.argmax(codes[column] < 0))
            raise DataError(
                f"{column} {format_id(ids.iloc[row])} is not in the {table} table; add it there or drop the rating",
                at=("ratings", row),
            )
    pairs = pd.Series(codes["user_id"] * np.int64(len(movies)) + codes["movie_id"])
    if (again := pairs.duplicated().to_numpy()).any():
        row = int(np.argmax(again))
        user, movie = (format_id(ratings[column].iloc[row]) for column in ("user_id", "movie_id"))
        raise DataError(
            f"user {user} rated movie {movie} before; keep one of the two rows",
            at=("ratings", row),
            earlier=("ratings", int(np.argmax(pairs.to_numpy() == pairs.iloc[row]))),
        )


def canonical_columns(frame: pd.DataFrame, table: str, required: tuple[str, ...]) -> pd.DataFrame:
    """Return a frame with a fresh index and the usual other column names replaced by ours.

    A missing required column, or one that is there twice, is a `DataError`.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{table} must be a pandas DataFrame, not {type(frame).__name__}")
    renamed = frame.rename(columns=canonical_names(frame.columns, table)).reset_index(drop=True)
    for column in required:
        if column not in renamed:
            found = ", ".join(map(str, frame.attrs.get(AS_GIVEN, frame.columns))) or "none"
            others = ", ".join(name for name in ALIASES[table][column] if name != column)
            raise DataError(
                f"no column {column}; columns found: {found}; other names understood: {others}", at=(table, None)
            )
    for column in ALIASES[table]:
        if isinstance(renamed.get(column), pd.DataFrame):
            raise DataError(f"two columns {column}; keep one of them", at=(table, None))
    return renamed


def unused_columns(names: Iterable[object], table: str) -> tuple[str, ...]:
    """Return the columns that nothing in the library reads.

    >>> unused_columns(["userId", "movie", "Watched On"], "ratings")
    ('Watched On',)
    """
    renamed = canonical_names(names := list(names), table)
    return tuple(str(name) for name in names if renamed.get(name, name) not in ALIASES[table])


def _with_extras(clean: dict[str, pd.Series], frame: pd.DataFrame) -> pd.DataFrame:
    extras = {column: frame[column] for column in frame.columns if column not in clean}
    return pd.DataFrame({**clean, **extras})


def given_or_derived(given: pd.DataFrame | None, ratings: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table given, or one that lists the ids of the ratings."""
    return given if given is not None else pd.DataFrame({column: np.sort(ratings[column].unique())})


def _unique(ids: pd.Series, table: str) -> pd.Series:
    if (again := ids.duplicated().to_numpy()).any():
        row = int(np.argmax(again))
        raise DataError(
            f"{ids.name} {format_id(ids.iloc[row])} is listed twice; keep one row of each",
            at=(table, row),
            earlier=(table, int(np.argmax((ids == ids.iloc[row]).to_numpy()))),
        )
    return ids
