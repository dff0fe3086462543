"""Columns of the ratings, movies and users tables: their names, their types, and how raw tables become clean ones.

A column, or another name for one, is one line of `COLUMNS`.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first
from gnnrec.data import aliases
from gnnrec.data.dtypes import is_blank, kind_of, refuse_containers, to_plain
from gnnrec.data.times import parse_times, time_unit
from gnnrec.errors import DataError

UNKNOWN = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "<NA>", "#N/A", r"\N"})
"""Texts that mean a missing value in optional columns. "none" is not among them: it is an occupation in ML-100k."""

LATEST_TIMESTAMP = 253_402_300_799  # the last second of the year 9999; later ones are in another unit
DEFAULT_RATING = 5.0
"""Rating of a movie that is liked, without a number."""
MAX_AGE = 150
"""In years."""
MAX_MARKS_PER_RATING, MARKS_AT_ONCE = 32, 6
"""Pairs of user and movie per rating up to which the check for repeated ratings marks each, and how many at once."""

MAX_YEAR, MAX_MINUTES = 9999, 1_000_000
"""Of movies."""
MAX_LISTED = 8
"""Other names of a column that an error lists."""

_NO_NAMES = UNKNOWN | {"(no genres listed)"}
_MAX_ID = 2**63 - 1
_MAX_RATING = float(np.finfo(np.float32).max)  # larger numbers are infinite as float32
_YEAR_IN_TITLE = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\)\s*)?$")  # "(1995)", "(2006–2007)", "(1995) (V)"


def to_ids(values: pd.Series, table: str) -> pd.Series:
    """Return ids as int64 or as text; a mixture or a missing id is an error."""
    column = str(values.name)
    if values.dtype == np.int64 and len(values) and values.to_numpy().min() >= -_MAX_ID:  # the usual case
        return values.astype("int64")
    values = to_plain(values, table)
    refuse_containers(values, table)
    missing = values.isna()
    if not pd.api.types.is_numeric_dtype(values.dtype):
        missing |= (values == "").fillna(False).astype(bool)
    raise_at_first(missing, table, lambda row: f"{column} is missing; every row needs one")
    if pd.api.types.is_bool_dtype(values.dtype):
        raise DataError(f"{column} contains booleans; ids must be whole numbers or text", at=(table, None))
    if pd.api.types.is_float_dtype(values.dtype):
        raise_at_first(
            values % 1 != 0,
            table,
            lambda row: f"{column} {values.iloc[row]} is not a whole number",
        )
    kind = kind_of(values)
    if pd.api.types.is_numeric_dtype(values.dtype) or kind == "integer":
        largest = _MAX_ID
        if pd.api.types.is_float_dtype(values.dtype):  # above this, different whole numbers become the same float
            largest = 2 ** (np.finfo(values.to_numpy().dtype).nmant + 1) - 1
        raise_at_first(
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
        problem = f"{column} {one} has another type than {other}; make all ids whole numbers or all text"
        raise DataError(problem, at=(table, row))
    return values.astype(str)


def to_numbers(values: pd.Series, table: str, *, optional: bool = False) -> pd.Series:
    """Return float64; missing (unless `optional`), not finite or not a number is an error."""
    column = str(values.name)
    values = to_plain(values, table)
    raw, missing = values, values.isna()
    if not pd.api.types.is_numeric_dtype(values.dtype):
        if optional:
            missing = missing | values.astype("string").str.strip().isin(UNKNOWN).fillna(False).astype(bool)
        else:
            _raise_at_blank(values, table)
        values = pd.to_numeric(values.astype(object).where(~missing, None), errors="coerce")
        raise_at_first(
            values.isna() & ~missing & ~_spells_nan(raw),
            table,
            lambda row: f"{column} {raw.iloc[row]!r} is not a number",
        )
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)  # checks of arrays are faster than those of series
    infinite = ~(np.abs(numbers) <= _MAX_RATING)
    if optional:
        infinite &= ~np.isnan(numbers)
    raise_at_first(infinite, table, lambda row: f"{column} {numbers[row]} is not finite; correct or drop the row")
    return pd.Series(numbers, index=values.index, name=column)


def to_ages(values: pd.Series) -> pd.Series:
    """Return ages in years as Float64, missing where unknown."""
    ages = to_numbers(values, "users", optional=True)
    raise_at_first(
        (ages < 0) | (ages > MAX_AGE),
        "users",
        lambda row: f"age {ages.iloc[row]:g} is not between 0 and {MAX_AGE} years; correct it or leave it out",
    )
    return ages.astype("Float64")


def to_timestamps(
    values: pd.Series, table: str, *, day_first: bool | None = None, date_format: str | None = None
) -> pd.Series:
    """Return int64 seconds since 1970.

    Numbers are seconds, or milli-, micro- or nanoseconds where all are that large; fractions of seconds are cut off.
    Texts are ISO times or dates in one of the usual notations; see `gnnrec.data.times.parse_times`.
    """
    values = to_plain(values, table)
    if len(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        values = _parse_times(values, table, day_first, date_format)
    numbers = values if pd.api.types.is_integer_dtype(values.dtype) else to_numbers(values, table)
    raise_at_first(numbers.isna(), table, lambda row: "timestamp is missing; give every row one, or drop the column")
    raise_at_first(numbers < 0, table, lambda row: f"timestamp {numbers.iloc[row]} is negative")
    _, per_second = time_unit(numbers)
    if per_second > 1:
        numbers = numbers // per_second
    late = numbers > LATEST_TIMESTAMP
    raise_at_first(late, table, lambda row: f"timestamp {numbers.iloc[row]} is not in seconds since 1970; convert it")
    return numbers.astype("int64")


def to_names(values: pd.Series) -> pd.Series:
    """Return lists or texts of names, such as directors, as ``"Ann Lee|Bo Ray"``, empty where unknown."""
    return _join_each(values, _join_names)


def to_text(values: pd.Series, unknown: Iterable[str] = UNKNOWN) -> pd.Series:
    """Return nullable text; blank text and other spellings of a missing value become `pandas.NA`."""
    if pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # codes beside missing values: "4", not "4.0"
    text = values.astype("string").str.strip()
    missing = text.isin(unknown)
    return text.mask(missing) if missing.any() else text


def to_categories(values: pd.Series, known: Iterable[str] = ()) -> pd.Series:
    """Return nullable text with one spelling for values that differ only in case or surrounding blanks.

    A `known` spelling is preferred, then the most frequent one, then the first.

    >>> to_categories(pd.Series(["artist", "Nurse", " Artist", "Artist"])).tolist()
    ['Artist', 'Nurse', 'Artist', 'Artist']
    """
    text = to_text(values)
    found = [spelling for spelling, _ in Counter(text.dropna()).most_common()]
    chosen: dict[str, str] = {}
    for spelling in (*known, *found):
        chosen.setdefault(spelling.casefold(), spelling)
    return text.map({spelling: chosen[spelling.casefold()] for spelling in found}).astype("string")


def to_years(values: pd.Series) -> pd.Series:
    """Return years of release as Int64, missing where unknown or 0.

    >>> to_years(pd.Series([1995.0, 0, "2001", "N/A"], name="year")).tolist()
    [1995, <NA>, 2001, <NA>]
    """
    years = to_numbers(values, "movies", optional=True)
    raise_at_first(
        (years < 0) | (years > MAX_YEAR),
        "movies",
        lambda row: f"year {years.iloc[row]:g} is not a year; correct it or leave it out",
    )
    return years.mask(years == 0).round().astype("Int64")


def years_in(titles: pd.Series) -> pd.Series:
    """Return the year at the end of each title as Int64, missing where there is none.

    >>> years_in(pd.Series(["Toy Story (1995)", "Babylon 5"])).tolist()
    [1995, <NA>]
    """
    found = [_YEAR_IN_TITLE.search(title) for title in titles.tolist()]  # a list is faster than a series
    return pd.Series([int(match[1]) if match else pd.NA for match in found], index=titles.index, dtype="Int64")


def format_id(value: object) -> str:
    """Format a value for an error message: 5, not ``np.int64(5)``."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def to_genres(values: pd.Series) -> pd.Series:
    """Return genres as ``"Comedy|Drama"``, empty where unknown.

    They may be lists, lists written in JSON or Python (of names, or of mappings with a ``name``), or texts with the
    separator ``|``, ``;`` or ``,``. Where one text has ``|`` and one of the others, the others are part of the names.

    >>> to_genres(pd.Series(["Comedy|Drama", "Comedy; Drama", "['Comedy', 'Drama']", '[{"name": "Comedy"}]'])).tolist()
    ['Comedy|Drama', 'Comedy|Drama', 'Comedy|Drama', 'Comedy']
    """
    texts = {item for item in values.tolist() if isinstance(item, str)}
    texts = {text for text in texts if not _is_literal(text)}
    piped = [text for text in texts if "|" in text]
    others = "".join(mark for mark in ";," if not any(mark in text for text in piped))

    def names(text: str) -> str:
        if "|" not in text and not _is_literal(text):
            mark = next((mark for mark in others if mark in text), None)
            if mark is not None:
                text = text.replace(mark, "|")
        return _join_names(text)

    return _join_each(values, names)


