"""Movies are found by id or by title at TMDB and OMDb, and unexpected responses do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gnnrec.data.titles import parse_title
from gnnrec.errors import ConfigError
from gnnrec.metadata import (
    AuthenticationError,
    MovieMetadata,
    MovieQuery,
    NoMatch,
    NotFoundError,
    Omdb,
    RateLimitError,
    ServiceUnavailableError,
    Tmdb,
)
from tests.helpers.http_server import Reply, Server, image_bytes, json_reply
from tests.helpers.movie_service import ALIEN, HEAT, SEVEN, TMDB_KEY, omdb, running_movie_service, tmdb


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running_movie_service(monkeypatch) as server:
        yield server


def query(title: str, **ids: Any) -> MovieQuery:
    return MovieQuery(1, title, *parse_title(title), **ids)


def test_tmdb_by_title(server: Server) -> None:
    found = tmdb(server).find(query("Heat (1995)"))
    assert found == MovieMetadata("949", "Heat", 1995, "title", 1.0, "A thief.", f"{server.url}/w342/heat.jpg")
    [request] = server.requests
    assert request.query == {
        "query": "Heat", "include_adult": "false", "year": "1995", "language": "en-US", "api_key": TMDB_KEY,
    }  # fmt: skip


def test_tmdb_by_id(server: Server) -> None:
    server.routes |= {
        "/3/movie/949": json_reply(HEAT),
        "/3/movie/5": json_reply({"status_code": 34, "status_message": "not found", "success": False}, 404),
        "/3/find/tt0078748": json_reply({"movie_results": [ALIEN]}),
        "/3/find/tt5": json_reply({"movie_results": []}),
    }
    provider = tmdb(server)
    for ids, matched_by in [
        ({"tmdb_id": 949, "imdb_id": "tt0078748"}, "tmdb id"),
        ({"tmdb_id": 5, "imdb_id": "tt0078748"}, "imdb id"),
        ({"tmdb_id": 5, "imdb_id": "tt5"}, "title"),
    ]:
        found = provider.find(query("Heat (1995)", **ids))
        assert isinstance(found, MovieMetadata)
        assert found.matched_by == matched_by
    assert server.paths() == [
        "/3/movie/949",
        "/3/movie/5", "/3/find/tt0078748",
        "/3/movie/5", "/3/find/tt5", "/3/search/movie",
    ]  # fmt: skip
    assert server.requests[2].query["external_source"] == "imdb_id"


def test_searches_try_aliases_and_other_years(server: Server) -> None:
    found = tmdb(server).find(query("Seven (a.k.a. Se7en) (1994)"))
    assert found == MovieMetadata("807", "Se7en", 1995, "title", 0.95, None, None)
    assert [(request.query["query"], request.query.get("year")) for request in server.requests] == [
        ("Seven", "1994"), ("Seven", None), ("Se7en", "1994"), ("Se7en", None),
    ]  # fmt: skip


def test_at_most_three_titles_are_searched(server: Server) -> None:
    assert tmdb(server).find(query("One (Two) (Three) (Four)")) == NoMatch("no results")
    assert [request.query["query"] for request in server.requests] == ["One", "Two", "Three"]


def test_tmdb_tokens_are_sent_in_a_header(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "eyJhbGciOiJIUzI1NiJ9.e30.abc")
    provider = tmdb(server)
    provider.find(query("Heat (1995)"))
    assert provider.poster(f"{server.url}/w342/heat.jpg") == image_bytes()
    search, poster = server.requests
    assert search.headers["Authorization"] == "Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc"
    assert "api_key" not in search.query
    assert "Authorization" not in poster.headers


def test_omdb(server: Server) -> None:
    provider = omdb(server)
    poster = f"{server.url}/heat.jpg"
    assert provider.find(query("?", imdb_id="tt0113277")) == (
        MovieMetadata("tt0113277", "Heat", 1995, "imdb id", 1.0, "Cops and robbers.", poster)
    )
    assert provider.find(query("Seven (a.k.a. Se7en) (1995)", imdb_id="tt5")) == (
        MovieMetadata("tt0114369", "Se7en", 1995, "title", 1.0, "Seven sins.", None)
    )
    assert provider.find(query("Nobody, The (1950)")) == (
        MovieMetadata("tt1", "The Nobody", 1951, "title", 0.95, None, None)
    )
    assert provider.find(query("Alien (1979)")) == NoMatch("no results")
    assert provider.poster(poster) == image_bytes()


@pytest.mark.parametrize(
    "response",
    [
        {"results": None},
        {"results": ["Heat", 7, None]},
        {"results": [{"id": "949", "title": "Heat"}, {"id": True, "title": "Heat"}]},
        {},
    ],
)
def test_malformed_results_are_ignored(server: Server, response: dict[str, Any]) -> None:
    server.routes["/3/search/movie"] = json_reply(response)
    assert tmdb(server).find(query("Heat (1995)")) == NoMatch("no results")


def test_malformed_titles_do_not_match(server: Server) -> None:
    server.routes["/3/search/movie"] = json_reply({"results": [{"id": 949, "title": ["Heat"], "release_date": 1995}]})
    assert tmdb(server).find(query("Heat (1995)")) == NoMatch("no match; the closest result is '949' (no year)")


@pytest.mark.parametrize("path", ["/../../etc/passwd", "//10.0.0.1/x.jpg", "/x.jpg?y=1", "x.jpg", 7, None])
def test_malformed_poster_paths_are_ignored(server: Server, path: Any) -> None:
    server.routes["/3/search/movie"] = json_reply({"results": [{**HEAT, "poster_path": path}]})
    found = tmdb(server).find(query("Heat (1995)"))
    assert isinstance(found, MovieMetadata)
    assert found.poster_url is None


def test_rejected_keys(server: Server) -> None:
    server.routes["/3/search/movie"] = json_reply({"status_message": f"Invalid API key: {TMDB_KEY}"}, 401)
    with pytest.raises(AuthenticationError, match=r"TMDB answered 401: Invalid API key: \*\*\*; check TMDB_API_KEY"):
        tmdb(server).find(query("Heat (1995)"))
    server.routes["/omdb"] = json_reply({"Response": "False", "Error": "Invalid API key!"}, 401)
    with pytest.raises(AuthenticationError, match="OMDb answered 401: Invalid API key! Check OMDB_API_KEY"):
        omdb(server).find(query("Heat (1995)"))
    assert len(server.requests) == 2


def test_other_errors_of_the_services(server: Server) -> None:
    server.routes["/3/search/movie"] = json_reply({}, 418)
    with pytest.raises(
        ServiceUnavailableError, match=r"TMDB answered 418: no reason given \(request to search/movie\)"
    ):
        tmdb(server).find(query("Heat (1995)"))
    server.routes["/omdb"] = json_reply({"Response": "False", "Error": "Something went wrong."})
    with pytest.raises(ServiceUnavailableError, match=r"OMDb answered 200: Something went wrong\."):
        omdb(server).find(query("Heat (1995)"))
    server.routes["/omdb"] = json_reply({"Response": "False", "Error": "Request limit reached!"}, 401)
    with pytest.raises(RateLimitError, match="Request limit reached! The daily quota is used up"):
        omdb(server).find(query("Heat (1995)"))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(b"", 404), "answered 404"),
        (Reply(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), "has content type text/html"),
    ],
)
def test_posters_must_be_images(server: Server, reply: Reply, message: str) -> None:
    server.routes["/w342/x.jpg"] = reply
    with pytest.raises(NotFoundError, match=f"/w342/x.jpg {message}"):
        tmdb(server).poster(f"{server.url}/w342/x.jpg")


def test_binary_content_may_be_an_image(server: Server) -> None:
    server.routes["/w342/x.jpg"] = Reply(b"data", headers={"Content-Type": "application/octet-stream"})
    assert tmdb(server).poster(f"{server.url}/w342/x.jpg") == b"data"


@pytest.mark.parametrize(
    ("provider", "variable", "page"),
    [(Tmdb, "TMDB_API_KEY", "themoviedb.org"), (Omdb, "OMDB_API_KEY", "omdbapi.com")],
)
def test_keys_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, provider: type[Tmdb | Omdb], variable: str, page: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match=rf"get one at .*{page}.* environment variable {variable}"):
        provider.from_environment()
    for empty in ("", "  "):
        monkeypatch.setenv(variable, empty)
        with pytest.raises(ConfigError, match="requires an API key"):
            provider.from_environment()
    monkeypatch.setenv(variable, "two\nlines")
    with pytest.raises(ConfigError, match=f"{variable} contains spaces or special characters") as caught:
        provider.from_environment()
    assert "lines" not in str(caught.value)


def test_seven_has_neither_plot_nor_poster(server: Server) -> None:
    server.routes["/3/movie/807"] = json_reply(SEVEN)
    found = tmdb(server).find(query("Seven (1995)", tmdb_id=807))
    assert found == MovieMetadata("807", "Se7en", 1995, "tmdb id", 1.0, None, None)
