"""Storages: several processes on one study run every trial once, and replace those of dead workers."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from gnnrec import ConfigError, Split, StudyResult, tune
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from gnnrec.tuning import TunableGNN, read_study, storage
from gnnrec.tuning.storage import load_study, open_storage, quiet_optuna

SPACE = {
    "model": {"embedding_dim": 8},
    "train": {"epochs": 2, "batch_size": 64},
    "space": {"train.learning_rate": {"low": 0.0005, "high": 0.05, "log": True}},
}

PATIENCE = 600.0
"""Seconds that a busy machine does not need."""


def data() -> Split:
    return random_split(make_sample(60, 40, seed=2, ratings_per_user=12), (0.8, 0.2, 0.0), seed=0)


def worker(where: str, trials: int, together: Barrier, dies: bool) -> None:
    """Work on a study, in its own process; its first trial goes on when all workers have one."""
    torch.set_num_threads(1)
    storage.CREATION_TIMEOUT = PATIENCE
    real = TunableGNN.fit

    def fit(*args: Any, **options: Any) -> Any:
        TunableGNN.fit = real  # type: ignore[method-assign]
        together.wait()
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    TunableGNN.fit = fit  # type: ignore[method-assign]
    split = data()
    together.wait()
    tune(split, SPACE, trials=trials, storage=where, study="shared", progress=False)


def work(where: str | Path, trials: int, dying: int) -> StudyResult:
    """Start two workers, and some that are killed in their first trial, at the same moment."""
    context = multiprocessing.get_context("forkserver")  # which imports PyTorch once for all of them
    context.set_forkserver_preload(["gnnrec.tuning"])
    together = context.Barrier(2 + dying, timeout=PATIENCE)
    started = [context.Process(target=worker, args=(str(where), trials, together, i < dying)) for i in range(2 + dying)]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=2 * PATIENCE)
    assert [process.exitcode for process in started] == [-signal.SIGKILL] * dying + [0, 0]
    return read_study(where, "shared")


def check(result: StudyResult, trials: int) -> None:
    finished = [one for one in result.optuna_trials if one.state.is_finished() and "epochs" in one.user_attrs]
    assert len(finished) == trials
    assert not [one for one in result.optuna_trials if not one.state.is_finished()]
    rates = [one.params.get("train.learning_rate") for one in result.optuna_trials]
    assert len({one.params["train.learning_rate"] for one in finished}) == trials
    assert rates.count(0.002) == 1  # the base config, once
    assert len({one.user_attrs["worker"] for one in finished}) == 2
    assert [one.number for one in result.optuna_trials] == list(range(len(result.optuna_trials)))


@pytest.mark.slow
def test_workers_on_a_journal(tmp_path: Path) -> None:
    result = work(tmp_path / "journal", 9, dying=1)
    check(result, 9)
    sampled = [one for one in result.optuna_trials if "train.learning_rate" in one.params]
    lost = [one for one in sampled if "epochs" not in one.user_attrs]
    assert len(lost) == 1  # the killed one; withdrawn trials sampled nothing
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Start a server that listens on a socket in a temporary folder only; return its URL."""
    import pwd  # not on Windows

    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    # The server refuses to be root.
    user = next((one for one in pwd.getpwall() if one.pw_name in ("postgres", "nobody")), None)
    options: dict[str, object] = {"check": True, "capture_output": True, "cwd": folder}
    if os.geteuid() == 0:
        if user is None:
            pytest.skip("root cannot run PostgreSQL, and there is no user postgres or nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    cluster = str(folder / "data")
    try:
        subprocess.run(["initdb", "-D", cluster, "-U", "study", "-A", "trust", "--no-sync", "-E", "UTF8"], **options)  # type: ignore[call-overload]
        settings = f"-c listen_addresses= -c fsync=off -k {folder}"
        start = ["pg_ctl", "-D", cluster, "-w", "-l", str(folder / "log"), "-o", settings, "start"]
        subprocess.run(start, **{**options, "capture_output": False, "stdout": subprocess.DEVNULL})  # type: ignore[call-overload]
        yield f"postgresql://study:secret@/postgres?host={folder}"
        subprocess.run(["pg_ctl", "-D", cluster, "-m", "immediate", "stop"], **options)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_workers_on_postgresql(postgresql: str) -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    result = work(postgresql, 8, dying=0)
    check(result, 8)
    assert result.storage == "PostgreSQL"


def start_trial(where: str | Path) -> tuple[optuna.Study, optuna.Trial]:
    """Return a study with a running trial that is never finished."""
    with quiet_optuna():
        study = load_study(open_storage(where), "study")
        return study, study.ask()


def test_a_dead_worker_of_a_journal_loses_its_lock(tmp_path: Path) -> None:
    where = tmp_path / "journal"
    tune(data(), SPACE, trials=1, storage=where, progress=False)
    other = open_storage(where)
    with other.worker() as name:
        _, trial = start_trial(where)
        trial.set_user_attr("worker", name)
        # The other worker is alive, so its trial counts and is waited for.
        tune(data(), SPACE, trials=2, storage=where, time_limit=0.2, progress=False)
        assert read_study(where).trials["state"].tolist() == ["complete", "running"]
    found = tune(data(), SPACE, trials=2, storage=where, progress=False)
    assert found.trials["state"].tolist() == ["complete", "lost", "complete"]


@pytest.mark.slow
def test_a_dead_worker_of_a_database_misses_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "HEARTBEAT_INTERVAL", 1)
    monkeypatch.setattr(storage, "GRACE_PERIOD", 2)
    where = f"sqlite:///{tmp_path / 'study.db'}"
    tune(data(), SPACE, trials=1, storage=where, progress=False)
    opened = open_storage(where)
    with pytest.warns(UserWarning, match="Heartbeat of storage is supposed to be used with"):
        _, trial = start_trial(where)
    opened.optuna.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    found = tune(data(), SPACE, trials=2, storage=where, progress=False)
    assert found.trials["state"].tolist() == ["complete", "lost", "complete"]
    assert found.storage == "SQLite"


