"""Who may ask, how much, and what an answer gives away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.service import require_service

require_service()

from fastapi.testclient import TestClient

from gnnrec.errors import ConfigError
from gnnrec.service.settings import ServiceSettings

TOKEN = "a token of enough characters"
Start = Callable[..., TestClient]


def test_beyond_this_machine_a_token_is_required(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GNNREC_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="GNNREC_TOKEN"):
        ServiceSettings.from_environment(run=saved, host="0.0.0.0")
    monkeypatch.setenv("GNNREC_TOKEN", "short")
    with pytest.raises(ConfigError, match="shorter than 16"):
        ServiceSettings.from_environment(run=saved)
    monkeypatch.setenv("GNNREC_TOKEN", TOKEN)
    settings = ServiceSettings.from_environment(run=saved, host="0.0.0.0")
    assert TOKEN not in repr(settings) and settings.requests_per_second == 50


def test_token(start: Start) -> None:
    client = start(token=TOKEN)
    assert client.get("/api/v1/health").status_code == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": "gnnrec_session=x"}):
        answer = client.get("/api/v1/profiles", headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/api/v1/profiles", headers={"authorization": f"Bearer {TOKEN}"}).json() == []
    assert client.get("/api/v1/openapi.json").status_code == 401


def test_other_names_of_the_host_are_refused(start: Start) -> None:
    client = start(hosts=("movies.example.org",))
    for host, status in (("evil.example", 421), ("movies.example.org:80", 200), ("[::1]:8000", 200), ("", 421)):
        assert client.get("/api/v1/health", headers={"host": host}).status_code == status, host


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}]
)
def test_other_sites_cannot_change_anything(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/v1/profiles", json={"name": "Eve"}, headers=headers).status_code == 403
    assert client.get("/api/v1/profiles").json() == []


def test_own_pages_can(client: TestClient) -> None:
    headers = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert client.post("/api/v1/profiles", json={"name": "Ann"}, headers=headers).status_code == 201


def test_bodies_are_limited(start: Start) -> None:
    client = start(max_body=1000, max_upload=5000)
    answer = client.post("/api/v1/profiles", content=b"x" * 1001)
    assert answer.status_code == 413 and answer.headers["content-type"] == "application/problem+json"

    def chunks() -> object:  # no length is known
        for _ in range(20):
            yield b"x" * 100

    assert client.post("/api/v1/profiles", content=chunks()).status_code == 413  # type: ignore[arg-type]
    ann = client.post("/api/v1/profiles", json={"name": "Ann"}).json()["id"]
    path = f"/api/v1/profiles/{ann}/history"
    assert client.post(path, files={"file": ("a.txt", b"x" * 2000)}).status_code == 422  # read, and no movie
    assert client.post(path, files={"file": ("a.txt", b"x" * 6000)}).status_code == 413


def test_lists_are_limited(client: TestClient) -> None:
    assert client.post("/api/v1/recommend", json={"users": [1] * 101}).status_code == 422
    assert client.post("/api/v1/recommend", json={"users": [1], "k": 10_000}).status_code == 422
    assert client.get("/api/v1/movies", params={"query": "x" * 201}).status_code == 422


def test_titles_are_limited(client: TestClient) -> None:
    """A title takes milliseconds to look up, an id does not."""
    client.post("/api/v1/profiles", json={"name": "Ann"})
    many = [f"A Film {number}" for number in range(301)]
    body = {"users": [{"ratings": [{"movie": title} for title in many]}], "unknown": "skip"}
    for path in ("/recommend", "/recommend/group"):
        assert "at most 300 movies by title" in client.post(f"/api/v1{path}", json=body).json()["detail"]
    ratings = {"ratings": [{"movie": title, "stars": 3} for title in many]}
    assert client.put("/api/v1/profiles/1/ratings", json=ratings).status_code == 422
    ratings = {"ratings": [{"movie": str(number), "stars": 3} for number in range(1, 391)]}
    assert client.put("/api/v1/profiles/1/ratings", json=ratings).status_code == 200
    text = "\n".join(f"A Film {number}" for number in range(5001))
    answer = client.post("/api/v1/profiles/1/history", files={"file": ("a.txt", text)})
    assert "5,001 movies; the limit is 5,000" in answer.json()["detail"]


def test_requests_are_limited(start: Start) -> None:
    client = start(rate_limit=1)
    statuses = [client.get("/api/v1/health").status_code for _ in range(4)]
    assert statuses[:2] == [200, 200] and 429 in statuses[2:]
    assert int(client.get("/api/v1/health").headers.get("retry-after", "1")) >= 1


def test_headers(client: TestClient) -> None:
    for path in ("/api/v1/health", "/api/v1/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_bug_gives_nothing_away(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from gnnrec.service.served import ServedModel

    def fail(*_: object) -> None:
        raise RuntimeError("secret of /home/ann")

    monkeypatch.setattr(ServedModel, "search", fail)
    answer = client.get("/api/v1/movies", params={"query": "heat"})
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text and "Traceback" not in answer.text


def test_errors_name_no_path() -> None:
    from gnnrec.service.problems import clean

    assert clean("cannot read /var/lib/x.csv: C:\\Users\\ann\\x is not a table") == (
        "cannot read the file: the file is not a table"
    )
