"""`Store`: profiles, ratings, bucket lists, hidden movies and jobs in SQLite or PostgreSQL.

Methods that write return when the change is durable.
"""

from __future__ import annotations

import contextlib
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gnnrec.errors import ConfigError
from gnnrec.service.database import MIGRATION_LOCK, MIGRATIONS, make_engine, newest_version, parse_url, reason_of
from gnnrec.service.errors import ConflictError, NotFoundError
from gnnrec.service.records import Entry, Job, Profile
from gnnrec.service.tables import BucketRow, HiddenRow, JobRow, ProfileRow, RatingRow

HEARTBEAT_TIMEOUT = 60
"""Seconds without a heartbeat after which a job counts as failed."""
MAX_LISTED_PROFILES = 1000


def name_key(name: str) -> str:
    """Return a key that is equal for names that people would confuse.

    >>> name_key("ANN  Lee") == name_key("ann lee")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class Store:
    """A database, with its tables.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

    Raises
    ------
    ConfigError
        The URL is invalid, or the database is unsupported.

    Examples
    --------
    >>> store = Store("sqlite://")
    >>> store.migrate()
    >>> ann = store.create_profile("Ann", age=30)
    >>> store.rate(ann.id, [Entry("7", "Heat (1995)", 100, 5)])
    >>> [(entry.title, entry.stars) for entry in store.ratings(ann.id)]
    [('Heat (1995)', 5.0)]
    """

    def __init__(self, url: str) -> None:
        self.engine = make_engine(parse_url(url))

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.engine.dialect.name == "sqlite"

    def migrate(self) -> None:
        """Create the tables, or bring them up to date; safe while other processes start.

        Raises
        ------
        ConfigError
            The database cannot be opened, or is of a later version.
        """
        if self._is_current():
            return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        file = self.engine.url.database
        lock: Any = FileLock(f"{file}.lock") if self.is_sqlite and file else contextlib.nullcontext()
        try:
            with lock, self.engine.connect().execution_options(writes=True) as connection, connection.begin():
                if not self.is_sqlite:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except (SQLAlchemyError, OSError) as error:
            raise ConfigError(f"the database {self.description} cannot be opened: {reason_of(error)}") from None
        except CommandError as error:
            raise ConfigError(f"the database {self.description} is of a later version of gnnrec: {error}") from None

    def _is_current(self) -> bool:
        """Return whether the newest migration has been applied; if so, Alembic need not be loaded."""
        if self.is_sqlite and not Path(self.engine.url.database or "").exists():
            return False
        try:
            with self._reading() as connection:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest_version()
        except (SQLAlchemyError, OSError):
            return False

    @property
    def description(self) -> str:
        """URL without the password."""
        return self.engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def ping(self) -> bool:
        """Return whether the database answers."""
        try:
            with self._reading() as connection:
                connection.execute(select(1))
        except SQLAlchemyError:
            return False
        return True

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction, which is committed at the end."""
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    # Profiles

    def profiles(self) -> list[Profile]:
        """Return all profiles by name."""
        with self._reading() as connection:
            rows = connection.execute(_PROFILES.order_by(ProfileRow.name_key).limit(MAX_LISTED_PROFILES))
            return [Profile(*row) for row in rows]

    def profile(self, profile_id: int) -> Profile:
        """Return a profile.

        Raises
        ------
        NotFoundError
            There is none.
        """
        with self._reading() as connection:
            return _find(connection, profile_id)

    def profile_named(self, name: str) -> Profile | None:
        """Return the profile with a name, in any case; None if there is none."""
        with self._reading() as connection:
            row = connection.execute(_PROFILES.where(ProfileRow.name_key == name_key(name))).first()
            return None if row is None else Profile(*row)

    def create_profile(
        self, name: str, age: int | None = None, gender: str | None = None, occupation: str | None = None
    ) -> Profile:
        """Create a profile.

        Raises
        ------
        ConflictError
            The name is taken.
        """
        values = {"name": name, "name_key": name_key(name), "age": age, "gender": gender, "occupation": occupation}
        with _taken(name), self._writing() as connection:
            made = connection.execute(insert(ProfileRow).values(**values, created_at=_now()).returning(ProfileRow.id))
            return _find(connection, made.scalar_one())

    def update_profile(self, profile_id: int, **values: Any) -> Profile:
        """Change ``name, age, gender`` or ``occupation`` of a profile.

        Raises
        ------
        NotFoundError
            There is no such profile.
        ConflictError
            The name is taken.
        """
        if "name" in values:
            values["name_key"] = name_key(values["name"])
        with _taken(values.get("name", "")), self._writing() as connection:
            if values:
                connection.execute(update(ProfileRow).where(ProfileRow.id == profile_id).values(**values))
            return _find(connection, profile_id)

    def delete_profile(self, profile_id: int) -> None:
        """Delete a profile with everything that belongs to it.

        Raises
        ------
        NotFoundError
            There is no such profile.
        """
        with self._writing() as connection:
            if not connection.execute(delete(ProfileRow).where(ProfileRow.id == profile_id)).rowcount:
                raise _no_profile(profile_id)

    # Movies of a profile

    def ratings(self, profile_id: int) -> list[Entry]:
        """Return the ratings of a profile, oldest first."""
        query = select(RatingRow.movie_id, RatingRow.title, RatingRow.rated_at, RatingRow.stars)
        query = query.where(RatingRow.profile_id == profile_id).order_by(RatingRow.rated_at, RatingRow.movie_id)
        return self._entries(profile_id, query)

    def histories(self) -> list[tuple[Profile, list[Entry]]]:
        """Return all profiles with their ratings, oldest first."""
        columns = (RatingRow.profile_id, RatingRow.movie_id, RatingRow.title, RatingRow.rated_at, RatingRow.stars)
        query = select(*columns).order_by(RatingRow.rated_at, RatingRow.movie_id)
        with self._reading() as connection:
            found = {row[0]: (Profile(*row), list[Entry]()) for row in connection.execute(_PROFILES)}
            for row in connection.execute(query):
                if row[0] in found:  # it may have been created since
                    found[row[0]][1].append(Entry(*row[1:]))
        return list(found.values())

    def bucket_list(self, profile_id: int) -> list[Entry]:
        """Return the bucket list of a profile, oldest first."""
        return self._entries(profile_id, _listed(BucketRow, profile_id))

    def hidden(self, profile_id: int) -> list[Entry]:
        """Return the hidden movies of a profile."""
        return self._entries(profile_id, _listed(HiddenRow, profile_id))

    def rate(self, profile_id: int, entries: Iterable[Entry]) -> None:
        """Store ratings, replacing earlier ones, and take these movies off the bucket list.

        Raises
        ------
        NotFoundError
            There is no such profile.
        """
        self.change_lists(profile_id, rated=entries)

    def change_lists(
        self,
        profile_id: int,
        *,
        rated: Iterable[Entry] = (),
        unrated: Iterable[str] = (),
        listed: Iterable[Entry] = (),
        unlisted: Iterable[str] = (),
    ) -> None:
        """Apply changes to the lists of a profile in one transaction.

        Parameters
        ----------
        profile_id : int
        rated, listed : iterable of Entry
            Movies to rate, as `rate` does, and to add to the bucket list.
        unrated, unlisted : iterable of str
            Ids of movies whose rating, or place on the bucket list, is to be removed, where they have one.

        Raises
        ------
        NotFoundError
            There is no such profile.
        """
        with self._writing() as connection:
            _lock(connection, profile_id)
            _remove(connection, RatingRow, profile_id, list(unrated))
            _remove(connection, BucketRow, profile_id, list(unlisted))
            _put_ratings(connection, profile_id, rated)
            for entry in listed:
                _put(connection, BucketRow, profile_id, entry)

    def remove_rating(self, profile_id: int, movie_id: str) -> None:
        """Remove a rating; raise `NotFoundError` if there is none."""
        self._remove_one(RatingRow, profile_id, movie_id, "rated")

    def add_to_bucket_list(self, profile_id: int, entry: Entry) -> None:
        """Add a movie to the bucket list; does nothing if it is already there."""
        self._add(BucketRow, profile_id, entry)

    def remove_from_bucket_list(self, profile_id: int, movie_id: str) -> None:
        """Remove a movie from the bucket list; raise `NotFoundError` if it is not there."""
        self._remove_one(BucketRow, profile_id, movie_id, "on the bucket list")

    def hide(self, profile_id: int, entry: Entry) -> None:
        """Hide a movie from recommendations."""
        self._add(HiddenRow, profile_id, entry)

    def unhide(self, profile_id: int, movie_id: str) -> None:
        """Stop hiding a movie; raise `NotFoundError` if it was not hidden."""
        self._remove_one(HiddenRow, profile_id, movie_id, "hidden")

    def _entries(self, profile_id: int, query: Any) -> list[Entry]:
        with self._reading() as connection:
            rows = connection.execute(query).all()
            if not rows:
                _find(connection, profile_id)
            return [Entry(*row) for row in rows]

    def _add(self, table: type[BucketRow] | type[HiddenRow], profile_id: int, entry: Entry) -> None:
        with self._writing() as connection:
            _lock(connection, profile_id)
            _put(connection, table, profile_id, entry)

    def _remove_one(self, table: Any, profile_id: int, movie_id: str, what: str) -> None:
        with self._writing() as connection:
            if not _remove(connection, table, profile_id, [movie_id]):
                _find(connection, profile_id)
                raise NotFoundError(f"movie {movie_id} is not {what}")

    # Jobs

    def start_job(self) -> Job:
        """Record the start of a job.

        Raises
        ------
        ConflictError
            Another one is running.
        """
        with self._writing() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK + 1})"))
            _fail_silent(connection)
            running = connection.execute(_JOBS.where(JobRow.state == "running")).first()
            if running is not None:
                raise ConflictError(f"job {running[0]} is running; wait until it has ended")
            now = _now()
            values = {"state": "running", "step": 0, "steps": 0, "message": "", "created_at": now, "heartbeat_at": now}
            made = connection.execute(insert(JobRow).values(**values).returning(JobRow.id)).scalar_one()
            return Job(made, "running", 0, 0, "", now, None)

    def update_job(self, job_id: int, **values: Any) -> None:
        """Record the progress of a job; with the state "done" or "failed", its end."""
        now = _now()
        if values.get("state", "running") != "running":
            values["finished_at"] = now
        with self._writing() as connection:
            query = update(JobRow).where(JobRow.id == job_id, JobRow.state == "running")
            connection.execute(query.values(**values, heartbeat_at=now))

    def job(self, job_id: int) -> Job:
        """Return a job; raise `NotFoundError` if there is none."""
        with self._writing() as connection:
            _fail_silent(connection)
            row = connection.execute(_JOBS.where(JobRow.id == job_id)).first()
        if row is None:
            raise NotFoundError(f"there is no job {job_id}")
        return Job(*row)

    def latest_job(self) -> Job | None:
        """Return the job that was started last, None if there was none."""
        with self._reading() as connection:
            row = connection.execute(_JOBS.order_by(JobRow.id.desc()).limit(1)).first()
        return None if row is None else self.job(row[0])

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        with self._reading() as connection:
            return {
                table.__tablename__: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (ProfileRow, RatingRow, BucketRow, HiddenRow)
            }


