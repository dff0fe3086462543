"""The command ``gnnrec similar``: the lists of the library, for known and new movies."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import Config, NewMovie, fit, load, similar_movies
from gnnrec.datasets import make_sample, sample_posters
from gnnrec.features import encode_poster, encode_posters
from tests.helpers.cli import BRACKETS, call, cells, fails, succeeds


def formatted(found: pd.DataFrame) -> list[list[str]]:
    """Return rank, title and similarity as the command prints them."""
    columns = (found["rank"], found["title"], found["similarity"])
    return [[str(rank), title, f"{value:.3f}"] for rank, title, value in zip(*columns, strict=True)]


def without_genres(output: str) -> list[list[str]]:
    return [[row[0], row[1], row[-1]] for row in cells(output)]


def test_known_movie(run: Path) -> None:
    expected = similar_movies(load(run), 4, k=39)
    output = succeeds("similar", run, 4, "-k", 39)
    assert output.split("\n")[0].split() == ["rank", "movie", "genres", "similarity"]
    assert without_genres(output) == formatted(expected)
    assert BRACKETS in expected["title"].tolist()
    assert succeeds("similar", run, load(run).dataset.movies["title"].iloc[3], "-k", 39) == output, "by title"
    assert without_genres(succeeds("similar", run, BRACKETS)) == formatted(similar_movies(load(run), BRACKETS))


def test_json_csv_and_files(run: Path, tmp_path: Path) -> None:
    model = load(run)
    expected = similar_movies(model, 4, k=3)
    genres = model.dataset.movies.set_index("movie_id")["genres"]
    rows = json.loads(succeeds("similar", run, 4, "-k", 3, "--json"))
    assert list(rows[0]) == ["movie_id", "title", "similarity", "rank", "genres"]
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert [row["genres"] for row in rows] == genres[expected["movie_id"]].tolist()
    assert pd.Series([row["similarity"] for row in rows], dtype="float32").tolist() == expected["similarity"].tolist()
    (tmp_path / "by.csv").write_text(succeeds("similar", run, 4, "-k", 3, "--csv"))
    assert pd.read_csv(tmp_path / "by.csv")["title"].tolist() == expected["title"].tolist()
    assert succeeds("similar", run, 4, "-k", 3, "--out", "list.json") == "saved in list.json\n"
    assert json.loads(Path("list.json").read_text()) == rows


def test_new_movie(run: Path) -> None:
    movie = NewMovie("Night Train (2001)", genres="Drama|Crime", runtime=100, directors="Nobody", actors="A|B")
    words = ("--title", "Night Train (2001)", "--genres", "Drama|Crime", "--runtime", 100)
    words += ("--directors", "Nobody", "--actors", "A|B")
    output = succeeds("similar", run, *words, "-k", 5)
    assert without_genres(output) == formatted(similar_movies(load(run), movie, k=5))
    by_year = succeeds("similar", run, *words, "--title", "Night Train", "--year", 2001, "-k", 5)
    assert by_year == output
    assert succeeds("similar", run, *words, "--genres", "Comedy", "-k", 5) != output


def test_plot_without_text_embeddings(run: Path) -> None:
    result = call("similar", run, "--genres", "Drama", "--plot", "A ship is lost.", "-k", 3)
    assert result.exit_code == 0, result.output
    assert result.stderr == "note: the run was trained without text embeddings; only the length of --plot counts\n"
    expected = similar_movies(load(run), NewMovie(genres="Drama", plot="A ship is lost."), k=3)
    assert without_genres(result.stdout) == formatted(expected)


@pytest.fixture(scope="module")
def run_with_posters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a run trained with color histograms of posters, and a poster."""
    dataset = make_sample(60, 40)
    folder = sample_posters(dataset, tmp_path_factory.mktemp("posters"))
    embeddings = encode_posters(dataset, folder, "color", progress=False)
    config = Config().override(["model.embedding_dim=8", "train.epochs=1"])
    model = fit(dataset.with_features(poster=embeddings), config=config, progress=False)
    return model.save(tmp_path_factory.mktemp("runs") / "run"), folder / "2.jpg"


def test_poster(run_with_posters: tuple[Path, Path]) -> None:
    run, poster = run_with_posters
    movie = NewMovie(genres="Drama", features={"poster": encode_poster(poster, "color")})
    words = ("similar", run, "--genres", "Drama", "-k", 40, "--poster", poster)
    output = succeeds(*words)
    assert without_genres(output) == formatted(similar_movies(load(run), movie, k=40))
    assert succeeds(*words, "--image-encoder", "color") == output, "the encoder of the run"
    assert succeeds(*words[:-2]) != output


def test_other_models(tmp_path: Path) -> None:
    model = fit(make_sample(60, 40), "itemknn")
    run = model.save(tmp_path / "run")
    assert without_genres(succeeds("similar", run, 3, "-k", 4)) == formatted(similar_movies(model, 3, k=4))


def test_errors(run: Path) -> None:
    neither = "name a movie of the run, or describe a new one: --title"
    assert fails("similar", run).startswith(neither)
    assert fails("similar", run, 1, "--genres", "Drama").startswith(neither)
    assert fails("similar", run, "Nothing Like It").startswith("unknown movie 'Nothing Like It'")
    assert f"did you mean {BRACKETS!r}" in fails("similar", run, BRACKETS.replace("[", "").replace("]", ""))
    assert "k must be an integer of at least 1, not 0" in fails("similar", run, 1, "-k", 0)
    assert fails("similar", run, "--title", "New", "--text-encoder", "tfidf").startswith("--text-encoder has nothing")
    assert fails("similar", run, 1, "--image-encoder", "color") == "--image-encoder has nothing to encode; add --poster"
    assert fails("similar", run, "--poster", "none.jpg").startswith(
        "the run was trained without poster embeddings; leave --poster out"
    )
    assert "the file must end in .json" in fails("similar", run, 1, "--out", "x.txt")
    assert "is not a saved run" in fails("similar", "nowhere", 1)
    assert not list(Path().iterdir())


def test_poster_errors(run_with_posters: tuple[Path, Path], tmp_path: Path) -> None:
    run, poster = run_with_posters
    assert "does not exist" in fails("similar", run, "--poster", tmp_path / "none.jpg", "--image-encoder", "color")
    assert "unknown" in fails("similar", run, "--poster", poster, "--image-encoder", "colour")
