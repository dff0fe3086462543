"""The commands ``gnnrec recommend`` and ``gnnrec predict``: the lists of the library, for known and new users."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import (
    Dataset,
    NewUser,
    RatingModel,
    explain,
    fit,
    fit_rating_model,
    load,
    load_rating_model,
    predict_ratings,
    recommend,
)
from gnnrec.cli._options import parse_rating
from gnnrec.datasets import make_sample
from tests.helpers.cli import BRACKETS, QUICK, cells, fails, succeeds


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
    assert "rating prediction needs the graph neural network, not itemknn" in fails("predict", run, "--user", 1)


# predict


@pytest.fixture(scope="module")
def rated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RatingModel]:
    """Return a copy of the run after its first prediction, and its rating model."""
    folder = tmp_path_factory.mktemp("rated") / "run"
    shutil.copytree(run, folder)
    assert not (folder / "rating.json").exists()
    succeeds("predict", folder, "--user", 7, "--movie", 1)
    return folder, load_rating_model(folder)


@pytest.mark.slow
def test_ratings_of_a_known_user(rated: tuple[Path, RatingModel]) -> None:
    folder, model = rated
    assert (folder / "split").is_dir() and (folder / "training.png").is_file(), "the rest of the run is kept"
    again = fit_rating_model(load(folder), progress=False)
    assert model.head.movie_factors.equal(again.head.movie_factors), "the settings are the defaults"
    expected = predict_ratings(model, 7).sort_values("rating", ascending=False, kind="stable")
    rows = [["7", title, f"{rating:.2f}"] for title, rating in zip(expected["title"], expected["rating"], strict=True)]
    assert cells(succeeds("predict", folder, "--user", 7, "-k", 40)) == rows
    assert BRACKETS in [row[1] for row in rows]
    assert cells(succeeds("predict", folder, "--user", 7)) == rows[:10]
    (best,) = json.loads(succeeds("predict", folder, "--user", 7, "-k", 1, "--json"))
    assert best["rating"] == pytest.approx(expected["rating"].iloc[0])


@pytest.mark.slow
def test_ratings_of_a_new_user(rated: tuple[Path, RatingModel]) -> None:
    folder, model = rated
    titles = model.graph.dataset.movies["title"]
    user = NewUser(age=25, gender="F", occupation="artist", ratings={titles[4]: 1.0, titles[8]: 5.0})
    profile = ("--age", 25, "--gender", "F", "--occupation", "artist")
    profile += ("--rating", f"{titles[4]}=1", "--rating", titles[8])
    movies = [*titles[9:20], BRACKETS]
    named = [word for title in movies for word in ("--movie", title)]
    expected = predict_ratings(model, user, movies).sort_values("rating", ascending=False, kind="stable")
    rows = cells(succeeds("predict", folder, *profile, *named))
    assert [row[0] for row in rows] == ["new user"] * 12, "all that are named"
    assert [row[1:] for row in rows] == [
        [title, f"{rating:.2f}"] for title, rating in zip(expected["title"], expected["rating"], strict=True)
    ]
    assert cells(succeeds("predict", folder, *profile, *named, "-k", 3)) == rows[:3]


def test_data_without_ratings(tmp_path: Path) -> None:
    make_sample(40, 20).ratings.drop(columns="rating").to_csv(tmp_path / "ratings.csv", index=False)
    succeeds("train", "--dataset", tmp_path / "ratings.csv", "--out", tmp_path / "run", *QUICK)
    assert "no column rating" in fails("predict", tmp_path / "run", "--user", 1)
