"""Profiles of the interactive session, in the database of ``gnnrec serve``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gnnrec.errors import ConfigError, DataError
from gnnrec.models import Recommender

if TYPE_CHECKING:
    from gnnrec.service.records import Profile
    from gnnrec.service.served import ServedModel
    from gnnrec.service.store import Store


@dataclass(frozen=True)
class Lists:
    """The movies of one person, by id.

    Attributes
    ----------
    ratings : mapping
        Ratings on the scale of the training data, oldest first.
    times : mapping
        Seconds since 1970 of each rating.
    bucket_list : sequence
        Movies that the person wants to watch, oldest first.
    hidden : sequence
        Movies that are not recommended any more.
    """

    ratings: Mapping[Any, float] = field(default_factory=dict)
    times: Mapping[Any, int] = field(default_factory=dict)
    bucket_list: Sequence[Any] = ()
    hidden: Sequence[Any] = ()

    def same_movies(self, other: Lists) -> bool:
        """Return whether ratings and bucket list are equal to those of other lists."""
        return dict(self.ratings) == dict(other.ratings) and list(self.bucket_list) == list(other.bucket_list)


@dataclass(frozen=True)
class OpenProfile:
    """A profile in the state in which it was opened or saved.

    Attributes
    ----------
    id : int
    name : str
    age, gender, occupation
        None if unknown, or if the model does not use them.
    lists : Lists
        Its movies, without those that the run does not have.
    num_unknown : int
        Number of its movies that the run does not have; they stay in the database.
    """

    id: int
    name: str
    age: float | None
    gender: str | None
    occupation: str | None
    lists: Lists
    num_unknown: int = 0


class Profiles:
    """Profiles in a database, which is opened when it is first needed.

    Parameters
    ----------
    model : Recommender
    url : str, optional
        ``sqlite:///FILE`` or ``postgresql+psycopg://...``; by default ``$GNNREC_DB``, or the file ``gnnrec.db`` of this
        folder, as for ``gnnrec serve``.
    """

    def __init__(self, model: Recommender, url: str | None = None) -> None:
        self._model, self._url = model, url

    def names(self) -> list[str]:
        """Return the names of all profiles."""
        with self._database() as store:
            return [profile.name for profile in store.profiles()]

    def open(self, name: str) -> OpenProfile:
        """Return a profile.

        Raises
        ------
        DataError
            There is no profile of that name.
        ConfigError
            The database cannot be used.
        """
        with self._database() as store:
            found = store.profile_named(name)
            if found is None:
                names = [profile.name for profile in store.profiles()]
                known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
                raise DataError(f"there is no profile {name!r}; profiles: {known or 'none yet'}")
            history, listed, hidden = store.ratings(found.id), store.bucket_list(found.id), store.hidden(found.id)
        served = self._served
        user = served.user(found, history)
        ratings: Mapping[Any, float] = dict(user.ratings)
        times: Mapping[Any, int] = dict(user.timestamps or {})
        bucket_list, not_wanted = (
            [movie.id for entry in entries if (movie := served.find(entry.movie_id)) is not None]
            for entries in (listed, hidden)
        )
        unknown = sum(served.find(entry.movie_id) is None for entry in (*history, *listed))
        lists = Lists(ratings, times, bucket_list, not_wanted)
        return OpenProfile(found.id, found.name, user.age, user.gender, user.occupation, lists, unknown)

    def save(self, name: str | None, lists: Lists, opened: OpenProfile | None) -> OpenProfile:
        """Save the changes since a profile was opened, or everything as a new profile.

        Concurrent changes by others are kept.

        Parameters
        ----------
        name : str, optional
            By default the profile that was opened.
        lists : Lists
        opened : OpenProfile, optional
            The profile that the session has opened; other profiles are not overwritten.

        Raises
        ------
        ConfigError
            The database cannot be used, the name is invalid, or there is a profile of that name that was not opened.
        """
        if name is None and opened is None:
            raise ConfigError("the profile needs a name: save NAME")
        with self._database() as store:
            if name is None and opened is not None:
                found: Profile | None = store.profile(opened.id)
            else:
                name = _clean(name or "")
                found = store.profile_named(name)
            if found is not None and (opened is None or opened.id != found.id):
                raise ConfigError(
                    f"there is a profile {found.name!r}, which was not opened; open it, or save under another name"
                )
            same = opened if found is not None else None
            profile = found or store.create_profile(str(name))
            store.change_lists(profile.id, **self._changes(Lists() if same is None else same.lists, lists))
        kept = replace(lists, hidden=[movie for movie in lists.hidden if movie not in lists.ratings])
        if same is None:
            return OpenProfile(profile.id, profile.name, None, None, None, kept)
        return replace(same, name=profile.name, lists=kept)

    def _changes(self, before: Lists, after: Lists) -> dict[str, Any]:
        """Return the difference of two lists, as `Store.change_lists` takes it."""
        from gnnrec.service.records import Entry

        served = self._served

        def entry(movie_id: Any, seconds: int, stars: float | None = None) -> Entry:
            return Entry(str(movie_id), served.movie(movie_id).title, seconds, stars)

        now = int(time.time())
        changed = [
            movie
            for movie, rating in after.ratings.items()
            if before.ratings.get(movie) != rating or before.times.get(movie) != after.times.get(movie)
        ]
        added = [movie for movie in after.bucket_list if movie not in before.bucket_list]
        return {
            "rated": [
                entry(movie, after.times.get(movie, now), served.stars(after.ratings[movie])) for movie in changed
            ],
            "unrated": [str(movie) for movie in before.ratings if movie not in after.ratings],
            "listed": [entry(movie, now + place) for place, movie in enumerate(added)],  # in this order
            "unlisted": [str(movie) for movie in before.bucket_list if movie not in after.bucket_list],
        }

    def check(self) -> None:
        """Raise a `ConfigError` if the database cannot be opened."""
        _ = self._store

    @cached_property
    def _store(self) -> Store:
        try:
            from gnnrec.service.settings import DATABASE, DEFAULT_DATABASE
            from gnnrec.service.store import Store

            store = Store(self._url or os.environ.get(DATABASE) or DEFAULT_DATABASE)
            store.migrate()
        except ModuleNotFoundError as missing:
            raise ConfigError(
                f"profiles are kept in the database of gnnrec serve, which needs the package {missing.name}: "
                "pip install 'gnnrec[serve]'"
            ) from None
        return store

    @cached_property
    def _served(self) -> ServedModel:
        from gnnrec.service.served import ServedModel

        return ServedModel(self._model)

    @contextlib.contextmanager
    def _database(self) -> Iterator[Store]:
        store = self._store
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield store
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
            raise DataError(f"the database {store.description} cannot be used: {reason[0]}") from None

    def close(self) -> None:
        """Close the database."""
        if "_store" in self.__dict__:
            self._store.close()


def _clean(name: str) -> str:
    """Return the name of a profile; raise `ConfigError` if it is invalid."""
    from gnnrec.service.names import clean_name
    from gnnrec.service.tables import MAX_NAME

    try:
        name = clean_name(name)
    except ValueError as error:
        raise ConfigError(f"{name!r} cannot be the name of a profile: {error}") from None
    if len(name) > MAX_NAME:
        raise ConfigError(f"the name of a profile has at most {MAX_NAME} characters, not {len(name)}")
    return name
