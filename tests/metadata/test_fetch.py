"""A fetch saves what it gets, reports what is missing, resumes where it stopped, and requests nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from gnnrec import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.metadata import AuthenticationError, FetchReport, Tmdb, fetch_metadata
from gnnrec.metadata.matching import movie_queries
from tests.helpers.http_server import Reply, Server, image_bytes, image_reply, json_reply, redirect
from tests.helpers.movie_service import (
    ALIEN,
    HEAT,
    OMDB_KEY,
    SEVEN,
    TMDB_KEY,
    four_movies,
    omdb,
    omdb_reply,
    running_movie_service,
    tmdb,
)

ABSENT = "not available from the provider"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running_movie_service(monkeypatch) as server:
        yield server


def fetch_tmdb(server: Server, out: Path, data: Dataset | None = None, **options: Any) -> FetchReport:
    return fetch_metadata(data or four_movies(), out, tmdb(server), **options)


def missing(report: FetchReport) -> list[tuple[Any, ...]]:
    return list(report.missing[["movie_id", "kind", "reason"]].itertuples(index=False, name=None))


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "fetched.jsonl").read_text().splitlines()]


def test_tmdb(server: Server, tmp_path: Path) -> None:
    report = fetch_tmdb(server, tmp_path)
    assert repr(report) == (
        "FetchReport(num_movies=4, num_requested=4, num_posters=2, num_plots=2, num_failed=0, stop_reason=None)"
    )
    assert missing(report) == [(30, "plot", ABSENT), (30, "poster", ABSENT), (40, "movie", "no results")]
    assert (tmp_path / "posters" / "10.jpg").read_bytes() == image_bytes()
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
    assert all("api_key" not in request.query for request in server.requests if request.path.startswith("/w342"))
    assert TMDB_KEY not in (tmp_path / "fetched.jsonl").read_text()
    before = (tmp_path / "plots.csv").read_bytes()
    server.requests.clear()
    assert fetch_tmdb(server, tmp_path).num_requested == 0
    assert server.requests == []
    assert (tmp_path / "plots.csv").read_bytes() == before


def test_the_log(server: Server, tmp_path: Path) -> None:
    fetch_tmdb(server, tmp_path)
    first, second, *_, last = records(tmp_path)
    metadata = {
        "provider_id": "949", "title": "Heat", "year": 1995, "matched_by": "title", "score": 1.0, "plot": "A thief.",
        "poster_url": f"{server.url}/w342/heat.jpg",
    }  # fmt: skip
    assert first == {
        "provider": "tmdb", "movie_id": 10, "title": "Heat (1995)", "status": "found", "reason": None,
        "metadata": metadata, "poster_status": None, "poster_reason": None,
    }  # fmt: skip
    assert second == {**first, "poster_status": "saved"}
    assert (last["status"], last["reason"], last["metadata"]) == ("missing", "no results", None)


def test_ids_take_precedence(server: Server, tmp_path: Path) -> None:
    server.routes |= {
        "/3/movie/949": json_reply(HEAT),
        "/3/movie/5": json_reply({"status_code": 34, "status_message": "not found", "success": False}, 404),
        "/3/find/tt0078748": json_reply({"movie_results": [ALIEN]}),
    }
    data = four_movies(tmdb_id=[949, None, 5, None], imdb_id=[None, "tt0078748", None, None])
    assert fetch_tmdb(server, tmp_path, data).num_posters == 2
    matched_by = {record["movie_id"]: (record["metadata"] or {}).get("matched_by") for record in records(tmp_path)}
    assert matched_by == {10: "tmdb id", 20: "imdb id", 30: "title", 40: None}
    assert server.paths()[:5] == [
        "/3/movie/949", "/w342/heat.jpg", "/3/find/tt0078748", "/w342/alien.png", "/3/movie/5",
    ]  # fmt: skip


def test_omdb(server: Server, tmp_path: Path) -> None:
    report = fetch_metadata(four_movies(imdb_id=["tt0113277", None, None, None]), tmp_path, omdb(server))
    assert (report.num_posters, report.num_plots, report.num_requested) == (1, 2, 4)
    assert missing(report) == [
        (20, "movie", "no results"), (30, "poster", ABSENT), (40, "plot", ABSENT), (40, "poster", ABSENT),
    ]  # fmt: skip


def test_a_second_provider_fills_the_gaps(server: Server, tmp_path: Path) -> None:
    fetch_tmdb(server, tmp_path)
    report = fetch_metadata(four_movies(), tmp_path, omdb(server))
    assert (report.num_requested, report.num_plots, report.num_posters) == (2, 3, 2)
    plots = pd.read_csv(tmp_path / "plots.csv")
    assert list(zip(plots["movie_id"], plots["source"], strict=True)) == [(10, "tmdb"), (20, "tmdb"), (30, "omdb")]


def test_plots_of_earlier_datasets_are_kept(server: Server, tmp_path: Path) -> None:
    fetch_tmdb(server, tmp_path)
    other = Dataset(
        pd.DataFrame({"user_id": [1], "movie_id": [5]}), pd.DataFrame({"movie_id": [5], "title": ["Alien (1979)"]})
    )
    assert fetch_tmdb(server, tmp_path, other).num_plots == 1
    assert list(pd.read_csv(tmp_path / "plots.csv")["movie_id"]) == [5, 10, 20]


def test_missing_items_are_requested_again_only_with_refresh(server: Server, tmp_path: Path) -> None:
    fetch_tmdb(server, tmp_path)
    server.routes["/3/search/movie"] = json_reply(
        {"results": [{**SEVEN, "overview": "Sins.", "poster_path": "/heat.jpg"}, {"id": 1, "title": "The Nobody"}]}
    )
    assert fetch_tmdb(server, tmp_path).num_plots == 2
    report = fetch_tmdb(server, tmp_path, refresh=True)
    assert (report.num_requested, report.num_plots, report.num_posters) == (2, 3, 3)


def test_limit(server: Server, tmp_path: Path) -> None:
    assert [fetch_tmdb(server, tmp_path, limit=3).num_requested for _ in range(3)] == [3, 1, 0]
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        fetch_tmdb(server, tmp_path, limit=0)


def test_progress(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[int, int]] = []
    fetch_tmdb(server, tmp_path, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert capfd.readouterr() == ("", "")  # the library prints nothing


def test_interrupted_runs_are_resumed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poster(self: Tmdb, url: str) -> bytes:
        if "alien" in url:
            raise KeyboardInterrupt
        return image_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(Tmdb, "poster", poster)
        with pytest.raises(KeyboardInterrupt):
            fetch_tmdb(server, tmp_path)
    assert [path.name for path in (tmp_path / "posters").iterdir()] == ["10.jpg"]
    assert list(pd.read_csv(tmp_path / "plots.csv")["movie_id"]) == [10, 20]
    with (tmp_path / "fetched.jsonl").open("ab") as file:
        file.write(b'{"provider": "tmdb", "movie')  # killed while writing
    server.requests.clear()
    report = fetch_tmdb(server, tmp_path)
    assert (report.num_requested, report.num_posters, report.num_plots) == (2, 2, 2)
    assert server.paths()[0] == "/w342/alien.png"  # only the poster was missing
    assert [record["movie_id"] for record in records(tmp_path)] == [10, 10, 20, 20, 30, 40]
    (tmp_path / "posters" / "10.jpg").unlink()
    assert (fetch_tmdb(server, tmp_path).num_requested, fetch_tmdb(server, tmp_path).num_posters) == (0, 2)


BAD_POSTERS = {
    "truncated image": (Reply(image_bytes(size=(400, 600))[:1500]), "heat.jpg"),
    "text": (Reply(b"no"), "heat.jpg"),
    "web page": (Reply(b"<html>", headers={"Content-Type": "text/html"}), "has content type text/html"),
    "gone": (Reply(b"", 404), "answered 404"),
    "empty": (Reply(b""), "heat.jpg"),
    "one pixel": (Reply(image_bytes("GIF", (1, 1))), "heat.jpg"),
    "private network": (redirect("http://10.1.2.3/x.jpg"), "private network"),
    "circular redirect": (redirect("/w342/heat.jpg"), "redirects more than 5 times"),
}


@pytest.mark.parametrize(("reply", "message"), BAD_POSTERS.values(), ids=BAD_POSTERS)
def test_unusable_posters_cost_one_warning(server: Server, tmp_path: Path, reply: Reply, message: str) -> None:
    server.routes["/w342/heat.jpg"] = reply
    with pytest.warns(UserWarning, match=rf"no poster for movie 10: .*{message}") as caught:
        report = fetch_tmdb(server, tmp_path)
    assert len(caught) == 1
    assert (report.num_posters, report.num_plots, report.stop_reason) == (1, 2, None)
    assert report.missing["kind"].tolist() == ["poster", "plot", "poster", "movie"]
    server.requests.clear()
    fetch_tmdb(server, tmp_path)
    assert server.requests == []


def test_large_posters(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrec.metadata.providers.MAX_BYTES", 10_000)
    server.routes["/w342/heat.jpg"] = Reply(endless=True)
    with pytest.warns(UserWarning, match="heat.jpg has more than 10,000 bytes"):
        assert fetch_tmdb(server, tmp_path).num_posters == 1


@pytest.mark.parametrize("reply", [Reply(status=500), image_reply(missing_bytes=30)], ids=["500", "incomplete"])
def test_failed_posters_are_requested_by_the_next_run(server: Server, tmp_path: Path, reply: Reply) -> None:
    server.routes["/w342/heat.jpg"] = reply
    report = fetch_tmdb(server, tmp_path)
    assert (report.num_posters, report.num_plots, report.num_failed, report.stop_reason) == (1, 2, 1, None)
    server.routes["/w342/heat.jpg"] = image_reply()
    server.requests.clear()
    report = fetch_tmdb(server, tmp_path)
    assert (report.num_requested, report.num_posters, report.num_failed) == (0, 2, 0)
    assert server.paths() == ["/w342/heat.jpg"]


def twenty_movies() -> Dataset:
    movies = pd.DataFrame({"movie_id": range(20), "title": [f"Movie {n} (1999)" for n in range(20)]})
    return Dataset(pd.DataFrame({"user_id": [1], "movie_id": [1]}), movies)


def test_an_unavailable_service_stops_the_run(server: Server, tmp_path: Path) -> None:
    server.routes["/3/search/movie"] = json_reply({"status_message": "down"}, 503)
    report = fetch_tmdb(server, tmp_path, twenty_movies())
    assert (report.num_requested, report.num_failed) == (5, 5)
    assert report.stop_reason == (
        "5 consecutive movies without a response; the last error: "
        f"{server.url}/3/search/movie answered 503 (3 attempts)"
    )
    assert not (tmp_path / "plots.csv").exists()
    server.routes["/3/search/movie"] = json_reply({"results": []})
    report = fetch_tmdb(server, tmp_path, twenty_movies())
    assert (report.num_requested, report.num_failed, report.stop_reason) == (20, 0, None)


def test_unavailable_posters_stop_the_run(server: Server, tmp_path: Path) -> None:
    server.routes["/3/search/movie"] = lambda query: json_reply(
        {"results": [{**HEAT, "title": query["query"], "release_date": "1999-01-01"}]}
    )
    server.routes["/w342/heat.jpg"] = Reply(status=500)
    report = fetch_tmdb(server, tmp_path, twenty_movies())
    assert (report.num_requested, report.num_plots, report.num_failed) == (5, 5, 5)
    assert str(report.stop_reason).endswith("/w342/heat.jpg answered 500 (3 attempts)")


def test_rejected_keys_end_the_run(server: Server, tmp_path: Path) -> None:
    server.routes["/3/search/movie"] = [
        json_reply({"results": [HEAT]}),
        json_reply({"status_message": f"Invalid API key: {TMDB_KEY}"}, 401),
    ]
    with pytest.raises(AuthenticationError, match=r"TMDB answered 401: Invalid API key: \*\*\*") as caught:
        fetch_tmdb(server, tmp_path)
    assert TMDB_KEY not in str(caught.value)
    assert list(pd.read_csv(tmp_path / "plots.csv")["movie_id"]) == [10]


def test_the_daily_quota_ends_the_run(server: Server, tmp_path: Path) -> None:
    limit = json_reply({"Response": "False", "Error": "Request limit reached!"}, 401)
    good = server.routes["/omdb"]
    server.routes["/omdb"] = [omdb_reply(server, {"apikey": OMDB_KEY, "plot": "full", "t": "Heat"}), limit]
    report = fetch_metadata(four_movies(), tmp_path, omdb(server))
    assert report.stop_reason == "OMDb answered 401: Request limit reached! The daily quota is used up"
    assert (report.num_posters, report.num_plots, report.num_failed) == (1, 1, 0)
    server.routes["/omdb"] = good
    report = fetch_metadata(four_movies(), tmp_path, omdb(server))
    assert (report.num_requested, report.num_plots, report.stop_reason) == (3, 2, None)


def test_ids_that_are_not_file_names(server: Server, tmp_path: Path) -> None:
    movies = pd.DataFrame({"movie_id": ["../heat", "ok"], "title": ["Heat (1995)", "Alien (1979)"]})
    data = Dataset(pd.DataFrame({"user_id": ["a"], "movie_id": ["ok"]}), movies)
    report = fetch_tmdb(server, tmp_path / "out", data)
    assert missing(report) == [("../heat", "poster", "the movie id cannot be used as a file name")]
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["ok.jpg"]


def test_movies_without_title_and_id_cost_no_request(server: Server, tmp_path: Path) -> None:
    data = Dataset(pd.DataFrame({"user_id": [1], "movie_id": [10]}))
    assert missing(fetch_tmdb(server, tmp_path, data)) == [(10, "movie", "neither a title nor an id to search for")]
    assert server.requests == []


def test_links(tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    path.write_text("movieId,imdbId,tmdbId\n10,0113277,949\n20,0078748,\n999,1,2\n")
    queries = movie_queries(four_movies(tmdb_id=[1, 2, 3, None], imdb_id=["tt9", None, None, None]), path)
    assert [(query.imdb_id, query.tmdb_id) for query in queries] == [
        ("tt0113277", 949), ("tt0078748", 2), (None, 3), (None, None),
    ]  # fmt: skip
    assert [(query.names[0], query.year) for query in queries[2:]] == [("Seven", 1995), ("The Nobody", 1950)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("movieId,imdbId\n10,nm12\n", r"links.csv:2: .*nm12"),
        ("movieId,tmdbId\n10,5\n\n20,x5\n", r"links.csv:4: .*x5"),
        ("movieId,tmdbId\n10,5\n10,6\n", r"links.csv:3: .*links.csv:2"),
        ("movieId,tmdbId\nten,5\n", r"links.csv: movie_id contains text, but the dataset has integer ids"),
        ("movieId,tmdbId\n10\n", r"links.csv:2: "),
        ("movieId,title\n10,Heat\n", r"links.csv: a column imdbId or tmdbId is required"),
        ("imdbId,tmdbId\n10,5\n", r"links.csv: .*movie_id"),
        ("", r"links.csv"),
    ],
)
def test_invalid_links(server: Server, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "links.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        fetch_tmdb(server, tmp_path / "out", links=tmp_path / "links.csv")
    assert server.requests == []
    assert not (tmp_path / "out").exists()


def test_folders_of_another_origin(server: Server, tmp_path: Path) -> None:
    (tmp_path / "plots.csv").write_text("movie_id,plot\n10,mine\n")
    with pytest.raises(ConfigError, match="was not written by a fetch; choose another folder"):
        fetch_tmdb(server, tmp_path)


def test_damaged_logs(server: Server, tmp_path: Path) -> None:
    fetch_tmdb(server, tmp_path)
    log = tmp_path / "fetched.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    for bad in (
        "{}\n",
        "nonsense\n",
        lines[0].replace('"found"', '"lost"'),
        lines[0].replace('"provider_id"', '"lock"'),
        "\n",
    ):
        log.write_text("".join([lines[0], bad, *lines[1:]]))
        with pytest.raises(DataError, match=r"fetched.jsonl:2: not a valid fetch record; delete the line"):
            fetch_tmdb(server, tmp_path)
