"""`Dataset`: ratings, movies and users as three checked tables that keep the caller's own ids.

Its constructor checks everything once: columns and types, one row per movie and per user, every rating of a known movie
by a known user, no pair twice. The rest of the package relies on these checks and derives datasets with
`Dataset.from_validated`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from gnnrec._checks import as_path, check_flag
from gnnrec.data.append_only import FrameParts, Parts, RatingTable, concat_rows
from gnnrec.data.changes import (
    append_movies,
    append_ratings,
    clean_added_movies,
    clean_added_ratings,
    clean_added_users,
    find_user,
    unlisted_users,
    without_ratings,
)
from gnnrec.data.embeddings import ContentEmbeddings, check_features, check_overlap
from gnnrec.data.filters import filter_ratings, kept_rows
from gnnrec.data.frames import write_tables
from gnnrec.data.id_index import IdIndex
from gnnrec.data.provenance import NO_PROVENANCE, Provenance, write_about
from gnnrec.data.scales import rating_scale_of
from gnnrec.data.schema import (
    check_ratings,
    clean_movies,
    clean_ratings,
    clean_users,
    given_or_derived,
    unknown_profiles,
    unused_columns,
)
from gnnrec.errors import DataError

TABLES = ("ratings", "movies", "users")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Dataset:
    """Ratings with what is known about the movies and users.

    Columns are also found under their usual other names (``userId``, ``item_id``, ``score``, ...). Frames
    are copied, rows keep their order and get a fresh index. Rows in error messages count from 0.

    Parameters
    ----------
    ratings : pandas.DataFrame
        ``user_id``, ``movie_id`` and optionally ``rating`` (becomes float32), ``weight`` (how much an interaction
        counts, such as log(1 + plays); float32, not negative) and ``timestamp`` (becomes int64 seconds since 1970;
        datetimes and strings are converted). Ids are all whole numbers or all text.
    movies : pandas.DataFrame, optional
        ``movie_id`` and optionally ``title``, ``genres`` (text like ``"Comedy|Drama"`` or a list), ``year``
        (else taken from a title that ends in it) and any columns of your own. Movies without ratings stay:
        they can be recommended too. Derived from the ratings when not given.
    users : pandas.DataFrame, optional
        ``user_id`` and optionally ``age`` (years), ``gender``, ``occupation`` (upper and lower case do not
        matter, the most frequent spelling is kept) and any columns of your own. Derived from the ratings when
        not given.
    name : str
        Name for reports.
    filters : str
        Filters that were applied, for reports; `filtered` writes it.
    features : mapping of str to ContentEmbeddings, optional
        Content embeddings of movies by modality, such as ``"poster"`` and ``"text"``; see `with_features`.

    Attributes
    ----------
    unused : mapping of str to tuple of str
        By table, given columns that no model reads because their names are not recognized.
    provenance : Provenance
        For a dataset from files: what was guessed, renamed, ignored and left out.

    Raises
    ------
    DataError
        A required column is missing, there are no ratings, an id is missing or of the wrong type, a rating
        is not finite, a timestamp is invalid, an age is not between 0 and 150, a user rated a movie twice, a
        movie or user is listed twice, or a rating names a movie or user that its table lacks.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10], "rating": [5, 3, 4]})
    >>> movies = pd.DataFrame({"movie_id": [10, 20], "title": ["Heat (1995)", "Alien (1979)"]})
    >>> Dataset(ratings, movies, name="mine")
    Dataset('mine': 2 users, 2 movies, 3 ratings)
    """

    name: str
    filters: str
    features: Mapping[str, ContentEmbeddings]
    unused: Mapping[str, tuple[str, ...]]
    rating_table: RatingTable
    user_ids: IdIndex
    movie_ids: IdIndex
    _movies: Parts[pd.DataFrame]
    _users: FrameParts
    provenance: Provenance = NO_PROVENANCE
    _rating_scale: tuple[float, float] | None = None

    def __init__(
        self,
        ratings: pd.DataFrame,
        movies: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        name: str = "custom",
        filters: str = "",
        features: Mapping[str, ContentEmbeddings] | None = None,
    ) -> None:
        given = {"ratings": ratings, "movies": movies, "users": users}
        check_features(features)
        ratings = clean_ratings(ratings)
        movies = clean_movies(given_or_derived(movies, ratings, "movie_id"))
        users = clean_users(given_or_derived(users, ratings, "user_id"))
        user_ids, movie_ids = IdIndex(pd.Index(users["user_id"])), IdIndex(pd.Index(movies["movie_id"]))
        user, movie = check_ratings(ratings, movies, users, movie_ids.codes, user_ids.codes)
        unused = {table: unused_columns(frame.columns, table) for table, frame in given.items() if frame is not None}
        self._set(
            name=name,
            filters=filters,
            features=dict(features or {}),
            unused={table: names for table, names in unused.items() if names},
            rating_table=RatingTable(ratings, user, movie),
            user_ids=user_ids,
            movie_ids=movie_ids,
            _movies=Parts([movies], concat_rows),
            _users=FrameParts([users]),
        )

    @classmethod
    def from_validated(
        cls,
        ratings: pd.DataFrame | RatingTable,
        movies: pd.DataFrame,
        users: pd.DataFrame,
        name: str,
        filters: str = "",
        features: Mapping[str, ContentEmbeddings] | None = None,
    ) -> Dataset:
        """Make a dataset from tables of another dataset, without checking or copying them.

        Parameters
        ----------
        ratings : pandas.DataFrame or RatingTable
            With a fresh index. A `RatingTable` also has the rows of users and movies, so ids are not looked up.
        movies, users : pandas.DataFrame
            With a fresh index.
        name, filters, features
            As for the constructor.
        """
        user_ids, movie_ids = IdIndex.from_mixed(pd.Index(users["user_id"])), IdIndex(pd.Index(movies["movie_id"]))
        if isinstance(ratings, pd.DataFrame):
            user, movie = user_ids.codes(ratings["user_id"]), movie_ids.codes(ratings["movie_id"])
            ratings = RatingTable(ratings, user, movie)
        unused = {"movies": unused_columns(movies.columns, "movies"), "users": unused_columns(users.columns, "users")}
        made = cls.__new__(cls)
        made._set(
            name=name,
            filters=filters,
            features=dict(features or {}),
            unused={table: names for table, names in unused.items() if names},
            rating_table=ratings,
            user_ids=user_ids,
            movie_ids=movie_ids,
            _movies=Parts([movies], concat_rows),
            _users=FrameParts([users]),
        )
        return made

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _with(self, **values: Any) -> Dataset:
        made = copy.copy(self)
        made._set(**values)
        return made

    @property
    def ratings(self) -> pd.DataFrame:
        """``user_id, movie_id[, rating][, timestamp]``, one row per rating."""
        return self.rating_table.frame

    @property
    def movies(self) -> pd.DataFrame:
        """``movie_id, title, genres, year`` and further columns, one row per movie."""
        return self._movies.joined

    @property
    def users(self) -> pd.DataFrame:
        """``user_id, age, gender, occupation`` and further columns, one row per user."""
        return self._users.joined

    @property
    def rating_scale(self) -> tuple[float, float] | None:
        """The lowest and the highest possible rating, None where there are no ratings.

        The scale that was given or found when the files were read, else the usual scale that the ratings lie on.
        """
        if self._rating_scale is None and self.num_ratings and "rating" in self.rating_table.columns:
            values = self.ratings["rating"].to_numpy(dtype="float64")
            self._set(_rating_scale=rating_scale_of(values))
        return self._rating_scale

    @property
    def has_times(self) -> bool:
        """Whether the ratings have timestamps."""
        return "timestamp" in self.rating_table.columns

    @property
    def num_users(self) -> int:
        """Number of users, those without ratings included."""
        return len(self.user_ids)

    @property
    def num_movies(self) -> int:
        """Number of movies, those without ratings included."""
        return len(self.movie_ids)

    @property
    def num_ratings(self) -> int:
        """Number of ratings."""
        return len(self.rating_table)

    def __repr__(self) -> str:
        label = ", ".join(filter(None, (repr(self.name), self.filters)))
        return f"Dataset({label}: {self.num_users:,} users, {self.num_movies:,} movies, {self.num_ratings:,} ratings)"

    def take(self, rows: np.ndarray) -> Dataset:
        """Return the dataset with some of its ratings, and all movies and users.

        Parameters
        ----------
        rows : numpy.ndarray
            ``[n]`` int or ``[num_ratings]`` bool. The result has no `filters`.
        """
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        return self._with(rating_table=self.rating_table.take(rows), filters="")

    def with_provenance(
        self,
        provenance: Provenance,
        unused: Mapping[str, tuple[str, ...]],
        rating_scale: tuple[float, float] | None = None,
    ) -> Dataset:
        """Return the dataset with the provenance of its files; called by file readers."""
        return self._with(provenance=provenance, unused=unused, _rating_scale=rating_scale)

    def with_name(self, name: str) -> Dataset:
        """Return the dataset under another name."""
        return self._with(name=name)

    def with_only_features(self, features: Mapping[str, ContentEmbeddings]) -> Dataset:
        """Return the dataset with just these content embeddings, without checking that they belong to it."""
        return self._with(features=dict(features))

    def filtered(self, min_rating: float | None = None, k_core: int | None = None) -> Dataset:
        """Return the dataset with fewer ratings; users and movies without any ratings left are dropped.

        Parameters
        ----------
        min_rating : float, optional
            Lowest rating to keep.
        k_core : int, optional
            Then keep the k-core: the largest part in which every user and every movie has at least this many ratings.

        Returns
        -------
        Dataset
            Rows keep their order. `filters` describes the filters; the protocol of a `Split` repeats it.

        Raises
        ------
        DataError
            There is no column ``rating``, or no ratings are left.
        ConfigError
            `min_rating` is not a finite number, or `k_core` is not an integer of at least 1.

        Examples
        --------
        >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "movie_id": [7, 8, 7, 8, 7], "rating": [5, 3, 4, 3, 2]})
        >>> Dataset(ratings).filtered(min_rating=3, k_core=2)
        Dataset('custom', rating >= 3, 2-core: 2 users, 2 movies, 4 ratings)
        """
        if min_rating is None and k_core is None:
            return self
        table = self.rating_table
        kept, done = filter_ratings(table, self.name, min_rating, k_core)
        filters = ", ".join([self.filters, *done] if self.filters else done)
        if not kept.any():
            raise DataError(f"no ratings of {self.name} are left after {filters}; use a weaker filter")
        tables = kept_rows(table, self.movies, self.users, kept)
        made = Dataset.from_validated(*tables, self.name, filters, self.features)
        return made._with(provenance=self.provenance, _rating_scale=self.rating_scale)

    def with_features(self, **features: ContentEmbeddings) -> Dataset:
        """Return the dataset with content embeddings of its movies, by modality; those of the same name are replaced.

        Raises
        ------
        DataError
            A modality has an embedding for none of the movies.

        Examples
        --------
        >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
        >>> dataset = Dataset(ratings).with_features(text=ContentEmbeddings([7], [[0.5, 1.0]]))
        >>> dataset.features
        {'text': ContentEmbeddings(1 movies, 2 dimensions: given)}
        """
        check_features(features)
        check_overlap(features, self.movie_ids, self.name)
        return self._with(features={**self.features, **features})

    def add_ratings(
        self,
        ratings: pd.DataFrame,
        users: pd.DataFrame | None = None,
        *,
        update: bool = False,
        spellings: Mapping[str, Iterable[str]] | None = None,
    ) -> Dataset:
        """Return the dataset with more ratings; unknown user ids become new users.

        Only the added rows are checked. They are appended, so the time does not depend on the size of the dataset, and
        users and ratings that were there before keep their rows.

        Parameters
        ----------
        ratings : pandas.DataFrame
            ``user_id, movie_id[, rating][, timestamp]``. The movies must be in the dataset. Without ``rating`` a movie
            counts as liked, without ``timestamp`` as rated at the time of the latest rating.
        users : pandas.DataFrame, optional
            ``user_id[, age][, gender][, occupation]`` of new users. Where ids are whole numbers, those of new users may
            also be text, such as ``"anna"``, unless it spells a number.
        update : bool
            Let a rating replace the one that the user gave the movie before; it is the last row then. Otherwise such a
            rating is an error.
        spellings : mapping of str to iterable of str, optional
            Preferred spellings of ``gender`` and ``occupation``; by default those of the dataset.

        Raises
        ------
        DataError
            A movie is unknown, a user has rated a movie before, or `users` lists a user that is already in the dataset.
            The message names the row of the given frame.

        Examples
        --------
        >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]}))
        >>> dataset.add_ratings(pd.DataFrame({"user_id": [2], "movie_id": [8]}))
        Dataset('custom': 2 users, 2 movies, 3 ratings)
        """
        check_flag(update=update)
        added, movie = clean_added_ratings(ratings, self.user_ids, self.movie_ids)
        made = self if users is None else self.add_users(users, spellings=spellings)
        ids, people = made.user_ids, made._users
        if len(arrived := unlisted_users(added, ids)):
            people, ids = people.append(unknown_profiles(arrived)), ids.append(pd.Index(arrived))
        user = ids.rows(pd.Index(added["user_id"]))
        table = append_ratings(self.rating_table, added, user, movie, self.num_users, self.num_movies, update=update)
        return self._with(rating_table=table, _users=people, user_ids=ids)

    def add_users(self, users: pd.DataFrame, *, spellings: Mapping[str, Iterable[str]] | None = None) -> Dataset:
        """Return the dataset with more users, who have no ratings yet.

        Parameters
        ----------
        users : pandas.DataFrame
            ``user_id[, age][, gender][, occupation]``.
        spellings : mapping of str to iterable of str, optional
            As for `add_ratings`.

        Raises
        ------
        DataError
            A user is already in the dataset, or the row is invalid.

        Examples
        --------
        >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]}))
        >>> dataset.add_users(pd.DataFrame({"user_id": ["anna"], "age": [33]})).users["user_id"].tolist()
        [1, 'anna']
        """
        added = clean_added_users(users, self.user_ids, lambda: self.users, spellings or {})
        return self._with(_users=self._users.append(added), user_ids=self.user_ids.append(pd.Index(added["user_id"])))

    def remove_ratings(self, user_id: Any, movie_ids: Iterable[Any]) -> Dataset:
        """Return the dataset without a user's ratings of some movies; the other ratings keep their order.

        Raises
        ------
        DataError
            The user is unknown, or has not rated one of the movies.

        Examples
        --------
        >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]}))
        >>> dataset.remove_ratings(1, [7]).ratings.values.tolist()
        [[1, 8], [2, 7]]
        """
        row = find_user(self.user_ids, user_id)
        return self._with(rating_table=without_ratings(self.rating_table, row, movie_ids, self.movie_ids, user_id))

    def remove_user(self, user_id: Any) -> Dataset:
        """Return the dataset without a user, their profile and their ratings; the rows of later users move up.

        Raises
        ------
        DataError
            The user is unknown.

        Examples
        --------
        >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]}))
        >>> dataset.remove_user(1)
        Dataset('custom': 1 users, 2 movies, 1 ratings)
        """
        row = find_user(self.user_ids, user_id)
        table, ids = self.rating_table.remove_user(row), self.user_ids.without(row)
        return self._with(rating_table=table, user_ids=ids, _users=self._users.without(row))

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, Any] | None = None) -> Dataset:
        """Return the dataset with more movies; only the added rows are checked, and the others stay where they are.

        Parameters
        ----------
        movies : pandas.DataFrame
            ``movie_id[, title][, genres][, year][, directors][, actors][, runtime][, plot]``.
        features : mapping of str to ContentEmbeddings or array_like, optional
            Content embeddings of these movies, by modality of the dataset, made by the same encoder. An array has a row
            for each row of `movies`; for a single movie it may be one vector.

        Raises
        ------
        DataError
            A movie is already in the dataset, its row is invalid (the message names the row of the given frame), or its
            embeddings are of an unknown modality or another dimension.

        Examples
        --------
        >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]}))
        >>> dataset.add_movies(pd.DataFrame({"movie_id": [9], "title": ["Brazil (1985)"]})).movies["year"].tolist()
        [<NA>, <NA>, 1985]
        """
        added, embeddings = clean_added_movies(movies, self.movie_ids, features or {}, self.features)
        joined = {name: self.features[name].joined(values) for name, values in embeddings.items()}
        return self._with(
            _movies=append_movies(self._movies, added, self.num_movies),
            movie_ids=self.movie_ids.append(pd.Index(added["movie_id"])),
            features={**self.features, **joined},
        )

    def to_folder(self, path: str | Path, *, format: Literal["csv", "parquet"] = "csv") -> Path:
        """Write the tables of ratings, movies and users, which `load_dataset` reads back.

        Rating scale and provenance are in ``gnnrec.json``. Tables that an earlier call wrote in the other format are
        removed.

        In CSV, text ids that all look like whole numbers ("12") are read back as whole numbers, and whitespace around
        text ids is lost. In both formats, whole numbers among text ids are read back as text.

        Parameters
        ----------
        path : str or Path
            Folder; created if missing.
        format : {"csv", "parquet"}
            Parquet takes a fraction of the space and of the time, and needs pyarrow.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        StorageError
            A file cannot be written.
        """
        folder = as_path(path, "the folder of a dataset")
        write_tables({name: getattr(self, name) for name in TABLES}, folder, format)
        write_about(folder, self.rating_scale, self.provenance)
        return folder
