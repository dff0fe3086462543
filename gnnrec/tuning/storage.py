"""Optuna storages that several processes or machines share, and studies in them."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gnnrec._checks import as_path
from gnnrec._io import parse_json
from gnnrec._locks import abandoned, open_exclusive, try_lock
from gnnrec.errors import ConfigError, StorageError
from gnnrec.tuning.space import Objective

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
"""Supported databases, and the driver used for each unless the URL names one."""
DATABASE_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL"}
HEARTBEAT_INTERVAL, GRACE_PERIOD = 20, 120
"""Seconds between heartbeats in a database, and the time without one after which a trial is marked as failed."""
UNNAMED_PERIOD = timedelta(minutes=1)
"""Seconds after which a running trial without a recorded worker is marked as failed."""
JOURNAL_START = b'{"op_code":'
"""Start of every line of an Optuna journal."""
METADATA = "gnnrec"
"""User attribute of a study that holds its data, search space and objectives."""
DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, OptunaError, RecursionError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""Errors that Optuna raises for a damaged journal or database."""
CREATION_TIMEOUT = 10.0
"""Seconds to wait for the metadata of a study that another worker is creating."""
DEVICE_KEY = "space.train.device"
"""Metadata that may differ between the workers of a study."""


@dataclass(frozen=True)
class Storage:
    """An open storage.

    Attributes
    ----------
    optuna : optuna.storages.BaseStorage
    description : str
        Kind of storage for reports, without password, host or folder.
    file : Path, optional
        The file of an Optuna journal or a SQLite database.
    """

    optuna: BaseStorage
    description: str
    file: Path | None = None
    _silent_since: dict[int, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def worker(self) -> Iterator[str]:
        """Register a worker while the block runs, and return its name.

        With a file, every worker locks a file of its own next to it. The operating system releases the lock when the
        process ends in any way, which other workers detect. Databases on a server use Optuna's heartbeats instead.
        """
        name = uuid.uuid4().hex[:12]
        if self.file is None:
            yield name
            return
        path = self._worker_file(name)
        descriptor = open_exclusive(path)
        assert descriptor is not None  # the name is unique
        try:
            yield name
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Raise a `StorageError` if the storage cannot be written, such as on a full disk."""
        try:
            yield
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            where = self.description if self.file is None else self.file
            raise StorageError(f"{where} cannot be written: {_reason_of(error.__cause__ or error)}") from None
        except StorageError:
            raise
        except OSError as error:
            if self.file is None or not self._is_own(error.filename):
                raise
            raise StorageError.writing(self.file, error) from None

    def fail_lost_trials(self, study: Study, worker: str) -> None:
        """Mark running trials of dead workers as failed."""
        if isinstance(self.optuna, RDBStorage):
            with quiet_optuna():
                optuna.storages.fail_stale_trials(study)
            self._fail_silent_trials(study)
        if self.file is not None:
            alone = not self._has_others(worker)
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if self._is_lost(trial, worker, alone):
                    _fail(study, trial)

    def _has_others(self, own_name: str) -> bool:
        """Return whether other workers are alive; remove the files of those that are not."""
        assert self.file is not None
        alive = 0
        for path in self.file.parent.glob(f".{glob.escape(self.file.name)}.*.worker"):
            if path != self._worker_file(own_name):
                with abandoned(path) as is_abandoned:
                    if is_abandoned:
                        path.unlink(missing_ok=True)
                    alive += not is_abandoned and path.exists()
        return alive > 0

    def _fail_silent_trials(self, study: Study) -> None:
        """Fail running trials whose worker died before its first heartbeat, which Optuna does not count as stale.

        The clocks of the workers may differ, so a trial is lost when this process saw it without a heartbeat for the
        grace period.
        """
        assert isinstance(self.optuna, RDBStorage)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if not running:
            return
        with self.optuna.engine.connect() as connection:
            alive = set(connection.execute(text("SELECT trial_id FROM trial_heartbeats")).scalars())
        now = time.monotonic()
        for trial in running:
            if trial._trial_id in alive:
                self._silent_since.pop(trial._trial_id, None)
            elif now - self._silent_since.setdefault(trial._trial_id, now) > GRACE_PERIOD:
                _fail(study, trial)

    def _is_own(self, path: str | None) -> bool:
        """Return whether an error is about the file of the storage, or one beside it; some do not say which it is."""
        assert self.file is not None
        return path is None or (Path(path).parent == self.file.parent and self.file.name in Path(path).name)

    def _worker_file(self, worker: str) -> Path:
        assert self.file is not None
        return self.file.with_name(f".{self.file.name}.{worker}.worker")

    def _is_lost(self, trial: FrozenTrial, own_name: str, alone: bool) -> bool:
        worker = trial.user_attrs.get("worker")
        if worker is None:  # its worker has not recorded its name yet, or died before
            return alone or (
                trial.datetime_start is not None and datetime.now() - trial.datetime_start > UNNAMED_PERIOD
            )
        return worker != own_name and (alone or not self._worker_file(worker).exists())


def _fail(study: Study, trial: FrozenTrial) -> None:
    with contextlib.suppress(UpdateFinishedTrialError):  # already marked by another worker
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


class _JournalFile(JournalFileBackend):
    """An Optuna journal that is locked by the operating system, so that dead processes leave no stale locks.

    An incomplete last line, left by a process that died while writing it, is removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines after the last complete one."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._path.open("rb+", buffering=0) as file:
            self._wait_for_lock(file.fileno())
            drop_torn_line(self._path)
            end = written = file.seek(0, os.SEEK_END)
            try:
                while written < end + len(lines):
                    written += file.write(lines[written - end :]) or 0
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise

    def _wait_for_lock(self, descriptor: int) -> None:
        pause = 0.001
        while not (locked := try_lock(descriptor)):
            if locked is None:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(self._path))
            time.sleep(pause)
            pause = min(2 * pause, 0.05)


