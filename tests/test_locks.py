"""Locks end with their process; what a killed writer left is found and removed, and nothing else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gnnrec import _io, _locks
from gnnrec._checks import as_path
from gnnrec._io import new_folder, remove_partials, write_atomic
from gnnrec._locks import check_unclaimed, claim
from gnnrec.errors import ConfigError, GnnrecError, OutOfMemoryError, StorageError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX's locks and signals")

CLAIM = """
    import sys, time
    from gnnrec._locks import claim
    with claim(sys.argv[1]):
        print("claimed", flush=True)
        time.sleep(600)
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that claims a folder."""
    command = [sys.executable, "-c", textwrap.dedent(CLAIM), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "claimed\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def in_thread(function: Callable[[], Any]) -> Any:
    """Return what a function raises in another thread."""
    raised: list[Exception] = []

    def call() -> None:
        try:
            function()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def enter(folder: Path) -> None:
    with claim(folder):
        pass


def test_the_second_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with holder(run) as first:
        with pytest.raises(
            StorageError, match=rf"run is in use by process {first.pid} on .*\(-c, since \d\d:\d\d:\d\d\)"
        ):
            enter(run)
        with pytest.raises(StorageError, match="wait until it has ended, or choose another folder"):
            check_unclaimed(run)
        enter(tmp_path / "other")
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert (tmp_path / ".run.lock").exists()  # what it left blocks nobody
        check_unclaimed(run)
        enter(run)
    assert list(tmp_path.iterdir()) == []


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    with claim(tmp_path / "run"):
        assert f"in use by process {os.getpid()}" in str(in_thread(lambda: enter(tmp_path / "run")))
        assert in_thread(lambda: check_unclaimed(tmp_path / "run")) is not None
        check_unclaimed(tmp_path / "run")
        with claim(tmp_path / "there" / ".." / "run"):
            pass
        assert (tmp_path / ".run.lock").exists()  # the outer claim goes on
    assert in_thread(lambda: enter(tmp_path / "run")) is None
    with claim(None):
        pass


def test_a_fork_does_not_inherit_a_claim(tmp_path: Path) -> None:
    with claim(tmp_path / "run"):
        child = os.fork()
        if child == 0:
            try:
                enter(tmp_path / "run")
            except StorageError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("content", ["", "{", '{"process": 1}', "x" * 5000, '{"process": "\\u001b[31m"}', "[" * 900])
def test_a_name_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    descriptor = _locks.open_exclusive(tmp_path / ".run.lock")
    assert descriptor is not None
    (tmp_path / ".run.lock").write_text(content)
    with pytest.raises(StorageError, match="run is in use by another process; wait"):
        enter(tmp_path / "run")
    os.close(descriptor)


def test_links_and_pipes_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".file.part").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / ".file.1.part")
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    for name in (".file.part", ".file.1.part", ".file.7.part", ".other.part"):
        (tmp_path / name).write_text("half")
    write_atomic(tmp_path / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.part", "file"]
    descriptor = _locks.open_exclusive(tmp_path / ".other.part")
    remove_partials(tmp_path)
    assert (tmp_path / ".other.part").exists()  # somebody is writing it
    assert descriptor is not None
    os.close(descriptor)
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def save(folder: Path, text: str = "new") -> None:
    with new_folder(folder, header="head", owned=(), kind="test") as new:
        (new / "head").write_text(text)


def test_folders_of_killed_writers_are_removed(tmp_path: Path) -> None:
    save(tmp_path / "run", "old")
    (tmp_path / "run" / ".x.part").write_text("of a killed writer inside")
    for name in (".run.abc.part", ".run.abc.replaced-part", ".run.backup", ".running.abc.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "head").write_text("x")
    save(tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run.backup", ".running.abc.part", "run"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["head"]


@pytest.mark.parametrize("exchange", [True, False])
def test_many_writers_of_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    if not exchange:
        monkeypatch.setattr(_io, "_exchange", lambda one, other: False)
    problems: list[Exception] = []

    def write(text: str) -> None:
        try:
            for _ in range(5):
                save(tmp_path / "run", text)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(f"{number}",)) for number in range(4 if exchange else 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "head").read_text() in "0123"


def test_errors_of_the_disk_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match=r"file/run cannot be written: not a directory$") as raised:
        write_atomic(tmp_path / "file" / "run", b"x")
    assert isinstance(raised.value, OSError) and isinstance(raised.value, GnnrecError)
    assert raised.value.errno == 20 and raised.value.filename == str(tmp_path / "file" / "run")
    with pytest.raises(StorageError, match="file/run cannot be written: file exists"):
        enter(tmp_path / "file" / "run")
    assert issubclass(OutOfMemoryError, MemoryError)


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def expanduser(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", expanduser)
    with pytest.raises(ConfigError, match=r"a run '~/runs' is not a path: Could not determine home directory\."):
        as_path("~/runs", "a run")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_locks, "try_lock", lambda descriptor: None)
    monkeypatch.setattr(_io, "try_lock", lambda descriptor: None)
    write_atomic(tmp_path / "file", b"new")
    save(tmp_path / "run")
    with claim(tmp_path / "run"):
        enter(tmp_path / "run")
    assert (tmp_path / "file").read_bytes() == b"new" and json.dumps("new").strip('"') == (
        tmp_path / "run/head"
    ).read_text()