def _join_each(values: pd.Series, join: Callable[[str], str]) -> pd.Series:
    items = to_plain(values, "movies").tolist()
    distinct = {item: join(item) for item in {item for item in items if isinstance(item, str)}}
    joined = [distinct[item] if isinstance(item, str) else _join_names(item) for item in items]
    return pd.Series(joined, index=values.index, dtype=str, name=values.name)


def _is_literal(text: str) -> bool:
    text = text.strip()
    return text[:1] + text[-1:] in ("[]", "{}", "()")


def _flatten(value: object) -> list[str]:
    """Return the names in a list, in a list of lists, or in a list of mappings."""
    if isinstance(value, dict):
        named = next((value[key] for key in ("name", "description", "title", "value") if key in value), None)
        return [] if named is None else [str(named)]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple, np.ndarray)):
        return [name for part in value for name in _flatten(part)]
    return [] if value is None or (isinstance(value, float) and np.isnan(value)) else [str(value)]


def _join_names(value: object) -> str:
    if isinstance(value, str):
        parts = value.split("|")
        if _is_literal(value):
            for read in (json.loads, ast.literal_eval):
                try:
                    parts = _flatten(read(value.strip()))
                    break
                except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                    continue
    else:
        parts = _flatten(value) if isinstance(value, (list, tuple, set, frozenset, np.ndarray, dict)) else []
    parts = [part.strip().replace("|", "/") if not isinstance(value, str) else part.strip() for part in parts]
    names = dict.fromkeys(parts)
    for missing in _NO_NAMES.intersection(names):
        del names[missing]
    return "|".join(names)


