"""The command ``gnnrec recommend``: the lists of the library, for known and new users."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import (
    Dataset,
    NewUser,
    explain,
    fit,
    load,
    recommend,
    recommend_group,
)
from gnnrec.cli._options import parse_rating
from gnnrec.datasets import make_sample
from tests.helpers.cli import BRACKETS, call, cells, fails, succeeds


def test_known_user(run: Path) -> None:
    expected = recommend(load(run), 7, k=5)
    rows = cells(succeeds("recommend", run, "--user", 7, "-k", 5))
    assert [row[:3] for row in rows] == [
        [str(rank), title, f"{score:.3f}"]
        for title, score, rank in zip(expected["title"], expected["score"], expected["rank"], strict=True)
    ]


def test_json_csv_and_files(run: Path, tmp_path: Path) -> None:
    model = load(run)
    expected = recommend(model, 7, k=3)
    reasons = explain(model, 7, expected["movie_id"])
    reasons = reasons[reasons["effect"] > 0]
    because = ["|".join(reasons.loc[reasons["movie_id"] == movie, "because"]) for movie in expected["movie_id"]]
    rows = json.loads(succeeds("recommend", run, "--user", 7, "-k", 3, "--json"))
    assert list(rows[0]) == ["user_id", "movie_id", "title", "score", "rank", "because"]
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert pd.Series([row["score"] for row in rows], dtype="float32").tolist() == expected["score"].tolist()
    assert [row["because"] for row in rows] == because
    (tmp_path / "by.csv").write_text(succeeds("recommend", run, "--user", 7, "-k", 3, "--csv"))
    assert pd.read_csv(tmp_path / "by.csv")["title"].tolist() == expected["title"].tolist()
    output = succeeds("recommend", run, "--user", 7, "-k", 3, "--out", tmp_path / "new" / "list.json")
    assert output == f"saved in {tmp_path / 'new' / 'list.json'}\n"
    assert json.loads((tmp_path / "new" / "list.json").read_text()) == rows
    pytest.importorskip("pyarrow")
    succeeds("recommend", run, "--user", 7, "-k", 3, "--out", tmp_path / "list.parquet")
    assert pd.read_parquet(tmp_path / "list.parquet")["score"].tolist() == expected["score"].tolist()


def test_named_users_beside_numbers(run: Path, tmp_path: Path) -> None:
    model = load(run).add_user("anna", {3: 5, 7: 2})
    named = model.save(tmp_path / "run")
    for user in (7, "anna"):
        rows = json.loads(succeeds("recommend", named, "--user", user, "-k", 3, "--json"))
        assert [row["movie_id"] for row in rows] == recommend(model, user, k=3)["movie_id"].tolist()
        assert {row["user_id"] for row in rows} == {user}
    pytest.importorskip("pyarrow")
    filters = ("--genres", "Drama, Comedy", "--years", "1960-", "--offset", 1)
    succeeds("recommend", named, "--all-users", "-k", 2, *filters, "--out", tmp_path / "lists.parquet")
    everyone = model.graph.ids["user"].tolist()
    expected = recommend(model, everyone, k=2, genres="Drama|Comedy", years=(1960, None), offset=1)
    found = pd.read_parquet(tmp_path / "lists.parquet")
    assert found["user_id"].tolist() == expected["user_id"].astype(str).tolist()
    assert found["movie_id"].tolist() == expected["movie_id"].tolist()
    assert set(found["rank"]) <= {2, 3}


def test_filters_that_leave_nothing(run: Path) -> None:
    empty = call("recommend", run, "--user", 7, "--offset", 10**6, "--json")
    assert json.loads(empty.stdout) == []
    assert "no movies are left; relax the filters" in empty.stderr
    assert json.loads(succeeds("recommend", run, "--all-users", "--years", "1901", "--json")) == []


def test_new_user(run: Path) -> None:
    movies = load(run).dataset.movies
    title, movie_id = movies["title"].iloc[4], movies["movie_id"].iloc[8]
    user = NewUser(age=25, gender="F", occupation="artist", ratings={title: 4.0, movie_id: 5.0})
    expected = recommend(load(run), user, k=40)
    rows = cells(
        succeeds(
            "recommend", run, "--age", 25, "--gender", "F", "--occupation", "artist",
            "--rating", f"{title}=4", "--rating", movie_id, "-k", 40,
        )
    )  # fmt: skip
    assert [row[1] for row in rows] == expected["title"].tolist()
    assert [row[2] for row in rows] == [f"{score:.3f}" for score in expected["score"]]
    assert BRACKETS in [row[1] for row in rows]


def test_user_without_anything(run: Path) -> None:
    rows = cells(succeeds("recommend", run, "-k", 3))
    assert [row[1] for row in rows] == recommend(load(run), NewUser(), k=3)["title"].tolist()


def test_a_title_with_brackets_as_a_reason(run: Path) -> None:
    rows = cells(succeeds("recommend", run, "--rating", BRACKETS, "-k", 39))
    assert {row[3] for row in rows if len(row) > 3} == {BRACKETS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995)", ("Heat (1995)", 5.0)),
        ("Heat (1995)=4", ("Heat (1995)", 4.0)),
        ("E=mc2", ("E=mc2", 5.0)),
        ("E=mc2=1.5", ("E=mc2", 1.5)),
        ("12", ("12", 5.0)),
        ("=3", ("=3", 5.0)),
    ],
)
def test_ratings_as_text(text: str, expected: tuple[str, float]) -> None:
    assert parse_rating(text) == expected


def test_a_title_that_ends_like_a_rating(tmp_path: Path) -> None:
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 2, 1, 3]})
    movies = pd.DataFrame({"movie_id": [1, 2, 3], "title": ["1+1=2", "Heat (1995)", "Alien (1979)"]})
    model = fit(Dataset(ratings, movies), "ease")
    run = model.save(tmp_path / "run")
    for text, rating in (("1+1=2", 5.0), ("1+1=2=3", 3.0)):
        found = json.loads(succeeds("recommend", run, "--rating", text, "--json"))
        expected = recommend(model, NewUser(ratings={"1+1=2": rating}))
        assert [row["title"] for row in found] == expected["title"].tolist() == ["Heat (1995)", "Alien (1979)"]
    assert fails("recommend", run, "--rating", "1+1=9").startswith("unknown movie '1+1'; did you mean '1+1=2'")


def test_other_models(tmp_path: Path) -> None:
    model = fit(make_sample(60, 40), "itemknn")
    run = model.save(tmp_path / "run")
    rows = json.loads(succeeds("recommend", run, "--rating", 3, "-k", 4, "--json"))
    assert [row["movie_id"] for row in rows] == recommend(model, {3: 5}, k=4)["movie_id"].tolist()


def test_another_order(run: Path) -> None:
    model = load(run)
    title = model.graph.dataset.movies["title"][3]
    options = ("--diversity", 0.4, "--novelty", 0.1, "--calibration", 0.2, "--max-per-genre", 3, "--unlike", title)
    rows = json.loads(succeeds("recommend", run, "--user", 7, "-k", 4, "--json", *options))
    expected = recommend(model, 7, 4, diversity=0.4, novelty=0.1, calibration=0.2, max_per_genre=3, unlike=[title])
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert (
        fails("recommend", run, "--user", 7, "--diversity", 2) == "diversity must be a number between 0 and 1, not 2.0"
    )


def test_together(run: Path, tmp_path: Path) -> None:
    model = load(run)
    rows = json.loads(succeeds("recommend", run, "--user", 7, "--together", 9, "--strategy", "fair", "-k", 3, "--json"))
    expected = recommend_group(model, [7, 9], 3, strategy="fair")
    assert list(rows[0]) == expected.columns.tolist()
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    (tmp_path / "anna.txt").write_text("\n".join(model.graph.dataset.movies["title"][:3]))
    rows = json.loads(succeeds("recommend", run, "--together", 9, "--together", tmp_path / "anna.txt", "--json"))
    assert list(rows[0])[-2:] == ["suits 9", "suits anna"]
    assert "at least two members" in fails("recommend", run, "--together", 9)
    assert fails("recommend", run, "--user", 9, "--strategy", "fair") == "--strategy requires --together"


def test_dislikes(run: Path) -> None:
    model = load(run)
    movies = model.dataset.movies
    liked, hated = movies["title"].iloc[4], movies["title"].iloc[9]
    expected = recommend(model, NewUser(ratings={liked: 5.0}, disliked=[hated]), k=40)
    rows = cells(succeeds("recommend", run, "--rating", f"{liked}=5", "--disliked", hated, "-k", 40))
    assert [row[1] for row in rows] == expected["title"].tolist()
    assert hated not in [row[1] for row in rows]
    by_id = cells(succeeds("recommend", run, "--rating", liked, "--disliked", movies["movie_id"].iloc[9], "-k", 40))
    assert [row[1] for row in by_id] == [row[1] for row in rows]
    loved = cells(succeeds("recommend", run, "--rating", f"{liked}=5", "--rating", f"{hated}=5", "-k", 40))
    assert [row[2] for row in loved] != [row[2] for row in rows]
    assert fails("recommend", run, "--rating", f"{hated}=5", "--disliked", hated).endswith(
        "is rated and disliked; give it once"
    )
    assert fails("recommend", run, "--user", 7, "--disliked", hated).startswith("--user is for a known user; --rating")
    assert fails("recommend", run, "--disliked", "A Movie That Nobody Made").startswith("unknown movie")


def test_more_like_this(run: Path) -> None:
    model = load(run)
    title, other = model.dataset.movies["title"].iloc[[4, 9]]
    expected = recommend(model, NewUser(), k=5, like=[title], unlike=[other])
    rows = json.loads(succeeds("recommend", run, "--like", title, "--unlike", other, "-k", 5, "--json"))
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert fails("recommend", run, "--like", "A Movie That Nobody Made").startswith("unknown movie")


def test_filters(run: Path) -> None:
    model = load(run)
    title = recommend(model, 7, k=1)["title"][0]
    expected = recommend(model, 7, k=3, exclude=[title], years=(1960, 2010), min_ratings=2, offset=1)
    options = ("--exclude", title, "--years", "1960-2010", "--min-ratings", 2, "--offset", 1, "-k", 3)
    rows = json.loads(succeeds("recommend", run, "--user", 7, *options, "--json"))
    assert [(row["movie_id"], row["rank"]) for row in rows] == list(
        zip(expected["movie_id"], expected["rank"], strict=True)
    )
    assert expected["rank"].tolist() == [2, 3, 4]
    assert "unknown genre 'Dramma'" in fails("recommend", run, "--user", 7, "--genres", "Dramma")
    assert fails("recommend", run, "--user", 7, "--years", "1999-1990").startswith("the first year must not be after")


def test_time_of_the_request(run: Path) -> None:
    model = load(run)
    times = model.dataset.ratings.query("user_id == 7")["timestamp"].sort_values()
    middle = int(times.iloc[len(times) // 2])
    expected = recommend(model, 7, k=3, at=middle)
    assert expected["movie_id"].tolist() != recommend(model, 7, k=3)["movie_id"].tolist()
    day = pd.Timestamp(middle, unit="s").isoformat()
    for at in (middle, day):
        rows = json.loads(succeeds("recommend", run, "--user", 7, "-k", 3, "--at", at, "--json"))
        assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert "the time of request is 'soon'" in fails("recommend", run, "--user", 7, "--at", "soon")