_PROFILES = select(
    ProfileRow.id, ProfileRow.name, ProfileRow.age, ProfileRow.gender, ProfileRow.occupation, ProfileRow.created_at
)
_JOBS = select(
    JobRow.id, JobRow.state, JobRow.step, JobRow.steps, JobRow.message, JobRow.created_at, JobRow.finished_at
)
_MAX_PARAMETERS = 500


def _listed(table: type[BucketRow] | type[HiddenRow], profile_id: int) -> Any:
    query = select(table.movie_id, table.title, table.added_at).where(table.profile_id == profile_id)
    return query.order_by(table.added_at, table.movie_id)


def _put_ratings(connection: Connection, profile_id: int, entries: Iterable[Entry]) -> None:
    """Store ratings, replacing earlier ones, and take these movies off the other lists."""
    rows = {
        entry.movie_id: {
            "profile_id": profile_id,
            "movie_id": entry.movie_id,
            "title": entry.title,
            "stars": entry.stars,
            "rated_at": entry.time,
        }
        for entry in entries
    }
    for table in (RatingRow, BucketRow, HiddenRow):
        _remove(connection, table, profile_id, list(rows))
    if rows:
        connection.execute(insert(RatingRow), list(rows.values()))


def _put(connection: Connection, table: type[BucketRow] | type[HiddenRow], profile_id: int, entry: Entry) -> None:
    """Add a movie to a list, unless it is there."""
    there = select(table.movie_id).where(table.profile_id == profile_id, table.movie_id == entry.movie_id)
    if connection.execute(there).first() is None:
        values = {"profile_id": profile_id, "movie_id": entry.movie_id, "title": entry.title, "added_at": entry.time}
        connection.execute(insert(table).values(**values))


