"""Several processes on one study: no trial twice, none too many, and nothing lost with a worker that dies."""

from __future__ import annotations

import importlib
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

import optuna
import pytest
import torch
from optuna.trial import TrialState

from gnnrec import ConfigError, Split, StudyResult, tune
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from gnnrec.study import read_study
from gnnrec.study.joining import load_study
from gnnrec.study.storage import open_storage, quiet

SPACE = {
    "model": {"embedding_dim": 8},
    "train": {"epochs": 2, "batch_size": 64},
    "space": {"train.learning_rate": {"low": 0.0005, "high": 0.05, "log": True}},
}


def rows() -> Split:
    return random_split(make_sample(60, 40, seed=2, ratings_per_user=12), (0.8, 0.2, 0.0), seed=0)


def worker(where: str, trials: int, together: Barrier, dies: bool) -> None:
    """Work on a study; run in a process of its own."""
    torch.set_num_threads(1)
    if dies:
        module = importlib.import_module("gnnrec.study.trial")
        module.fit = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[attr-defined]
    data = rows()
    together.wait()
    tune(data, SPACE, trials=trials, storage=where, study="shared", progress=False)


def work(where: str | Path, trials: int, dying: int) -> StudyResult:
    """Have two workers, and some that are killed in their first trial, begin a study at the same moment."""
    context = multiprocessing.get_context("forkserver")  # which imports PyTorch once for all of them
    context.set_forkserver_preload(["gnnrec"])
    together = context.Barrier(2 + dying, timeout=240)
    started = [context.Process(target=worker, args=(str(where), trials, together, i < dying)) for i in range(2 + dying)]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=300)
    assert [process.exitcode for process in started] == [-signal.SIGKILL] * dying + [0, 0]
    return read_study(where, "shared")


def check(result: StudyResult, trials: int) -> None:
    finished = [one for one in result.frozen if one.state.is_finished() and "epochs" in one.user_attrs]
    assert len(finished) == trials
    assert not [one for one in result.frozen if not one.state.is_finished()]
    assert len({one.params["train.learning_rate"] for one in finished}) == trials
    assert len({one.user_attrs["worker"] for one in finished}) == 2
    assert [one.number for one in result.frozen] == list(range(len(result.frozen)))
    assert sum(one.params.get("train.learning_rate") == 0.002 for one in result.frozen) == 1  # the config itself, once


def test_workers_on_a_journal(tmp_path: Path) -> None:
    result = work(tmp_path / "journal", 9, dying=1)
    check(result, 9)
    lost = [one for one in result.frozen if "epochs" not in one.user_attrs and "train.learning_rate" in one.params]
    assert len(lost) == 1  # the killed one; those that gave way drew nothing
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Start a server of our own that listens on a socket in a folder only; return its URL."""
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
    data = str(folder / "data")
    try:
        subprocess.run(["initdb", "-D", data, "-U", "study", "-A", "trust", "--no-sync", "-E", "UTF8"], **options)  # type: ignore[call-overload]
        settings = f"-c listen_addresses= -c fsync=off -k {folder}"
        start = ["pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start"]
        subprocess.run(start, **{**options, "capture_output": False, "stdout": subprocess.DEVNULL})  # type: ignore[call-overload]
        yield f"postgresql://study:secret@/postgres?host={folder}"
        subprocess.run(["pg_ctl", "-D", data, "-m", "immediate", "stop"], **options)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_workers_on_postgresql(postgresql: str) -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    result = work(postgresql, 8, dying=0)
    check(result, 8)
    assert result.storage == "PostgreSQL"


def running(where: str | Path) -> tuple[optuna.Study, optuna.Trial]:
    """Return a study with a trial that nobody finishes."""
    with quiet():
        study = load_study(open_storage(where), "study")
        return study, study.ask()


def test_in_a_journal_a_dead_worker_is_known_by_its_lock(tmp_path: Path) -> None:
    where = tmp_path / "journal"
    tune(rows(), SPACE, trials=1, storage=where, progress=False)
    other = open_storage(where)
    with other.worker() as name:
        _, trial = running(where)
        trial.set_user_attr("worker", name)
        # The other is alive, so its trial counts, and we wait for it.
        tune(rows(), SPACE, trials=2, storage=where, timeout=0.2, progress=False)
        assert read_study(where).trials["state"].tolist() == ["complete", "running"]
    found = tune(rows(), SPACE, trials=2, storage=where, progress=False)
    assert found.trials["state"].tolist() == ["complete", "lost", "complete"]


def test_in_a_database_a_dead_worker_is_known_by_its_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr(storage, "GRACE", 2)
    where = f"sqlite:///{tmp_path / 'study.db'}"
    tune(rows(), SPACE, trials=1, storage=where, progress=False)
    opened = open_storage(where)
    with pytest.warns(UserWarning, match="Heartbeat of storage is supposed to be used with"):
        _, trial = running(where)
    opened.optuna.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    found = tune(rows(), SPACE, trials=2, storage=where, progress=False)
    assert found.trials["state"].tolist() == ["complete", "lost", "complete"]
    assert found.storage == "SQLite"


def test_storages_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"the storage .* cannot be used: Is a directory"):
        open_storage(tmp_path)
    (tmp_path / "notes.txt").write_text("no journal\n")
    with pytest.raises(ConfigError, match=r"notes\.txt is not a journal of Optuna's"):
        open_storage(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "no journal\n"
    with pytest.raises(ConfigError, match=r"storage sqlite:////nowhere/at/all\.db cannot be used: unable to open"):
        open_storage("sqlite:////nowhere/at/all.db")
    for module, url, extra in (("psycopg", "postgresql", "postgresql"), ("pymysql", "mysql", "mysql")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(ConfigError) as told:
                open_storage(f"{url}://me:hidden@localhost:1/name")
        assert f"the driver is missing; pip install 'gnnrec[{extra}]'" in str(told.value)
        assert "hidden" not in str(told.value)


def test_a_password_is_never_shown() -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    with pytest.raises(
        ConfigError, match=r"storage postgresql://me:\*\*\*@127\.0\.0\.1:1/name cannot be used: "
    ) as told:
        open_storage("postgresql://me:hidden@127.0.0.1:1/name")
    assert "hidden" not in str(told.value)


def test_somebody_elses_study_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrec.study.joining.PATIENCE", 0.1)
    with quiet():
        optuna.create_study(study_name="study", storage=open_storage(tmp_path / "journal").optuna)
    with pytest.raises(ConfigError, match="study 'study' was not made by gnnrec"):
        tune(rows(), SPACE, trials=1, storage=tmp_path / "journal")


def test_two_workers_release_the_same_lost_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and writing, somebody else may have been quicker."""
    opened, other = open_storage(tmp_path / "journal"), open_storage(tmp_path / "journal")
    study = optuna.create_study(study_name="study", storage=opened.optuna)
    theirs = optuna.load_study(study_name="study", storage=other.optuna)
    study.ask().set_user_attr("worker", "gone")
    lost = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    assert [one.number for one in lost] == [0]
    other.release_lost(theirs, "them")
    monkeypatch.setattr(study, "get_trials", lambda **asked: lost)  # what this worker saw before
    told = []

    def tell(number: int, *, state: TrialState, skip_if_finished: bool) -> None:
        told.append(number)
        opened.optuna.set_trial_state_values(lost[0]._trial_id, state)  # as Optuna does after it has looked

    monkeypatch.setattr(study, "tell", tell)
    opened.release_lost(study, "me")
    monkeypatch.undo()
    assert told == [0]
    assert [one.state for one in study.get_trials()] == [TrialState.FAIL]
