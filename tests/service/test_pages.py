"""The pages as a browser without JavaScript gets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.service import require_service

require_service()

from fastapi.testclient import TestClient

import gnnrec
from gnnrec import NewUser, RecGraph

NAME = "<script>alert(1)</script> & Söhne"


class Browser:
    """Fills in forms as they are on the pages."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.csrf = ""

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        self.csrf = found[1] if found else self.csrf
        return answer.text

    def send(self, path: str, status: int = 200, **values: Any) -> str:
        answer = self.client.post(path, data={"csrf": self.csrf, **values})
        assert answer.status_code == status, answer.text
        return answer.text


def cards(page: str) -> list[str]:
    return re.findall(r'data-movie="([^"]+)"', page)


@pytest.fixture
def browser(client: TestClient) -> Browser:
    return Browser(client)


@pytest.fixture
def ann_s(browser: Browser) -> Browser:
    """Return a browser that has chosen a new profile."""
    browser.get("/profiles")
    browser.send("/profiles", name="Ann")
    return browser


def test_a_stranger_is_asked_who_they_are(browser: Browser) -> None:
    for path in ("/", "/history", "/recommend", "/bucket-list", "/together", "/profile"):
        assert "Who is watching?" in browser.get(path)
    for path in ("/map", "/model", "/movie/5"):
        browser.get(path)


def test_names_are_text(browser: Browser) -> None:
    browser.get("/profiles")
    page = browser.send("/profiles", name=NAME)
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in page


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "Please enter a name."),
        ({"name": "x" * 10_000}, "Please use at most 100 characters."),
        ({"name": "Bob", "age": "old"}, "Please enter a whole number of years"),
        ({"name": "Bob", "occupation": "unheard of"}, "Unknown occupation"),
        ({"name": "ANN"}, "is taken; choose another one."),
    ],
)
def test_a_wrong_profile_is_shown_again_with_the_reason(ann_s: Browser, values: dict[str, str], message: str) -> None:
    assert message in ann_s.send("/profiles", 422, **values)
    assert len(ann_s.client.get("/api/v1/profiles").json()) == 1


def test_forms_of_other_pages_are_refused(ann_s: Browser) -> None:
    for csrf in ("", "something else"):
        assert "out of date" in ann_s.send("/rate", 403, csrf=csrf, movie="1", stars="5")
    assert ann_s.client.get("/api/v1/profiles/1/ratings").json() == []


def test_ratings_and_lists(ann_s: Browser, trained: RecGraph) -> None:
    starters = cards(ann_s.get("/history"))
    assert len(starters) == 18
    page = ann_s.send("/rate", movie="5", stars="4", next="/history?query=the")
    assert "/history?query=the" in page  # back where the form was
    listed = cards(ann_s.get("/recommend"))
    expected = gnnrec.recommend(trained, NewUser(ratings={5: 4}), 24)["movie_id"].astype(str).tolist()
    assert listed == expected[:12]
    assert cards(ann_s.get("/recommend?offset=12")) == expected[12:]
    ann_s.send("/hide", movie=listed[0])
    ann_s.send("/bucket-list", movie=listed[1])
    assert cards(ann_s.get("/recommend"))[:2] == listed[1:3]
    assert cards(ann_s.get("/bucket-list")) == [listed[1]]
    ann_s.send("/rate", movie=listed[1], stars="3.5")  # watched
    assert cards(ann_s.get("/bucket-list")) == []
    for _ in range(2):  # in two tabs
        ann_s.send("/unrate", movie=listed[1])
        ann_s.send("/unhide", movie=listed[0])
    assert cards(ann_s.get("/recommend")) == listed


def test_long_histories_have_pages(ann_s: Browser) -> None:
    body = {"ratings": [{"movie": movie, "stars": 4, "time": movie} for movie in range(1, 131)]}
    assert ann_s.client.put("/api/v1/profiles/1/ratings", json=body).status_code == 200
    assert cards(ann_s.get("/history")) == [str(movie) for movie in range(130, 70, -1)]
    assert cards(ann_s.get("/history?offset=120")) == [str(movie) for movie in range(10, 0, -1)]
    assert ">Newer</a>" in ann_s.get("/history?offset=120") and ">Older</a>" in ann_s.get("/history")


def test_reasons_and_filters(ann_s: Browser, trained: RecGraph) -> None:
    ann_s.send("/rate", movie="5", stars="5")
    title = trained.dataset.movies.set_index("movie_id")["title"][5].split(" (")[0]
    assert f"Because you rated {title}<" in ann_s.get("/recommend")
    genre = str(trained.graph.genres[0])
    page = ann_s.get(f"/recommend?genre={genre}&year_from=1980&year_to=")
    years = trained.dataset.movies.set_index("movie_id").loc[[int(one) for one in cards(page)]]
    assert len(years) and (years["year"] >= 1980).all() and years["genres"].str.contains(genre).all()
    assert "numbers, such as 1995" in ann_s.get("/recommend?year_from=new")
    assert "before the first" in ann_s.get("/recommend?year_from=2000&year_to=1990")
    assert "No movies match these filters" in ann_s.get("/recommend?year_from=9000")


