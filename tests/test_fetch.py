"""A fetch keeps what it gets, says what is missing, goes on where it stopped, and never asks twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from tests.helpers.fetch_server import QUICK, Reply, Server, as_json, image, picture, running
from PIL import Image
from typer.testing import CliRunner

from gnnrec import Dataset
from gnnrec.cli.fetching import fetch
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.features.fetch import FetchReport, Omdb, Tmdb, fetch_content
from gnnrec.features.fetch.manners import RefusedError
from gnnrec.features.fetch.wanted import wanted_movies

TMDB_KEY, OMDB_KEY = "0123456789abcdef0123456789abcdef", "0a1b2c3d"

HEAT = {"id": 949, "title": "Heat", "release_date": "1995-12-15", "overview": "A thief.", "poster_path": "/heat.jpg"}
ALIEN = {"id": 348, "title": "Alien", "release_date": "1979-05-25", "overview": "A ship.", "poster_path": "/alien.png"}
SEVEN = {"id": 807, "title": "Se7en", "release_date": "1995-09-22", "overview": "", "poster_path": None}


APP = typer.Typer()
APP.command()(fetch)
APP.command()(lambda: None)  # a second one, so that the first is called by its name


def dataset(**columns: Any) -> Dataset:
    movies = pd.DataFrame(
        {
            "movie_id": [10, 20, 30, 40],
            "title": ["Heat (1995)", "Alien (1979)", "Seven (a.k.a. Se7en) (1995)", "Nobody, The (1950)"],
            **columns,
        }
    )
    return Dataset(pd.DataFrame({"user_id": [1], "movie_id": [10]}), movies, name="four")


def tmdb_search(query: dict[str, str]) -> Reply:
    found = [movie for movie in (HEAT, ALIEN, SEVEN) if query["query"].casefold() in str(movie["title"]).casefold()]
    return as_json({"results": [movie for movie in found if query.get("year", "") in str(movie["release_date"])]})


OMDB = {
    "Heat": {
        "imdbID": "tt0113277",
        "Title": "Heat",
        "Year": "1995",
        "Plot": "Cops and robbers.",
        "imdbVotes": "700,000",
    },
    "The Nobody": {"imdbID": "tt1", "Title": "The Nobody", "Year": "1951", "Plot": "N/A"},
    "Se7en": {"imdbID": "tt0114369", "Title": "Se7en", "Year": "1995–1996", "Plot": "Seven sins."},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for proxy in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setenv("TMDB_API_KEY", TMDB_KEY)
    monkeypatch.setenv("OMDB_API_KEY", OMDB_KEY)
    with running() as server:
        server.routes |= {
            "/3/search/movie": tmdb_search,
            "/w342/heat.jpg": image(),
            "/w342/alien.png": image("PNG"),
            "/omdb": lambda query: omdb_answer(server, query),
            "/heat.jpg": image(),
        }
        yield server


def omdb_answer(server: Server, query: dict[str, str]) -> Reply:
    assert query["apikey"] == OMDB_KEY
    assert query["plot"] == "full"
    known = [movie for movie in OMDB.values() if query.get("i") == movie["imdbID"] or query.get("t") == movie["Title"]]
    if not known or query.get("y", "") not in known[0]["Year"]:
        return as_json({"Response": "False", "Error": "Movie not found!"})
    poster = f"{server.url}/heat.jpg" if known[0]["Title"] == "Heat" else "N/A"
    return as_json({"Response": "True", "Poster": poster, **known[0]})


def tmdb(server: Server) -> Tmdb:
    return Tmdb.from_environment(f"{server.url}/3/", f"{server.url}/w342", manners=QUICK)


def omdb(server: Server) -> Omdb:
    return Omdb.from_environment(f"{server.url}/omdb", manners=QUICK)


def fetched(server: Server, out: Path, data: Dataset | None = None, **options: Any) -> FetchReport:
    return fetch_content(data or dataset(), out, tmdb(server), progress=False, **options)


def missing(report: FetchReport) -> list[tuple[Any, ...]]:
    return list(report.missing[["movie_id", "what", "why"]].itertuples(index=False, name=None))


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "fetched.jsonl").read_text().splitlines()]


def test_from_tmdb(server: Server, tmp_path: Path) -> None:
    report = fetched(server, tmp_path)
    assert repr(report) == "FetchReport(movies=4, asked=4, posters=2, plots=2, failed=0, stopped=None)"
    assert missing(report) == [
        (30, "plot", "the source has none"),
        (30, "poster", "the source has none"),
        (40, "movie", "nothing found"),
    ]
    assert (tmp_path / "posters" / "10.jpg").read_bytes() == picture()
    with Image.open(tmp_path / "posters" / "20.jpg") as alien:
        assert (alien.format, alien.size) == ("JPEG", (60, 90))
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "10.jpg", "20.jpg", "fetched.jsonl", "plots.csv", "posters",
    ]  # fmt: skip
    plots = pd.read_csv(tmp_path / "plots.csv")
    expected = {
        "movie_id": [10, 20], "title": ["Heat (1995)", "Alien (1979)"], "plot": ["A thief.", "A ship."],
        "source": ["tmdb", "tmdb"],
    }  # fmt: skip
    pd.testing.assert_frame_equal(plots, pd.DataFrame(expected), check_dtype=False)
    first = server.asked[0]
    assert first.query == {
        "query": "Heat", "include_adult": "false", "year": "1995", "language": "en-US", "api_key": TMDB_KEY,
    }  # fmt: skip
    assert all("api_key" not in asked.query for asked in server.asked if asked.path.startswith("/w342"))
    assert TMDB_KEY not in (tmp_path / "fetched.jsonl").read_text()
    before = (tmp_path / "plots.csv").read_bytes()
    server.asked.clear()
    assert fetched(server, tmp_path).asked == 0
    assert server.asked == []
    assert (tmp_path / "plots.csv").read_bytes() == before


def test_ids_come_first(server: Server, tmp_path: Path) -> None:
    server.routes |= {
        "/3/movie/949": as_json(HEAT),
        "/3/movie/5": as_json({"status_code": 34, "status_message": "not found", "success": False}, 404),
        "/3/find/tt0078748": as_json({"movie_results": [ALIEN], "tv_results": []}),
        "/3/find/tt0000007": as_json({"movie_results": []}),
    }
    ids = {"imdb_id": [None, "78748", "tt0000007", None], "tmdb_id": [949.0, None, 5.0, None]}
    report = fetched(server, tmp_path, dataset(**ids))
    assert report.plots == 2
    found = {line["movie_id"]: line["found"] and line["found"]["how"] for line in lines(tmp_path)}
    assert found == {10: "tmdb id", 20: "imdb id", 30: "title", 40: None}
    assert server.paths()[:5] == [
        "/3/movie/949", "/w342/heat.jpg", "/3/find/tt0078748", "/w342/alien.png", "/3/movie/5",
    ]  # fmt: skip
    assert next(asked for asked in server.asked if "find" in asked.path).query["external_source"] == "imdb_id"


def test_tokens_go_into_a_header(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "eyJhbGciOiJIUzI1NiJ9.e30.abc")
    assert fetched(server, tmp_path).posters == 2
    for asked in server.asked:
        assert "api_key" not in asked.query
        to_api = asked.path.startswith("/3/")
        assert asked.headers.get("Authorization") == ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc" if to_api else None)


def test_from_omdb(server: Server, tmp_path: Path) -> None:
    report = fetch_content(dataset(imdb_id=["tt0113277", None, None, None]), tmp_path, omdb(server), progress=False)
    assert (report.posters, report.plots, report.asked) == (1, 2, 4)
    assert missing(report) == [
        (20, "movie", "nothing found"),
        (30, "poster", "the source has none"),
        (40, "plot", "the source has none"),
        (40, "poster", "the source has none"),
    ]
    how = {
        line["movie_id"]: (line["found"]["how"], line["found"]["score"]) for line in lines(tmp_path) if line["found"]
    }
    assert how == {10: ("imdb id", 1.0), 30: ("title", 1.0), 40: ("title", 0.95)}


def test_a_second_source_fills_the_gaps(server: Server, tmp_path: Path) -> None:
    fetched(server, tmp_path)
    report = fetch_content(dataset(), tmp_path, omdb(server), progress=False)
    assert (report.asked, report.plots, report.posters) == (2, 3, 2)
    plots = pd.read_csv(tmp_path / "plots.csv")
    assert list(zip(plots["movie_id"], plots["source"], strict=True)) == [(10, "tmdb"), (20, "tmdb"), (30, "omdb")]


def test_missing_is_asked_for_again_only_on_request(server: Server, tmp_path: Path) -> None:
    fetched(server, tmp_path)
    server.routes["/3/search/movie"] = lambda query: as_json(
        {"results": [{**SEVEN, "overview": "Sins.", "poster_path": "/heat.jpg"}, {"id": 1, "title": "The Nobody"}]}
    )
    assert fetched(server, tmp_path).plots == 2
    report = fetched(server, tmp_path, again=True)
    assert (report.asked, report.plots, report.posters) == (2, 3, 3)


def test_limit(server: Server, tmp_path: Path) -> None:
    assert [fetched(server, tmp_path, limit=3).asked for _ in range(3)] == [3, 1, 0]
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        fetched(server, tmp_path, limit=0)


def test_a_killed_run_goes_on(server: Server, tmp_path: Path) -> None:
    def interrupt(query: dict[str, str]) -> Reply:
        raise KeyboardInterrupt

    source = tmdb(server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tmdb, "poster", lambda self, url: interrupt({}) if "alien" in url else picture())
        with pytest.raises(KeyboardInterrupt):
            fetch_content(dataset(), tmp_path, source, progress=False)
    assert [path.name for path in (tmp_path / "posters").iterdir()] == ["10.jpg"]
    assert list(pd.read_csv(tmp_path / "plots.csv")["movie_id"]) == [10, 20]
    with (tmp_path / "fetched.jsonl").open("ab") as file:
        file.write(b'{"source": "tmdb", "movie')  # and killed for good
    server.asked.clear()
    report = fetched(server, tmp_path)
    assert (report.asked, report.posters, report.plots) == (2, 2, 2)
    assert server.paths()[0] == "/w342/alien.png"  # the answer is known, the poster alone was lacking
    assert [line["movie_id"] for line in lines(tmp_path)] == [10, 10, 20, 20, 30, 40]
    (tmp_path / "posters" / "10.jpg").unlink()
    assert (fetched(server, tmp_path).asked, fetched(server, tmp_path).posters) == (0, 2)


BAD_POSTERS = {
    "truncated image": (Reply(picture(size=(400, 600))[:1500]), "is damaged: .*truncated"),
    "text": (Reply(b"no"), "is no JPEG"),
    "web page": (Reply(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), "is text/html, no picture"),
    "gone": (Reply(b"", 404), "answers 404"),
    "empty": (Reply(b""), "is empty"),
    "a dot": (Reply(picture("GIF", (1, 1))), "which is no poster"),
    "to nowhere": (Reply(status=302, headers={"Location": "http://10.1.2.3/x.jpg"}), "private network"),
    "in a circle": (Reply(status=302, headers={"Location": "/w342/heat.jpg"}), "leads on more than 5 times"),
}


@pytest.mark.parametrize(("reply", "words"), BAD_POSTERS.values(), ids=BAD_POSTERS)
def test_bad_posters_cost_a_warning(server: Server, tmp_path: Path, reply: Reply, words: str) -> None:
    server.routes["/w342/heat.jpg"] = reply
    with pytest.warns(UserWarning, match=rf"no poster for movie 10: .*{words}") as caught:
        report = fetched(server, tmp_path)
    assert len(caught) == 1
    assert (report.posters, report.plots, report.stopped) == (1, 2, None)
    assert report.missing["what"].tolist() == ["poster", "plot", "poster", "movie"]
    server.asked.clear()
    fetched(server, tmp_path)
    assert server.asked == []


def test_huge_posters(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrec.features.fetch.tmdb.MAX_BYTES", 10_000)
    server.routes["/w342/heat.jpg"] = Reply(endless=True)
    with pytest.warns(UserWarning, match="heat.jpg has more than 10,000 bytes"):
        assert fetched(server, tmp_path).posters == 1


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(wait=2), image(cut=30)], ids=["500", "slow", "cut"])
def test_without_an_answer_it_is_asked_again_next_time(server: Server, tmp_path: Path, reply: Reply) -> None:
    server.routes["/w342/heat.jpg"] = reply
    report = fetched(server, tmp_path)
    assert (report.posters, report.plots, report.failed, report.stopped) == (1, 2, 1, None)
    server.routes["/w342/heat.jpg"] = image()
    server.asked.clear()
    report = fetched(server, tmp_path)
    assert (report.asked, report.posters, report.failed) == (0, 2, 0)
    assert server.paths() == ["/w342/heat.jpg"]


def test_a_service_that_is_down_stops_the_run(server: Server, tmp_path: Path) -> None:
    many = pd.DataFrame({"movie_id": range(20), "title": [f"Movie {n} (1999)" for n in range(20)]})
    data = Dataset(pd.DataFrame({"user_id": [1], "movie_id": [1]}), many)
    server.routes["/3/search/movie"] = as_json({"status_message": "down"}, 503)
    report = fetched(server, tmp_path, data)
    assert (report.asked, report.failed) == (5, 5)
    assert "5 movies in a row without an answer" in str(report.stopped)
    assert "/3/search/movie answers 503 (3 attempts)" in str(report.stopped)
    assert not (tmp_path / "plots.csv").exists()


def test_refused_keys(server: Server, tmp_path: Path) -> None:
    server.routes["/3/search/movie"] = as_json(
        {"status_code": 7, "status_message": f"Invalid API key: {TMDB_KEY}"}, 401
    )
    with pytest.raises(RefusedError, match=r"TMDB answers 401: Invalid API key: \*\*\*; check TMDB_API_KEY") as caught:
        fetched(server, tmp_path)
    assert TMDB_KEY not in str(caught.value)
    server.routes["/omdb"] = as_json({"Response": "False", "Error": "Invalid API key!"}, 401)
    with pytest.raises(RefusedError, match="OMDb answers 401: Invalid API key! Check OMDB_API_KEY"):
        fetch_content(dataset(), tmp_path, omdb(server), progress=False)
    assert len(server.asked) == 2


def test_the_day_is_used_up(server: Server, tmp_path: Path) -> None:
    limit = as_json({"Response": "False", "Error": "Request limit reached!"}, 401)
    good = server.routes["/omdb"]
    server.routes["/omdb"] = [omdb_answer(server, {"apikey": OMDB_KEY, "plot": "full", "t": "Heat"}), limit]
    report = fetch_content(dataset(), tmp_path, omdb(server), progress=False)
    assert report.stopped == "OMDb answers 401: Request limit reached! Its requests for today are used up"
    assert (report.posters, report.plots, report.failed) == (1, 1, 0)
    server.routes["/omdb"] = good
    server.asked.clear()
    report = fetch_content(dataset(), tmp_path, omdb(server), progress=False)
    assert (report.asked, report.plots, report.stopped) == (3, 2, None)


@pytest.mark.parametrize(
    "answer",
    [
        {"results": None},
        {"results": ["Heat", 7, None]},
        {"results": [{"id": "949", "title": "Heat"}, {"id": True, "title": "Heat"}]},
        {"results": [{"id": 949, "title": ["Heat"], "release_date": 1995}]},
        {},
    ],
)
def test_odd_answers_are_no_match(server: Server, tmp_path: Path, answer: dict[str, Any]) -> None:
    server.routes["/3/search/movie"] = as_json(answer)
    report = fetched(server, tmp_path)
    assert (report.plots, report.failed, len(report.missing)) == (0, 0, 4)


@pytest.mark.parametrize("path", ["/../../etc/passwd", "//10.0.0.1/x.jpg", "/x.jpg?y=1", "x.jpg", 7])
def test_odd_poster_paths_are_not_followed(server: Server, tmp_path: Path, path: Any) -> None:
    server.routes["/3/search/movie"] = as_json({"results": [{**HEAT, "poster_path": path}]})
    assert (10, "poster", "the source has none") in missing(fetched(server, tmp_path))


def test_ids_that_are_no_file_names(server: Server, tmp_path: Path) -> None:
    movies = pd.DataFrame({"movie_id": ["../heat", "ok"], "title": ["Heat (1995)", "Alien (1979)"]})
    data = Dataset(pd.DataFrame({"user_id": ["a"], "movie_id": ["ok"]}), movies)
    report = fetched(server, tmp_path / "out", data)
    assert missing(report) == [("../heat", "poster", "the movie's id cannot be the name of a file")]
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["ok.jpg"]


def test_without_title_and_id_nobody_is_asked(server: Server, tmp_path: Path) -> None:
    data = Dataset(pd.DataFrame({"user_id": [1], "movie_id": [10]}))
    assert missing(fetched(server, tmp_path, data)) == [(10, "movie", "there is neither a title nor an id to look for")]
    assert server.asked == []


def test_links(tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    path.write_text("movieId,imdbId,tmdbId\n10,0113277,949\n20,0078748,\n999,1,2\n")
    found = wanted_movies(dataset(tmdb_id=[1, 2, 3, None], imdb_id=["tt9", None, None, None]), path)
    assert [(movie.imdb_id, movie.tmdb_id) for movie in found] == [
        ("tt0113277", 949), ("tt0078748", 2), (None, 3), (None, None),
    ]  # fmt: skip
    assert [(movie.names[0], movie.year) for movie in found[2:]] == [("Seven", 1995), ("The Nobody", 1950)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("movieId,imdbId\n10,nm12\n", r"links.csv:2: imdb_id 'nm12' is no id"),
        ("movieId,tmdbId\n10,5\n\n20,x5\n", r"links.csv:4: tmdb_id 'x5' is not a number"),
        ("movieId,tmdbId\n10,5\n10,6\n", r"links.csv:3: movie_id 10 is listed twice.*\(first at .*links.csv:2\)"),
        ("movieId,tmdbId\nten,5\n", r"links.csv: movie_id is text but whole numbers in the dataset"),
        ("movieId,tmdbId\n10\n", r"links.csv:2: expected 2 fields as in the first line, found 1"),
        ("movieId,title\n10,Heat\n", r"links.csv: a column imdbId or tmdbId is needed"),
        ("imdbId,tmdbId\n10,5\n", r"links.csv: no column movie_id"),
        ("", r"links.csv is empty"),
    ],
)
def test_bad_links(server: Server, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "links.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        fetched(server, tmp_path / "out", links=tmp_path / "links.csv")
    assert server.asked == []
    assert not (tmp_path / "out").exists()


def test_bad_folders(server: Server, tmp_path: Path) -> None:
    (tmp_path / "plots.csv").write_text("movie_id,plot\n10,mine\n")
    with pytest.raises(ConfigError, match="was not made by a fetch; choose another folder"):
        fetched(server, tmp_path)
    out = tmp_path / "out"
    fetched(server, out)
    text = (out / "fetched.jsonl").read_text().splitlines(keepends=True)
    for bad in ("{}\n", "nonsense\n", text[0].replace('"found"', '"lost"'), text[0].replace('"key"', '"lock"'), "\n"):
        (out / "fetched.jsonl").write_text("".join([text[0], bad, *text[1:]]))
        with pytest.raises(DataError, match=r"fetched.jsonl:2: this is no line of a fetch; remove it"):
            fetched(server, out)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for maker, variable, page in [(Tmdb, "TMDB_API_KEY", "themoviedb.org"), (Omdb, "OMDB_API_KEY", "omdbapi.com")]:
        for empty in (None, "", "  "):
            monkeypatch.delenv(variable, raising=False) if empty is None else monkeypatch.setenv(variable, empty)
            with pytest.raises(ConfigError, match=rf"get one at .*{page}.* environment variable {variable}"):
                maker.from_environment()
        monkeypatch.setenv(variable, "two\nlines")
        with pytest.raises(ConfigError, match=f"{variable} holds blanks or odd characters") as caught:
            maker.from_environment()
        assert "lines" not in str(caught.value)


def command(server: Server, *options: str) -> Any:
    urls = ["--api-url", f"{server.url}/3", "--image-url", f"{server.url}/w342", "--per-second", "1000"]
    return CliRunner().invoke(APP, ["fetch", "--out", "out", *urls, *options])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dataset().to_folder(tmp_path / "four")
    assert load_dataset("four").num_movies == 4
    return tmp_path


def test_command(server: Server, folder: Path) -> None:
    result = command(server, "--dataset", "four")
    assert result.exit_code == 0, result.output
    shown = dict(re.findall(r"│ (.+?) +│ +(\d+) +│", result.stdout))
    assert shown == {
        "movies": "4", "asked at tmdb in this run": "4", "posters there": "2", "plots there": "2",
        "movies tmdb does not have": "1", "posters tmdb does not have": "1", "plots tmdb does not have": "1",
        "without an answer, asked again next time": "0",
    }  # fmt: skip
    assert len(list((folder / "out" / "posters").iterdir())) == 2
    assert "asked at tmdb in this run" in command(server, "--dataset", "four", "--again").output


def test_command_that_has_to_stop(server: Server, folder: Path) -> None:
    server.routes["/3/search/movie"] = Reply(status=429, headers={"Retry-After": "7200"})
    result = command(server, "--dataset", "four")
    assert result.exit_code == 75
    assert "asks to come back in 7,200 seconds. Nothing is lost; the same command goes on later." in " ".join(
        result.output.split()
    )


def test_command_without_key(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMDB_API_KEY")
    result = command(server, "--dataset", "four")
    assert result.exit_code == 1
    assert "environment variable TMDB_API_KEY" in result.stderr
    assert not (folder / "out").exists()
    result = command(server, "--dataset", "four", "--source", "omdb")
    assert "--image-url is of TMDB" in result.stderr
