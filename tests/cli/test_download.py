"""The command ``gnnrec download``, with a server on this machine."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gnnrec import load_dataset
from tests.helpers.cli import call, fails, succeeds


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder with one small dataset."""
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    home = tmp_path / "server"
    home.mkdir()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("ml-latest-small/ratings.csv", "userId,movieId,rating,timestamp\n1,10,4.5,1000\n")
    (home / "ml-latest-small.zip").write_bytes(buffer.getvalue())
    (home / "ml-latest-small.zip.md5").write_text(hashlib.md5(buffer.getvalue()).hexdigest())
    with zipfile.ZipFile(home / "ml-20m.zip", "w") as file:
        file.writestr("ml-20m/ratings.csv", "userId,movieId,rating,timestamp\n7,3,2.5,1000\n")
    (home / "ml-20m.zip.md5").write_text(hashlib.md5((home / "ml-20m.zip").read_bytes()).hexdigest())
    (home / "ml-1m.zip").write_bytes(b"not the real one")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(home))

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("GNNREC_BASE_URL", f"http://127.0.0.1:{running.server_address[1]}")
        yield "running"
        running.shutdown()
        thread.join()


@pytest.mark.network
def test_download(server: str, tmp_path: Path) -> None:
    output = succeeds("download", "ml-latest-small", "--out", tmp_path / "data")
    folder = tmp_path / "data" / "ml-latest-small"
    assert output == f"ml-latest-small is in {folder}\n"
    assert load_dataset(folder).ratings.iloc[0].tolist() == [1, 10, 4.5, 1000]
    succeeds("download", "ml-latest-small")
    assert load_dataset("ml-latest-small").num_ratings == 1, "data/ in the working folder is searched by name"


@pytest.mark.network
def test_errors(server: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert "ml-1m.zip" in fails_in_download("ml-1m", "--out", data)
    assert "404" in fails_in_download("ml-100k", "--out", data)
    assert not data.exists() or list(data.iterdir()) == []


@pytest.mark.network
def test_several(server: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    names = ("ml-latest-small", "ml-20m", "ml-latest-small")
    output = succeeds("download", *names, "--out", data)
    assert output.splitlines() == [
        f"ml-latest-small is in {data / 'ml-latest-small'}",
        f"ml-20m is in {data / 'ml-20m'}",
        f"2 of 2 datasets are in {data}",
    ]
    assert load_dataset(data / "ml-20m").ratings.iloc[0].tolist() == [7, 3, 2.5, 1000]
    assert succeeds("download", *names, "--out", data) == output, "what is there stays"


@pytest.mark.network
def test_one_of_several_fails(server: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = call("download", "ml-1m", "ml-100k", "ml-20m", "--out", data)
    assert result.exit_code == 1
    problems = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(problems) == 2 and "ml-1m.zip" in problems[0] and "404" in problems[1]
    assert result.stdout.splitlines()[-1] == f"1 of 3 datasets are in {data}; not ml-1m, ml-100k"
    assert [path.name for path in data.iterdir()] == ["ml-20m"]


def test_a_wrong_name_stops_before_any_download(tmp_path: Path) -> None:
    assert fails("download", "ml-20m", "ml-7m", "--out", tmp_path / "data").startswith("unknown dataset 'ml-7m'")
    assert "cannot be downloaded" in fails("download", "ml-20m", "sample", "--out", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_unknown_name() -> None:
    assert fails("download", "ml-7m").startswith("unknown dataset 'ml-7m'; did you mean 'ml-")


def fails_in_download(*arguments: object) -> str:
    """Return the last line on standard error; the progress bar is before it."""
    result = call("download", *arguments)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return str(result.stderr.splitlines()[-1].removeprefix("error: "))