def _parse_times(values: pd.Series, table: str, day_first: bool | None, date_format: str | None) -> pd.Series:
    """Convert datetimes or texts to whole seconds; the first value decides how a column of texts is read."""
    raw = values
    if kind_of(values) == "string":
        _raise_at_blank(values, table)
        if date_format is None and pd.notna(pd.to_numeric(values.iloc[:1], errors="coerce")).all():
            return to_numbers(values, table)
        return parse_times(values, table, day_first=day_first, date_format=date_format)[0]
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = pd.to_datetime(values, utc=True, errors="coerce")
    raise_at_first(values.isna(), table, lambda row: f"timestamp {raw.iloc[row]!r} is not a time")
    if values.dt.tz is not None:
        values = values.dt.tz_convert(None)
    return values.astype("datetime64[s]").astype("int64")


def _spells_nan(values: pd.Series) -> pd.Series:
    return values.astype("string").str.strip().str.lower().isin({"nan", "+nan", "-nan"})


def _raise_at_blank(values: pd.Series, table: str) -> None:
    raise_at_first(
        is_blank(values), table, lambda row: f"{values.name} is missing; give every row one, or drop the column"
    )


_RUNTIME = r"(?:(?P<hours>\d+) ?h(?:ours?)?)? ?(?:(?P<minutes>\d[\d,]*(?:\.\d+)?) ?(?:min(?:utes?)?\.?)?)?"
_IMDB_DIGITS = 7  # at least; ids given as numbers have lost their leading zeros


