"""Where a study is kept, so that several processes or machines can work on it, and who is still at work."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gnnrec.errors import ConfigError

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
"""Databases, and through which driver they are reached unless the URL names one."""
HEARTBEAT, GRACE = 20, 120
"""Seconds between two signs of life in a database, and after which of silence a trial counts as lost."""
UNSIGNED = timedelta(minutes=1)
"""A trial in a file names its worker at once; one that has not for so long never will."""


@dataclass(frozen=True)
class Storage:
    """An open storage.

    Attributes
    ----------
    optuna : optuna.storages.BaseStorage
    about : str
        In words, without password, host or folder: for reports.
    journal : Path, optional
        The file, where it is one of Optuna's journals.
    """

    optuna: BaseStorage
    about: str
    journal: Path | None = None

    @contextlib.contextmanager
    def worker(self) -> Iterator[str]:
        """Sign on while the block runs: the name that trials carry.

        Beside a journal lies a locked file for each worker. The system frees the lock however the process ends, which
        is how others notice. Databases have heartbeats of Optuna's instead.
        """
        name = uuid.uuid4().hex[:12]
        if self.journal is None:
            yield name
            return
        path = self._sign(name)
        try:
            with FileLock(path):
                yield name
        finally:
            path.unlink(missing_ok=True)

    def release_lost(self, study: Study, worker: str) -> None:
        """Mark trials as failed whose worker is gone."""
        if isinstance(self.optuna, RDBStorage):
            with quiet():
                optuna.storages.fail_stale_trials(study)
        elif self.journal is not None:
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if self._is_lost(trial, worker):
                    with contextlib.suppress(UpdateFinishedTrialError):  # another worker did it in this moment
                        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _sign(self, worker: str) -> Path:
        assert self.journal is not None
        return self.journal.with_name(f".{self.journal.name}.{worker}.worker")

    def _is_lost(self, trial: FrozenTrial, me: str) -> bool:
        worker = trial.user_attrs.get("worker")
        if worker is None:
            return trial.datetime_start is not None and datetime.now() - trial.datetime_start > UNSIGNED
        sign = self._sign(worker)
        if worker == me:
            return False
        if not sign.exists():
            return True
        try:
            with FileLock(sign, timeout=0):
                sign.unlink(missing_ok=True)
        except Timeout:
            return False
        return True


def open_storage(where: str | Path | None) -> Storage:
    """Open, or make, the storage of a study.

    Parameters
    ----------
    where : str or Path, optional
        A path is an Optuna journal, for processes on one machine; a URL (``sqlite:///``, ``postgresql://``,
        ``mysql://``) is a database, for machines that reach it. None is this process's memory.

    Raises
    ------
    ConfigError
        The database cannot be reached or is none we know, its driver is not installed, or the file is something else.
    """
    if where is None:
        return Storage(InMemoryStorage(), "in memory")
    if "://" in str(where):
        return _database(str(where))
    path = Path(where).expanduser().absolute()
    try:
        _check_journal(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock
        with quiet():
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock(str(path))))
    except OSError as error:
        raise ConfigError(f"the storage {where} cannot be used: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{where} is not a journal of Optuna's; name another file as storage") from None
    return Storage(storage, "an Optuna journal", path)


def _check_journal(path: Path) -> None:
    """Raise a ValueError or so if there is a file of another kind, before anything is written to it."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            json.loads(file.readline())["op_code"]


def _database(url: str) -> Storage:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "the storage is no URL that can be read; write postgresql://user:password@host/name"
        ) from None
    shown = parsed.render_as_string(hide_password=True)
    kind, plus, _ = parsed.drivername.partition("+")
    if kind not in DRIVERS:
        raise ConfigError(f"storage {shown}: there is no {kind} storage; use a path, or {', '.join(DRIVERS)}")
    parsed = parsed if plus else parsed.set(drivername=DRIVERS[kind])
    options = {"connect_args": {"timeout": 60}} if kind == "sqlite" else {"pool_pre_ping": True}
    for attempt in range(5):
        try:
            with quiet():
                storage = RDBStorage(
                    parsed.render_as_string(hide_password=False),
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                )
            return Storage(storage, {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL"}[kind])
        except ImportError:
            install = f"pip install 'gnnrec[{kind}]'" if not plus else f"install the driver of {parsed.drivername}"
            raise ConfigError(f"storage {shown}: the driver is missing; {install}") from None
        except (SQLAlchemyError, RuntimeError) as error:
            # Two workers that start at once both make the tables, and one of them fails; a moment later they are there.
            if attempt == 4 or ("exist" not in str(error) and "unique" not in str(error).lower()):
                reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
                raise ConfigError(f"storage {shown} cannot be used: {reason}") from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's own lines, and its warnings that something is experimental, off the screen."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