def test_from_familiar_to_surprising(ann_s: Browser, trained: RecGraph) -> None:
    ann_s.send("/rate", movie="5", stars="5")
    expected = gnnrec.recommend(trained, NewUser(ratings={5: 5}), 12, novelty=0.6, diversity=0.3)["movie_id"]
    found = cards(ann_s.get("/recommend?novelty=6"))
    assert found == expected.astype(str).tolist() != cards(ann_s.get("/recommend"))
    counts = trained.dataset.ratings["movie_id"].value_counts()
    popularity = [
        sum(counts.get(int(movie), 0) for movie in movies) for movies in (found, cards(ann_s.get("/recommend")))
    ]
    assert popularity[0] < popularity[1]
    assert cards(ann_s.get("/recommend?novelty=nonsense")) == cards(ann_s.get("/recommend"))


def test_unknown_things_are_pages_too(ann_s: Browser) -> None:
    assert "Page not found" in ann_s.get("/movie/nothing", 404)
    assert "Page not found" in ann_s.get("/nothing", 404)
    assert "Something went wrong" in ann_s.send("/rate", 422, movie="5", stars="7")
    assert "Page not found" in ann_s.send("/rate", 404, movie="nothing", stars="5")


def test_a_profile_that_another_tab_deleted(ann_s: Browser) -> None:
    ann_s.get("/history")
    assert ann_s.client.delete("/api/v1/profiles/1").status_code == 204
    assert "Who is watching?" in ann_s.send("/rate", movie="5", stars="5")


def test_deleting_asks_first(ann_s: Browser) -> None:
    ann_s.send("/rate", movie="5", stars="5")
    assert "Delete Ann?" in ann_s.send("/profile/delete")
    assert "Who is watching?" in ann_s.send("/profile/delete", confirm="yes")
    assert ann_s.client.app.state.context.store.counts()["ratings"] == 0  # type: ignore[attr-defined]


def test_import_says_what_became_of_each_movie(ann_s: Browser, trained: RecGraph) -> None:
    title = trained.dataset.movies["title"][3]
    file = ("films.txt", f"{title}\nA Film That Nobody Made\n")
    answer = ann_s.client.post("/import", data={"csrf": ann_s.csrf}, files={"file": file})
    assert answer.status_code == 200
    assert "<strong>1 movie</strong>" in answer.text and "A Film That Nobody Made" in answer.text
    answer = ann_s.client.post("/import", data={"csrf": ann_s.csrf}, files={"file": ("x.zip", b"PK\3\4")})
    assert answer.status_code == 422 and 'role="alert"' in answer.text


def test_together(ann_s: Browser) -> None:
    ann_s.send("/rate", movie="5", stars="5")
    ann_s.send("/profiles", name="Bob")
    ann_s.send("/rate", movie="9", stars="5")
    page = ann_s.get("/together?with=1&fair=1")
    assert "For Bob and Ann" in page and page.count("<meter") == 2 * len(cards(page)) == 24
    assert not {"5", "9"} & set(cards(page))
    body = {"users": [{"ratings": [{"movie": 9}]}, {"ratings": [{"movie": 5}]}], "strategy": "fair", "k": 12}
    found = ann_s.client.post("/api/v1/recommend/group", json=body).json()["movies"]
    assert [str(movie["id"]) for movie in found] == cards(page)
    assert all(0 <= share <= 1 for movie in found for share in movie["suits"])


def test_posters(start: Callable[..., TestClient], tmp_path: Path) -> None:
    folder = tmp_path / "posters"
    folder.mkdir()
    (folder / "5.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.png").write_bytes(b"secret")
    client = start(posters=folder)
    assert client.get("/posters/5").content == b"\x89PNG"
    drawn = client.get("/posters/6")
    assert drawn.headers["content-type"] == "image/svg+xml" and "<text" in drawn.text
    assert client.get("/posters/..%2Fsecret").status_code == 404


def test_token_page(start: Callable[..., TestClient]) -> None:
    token = "a token of enough characters"
    browser = Browser(start(token=token))
    assert "Token of this service" in browser.get("/history")
    assert "This is not the token" in browser.send("/login", 403, token="wrong")
    assert "Who is watching?" in browser.send("/login", token=token)
    assert token not in str(browser.client.cookies)
    browser.send("/logout")
    assert "Token of this service" in browser.get("/profiles")


def test_pages_have_no_inline_code(ann_s: Browser) -> None:
    for path in ("/profiles", "/profile", "/history", "/recommend", "/together", "/map", "/model", "/movie/5"):
        page = ann_s.get(path)
        assert not re.search(r"<script(?! src=)|<style| style=| on\w+=|https?://(?!www\.w3\.org)", page), path
