"""The command ``gnnrec features``: files, messages, and the real MovieLens-1M."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from gnnrec.cli import app
from gnnrec.data import Dataset
from gnnrec.features import load_features, store

PLOTS = ["a ship is lost in space", "space and a ship", "a wedding in spring", "spring, and a wedding cake"]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a folder with a dataset, its plots and its posters."""
    ids = [1, 2, 3, 4]
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": ids})
    Dataset(ratings, pd.DataFrame({"movie_id": ids, "title": list("abcd")})).to_folder(tmp_path / "mine")
    pd.DataFrame({"movieId": ids, "plot_full": PLOTS}).to_csv(tmp_path / "fullplot.csv", index=False)
    (tmp_path / "posters").mkdir()
    for movie, color in {1: "red", 2: "blue", 4: "green"}.items():
        Image.new("RGB", (60, 90), color).save(tmp_path / "posters" / f"{movie}.jpg")
    return tmp_path


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["features", *map(str, words)])
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


def test_both_modalities(mine: Path) -> None:
    words = ("--dataset", mine / "mine", "--posters", mine / "posters", "--plots", mine / "fullplot.csv")
    words += ("--image-encoder", "color", "--text-encoder", "tfidf:2", "--out", mine / "out")
    text = run(*words)
    assert "poster: 3 encoded in" in text and "0 reused, missing for 1 movies" in text
    assert "text: 4 encoded in" in text and f"saved in {mine / 'out'}" in text
    loaded = load_features(mine / "out")
    assert {name: vectors.movie_ids.tolist() for name, vectors in loaded.items()} == {
        "poster": [1, 2, 4],
        "text": [1, 2, 3, 4],
    }
    assert json.loads((mine / "out" / "poster.json").read_text())["missing"] == {"no image": [3]}
    again = run(*words)
    assert "poster: 0 encoded, 3 reused" in again and "text: 0 encoded, 4 reused" in again


def test_a_column_of_the_movies(mine: Path) -> None:
    movies = pd.read_csv(mine / "mine" / "movies.csv").assign(blurb=PLOTS)
    movies.to_csv(mine / "mine" / "movies.csv", index=False)
    run("--dataset", mine / "mine", "--plots", "blurb", "--text-encoder", "tfidf:2", "--out", mine / "out")
    assert list(load_features(mine / "out")) == ["text"]
    message = run("--dataset", mine / "mine", "--out", mine / "out", status=1)
    assert "mine has no plots; give --posters, --plots, or precomputed embeddings" in message


def test_ready_made_embeddings(mine: Path) -> None:
    np.save(mine / "p.npy", np.eye(4, 3))
    pd.DataFrame({"movieId": [4, 3, 2, 1]}).to_csv(mine / "index.csv", index=False)
    pd.DataFrame({"movieId": [2, 99], "x": [1.5, 2.0]}).to_csv(mine / "t.csv", index=False)
    words = ("--dataset", mine / "mine", "--out", mine / "out", "--poster-embeddings", mine / "p.npy")
    text = run(*words, "--poster-ids", mine / "index.csv", "--text-embeddings", mine / "t.csv")
    assert "poster: ContentEmbeddings(4 movies, 3 dimensions: from p.npy)" in text
    loaded = load_features(mine / "out")
    assert loaded["poster"].aligned([1, 4])[0].tolist() == [[0, 0, 0], [1, 0, 0]]
    assert loaded["text"].aligned([2])[0].tolist() == [[1.5]]
    run("--dataset", mine / "mine", "--out", mine / "out", "--posters", mine / "posters", "--image-encoder", "color")
    assert load_features(mine / "out")["poster"].dim == 226  # in place of those that were given


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--poster-embeddings", "x.npy", "--posters", "posters"], "either --poster-embeddings or what to encode"),
        (["--text-ids", "x.csv"], "--text-ids needs --text-embeddings"),
        (["--plots", "fullplot.csv", "--text-encoder", "word2vec"], "unknown feature encoder 'word2vec'"),
        (["--posters", "nowhere"], "nowhere is not a folder of posters"),
        (["--posters", "posters", "--image-encoder", "color", "--batch-size", "0"], "batch_size must be"),
    ],
)
def test_errors_are_one_line(mine: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    monkeypatch.chdir(mine)
    text = run("--dataset", "mine", *words, "--out", "out", status=1)
    assert text.startswith("error:") and message in text
    assert not (mine / "out").exists()


def test_warnings_and_interruptions(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine / "posters" / "1.jpg").write_text("no image")
    words = ("--dataset", mine / "mine", "--posters", mine / "posters", "--image-encoder", "color", "--out")
    text = run(*words, mine / "out")
    assert "warning: " in text and "the poster counts as missing" in text and "features.py" not in text
    monkeypatch.setattr(store.EmbeddingCache, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    text = run(*words, mine / "other", status=130)
    assert "stopped; the embeddings so far are in" in text and "the same command continues" in text