def to_minutes(values: pd.Series) -> pd.Series:
    """Return running times as Int64 minutes, missing where unknown or 0.

    >>> to_minutes(pd.Series(["81 min", 90, "2 h 5 min", "N/A", 0])).tolist()
    [81, 90, 125, <NA>, <NA>]
    """
    if not pd.api.types.is_numeric_dtype(values.dtype):
        text = to_text(values)
        raise_at_first(
            text.notna() & ~text.str.fullmatch(_RUNTIME, na=False),
            "movies",
            lambda row: f"runtime {format_id(values.iloc[row])} is not a duration; use minutes (81) or text (81 min)",
        )
        parts = text.str.replace(",", "").str.extract(_RUNTIME).astype("Float64")
        values = (60 * parts["hours"].fillna(0) + parts["minutes"].fillna(0)).rename("runtime")
    numbers = to_numbers(values, "movies", optional=True)
    minutes = numbers.to_numpy()
    raise_at_first(minutes < 0, "movies", lambda row: f"runtime {minutes[row]:g} is negative")
    raise_at_first(minutes > MAX_MINUTES, "movies", lambda row: f"runtime {minutes[row]:g} minutes is too long")
    rounded = np.round(np.where(minutes == 0, np.nan, minutes))
    return pd.Series(rounded, index=numbers.index, name=numbers.name).astype("Int64")


def to_imdb_ids(values: pd.Series) -> pd.Series:
    """Return IMDb title ids as nullable text, missing where unknown.

    >>> to_imdb_ids(pd.Series(["tt0114709", "0114709", "114709", ""])).tolist()
    ['tt0114709', 'tt0114709', 'tt0114709', <NA>]
    """
    text = to_text(values)
    digits = text.str.removeprefix("tt")
    raise_at_first(
        text.notna() & ~digits.str.fullmatch(r"[0-9]{1,12}", na=False),
        "movies",
        lambda row: f"imdb_id {format_id(values.iloc[row])} is not an IMDb title id, such as tt0114709",
    )
    return "tt" + digits.str.zfill(_IMDB_DIGITS)