def _remove(connection: Connection, table: Any, profile_id: int, movie_ids: list[str]) -> int:
    removed = 0
    for start in range(0, len(movie_ids), _MAX_PARAMETERS):
        some = movie_ids[start : start + _MAX_PARAMETERS]
        found = connection.execute(delete(table).where(table.profile_id == profile_id, table.movie_id.in_(some)))
        removed += found.rowcount
    return removed


def _find(connection: Connection, profile_id: int) -> Profile:
    row = connection.execute(_PROFILES.where(ProfileRow.id == profile_id)).first()
    if row is None:
        raise _no_profile(profile_id)
    return Profile(*row)


def _lock(connection: Connection, profile_id: int) -> None:
    """Lock a profile and its lists until the transaction ends."""
    query = select(ProfileRow.id).where(ProfileRow.id == profile_id)
    if connection.execute(query.with_for_update()).first() is None:  # SQLite has already locked the whole database
        raise _no_profile(profile_id)


def _no_profile(profile_id: int) -> NotFoundError:
    return NotFoundError(f"there is no profile {profile_id}; it may have been deleted")


def _fail_silent(connection: Connection) -> None:
    """Mark jobs as failed whose process has died."""
    silent = (JobRow.state == "running") & (JobRow.heartbeat_at < _now() - HEARTBEAT_TIMEOUT)
    values = {"state": "failed", "message": "the process of the job ended", "finished_at": _now()}
    connection.execute(update(JobRow).where(silent).values(**values))


@contextlib.contextmanager
def _taken(name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise ConflictError(f"the name {name!r} is taken; choose another one", "name") from None


def _now() -> int:
    return int(time.time())
