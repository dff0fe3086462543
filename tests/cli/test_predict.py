"""The command ``gnnrec predict``: the ratings of the library, for known and new users."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import NewUser, RatingModel, fit, fit_rating_model, load, load_rating_model, predict_ratings
from gnnrec.datasets import make_sample
from tests.helpers.cli import BRACKETS, QUICK, cells, fails, succeeds


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


@pytest.mark.slow
def test_json_csv_and_files(rated: tuple[Path, RatingModel], tmp_path: Path) -> None:
    folder, model = rated
    expected = predict_ratings(model, 7).sort_values("rating", ascending=False, kind="stable").head(3)
    rows = json.loads(succeeds("predict", folder, "--user", 7, "-k", 3, "--json"))
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert [row["rating"] for row in rows] == pytest.approx(expected["rating"].tolist())
    (tmp_path / "by.csv").write_text(succeeds("predict", folder, "--user", 7, "-k", 3, "--csv"))
    assert pd.read_csv(tmp_path / "by.csv")["title"].tolist() == expected["title"].tolist()
    output = succeeds("predict", folder, "--user", 7, "-k", 3, "--out", tmp_path / "new" / "ratings.json")
    assert output == f"saved in {tmp_path / 'new' / 'ratings.json'}\n"
    assert json.loads((tmp_path / "new" / "ratings.json").read_text()) == rows


@pytest.mark.slow
def test_a_movie_that_the_user_has_rated(rated: tuple[Path, RatingModel]) -> None:
    folder, model = rated
    title = model.graph.dataset.movies["title"].iloc[4]
    (row,) = json.loads(succeeds("predict", folder, "--rating", f"{title}=1", "--movie", title, "--json"))
    expected = predict_ratings(model, NewUser(ratings={title: 1.0}), [title])
    assert row["title"] == title
    assert row["rating"] == pytest.approx(expected["rating"].item())


def test_other_models(tmp_path: Path) -> None:
    run = fit(make_sample(60, 40), "itemknn").save(tmp_path / "run")
    assert fails("predict", run, "--user", 1).endswith("rating prediction needs the graph neural network, not itemknn")