def to_tmdb_ids(values: pd.Series) -> pd.Series:
    """Return TMDB movie ids as Int64, missing where unknown."""
    numbers = to_numbers(values, "movies", optional=True)
    raise_at_first(
        (numbers % 1 != 0) & numbers.notna() | (numbers < 1) | (numbers > 2**53),
        "movies",
        lambda row: f"tmdb_id {format_id(values.iloc[row])} is not a TMDB movie id, a whole number such as 862",
    )
    return numbers.astype("Int64")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    aliases : tuple of str
        Names that are recognized, in lower case, without punctuation and accents, best first.
    clean : callable, optional
        For optional columns of movies and users: converts a column to its type.
    dtype : str
        Type that `clean` returns.
    """

    aliases: tuple[str, ...]
    clean: Callable[[pd.Series], pd.Series] | None = None
    dtype: str = "string"


COLUMNS: dict[str, dict[str, Column]] = {
    "ratings": {
        "user_id": Column(aliases.USERS),
        "movie_id": Column((*aliases.MOVIES, *aliases.RATED_TITLES)),
        "rating": Column(aliases.RATINGS),
        "weight": Column(("weight", *aliases.COUNTS)),
        "timestamp": Column(aliases.TIMES),
    },
    "movies": {
        "movie_id": Column((*aliases.MOVIES, "id")),
        "title": Column(aliases.TITLES),
        "genres": Column(aliases.GENRES),
        "year": Column(aliases.YEARS),
        "plot": Column(("plotfull", "fullplot", "plot", "overview", "synopsis", "description"), to_text),
        "directors": Column(("directors", "director"), to_names, "str"),
        "actors": Column(("actors", "actor", "cast"), to_names, "str"),
        "runtime": Column(("runtime", "runtimeminutes"), to_minutes, "Int64"),
        "certificate": Column(("certificate", "certification", "mpaa", "mpaarating", "rated"), to_text),
        "imdb_id": Column(("imdbid",), to_imdb_ids),
        "tmdb_id": Column(("tmdbid",), to_tmdb_ids, "Int64"),
    },
    "users": {
        "user_id": Column((*aliases.USERS, "id")),
        "age": Column(("age", "userage"), to_ages, "Float64"),
        "gender": Column(("gender", "sex"), to_categories),
        "occupation": Column(("occupation", "job", "profession"), to_categories),
    },
}
"""By table, the columns that are understood."""

OPTIONAL_MOVIE_COLUMNS = {name: column.clean for name, column in COLUMNS["movies"].items() if column.clean is not None}
"""Columns that a movies table need not have, and what converts each to its type."""
PROFILE_COLUMNS = {name: column.clean for name, column in COLUMNS["users"].items() if column.clean is not None}
"""Likewise of a users table: what is known about users besides their ratings. A `Dataset` always has all of them."""
CATEGORY_COLUMNS = tuple(name for name, clean in PROFILE_COLUMNS.items() if clean is to_categories)
"""Those of `PROFILE_COLUMNS` that hold categories, whose spelling is made the same."""


def _plain_name(name: object) -> str:
    """Return a column's name as it is in the list of aliases."""
    letters = unicodedata.normalize("NFKD", re.sub(r"\(.*?\)", "", str(name).lower()))
    return re.sub(r"[\W_]", "", letters)  # accents, too: they are no word characters once they stand alone


def canonical_names(names: Iterable[object], table: str) -> dict[object, str]:
    """Map columns with other names to their canonical names, e.g. ``{"userId": "user_id"}``."""
    plain = {name: _plain_name(name) for name in names}
    renamed: dict[object, str] = {}
    for canonical, column in COLUMNS[table].items():
        if canonical in plain:
            continue
        found = [name for alias in column.aliases for name, text in plain.items() if text == alias]
        found = [name for name in found if name not in renamed]
        if found:
            renamed[found[0]] = canonical
    return renamed


ORIGINAL_NAMES = "original column names"
"""Key in the `attrs` of a frame for the column names of its file, which messages show."""


def clean_ratings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ratings as they are in a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "ratings", ("user_id", "movie_id"))
    if frame.empty:
        raise DataError("no rows; at least one rating is needed", at=("ratings", None))
    clean = {column: to_ids(frame[column], "ratings") for column in ("user_id", "movie_id")}
    if "rating" in frame:
        clean["rating"] = _to_float32(frame["rating"])
    if "weight" in frame:
        weight = clean["weight"] = _to_float32(frame["weight"])
        raise_at_first(weight < 0, "ratings", lambda row: f"weight {weight.iloc[row]:g} is negative")
    if "timestamp" in frame:
        clean["timestamp"] = to_timestamps(frame["timestamp"], "ratings")
    # A frame that was just read from a file is nobody else's, so its columns need not be copied.
    return pd.DataFrame(clean, copy=ORIGINAL_NAMES not in frame.attrs)


