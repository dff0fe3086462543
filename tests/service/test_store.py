"""The database: migrations, names, and what is kept when a process dies."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.service import require_service

require_service()

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from gnnrec.errors import ConfigError
from gnnrec.service.database import MIGRATIONS, newest_version
from gnnrec.service.errors import ConflictError, NotFoundError
from gnnrec.service.records import Entry
from gnnrec.service.store import Store
from gnnrec.service.tables import Base
from tests.helpers.ports import free_port
from tests.helpers.service import serving


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Return the URL of a PostgreSQL server for this module."""
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("needs initdb of PostgreSQL on the path")
    pytest.importorskip("psycopg")
    home = Path(tempfile.mkdtemp(prefix="pg"))
    user: dict[str, str] = {}
    if os.getuid() == 0:
        try:
            shutil.chown(home, "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        user = {"user": "postgres"}
    data, port = home / "data", free_port()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=home, timeout=300, **user)  # type: ignore[call-overload]

    folder = Path(initdb).resolve().parent
    run(initdb, "-D", str(data), "-U", "people", "--auth=trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    run(str(folder / "pg_ctl"), "-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://people@127.0.0.1:{port}/postgres"
    finally:
        run(str(folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        made = Store(f"sqlite:///{tmp_path / 'a.db'}")
    else:
        made = Store(request.getfixturevalue("postgresql"))
    made.migrate()
    yield made
    for profile in made.profiles():
        made.delete_profile(profile.id)
    made.close()


def test_migrations_make_the_tables(store: Store) -> None:
    store.migrate()  # twice is once
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_an_up_to_date_database_needs_no_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == newest_version()
    program = """if True:
        import sys
        from gnnrec.service.store import Store
        store = Store(sys.argv[1])
        store.migrate()
        print("alembic" in sys.modules)
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, f"sqlite:///{folder}/a.db"]
        said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["True\n", "False\n"]


def test_names_are_unique_without_case(store: Store) -> None:
    ann = store.create_profile("Ann", 30, "F", "artist")
    for name in ("ann", "ANN", "\uff21nn"):
        with pytest.raises(ConflictError, match="is taken"):
            store.create_profile(name)
    assert store.update_profile(ann.id, name="ANN").name == "ANN"
    assert store.profiles() == [store.profile(ann.id)]


def test_a_profile_goes_with_everything(store: Store) -> None:
    ann, bob = store.create_profile("Ann"), store.create_profile("Bob")
    for one in (ann, bob):
        store.rate(one.id, [Entry("1", "Heat", 5, 4.5)])
        store.add_to_bucket_list(one.id, Entry("2", "Alien", 6))
        store.hide(one.id, Entry("3", "Brazil", 7))
    store.delete_profile(ann.id)
    assert store.counts() == {"profiles": 1, "ratings": 1, "bucket_list": 1, "hidden_movies": 1}
    for act in (
        lambda: store.rate(ann.id, [Entry("1", "Heat", 5, 4.5)]),
        lambda: store.hide(ann.id, Entry("3", "Brazil", 7)),
        lambda: store.ratings(ann.id),
        lambda: store.delete_profile(ann.id),
        lambda: store.remove_rating(ann.id, "1"),
    ):
        with pytest.raises(NotFoundError, match="may have been deleted"):
            act()
    assert store.create_profile("Ann").id > bob.id  # a page of the old one cannot change the new one


def test_the_order_of_a_history_is_that_of_its_times(store: Store) -> None:
    ann = store.create_profile("Ann")
    store.rate(ann.id, [Entry("1", "Heat", 30, 4.0), Entry("2", "Alien", 10, 3.0)])
    store.rate(ann.id, [Entry("3", "Brazil", 20, 5.0), Entry("2", "Alien", 40, 1.0)])
    assert [(entry.movie_id, entry.stars) for entry in store.ratings(ann.id)] == [("3", 5.0), ("1", 4.0), ("2", 1.0)]


def test_changes_are_stored_together(store: Store) -> None:
    ann = store.create_profile("Ann")
    assert store.profile_named("ANN") == ann and store.profile_named("Bob") is None
    store.rate(ann.id, [Entry("1", "One", 10, 4), Entry("2", "Two", 20, 3)])
    store.add_to_bucket_list(ann.id, Entry("3", "Three", 30))
    store.hide(ann.id, Entry("4", "Four", 30))
    rated, listed = (
        [Entry("4", "Four", 50, 5), Entry("2", "Two", 40, 1)],
        [Entry("5", "Five", 50), Entry("3", "Three", 1)],
    )
    store.change_lists(ann.id, rated=rated, unrated=["1", "9"], listed=listed, unlisted=["8"])
    assert [(entry.movie_id, entry.stars) for entry in store.ratings(ann.id)] == [("2", 1), ("4", 5)]
    assert [entry.movie_id for entry in store.bucket_list(ann.id)] == ["3", "5"] and store.hidden(ann.id) == []
    broken = Entry("6", None, 50, 5)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        store.change_lists(ann.id, unrated=["2"], unlisted=["3"], rated=[broken])
    assert [entry.movie_id for entry in store.ratings(ann.id)] == ["2", "4"], "all or nothing"
    with pytest.raises(NotFoundError):
        store.change_lists(ann.id + 1, unrated=["2"])


def test_one_job_at_a_time(store: Store) -> None:
    job = store.start_job()
    with pytest.raises(ConflictError, match="is running"):
        store.start_job()
    store.update_job(job.id, step=2, steps=3, message="epoch 2")
    assert (store.job(job.id).state, store.job(job.id).step) == ("running", 2)
    store.update_job(job.id, state="done", message="")
    store.update_job(job.id, state="failed", message="too late")
    assert store.job(job.id).state == "done"
    later = store.start_job()
    assert store.latest_job() == later
    store.update_job(later.id, state="failed", message="")


def test_a_job_whose_process_died_has_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = store.start_job()
    monkeypatch.setattr("gnnrec.service.store._now", lambda: job.created_at + 1000)
    assert store.job(job.id).state == "failed"
    store.update_job(store.start_job().id, state="done")


def test_sqlite_is_durable(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    store.migrate()
    with store.engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS]
    assert found == ["wal", 2, 1]
    store.close()


_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys")


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "sqlite:////proc/nothing/here.db", ""])
def test_databases_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(ConfigError, match="database"):
        Store(url).migrate()


def test_passwords_are_not_shown() -> None:
    pytest.importorskip("psycopg")
    store = Store("postgresql://ann:secret@127.0.0.1:1/x")
    assert "secret" not in store.description
    with pytest.raises(ConfigError) as error:
        store.migrate()
    assert "secret" not in str(error.value)


@pytest.mark.slow
@pytest.mark.network
def test_no_acknowledged_write_is_lost_when_the_process_is_killed(saved: Path, tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_service.py"
    found = runpy.run_path(str(script))["measure"](str(saved), tmp_path / "a.db", kills=2, clients=3)
    assert found["acknowledged"] >= 20
    assert (found["lost"], found["damaged_files"], found["other_answers"]) == ([], 0, [])


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only 127.0.0.1 is there without being set up")
def test_two_workers_on_postgresql(saved: Path, postgresql: str) -> None:
    """Each client may send one request in eleven days; only those of a new address are sure to be answered."""
    port, addresses = free_port(), (f"127.0.{n // 250}.{n % 250}" for n in itertools.count(1000))

    def ask(path: str, method: str, body: object = None, *, address: str | None = None) -> tuple[int, bytes]:
        source = (address or next(addresses), 0)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300, source_address=source)
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, f"/api/v1{path}", data, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    with serving(saved, postgresql, port, "--workers", "2", "--rate-limit", "0.000001") as process:
        made = [json.loads(ask("/profiles", "POST", {"name": f"worker {n}"})[1])["id"] for n in range(20)]
        assert len(set(made)) == 20
        for profile in made:  # whichever process answers, it sees what the other one wrote
            assert ask(f"/profiles/{profile}/ratings", "PUT", {"ratings": [{"movie": 1, "stars": 4}]})[0] == 200
            assert json.loads(ask(f"/profiles/{profile}/ratings", "GET")[1])[0]["stars"] == 4
            assert ask(f"/profiles/{profile}", "DELETE")[0] == 204
        statuses = [ask("/health", "GET", address="127.0.0.2")[0] for _ in range(40)]
        process.terminate()
        assert process.wait(timeout=300) == 0
    assert set(statuses) == {200, 429}
    assert statuses[0] == 200 and statuses.count(200) <= 2, "each process allows its part of the limit"
