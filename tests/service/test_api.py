"""The JSON API: what it answers, and what it stores."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.helpers.service import require_service

require_service()

from fastapi.testclient import TestClient

import gnnrec
from gnnrec import NewUser, RecGraph, load
from gnnrec.models import EASE
from gnnrec.service import retraining
from gnnrec.service.names import is_profile
from gnnrec.service.records import Entry, Profile
from gnnrec.service.served import ServedModel
from tests.helpers.registries import restored_registries


def ids(answer: Any) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [movie["id"] for movie in answer.json()["movies"]]


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status and found["detail"]
    return found


def test_new_users_get_what_the_library_recommends(client: TestClient, trained: RecGraph) -> None:
    ratings = {1: 5.0, 7: 2.0, 12: 4.0}
    given = {"ratings": [{"movie": movie, "rating": value} for movie, value in ratings.items()], "age": 30}
    answer = client.post("/api/v1/recommend", json={"users": [given, 3], "k": 5, "offset": 1})
    assert answer.status_code == 200
    for found, user in zip(answer.json()["lists"], (NewUser(30, ratings=ratings), 3), strict=True):
        expected = gnnrec.recommend(trained, user, 5, offset=1)
        assert [movie["id"] for movie in found["movies"]] == expected["movie_id"].tolist()
        assert [movie["rank"] for movie in found["movies"]] == [2, 3, 4, 5, 6]
        scores = [movie["score"] for movie in found["movies"]]
        assert scores == pytest.approx(expected["score"].tolist(), abs=1e-5)


def test_filters(client: TestClient, trained: RecGraph) -> None:
    filters = {
        "genres": ["Drama"],
        "years": "1980-",
        "min_ratings": 3,
        "exclude": [1, 2],
        "diversity": 0.4,
        "max_per_genre": 3,
    }
    answer = client.post("/api/v1/recommend", json={"users": [{}], "k": 20, **filters})
    expected = gnnrec.recommend(
        trained,
        NewUser(),
        20,
        genres=["Drama"],
        years="1980-",
        min_ratings=3,
        exclude=[1, 2],
        diversity=0.4,
        max_per_genre=3,
    )
    found = answer.json()["lists"][0]["movies"]
    assert [movie["id"] for movie in found] == expected["movie_id"].tolist() != []
    assert all("Drama" in movie["genres"] and movie["year"] >= 1980 for movie in found)


def test_titles_name_movies_and_unknown_ones_are_errors_or_skipped(client: TestClient, trained: RecGraph) -> None:
    title = trained.dataset.movies["title"][3]
    body: dict[str, Any] = {"users": [{"ratings": [{"movie": title}, {"movie": "A Film That Nobody Made"}]}]}
    assert "A Film That Nobody Made" in problem(client.post("/api/v1/recommend", json=body), 422)["detail"]
    found = client.post("/api/v1/recommend", json={**body, "unknown": "skip"}).json()["lists"][0]["movies"]
    expected = gnnrec.recommend(trained, {title: 5})
    assert [movie["id"] for movie in found] == expected["movie_id"].tolist()


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"users": [999999]}, "users.0", "user 999999 is not in the training data"),
        ({"users": [{}, "nobody"]}, "users.1", "user 'nobody' is not in the training data"),
        ({"users": [True]}, "users.0", "valid integer, or: Input should be a valid string"),
        ({"users": [None]}, "users.0", "valid integer, or: Input should be a valid string"),
        ({"users": [{"gender": "X"}]}, "users.0.gender", "unknown gender 'X'"),
        ({"users": [{"occupation": "king"}]}, "users.0.occupation", "unknown occupation 'king'"),
        ({"users": [{"ratings": [{"movie": 1}, {"movie": 10**9}]}]}, "users.0.ratings.1.movie", "not in the training"),
        ({"users": [{"ratings": [{"movie": 1}, {"movie": 1}]}]}, "users.0.ratings.1.movie", "rated twice"),
        ({"users": [{"ratings": [{"movie": 1}, {"movie": "TITLE"}]}]}, "users.0.ratings.1.movie", "rated twice"),
        ({"users": [{"ratings": [{"movie": "\0"}]}]}, "users.0.ratings.0.movie", "control characters are not allowed"),
        ({"users": [{"ratings": [{"movie": 1.5}]}]}, "users.0.ratings.0.movie", "valid integer"),
        ({"exclude": [1, "Nobody Made It"]}, "exclude.1", "Nobody Made It"),
        ({"candidates": [10**9]}, "candidates.0", "not in the training data"),
        ({"like": ["Nobody Made It"]}, "like.0", "Nobody Made It"),
        ({"unlike": [2, 10**9]}, "unlike.1", "not in the training data"),
        ({"genres": ["Nonsense"]}, "genres", "unknown genre 'Nonsense'"),
        ({"genres": []}, "genres", "is an empty list"),
        ({"years": "abc"}, "years", "'abc'"),
        ({"years": "2000-1990"}, "years", "after the last"),
        ({"at": -1}, "at", "greater than or equal to 0"),
        ({"diversity": 2}, "diversity", "less than or equal to 1"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(
    client: TestClient, trained: RecGraph, options: dict[str, Any], field: str, said: str
) -> None:
    text = json.dumps({"users": [{}], **options}).replace("TITLE", trained.dataset.movies["title"][0])
    for path in ("/recommend", "/recommend/group"):
        answer = client.post(f"/api/v1{path}", content=text, headers={"content-type": "application/json"})
        (error,) = problem(answer, 422)["errors"]
        assert error["field"] == field and said in error["message"], error
        assert "add_" not in error["message"] and "NewUser" not in error["message"]


def test_what_is_wrong_with_other_requests_is_named(client: TestClient, ann: int) -> None:
    def fields(answer: Any) -> list[str]:
        return [error["field"] for error in problem(answer, 422)["errors"]]

    assert fields(client.post("/api/v1/explain", json={"user": 999999, "movies": [1]})) == ["user"]
    assert fields(client.post("/api/v1/explain", json={"user": 5, "movies": [1, 10**9]})) == ["movies.1"]
    twice = {"user": {"ratings": [{"movie": 1}, {"movie": 1}]}, "movies": [2]}
    assert fields(client.post("/api/v1/explain", json=twice)) == ["user.ratings.1.movie"]
    assert fields(client.get("/api/v1/movies", params={"query": ""})) == ["query"]
    path = f"/api/v1/profiles/{ann}"
    assert fields(client.get(f"{path}/recommendations", params={"genres": "Nonsense"})) == ["genres"]
    assert fields(client.get(f"{path}/recommendations", params={"like": "Nobody Made It"})) == ["like.0"]
    assert fields(client.post(f"{path}/bucket-list", json={"movie": 10**9})) == ["movie"]
    error = problem(client.post(f"{path}/history", files={"file": (None, "no file")}), 422)["errors"]
    assert error == [{"field": "file", "message": "a file is expected, as multipart/form-data"}]


@pytest.mark.parametrize(
    "title", ["'; DROP TABLE ratings;--", "<b>Alien</b>", "...", "(1995)", "'\"(", "%s %d", "🎬", ";--"]
)
def test_any_title_of_a_file_is_only_text(client: TestClient, ann: int, trained: RecGraph, title: str) -> None:
    known = trained.dataset.movies["title"][0]
    quoted = title.replace('"', '""')
    text = f'Name,Year,Rating\n"{quoted}",1995,5\n{known},,4\n'
    answer = client.post(f"/api/v1/profiles/{ann}/history", files={"file": ("ratings.csv", text)})
    assert answer.status_code == 200, answer.text
    assert {known} <= {entry["title"] for entry in client.get(f"/api/v1/profiles/{ann}/ratings").json()}


def test_anchors_pull_and_push(client: TestClient, trained: RecGraph) -> None:
    title = trained.dataset.movies["title"][8]
    ratings = {1: 5.0, 7: 2.0}
    user = {"ratings": [{"movie": movie, "rating": value} for movie, value in ratings.items()]}
    for options in ({"like": [title, 11]}, {"unlike": [12]}, {"like": [4], "unlike": [5, 6], "novelty": 0.3}):
        found = client.post("/api/v1/recommend", json={"users": [user], **options})
        expected = gnnrec.recommend(trained, NewUser(ratings=ratings), **options)  # type: ignore[arg-type]
        assert [one["id"] for one in found.json()["lists"][0]["movies"]] == expected["movie_id"].tolist()
    without = client.post("/api/v1/recommend", json={"users": [user]}).json()["lists"][0]["movies"]
    assert without != found.json()["lists"][0]["movies"]
    wrong = client.post("/api/v1/recommend", json={"users": [user], "like": ["A Film That Nobody Made"]})
    assert "A Film That Nobody Made" in problem(wrong, 422)["detail"]
    skipped = client.post(
        "/api/v1/recommend", json={"users": [user], "like": ["A Film That Nobody Made"], "unknown": "skip"}
    )
    assert skipped.json()["lists"][0]["movies"] == without


def test_later_ratings_do_not_count_at_a_moment(client: TestClient, trained: RecGraph) -> None:
    def ask(user: Any, **options: Any) -> list[Any]:
        answer = client.post("/api/v1/recommend", json={"users": [user], "k": 20, **options})
        assert answer.status_code == 200, answer.text
        return [movie["id"] for movie in answer.json()["lists"][0]["movies"]]

    ratings = [{"movie": movie, "rating": value, "time": time} for movie, value, time in ((1, 5, 10), (7, 1, 20))]
    assert ask({"ratings": ratings}, at=15) == ask({"ratings": ratings[:1]})
    assert ask({"ratings": ratings}, at=20) == ask({"ratings": ratings}) != ask({"ratings": ratings}, at=15)
    assert ask({"ratings": [*ratings, {"movie": 9}]}, at=15) == ask({"ratings": [ratings[0], {"movie": 9, "time": 15}]})

    # A user of the training data, as they were in the middle of their history.
    batch = trained.graph.user_batch(trained.graph.user_nodes([3]))
    half = int(batch.timestamp[len(batch.timestamp) // 2])
    row = trained.dataset.users.set_index("user_id").loc[3]
    known = {
        trained.graph.ids["movie"][node]: (rating, time)
        for node, rating, time in zip(
            batch.movie_index.tolist(), batch.rating.tolist(), batch.timestamp.tolist(), strict=True
        )
        if time <= half
    }
    user = NewUser(
        row["age"],
        row["gender"],
        row["occupation"],
        ratings={movie: rating for movie, (rating, _) in known.items()},
        timestamps={movie: time for movie, (_, time) in known.items()},
    )
    assert 0 < len(known) < len(batch.movie_index)
    assert ask(3, at=half) == gnnrec.recommend(trained, user, 20)["movie_id"].tolist() != ask(3)
    assert ask(3, at=int(batch.timestamp.max())) == ask(3)


def test_reasons(client: TestClient, trained: RecGraph) -> None:
    body = {"user": {"ratings": [{"movie": 1}, {"movie": 2}]}, "movies": [3], "k": 1}
    (found,) = client.post("/api/v1/explain", json=body).json()
    expected = gnnrec.explain(trained, NewUser(ratings={1: 5, 2: 5}), [3], 1)
    assert [one["because"] for one in found["reasons"]] == expected["because"].tolist()


def test_search_finds_words_that_are_only_begun(client: TestClient, trained: RecGraph) -> None:
    title = trained.dataset.movies["title"][4]
    begun = title.split(" (")[0][:-1]
    found = client.get("/api/v1/movies", params={"query": begun, "k": 5}).json()
    assert title in [movie["title"] for movie in found]
    assert found[0]["poster"] == f"/posters/{found[0]['id']}"


def test_movies(client: TestClient, trained: RecGraph) -> None:
    movie = client.get("/api/v1/movies/5").json()
    row = trained.dataset.movies.set_index("movie_id").loc[5]
    assert (movie["title"], movie["year"], movie["genres"]) == (row["title"], row["year"], row["genres"].split("|"))
    similar = client.get("/api/v1/movies/5/similar", params={"k": 3}).json()
    assert [one["id"] for one in similar] == gnnrec.similar_movies(trained, 5, 3)["movie_id"].tolist()
    problem(client.get("/api/v1/movies/nothing"), 404)
    problem(client.get("/api/v1/movies/..%2f..%2fetc%2fpasswd"), 404)


def test_profiles(client: TestClient) -> None:
    made = client.post("/api/v1/profiles", json={"name": " Zoë  Müller ", "age": 41})
    assert made.status_code == 201 and made.json()["name"] == "Zoë Müller"
    path = f"/api/v1/profiles/{made.json()['id']}"
    taken = problem(client.post("/api/v1/profiles", json={"name": "ZOË MÜLLER"}), 409)
    assert taken["errors"][0]["field"] == "name"
    other = client.post("/api/v1/profiles", json={"name": "Bob"}).json()["id"]
    problem(client.patch(f"/api/v1/profiles/{other}", json={"name": "zoë müller"}), 409)
    assert client.patch(path, json={"name": "Zoë", "age": None}).json() == {**made.json(), "name": "Zoë", "age": None}
    assert [one["name"] for one in client.get("/api/v1/profiles").json()] == ["Bob", "Zoë"]
    assert client.delete(path).status_code == 204
    for answer in (client.get(path), client.delete(path), client.patch(path, json={"age": 3})):  # the other tab
        problem(answer, 404)
    assert client.post("/api/v1/profiles", json={"name": "Zoë"}).json()["id"] not in (other, made.json()["id"])


def test_user_features_of_a_plugin(start: Callable[..., TestClient], tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "helpers" / "plugin.py", tmp_path / "served_plugin.py")
    with restored_registries():
        gnnrec.load_plugins(tmp_path / "served_plugin.py")
        data = gnnrec.load_dataset("sample", num_users=60, num_movies=40)
        users = data.users[["user_id", "age"]].assign(membersince=range(60))
        data = gnnrec.Dataset(data.ratings, data.movies, users)
        config = gnnrec.Config().override(["train.epochs=1", "model.embedding_dim=8"])
        model = gnnrec.fit(data, config=config, run_dir=tmp_path / "run", progress=False)
        client = start(run=tmp_path / "run")

        def scores(**options: Any) -> list[float]:
            answer = client.post("/api/v1/recommend", json={"k": 5, **options})
            assert answer.status_code == 200, answer.text
            return [movie["score"] for movie in answer.json()["lists"][0]["movies"]]

        given = {"ratings": [{"movie": 1, "rating": 5}], "profile": {"plugin_tenure": 40}}
        expected = gnnrec.recommend(model, NewUser(profile={"plugin_tenure": 40}, ratings={1: 5}), 5)["score"]
        assert scores(users=[given]) == pytest.approx(expected.tolist(), abs=1e-5)
        assert scores(users=[given]) != scores(users=[{**given, "profile": {}}])
        moment = scores(users=[50], at=10**9)  # a stored user as a new one
        assert moment != pytest.approx(scores(users=[{"profile": {}}]), abs=1e-6)
        wrong = {**given, "profile": {"tenure": 1}}
        answer = client.post("/api/v1/recommend", json={"users": [wrong]})
        assert answer.status_code == 422 and "unknown user feature 'tenure'" in answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 10_000}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\u200b"}, "name"),
        ({"name": "Ann", "age": -1}, "age"),
        ({"name": "Ann", "age": 1e300}, "age"),
        ({"name": "Ann", "gender": "unheard of"}, "gender"),
        ({"name": "Ann", "occupation": "unheard of"}, "occupation"),
        ({"name": "Ann", "more": 1}, "more"),
        ({}, "name"),
    ],
)
def test_wrong_profiles_name_the_field(client: TestClient, body: dict[str, Any], field: str) -> None:
    # JSON as clients send it, also numbers that Python would not write.
    answer = client.post("/api/v1/profiles", content=json.dumps(body), headers={"content-type": "application/json"})
    assert [error["field"] for error in problem(answer, 422)["errors"]] == [field]
    assert client.get("/api/v1/profiles").json() == []


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE profiles;--", "<script>alert(1)</script>", "名前", "🎬"])
def test_any_name_is_only_text(client: TestClient, name: str) -> None:
    made = client.post("/api/v1/profiles", json={"name": name}).json()
    assert client.get(f"/api/v1/profiles/{made['id']}").json()["name"] == name


def test_ratings_change_the_next_list_at_once(client: TestClient, ann: int, trained: RecGraph) -> None:
    path = f"/api/v1/profiles/{ann}"
    first = ids(client.get(f"{path}/recommendations"))
    assert first == gnnrec.recommend(trained, NewUser())["movie_id"].tolist()
    given = [{"movie": first[0], "stars": 5, "time": 10}, {"movie": first[1], "stars": 1.5, "time": 20}]
    assert client.put(f"{path}/ratings", json={"ratings": given}).status_code == 200
    expected = gnnrec.recommend(trained, NewUser(ratings={first[0]: 5, first[1]: 1.5}, timestamps=[10, 20]))
    assert ids(client.get(f"{path}/recommendations")) == expected["movie_id"].tolist()
    client.put(f"{path}/ratings", json={"ratings": [{"movie": first[0], "stars": 2}]})
    assert [entry["stars"] for entry in client.get(f"{path}/ratings").json()] == [1.5, 2.0]  # the latest is last
    for movie in first[:2]:
        assert client.delete(f"{path}/ratings/{movie}").status_code == 204
    problem(client.delete(f"{path}/ratings/{first[0]}"), 404)
    assert ids(client.get(f"{path}/recommendations")) == first


def test_options_of_a_profiles_list(client: TestClient, ann: int, trained: RecGraph) -> None:
    path = f"/api/v1/profiles/{ann}"
    ratings = [{"movie": 1, "stars": 5, "time": 10}, {"movie": 7, "stars": 1, "time": 20}]
    client.put(f"{path}/ratings", json={"ratings": ratings})
    both = NewUser(ratings={1: 5, 7: 1}, timestamps=[10, 20])
    for asked, expected in (
        ({"at": 15}, gnnrec.recommend(trained, {1: 5})),
        ({"at": 15}, gnnrec.recommend(trained, both, at=15)),
        ({"exclude": [2, 3], "unlike": [4]}, gnnrec.recommend(trained, both, exclude=[2, 3], unlike=[4])),
        (
            {"candidates": [5, 6, 8, 9], "calibration": 0.5},
            gnnrec.recommend(trained, both, candidates=[5, 6, 8, 9], calibration=0.5),
        ),
        ({"like": "Nobody Made It", "unknown": "skip", "k": 3}, gnnrec.recommend(trained, both, 3)),
        (
            {"max_per_genre": 2, "genres": ["Drama", "Comedy"]},
            gnnrec.recommend(trained, both, max_per_genre=2, genres=["Drama", "Comedy"]),
        ),
    ):
        found = client.get(f"{path}/recommendations", params=asked)  # type: ignore[arg-type]
        assert ids(found) == expected["movie_id"].tolist() != []
    error = problem(client.get(f"{path}/recommendations", params={"diversty": 0.3}), 422)
    assert error["errors"][0]["field"] == "diversty"  # a typing error is not ignored


def test_hidden_movies_are_not_recommended(client: TestClient, ann: int) -> None:
    path = f"/api/v1/profiles/{ann}"
    first = ids(client.get(f"{path}/recommendations"))
    for _ in range(2):  # twice is once
        assert client.post(f"{path}/hidden", json={"movie": first[0]}).status_code == 201
    assert ids(client.get(f"{path}/recommendations"))[:9] == first[1:]
    assert client.delete(f"{path}/hidden/{first[0]}").status_code == 204
    assert ids(client.get(f"{path}/recommendations")) == first


def test_a_movie_that_is_rated_leaves_the_bucket_list(client: TestClient, ann: int) -> None:
    path = f"/api/v1/profiles/{ann}"
    for movie in (4, 5):
        assert client.post(f"{path}/bucket-list", json={"movie": movie}).status_code == 201
    client.put(f"{path}/ratings", json={"ratings": [{"movie": 4, "stars": 3}]})
    assert [entry["movie_id"] for entry in client.get(f"{path}/bucket-list").json()] == ["5"]
    assert client.delete(f"{path}/bucket-list/5").status_code == 204
    problem(client.delete(f"{path}/bucket-list/5"), 404)


@pytest.mark.parametrize("stars", [0, 0.3, 5.5, "many", None, -1])
def test_wrong_stars(client: TestClient, ann: int, stars: Any) -> None:
    body = {"ratings": [{"movie": 1, "stars": 4}, {"movie": 2, "stars": stars}]}
    answer = client.put(f"/api/v1/profiles/{ann}/ratings", json=body)
    assert problem(answer, 422)["errors"][0]["field"] == "ratings.1.stars"
    assert client.get(f"/api/v1/profiles/{ann}/ratings").json() == []  # all or nothing


def test_an_unknown_movie_is_named_with_near_ones(client: TestClient, ann: int) -> None:
    body = {"ratings": [{"movie": "The Wolf That Nobody Lost", "stars": 4}]}
    error = problem(client.put(f"/api/v1/profiles/{ann}/ratings", json=body), 422)
    assert error["errors"][0]["field"] == "ratings.0.movie" and "did you mean" in error["detail"], error


def test_a_file_is_imported(client: TestClient, ann: int, trained: RecGraph) -> None:
    one, other = trained.dataset.movies["title"][:2]
    text = f"Name,Year,Rating\n{one},,4.5\n{other},,2\nA Film That Nobody Made,1999,3\n"
    answer = client.post(f"/api/v1/profiles/{ann}/history", files={"file": ("ratings.csv", text)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["imported"] == 2
    assert [movie["title"] for movie in answer.json()["missing"]] == ["A Film That Nobody Made"]
    stored = client.get(f"/api/v1/profiles/{ann}/ratings").json()
    assert {entry["title"]: entry["stars"] for entry in stored} == {one: 4.5, other: 2.0}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.csv", b""),
        ("../../etc/passwd", b"\0\1\2"),
        ("photo.png", b"\x89PNG\r\n\x1a\n\0\0"),
        ("broken.zip", b"PK\3\4nothing"),
        ("list.txt", b"A Film That Nobody Made\n"),
    ],
)
def test_wrong_files_get_a_message_without_a_path(client: TestClient, ann: int, name: str, data: bytes) -> None:
    answer = client.post(f"/api/v1/profiles/{ann}/history", files={"file": (name, data)})
    error = problem(answer, 422)
    assert error["errors"][0]["field"] == "file"
    assert "/tmp" not in error["detail"] and "gnnrec-" not in error["detail"]
    assert client.get(f"/api/v1/profiles/{ann}/ratings").json() == []


def test_a_movie_that_a_new_run_lacks_stays_in_the_history(client: TestClient, ann: int) -> None:
    from gnnrec.service.records import Entry

    store = client.app.state.context.store  # type: ignore[attr-defined]
    store.rate(ann, [Entry("gone", "A Film That Was Removed", 1, 5.0)])
    assert client.get(f"/api/v1/profiles/{ann}/ratings").json()[0]["title"] == "A Film That Was Removed"
    assert len(ids(client.get(f"/api/v1/profiles/{ann}/recommendations"))) == 10
    assert client.delete(f"/api/v1/profiles/{ann}/ratings/gone").status_code == 204


def test_figures_and_health(client: TestClient) -> None:
    assert client.get("/api/v1/health").json()["status"] == "ok"
    ready = client.get("/api/v1/ready").json()
    assert (ready["status"], ready["model"]) == ("ready", "gnn")
    client.get("/api/v1/movies/5")
    text = client.get("/api/v1/metrics").text
    assert 'route="/api/v1/movies/{movie_id}",status="200"} 1.0' in text


def test_another_run_answers_as_soon_as_it_is_saved(start: Any, trained: RecGraph, tmp_path: Path, saved: Path) -> None:
    client = start(run=trained.save(tmp_path / "run"))
    holder = client.app.state.context.holder
    before = client.get("/api/v1/ready").json()["loaded_at"]
    assert not holder.refresh()
    changed = trained.add_user("somebody else", {1: 5, 2: 5, 3: 5})
    changed.save(tmp_path / "run")
    assert holder.refresh()
    assert client.get("/api/v1/ready").json()["loaded_at"] > before
    assert holder.served.model.graph.num_users == trained.graph.num_users + 1
    (tmp_path / "run" / "run.json").write_text("{}")  # a run that cannot be read: the last one still answers
    assert not holder.refresh()
    assert client.get("/api/v1/ready").status_code == 200


@pytest.mark.slow
def test_retraining(start: Any, trained: RecGraph, tmp_path: Path) -> None:
    client = start(run=trained.save(tmp_path / "run"))
    job = client.post("/api/v1/retrain", json={"epochs": 2, "seed": 5})
    assert job.status_code == 202
    problem(client.post("/api/v1/retrain"), 409)
    problem(client.get("/api/v1/retrain/99"), 404)
    client.app.state.context.jobs._thread.join(timeout=300)
    done = client.get(f"/api/v1/retrain/{job.json()['id']}").json()
    assert (done["state"], done["step"], done["steps"]) == ("done", 2, 2)
    model = client.app.state.context.holder.served.model
    assert (model.config.train.epochs, model.config.train.seed) == (2, 5)


@pytest.mark.slow
def test_retraining_with_the_ratings_of_profiles(start: Any, trained: RecGraph, tmp_path: Path) -> None:
    client = start(run=trained.save(tmp_path / "run"))
    (tmp_path / "run" / "split").mkdir()  # the test ratings of `gnnrec evaluate`
    context = client.app.state.context
    people = [{"name": "Ann Example", "age": 30, "gender": "F"}, {"name": "Bob Example"}, {"name": "Nothing Rated"}]
    profiles = [client.post("/api/v1/profiles", json=one).json()["id"] for one in people]
    for profile, stars in zip(profiles, ({1: 4.5, 2: 1, 3: 5}, {7: 4}), strict=False):
        ratings = [{"movie": movie, "stars": value, "time": 10**9 + movie} for movie, value in stars.items()]
        assert client.put(f"/api/v1/profiles/{profile}/ratings", json={"ratings": ratings}).status_code == 200

    def retrain(**options: Any) -> RecGraph:
        job = client.post("/api/v1/retrain", json={"epochs": 1, **options}).json()
        context.jobs._thread.join(timeout=300)
        done = client.get(f"/api/v1/retrain/{job['id']}").json()
        assert done["state"] == "done", done
        assert ("2 profiles" in done["message"]) is bool(options.get("profiles"))
        model: RecGraph = context.holder.served.model
        return model

    for _ in range(2):  # a second training has each profile once
        model = retrain(profiles=True)
        added = [user for user in model.ids["user"] if user not in trained.ids["user"]]
        assert len(added) == len(set(added)) == 2 and all(map(is_profile, added))
        assert model.dataset.num_ratings == trained.dataset.num_ratings + 4
        rows = model.dataset.ratings[model.dataset.ratings["user_id"] == added[0]]
        assert rows[["movie_id", "rating", "timestamp"]].to_numpy().tolist() == [
            [1, 4.5, 10**9 + 1],
            [2, 1, 10**9 + 2],
            [3, 5, 10**9 + 3],
        ]
        person = model.dataset.users.set_index("user_id").loc[added[0]]
        assert (person["age"], person["gender"]) == (30, "F")
        stored = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
        assert b"Example" not in stored and added[0].encode() in stored
        assert (tmp_path / "run" / "split").is_dir()
        assert "2 profiles of this service" in client.get("/model").text
    for name in ("Ann Example", "profile-1", profiles[0]):  # by no name that somebody might try
        known = client.post("/api/v1/recommend", json={"users": [name]})
        assert known.status_code == 422 or name in trained.ids["user"]
    assert client.delete(f"/api/v1/profiles/{profiles[0]}").status_code == 204
    assert retrain().ids["user"].tolist() == trained.ids["user"].tolist()
    assert context.holder.served.num_trained_profiles == 0


def test_profiles_of_data_without_ratings_and_times() -> None:
    rows = pd.DataFrame({"user_id": ["a", "a", "b", "b", "c"], "movie_id": [1, 2, 2, 3, 1]})
    served = ServedModel(EASE().fit(gnnrec.Dataset(rows)))
    ann = Profile(1, "Ann", None, None, None, 0)
    history = [Entry("1", "", 5, 4.0), Entry("2", "", 6, 1.0), Entry("99", "", 7, 5.0)]
    data = retraining.training_data(served.model, retraining.profile_tables(served, [(ann, history)]))
    assert data.num_users == 4 and data.ratings.columns.tolist() == ["user_id", "movie_id"]
    assert data.ratings.iloc[-1]["movie_id"] == 1 and data.num_ratings == 6  # only liked movies that are known
    again = EASE().fit(data)
    assert retraining.training_data(again, {"users": [], "ratings": []}).ratings.equals(served.model.dataset.ratings)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EROFS, "Read-only file system", "x"), "the run cannot be written: read-only file system"),
        (MemoryError(), "not enough memory for training"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory for training: Def"),
    ],
)
def test_retraining_says_in_a_line_what_went_wrong(
    trained: RecGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    told: str,
) -> None:
    run = trained.save(tmp_path / "run")

    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr("gnnrec._io._move" if isinstance(error, OSError) else "gnnrec.models.base.write_run", failing)
    assert retraining.main([str(run), "--epochs=1"]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last.keys() == {"error"} and last["error"].startswith(told)
    assert load(run).config.train.epochs == trained.config.train.epochs


def test_requests_at_once(client: TestClient, ann: int) -> None:
    def rate(start_at: int) -> None:
        for movie in range(start_at, start_at + 5):
            body = {"ratings": [{"movie": movie, "stars": 4}]}
            assert client.put(f"/api/v1/profiles/{ann}/ratings", json=body).status_code == 200

    threads = [threading.Thread(target=rate, args=(first,)) for first in (1, 11, 21, 31)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.get(f"/api/v1/profiles/{ann}/ratings").json()) == 20