def _to_float32(values: pd.Series) -> pd.Series:
    if values.dtype == np.float32 and len(values):  # as files are read: no copies in double precision
        numbers = values.to_numpy()
        if numbers.min() >= -_MAX_RATING and numbers.max() <= _MAX_RATING:  # false where one is missing
            return values
    return to_numbers(values, "ratings").astype("float32")


def clean_movies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return movies as they are in a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "movies", ("movie_id",))
    ids = _check_unique(to_ids(frame["movie_id"], "movies"), "movies")
    titles = to_text(frame["title"], unknown=[""]) if "title" in frame else ids.astype("string")
    if titles.isna().any():
        titles = titles.fillna(ids.astype("string"))
    titles = titles.astype(str)
    genres = to_genres(frame["genres"] if "genres" in frame else pd.Series("", index=ids.index))
    years = years_in(titles)
    if "year" in frame:
        years = to_years(frame["year"]).fillna(years)
    clean = {"movie_id": ids, "title": titles, "genres": genres, "year": years}
    for column in frame.columns:
        if column not in clean:
            convert = OPTIONAL_MOVIE_COLUMNS.get(column)
            clean[column] = frame[column] if convert is None else convert(frame[column])
    return pd.DataFrame(clean)


def clean_users(frame: pd.DataFrame) -> pd.DataFrame:
    """Return users as they are in a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "users", ("user_id",))
    clean = dict(unknown_profiles(_check_unique(to_ids(frame["user_id"], "users"), "users")).items())
    clean |= {column: convert(frame[column]) for column, convert in PROFILE_COLUMNS.items() if column in frame}
    return pd.DataFrame({**clean, **{column: frame[column] for column in frame if column not in clean}})


def unknown_profiles(user_ids: pd.Series) -> pd.DataFrame:
    """Return users of whom only the ids are known."""
    dtypes = {name: COLUMNS["users"][name].dtype for name in PROFILE_COLUMNS}
    unknown = {name: pd.Series(pd.NA, index=user_ids.index, dtype=dtype) for name, dtype in dtypes.items()}
    return pd.DataFrame({"user_id": user_ids, **unknown})


def missing_movie_columns(columns: Iterable[str], num_rows: int) -> dict[str, pd.Series]:
    """Return values for those of the columns that are `OPTIONAL_MOVIE_COLUMNS`, missing in every row."""
    dtypes = {name: COLUMNS["movies"][name].dtype for name in columns if name in OPTIONAL_MOVIE_COLUMNS}
    return {
        name: pd.Series("" if dtype == "str" else pd.NA, index=range(num_rows), dtype=dtype)
        for name, dtype in dtypes.items()
    }


def check_ratings(
    ratings: pd.DataFrame,
    movies: pd.DataFrame,
    users: pd.DataFrame,
    movie_rows: Callable[[pd.Series], np.ndarray],
    user_rows: Callable[[pd.Series], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Check ratings against the movies and users tables.

    Parameters
    ----------
    ratings, movies, users : pandas.DataFrame
    movie_rows, user_rows : callable
        Return the row of each id in its table, -1 for an unknown id.

    Returns
    -------
    user, movie : numpy.ndarray
        ``[num_ratings]`` row of the user and of the movie of each rating.

    Raises
    ------
    DataError
        A rating names an unknown movie or user, or a user rated a movie twice.
    """
    codes = {}
    for table, frame, column, rows in (
        ("movies", movies, "movie_id", movie_rows),
        ("users", users, "user_id", user_rows),
    ):
        ids, known = ratings[column], frame[column]
        if len(known) and (ids.dtype == "int64") != (known.dtype == "int64"):
            one, other = ("text", "whole numbers") if known.dtype == "int64" else ("whole numbers", "text")
            raise DataError(f"{column} is {one} in ratings but {other} in {table}; use the same type in both")
        codes[column] = rows(ids)
        raise_at_first(
            codes[column] < 0,
            "ratings",
            lambda row: (
                f"{column} {format_id(ids.iloc[row])} is not in the {table} table; add it there or drop the rating"  # noqa: B023
            ),
        )
    user, movie = codes["user_id"], codes["movie_id"]
    pairs = user * np.int64(len(movies))
    pairs += movie
    if not _are_unique(pairs):
        check_unique_pairs(pd.Series(user * np.int64(len(movies)) + movie), ratings, "ratings")
    return user, movie