def drop_torn_line(path: Path) -> None:
    """Remove an incomplete last line; earlier lines were checked when the next one was written."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        while start > 0:  # search backwards for the start of the last line
            step = min(start, 1 << 16)
            file.seek(start - step)
            place = file.read(step).rfind(b"\n", 0, step - 1 if start == end else step)
            if place >= 0:
                start += place + 1 - step
                break
            start -= step
        file.seek(start)
        line = file.read(end - start)
        if line and not _is_whole(line):
            file.truncate(start)
            file.flush()
            os.fsync(file.fileno())


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(parse_json(line), dict)
    except ValueError:
        return False


def open_storage(storage: str | Path | None) -> Storage:
    """Open a storage of studies, creating it if needed.

    Parameters
    ----------
    storage : str or Path, optional
        A path is an Optuna journal, for processes on one machine. A URL (``sqlite:///``, ``postgresql://``,
        ``mysql://``) is a database, for machines that can connect to it. None keeps studies in memory.

    Raises
    ------
    ConfigError
        The database is unsupported, unreachable or lacks its driver, or the file is not a journal.

    Examples
    --------
    >>> open_storage(None).description
    'in memory'
    """
    if storage is None:
        return Storage(InMemoryStorage(), "in memory")
    if "://" in str(storage):
        return _open_database(str(storage))
    path = as_path(storage, "a storage").absolute()
    try:
        _check_journal(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with quiet_optuna():
            journal = JournalStorage(_JournalFile(path))
    except OSError as error:
        raise ConfigError(f"storage {storage} cannot be used: {error.strerror}") from None
    except DAMAGE as error:
        problem = f"storage {storage} is not an Optuna journal, or it is damaged"
        raise ConfigError(f"{problem} ({type(error).__name__}: {error}); choose another file") from None
    return Storage(journal, "Optuna journal", path)


def create_or_load_study(
    storage: Storage,
    name: str,
    metadata: dict[str, Any],
    objectives: tuple[Objective, ...],
    sampler: BaseSampler,
    pruner: BasePruner,
) -> Study:
    """Create a study, or load the one of this name.

    If a worker died while creating a study, which then has neither trials nor metadata, the creation is completed.

    Raises
    ------
    ConfigError
        The study of this name has other data, another search space or other objectives.
    """
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage.optuna,
            sampler=sampler,
            pruner=pruner,
            directions=[objective.direction for objective in objectives],
        )
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage.optuna, sampler=sampler, pruner=pruner)
        if not _has_metadata(study):
            directions = [one.name.lower() for one in study.directions]
            if study.user_attrs or study.get_trials(deepcopy=False) or directions != [o.direction for o in objectives]:
                raise ConfigError(_foreign(name)) from None
            study.set_user_attr(METADATA, metadata)
        _check_metadata(study, metadata)
        return study
    study.set_user_attr(METADATA, metadata)
    return study


def load_study(
    storage: Storage, name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> Study:
    """Load a study made by `tune`; wait for one that another worker is creating.

    Raises
    ------
    ConfigError
        There is no such study, or `tune` did not make it.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage.optuna, sampler=sampler, pruner=pruner)
    except KeyError:
        others = ", ".join(map(repr, optuna.get_all_study_names(storage.optuna))) or "none"
        raise ConfigError(f"study {name!r} is not in the storage; studies there: {others}") from None
    if not _has_metadata(study):
        raise ConfigError(_foreign(name))
    return study