def test_unusable_storages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"storage .* is not an Optuna journal"):
        open_storage(tmp_path)
    (tmp_path / "notes.txt").write_text("no journal\n")
    with pytest.raises(ConfigError, match=r"notes\.txt is not an Optuna journal"):
        open_storage(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "no journal\n"
    with pytest.raises(ConfigError, match=r"storage sqlite:////nowhere/at/all\.db cannot be used: unable to open"):
        open_storage("sqlite:////nowhere/at/all.db")
    for module, url, extra in (("psycopg", "postgresql", "postgresql"), ("pymysql", "mysql", "mysql")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(ConfigError) as error:
                open_storage(f"{url}://me:hidden@localhost:1/name")
        assert f"the driver is missing; pip install 'gnnrec[{extra}]'" in str(error.value)
        assert "hidden" not in str(error.value)


def test_a_password_is_never_shown() -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    with pytest.raises(
        ConfigError, match=r"storage postgresql://me:\*\*\*@127\.0\.0\.1:1/name cannot be used: "
    ) as error:
        open_storage("postgresql://me:hidden@127.0.0.1:1/name")
    assert "hidden" not in str(error.value)


def test_a_foreign_study_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrec.tuning.storage.CREATION_TIMEOUT", 0.1)
    with quiet_optuna():
        optuna.create_study(study_name="study", storage=open_storage(tmp_path / "journal").optuna).ask()
    with pytest.raises(ConfigError, match="study 'study' was not made by gnnrec"):
        tune(data(), SPACE, trials=1, storage=tmp_path / "journal")


def test_two_workers_fail_the_same_lost_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker may mark the trial between reading and writing."""
    opened, other = open_storage(tmp_path / "journal"), open_storage(tmp_path / "journal")
    study = optuna.create_study(study_name="study", storage=opened.optuna)
    other_study = optuna.load_study(study_name="study", storage=other.optuna)
    study.ask().set_user_attr("worker", "gone")
    lost = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    assert [one.number for one in lost] == [0]
    other.fail_lost_trials(other_study, "other")
    monkeypatch.setattr(study, "get_trials", lambda **options: lost)  # what this worker read before
    marked = []

    def tell(number: int, *, state: TrialState, skip_if_finished: bool) -> None:
        marked.append(number)
        opened.optuna.set_trial_state_values(lost[0]._trial_id, state)  # as Optuna does after its check

    monkeypatch.setattr(study, "tell", tell)
    opened.fail_lost_trials(study, "this")
    monkeypatch.undo()
    assert marked == [0]
    assert [one.state for one in study.get_trials()] == [TrialState.FAIL]


@pytest.mark.parametrize("torn", [b'{"op_code":4,"worker_id":"x', b"\0" * 40, b'{"op_code":4\n', b"{"])
def test_a_torn_last_line(tmp_path: Path, torn: bytes) -> None:
    """A worker that is killed while it writes leaves half a line; the next one must not write behind it."""
    where = tmp_path / "journal"
    tune(data(), SPACE, trials=1, storage=where, progress=False)
    living = open_storage(where)  # of a worker that opened the journal before
    with where.open("ab") as file:
        file.write(torn)
    found = tune(data(), SPACE, trials=2, storage=where, progress=False)
    assert found.trials["state"].tolist() == ["complete", "complete"]
    with where.open("ab") as file:
        file.write(torn)
    with quiet_optuna():
        study = load_study(living, "study")
        study.set_user_attr("note", "after")
    assert read_study(where).trials["state"].tolist() == ["complete", "complete"]
    assert load_study(open_storage(where), "study").user_attrs["note"] == "after"
    assert all("op_code" in json.loads(line) for line in where.read_bytes().splitlines())


def test_a_journal_whose_only_line_is_torn(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'{"op_code":0,"wor')
    assert len(tune(data(), SPACE, trials=1, storage=tmp_path / "journal", progress=False).trials) == 1


@pytest.mark.parametrize("length", [0, 1, 100, 1 << 16, (1 << 16) + 1, 1 << 17, 300_000])
@pytest.mark.parametrize("before", [b"", b'{"a": 1}\n', b'{"a": 1}\n{"b": 2}\n'])
def test_only_the_torn_line_is_cut(tmp_path: Path, before: bytes, length: int) -> None:
    path = tmp_path / "journal"
    whole = before + b'{"text": "%s"}\n' % (b"x" * length)
    for torn in (b"", b"{", b"{" + b"y" * length, b'{"z": 1}'):
        path.write_bytes(whole + torn)
        storage.drop_torn_line(path)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_a_worker_killed_while_it_creates_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The name of the study can be used all the same."""
    monkeypatch.setattr(storage, "CREATION_TIMEOUT", 0.1)
    where = tmp_path / "journal" if kind == "journal" else f"sqlite:///{tmp_path / 'study.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tune(data(), SPACE, trials=1, storage=where, progress=False)
    found = tune(data(), SPACE, trials=2, storage=where, progress=False)
    assert found.trials["state"].tolist() == ["complete", "complete"]
    assert found.trials["train.learning_rate"][0] == 0.002  # the base config


@pytest.mark.slow
def test_a_worker_of_a_database_that_dies_before_its_first_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "HEARTBEAT_INTERVAL", 1)
    monkeypatch.setattr(storage, "GRACE_PERIOD", 2)
    where = f"sqlite:///{tmp_path / 'study.db'}"
    tune(data(), SPACE, trials=1, storage=where, progress=False)
    with pytest.warns(UserWarning, match="Heartbeat of storage is supposed to be used with"):
        start_trial(where)
    found = tune(data(), SPACE, trials=2, storage=where, time_limit=PATIENCE, progress=False)
    assert found.trials["state"].tolist() == ["complete", "lost", "complete"]
