"""The command ``gnnrec fetch``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gnnrec.cli.fetch import fetch
from gnnrec.datasets import load_dataset
from tests.helpers.cli import cells
from tests.helpers.http_server import Reply, Server
from tests.helpers.movie_service import four_movies, running_movie_service

APP = typer.Typer()
APP.command()(fetch)
APP.command()(lambda: None)  # with a second command the first one is invoked by its name


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running_movie_service(monkeypatch) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    four_movies().to_folder(tmp_path / "four")
    assert load_dataset("four").num_movies == 4
    return tmp_path


def run(server: Server, *options: str) -> Any:
    urls = ["--api-url", f"{server.url}/3", "--image-url", f"{server.url}/w342", "--rate-limit", "1000"]
    return CliRunner().invoke(APP, ["fetch", "--out", "out", *urls, *options])


def test_command(server: Server, folder: Path) -> None:
    result = run(server, "--dataset", "four")
    assert result.exit_code == 0, result.output
    assert [row[1] for row in cells(result.stdout)] == ["4", "4", "2", "2", "1", "1", "1", "0"]
    assert len(list((folder / "out" / "posters").iterdir())) == 2
    assert "4/4" in result.stderr  # the progress bar
    assert run(server, "--dataset", "four", "--refresh").exit_code == 0


def test_command_that_stops_early(server: Server, folder: Path) -> None:
    server.routes["/3/search/movie"] = Reply(status=429, headers={"Retry-After": "7200"})
    result = run(server, "--dataset", "four")
    assert result.exit_code == 75
    assert "answered 429 and requires a pause of 7,200 seconds" in " ".join(result.output.split())


def test_command_without_key(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMDB_API_KEY")
    result = run(server, "--dataset", "four")
    assert result.exit_code == 1
    assert "environment variable TMDB_API_KEY" in " ".join(result.stderr.split())
    assert not (folder / "out").exists()


def test_image_url_is_an_option_of_tmdb(server: Server, folder: Path) -> None:
    result = run(server, "--dataset", "four", "--source", "omdb")
    assert result.exit_code == 1
    assert "--image-url" in result.stderr
    assert "--image-url is not an option of the source omdb" in result.stderr
    result = run(server, "--dataset", "four", "--source", "tmbd")
    assert result.exit_code == 1
    assert "unknown metadata provider 'tmbd'; did you mean 'tmdb'" in result.stderr