def _has_metadata(study: Study) -> bool:
    """Return whether a study has metadata; wait for a worker that may be creating it."""
    deadline = time.monotonic() + CREATION_TIMEOUT
    while METADATA not in study.user_attrs:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _foreign(name: str) -> str:
    return f"study {name!r} was not made by gnnrec; choose another name"


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a finished trial counts towards the number of trials of a study.

    Trials that were interrupted, withdrawn, or lost with their worker have failed without a reason and do not count.
    """
    if trial.state is TrialState.FAIL:
        return "failed" in trial.user_attrs
    return trial.state.is_finished()


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's log and its warnings about experimental features."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _check_metadata(study: Study, metadata: dict[str, Any]) -> None:
    """Reject mixing trials of different data, spaces or objectives."""
    stored, given = (dict(_flatten(one)) for one in (study.user_attrs[METADATA], metadata))
    differ = [key for key in {**stored, **given} if stored.get(key) != given.get(key) and key != DEVICE_KEY]
    if differ:
        shown = "; ".join(
            f"{key.removeprefix('space.')} was {stored.get(key)}, now {given.get(key)}" for key in differ[:4]
        )
        more = f"; and {len(differ) - 4} more" if len(differ) > 4 else ""
        raise ConfigError(
            f"study {study.study_name!r} was made with different settings ({shown}{more}); choose another study name"
        )


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat = []
    for key, value in values.items():
        flat += _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return flat


def _check_journal(path: Path) -> None:
    """Raise a ValueError, KeyError or TypeError for an existing file that is not a journal, before writing to it."""
    if path.exists() and not path.is_file():  # reading from a pipe could block forever
        raise ValueError("it is not a file")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            line = file.readline()
        if not line.endswith(b"\n") and line.startswith(JOURNAL_START[: len(line)]):
            return  # the only line is incomplete
        parse_json(line)["op_code"]


def _reason_of(error: BaseException) -> str:
    """Return the first line of a database error."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def _open_database(url: str) -> Storage:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("the storage is not a valid URL; write postgresql://user:password@host/name") from None
    shown = parsed.render_as_string(hide_password=True)
    kind, plus, _ = parsed.drivername.partition("+")
    if kind not in DRIVERS:
        raise ConfigError(f"storage {shown}: unsupported database {kind}; use a path, or {', '.join(DRIVERS)}")
    parsed = parsed if plus else parsed.set(drivername=DRIVERS[kind])
    options = {"connect_args": {"timeout": 60}} if kind == "sqlite" else {"pool_pre_ping": True}
    for attempt in range(5):
        try:
            with quiet_optuna():
                storage = RDBStorage(
                    parsed.render_as_string(hide_password=False),
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT_INTERVAL,
                    grace_period=GRACE_PERIOD,
                )
            is_file = kind == "sqlite" and parsed.database not in (None, "", ":memory:")
            return Storage(storage, DATABASE_NAMES[kind], Path(str(parsed.database)).absolute() if is_file else None)
        except ImportError:
            install = f"pip install 'gnnrec[{kind}]'" if not plus else f"install the driver of {parsed.drivername}"
            raise ConfigError(f"storage {shown}: the driver is missing; {install}") from None
        except (SQLAlchemyError, RuntimeError) as error:
            # Two workers that start together both create the tables; one of them fails and succeeds on the next try.
            if attempt == 4 or ("exist" not in str(error) and "unique" not in str(error).lower()):
                raise ConfigError(f"storage {shown} cannot be used: {_reason_of(error)}") from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("the last attempt returns or raises")