def check_unique_pairs(pairs: pd.Series, ratings: pd.DataFrame, table: str) -> None:
    """Raise a `DataError` if a user rated a movie twice; `pairs` numbers the user and movie of each rating."""

    def problem(row: int) -> str:
        user, movie = (format_id(ratings[column].iloc[row]) for column in ("user_id", "movie_id"))
        return f"user {user} rated movie {movie} twice; keep one of the two rows"

    numbers = pairs.to_numpy()
    if _are_unique(numbers.copy()):
        return
    raise_at_first(pairs.duplicated().to_numpy(), table, problem, lambda row: int(np.argmax(numbers == numbers[row])))


def _are_unique(numbers: np.ndarray) -> bool:
    """Return whether numbers are all different; they may be put into another order."""
    if len(numbers) and (size := int(numbers.max()) + 1) <= MAX_MARKS_PER_RATING * len(numbers):
        step = MARKS_AT_ONCE * len(numbers)
        for low in range(0, size, step):  # for dense data five times faster than sorting
            part = numbers[(numbers >= low) & (numbers < low + step)] - low
            marks = np.zeros(min(step, size - low), dtype=bool)
            marks[part] = True
            if np.count_nonzero(marks) < len(part):
                return False
        return True
    numbers.sort()
    return not (numbers[1:] == numbers[:-1]).any()


def canonical_columns(frame: pd.DataFrame, table: str, required: tuple[str, ...]) -> pd.DataFrame:
    """Return a frame with a fresh index and canonical column names.

    A missing required column, or one that is there twice, is a `DataError`.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{table} must be a pandas DataFrame, not {type(frame).__name__}")
    names = canonical_names(frame.columns, table)
    renamed = (frame.rename(columns=names) if names else frame).reset_index(drop=True)
    for column in required:
        if column not in renamed:
            found = ", ".join(map(str, frame.attrs.get(ORIGINAL_NAMES, frame.columns))) or "none"
            others = ", ".join(COLUMNS[table][column].aliases[:MAX_LISTED])
            hint = f"; give its name, as in columns={{'{found.split(', ')[0]}': '{column}'}}" if frame.attrs else ""
            raise DataError(
                f"no column {column}; columns found: {found}; other recognized names: {others}, ...{hint}",
                at=(table, None),
            )
    for column in COLUMNS[table]:
        if isinstance(renamed.get(column), pd.DataFrame):
            raise DataError(f"two columns {column}; keep one of them", at=(table, None))
    return renamed


def unused_columns(names: Iterable[object], table: str) -> tuple[str, ...]:
    """Return the columns that no model reads.

    >>> unused_columns(["userId", "movie", "Watched On"], "ratings")
    ('Watched On',)
    """
    renamed = canonical_names(names := list(names), table)
    return tuple(str(name) for name in names if renamed.get(name, name) not in COLUMNS[table])


def given_or_derived(given: pd.DataFrame | None, ratings: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the given table, or one that lists the ids of the ratings."""
    return given if given is not None else pd.DataFrame({column: np.sort(ratings[column].unique())})


def _check_unique(ids: pd.Series, table: str) -> pd.Series:
    raise_at_first(
        ids.duplicated(),
        table,
        lambda row: f"{ids.name} {format_id(ids.iloc[row])} is listed twice; keep one row of each",
        earlier=lambda row: int(np.argmax((ids == ids.iloc[row]).to_numpy())),
    )
    return ids
