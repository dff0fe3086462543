"""TMDB and OMDb on localhost, with a few movies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from gnnrec import Dataset
from gnnrec.metadata import Omdb, Tmdb
from tests.helpers.http_server import (
    PATIENT,
    FakeClock,
    Reply,
    Server,
    image_reply,
    json_reply,
    remove_proxies,
    running_server,
)

TMDB_KEY, OMDB_KEY = "0123456789abcdef0123456789abcdef", "0a1b2c3d"

HEAT = {"id": 949, "title": "Heat", "release_date": "1995-12-15", "overview": "A thief.", "poster_path": "/heat.jpg"}
ALIEN = {"id": 348, "title": "Alien", "release_date": "1979-05-25", "overview": "A ship.", "poster_path": "/alien.png"}
SEVEN = {"id": 807, "title": "Se7en", "release_date": "1995-09-22", "overview": "", "poster_path": None}

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


def four_movies(**columns: Any) -> Dataset:
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
    return json_reply({"results": [movie for movie in found if query.get("year", "") in str(movie["release_date"])]})


def omdb_reply(server: Server, query: dict[str, str]) -> Reply:
    assert query["apikey"] == OMDB_KEY
    assert query["plot"] == "full"
    known = [movie for movie in OMDB.values() if query.get("i") == movie["imdbID"] or query.get("t") == movie["Title"]]
    if not known or query.get("y", "") not in known[0]["Year"]:
        return json_reply({"Response": "False", "Error": "Movie not found!"})
    poster = f"{server.url}/heat.jpg" if known[0]["Title"] == "Heat" else "N/A"
    return json_reply({"Response": "True", "Poster": poster, **known[0]})


@contextmanager
def running_movie_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    remove_proxies(monkeypatch)
    monkeypatch.setenv("TMDB_API_KEY", TMDB_KEY)
    monkeypatch.setenv("OMDB_API_KEY", OMDB_KEY)
    with running_server() as server:
        server.routes |= {
            "/3/search/movie": tmdb_search,
            "/w342/heat.jpg": image_reply(),
            "/w342/alien.png": image_reply("PNG"),
            "/omdb": lambda query: omdb_reply(server, query),
            "/heat.jpg": image_reply(),
        }
        yield server


def tmdb(server: Server, **policy: Any) -> Tmdb:
    provider = Tmdb.from_environment(f"{server.url}/3/", f"{server.url}/w342", policy=replace(PATIENT, **policy))
    return replace(provider, client=_with_fake_clock(provider))


def omdb(server: Server) -> Omdb:
    provider = Omdb.from_environment(f"{server.url}/omdb", policy=PATIENT)
    return replace(provider, client=_with_fake_clock(provider))


def _with_fake_clock(provider: Tmdb | Omdb) -> Any:
    clock = FakeClock()
    return replace(provider.client, clock=clock, sleep=clock.sleep)
