"""Connections to SQLite and PostgreSQL, and where the migrations of their tables are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from gnnrec.errors import ConfigError

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
"""Supported databases, and the driver used for each."""
BUSY_TIMEOUT = 20.0
"""Maximum number of seconds that a write waits for others."""
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_205_113
"""Number of the PostgreSQL advisory lock during migrations."""


def newest_version() -> str:
    """Return the number of the newest migration, which is in the name of its file."""
    return max(file.name[1:5] for file in (MIGRATIONS / "versions").glob("m[0-9]*.py"))


def parse_url(url: str) -> URL:
    """Return the URL of a database with its driver; raise `ConfigError` if it is invalid or unsupported."""
    known = "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except ArgumentError:
        raise ConfigError(f"the URL of the database cannot be read; give {known}") from None
    if kind not in DRIVERS:
        raise ConfigError(f"databases of the kind {kind!r} are not supported; give {known}")
    return parsed.set(drivername=DRIVERS[kind])


def make_engine(url: URL) -> Engine:
    """Return the engine of a database; of SQLite with write-ahead log, durable writes and foreign keys."""
    if url.get_backend_name() != "sqlite":
        try:
            return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=30)
        except ImportError:
            raise ConfigError("PostgreSQL needs the package psycopg: pip install 'gnnrec[postgresql]'") from None
    if url.database:
        try:
            Path(url.database).absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the folder of the database {url.database} cannot be made: {error.strerror}") from None
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}, pool_size=10, max_overflow=30)
    else:
        from sqlalchemy.pool import StaticPool

        engine = create_engine(url, connect_args={"check_same_thread": False}, poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions are started by `begin` only
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that is upgraded from reading to writing may fail; one that starts as a write waits.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def reason_of(error: Exception) -> str:
    """Return the first line of a database error."""
    found = error.orig if isinstance(error, OperationalError) and error.orig is not None else error
    return str(found).splitlines()[0] if str(found) else type(found).__name__
