"""New movies: their embeddings come from their description, however it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, DataError, Dataset, NewMovie, RecGraph, fit, load, similar_movies
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample

WIDTH = 3


@pytest.fixture(scope="module")
def model() -> RecGraph:
    world = make_sample(150, 60, seed=2, ratings_per_user=15)
    theme = pd.get_dummies(world.movies["theme"]).to_numpy(dtype=float)[:, :WIDTH]
    text = ContentEmbeddings(world.movies["movie_id"], theme + 0.1, "themes")
    config = Config().override(
        ["model.embedding_dim=16", "model.attributes=[genres,directors,actors]", "train.epochs=4", "train.seed=1"]
    )
    return fit(world.with_features(text=text), config=config, progress=False)


def described(model: RecGraph, movie_id: int) -> NewMovie:
    """Return one of the movies of the graph as a new movie."""
    row = model.graph.dataset.movies.set_index("movie_id").loc[movie_id]
    vector = model.graph.dataset.features["text"].aligned([movie_id])[0][0]
    values = {column: row[column] for column in ("genres", "directors", "actors", "plot")}
    return NewMovie(row["title"], year=int(row["year"]), features={"text": vector}, **values)


def test_the_content_of_a_described_movie(model: RecGraph) -> None:
    graph = model.graph.add_movie(described(model, 7))
    assert graph.num_movies == model.graph.num_movies + 1
    node = model.graph.movie_node(7)
    states = model.with_graph(graph).movie_embeddings
    own = model.encoder.target.id_embeddings[node]
    torch.testing.assert_close(states.targets[-1], states.targets[node] - own, atol=1e-5, rtol=1e-4)


def test_similar_movies_of_a_new_movie(model: RecGraph) -> None:
    found = similar_movies(model, described(model, 7), k=60)
    assert len(found) == 60
    assert set(found["movie_id"]) == set(model.graph.dataset.movies["movie_id"])
    assert found["similarity"].is_monotonic_decreasing
    added = model.add_movies(described(model, 7).row(9001), described(model, 7).embeddings(9001))
    pd.testing.assert_frame_equal(found, similar_movies(added, 9001, k=60))
    assert model.graph.num_movies == 60  # nothing was added to the model itself


def test_content_embeddings_count(model: RecGraph) -> None:
    plain = NewMovie(genres="Drama")
    described = NewMovie(genres="Drama", features={"text": [1.1, 0.1, 0.1]})
    one, other = (
        model.with_graph(model.graph.add_movie(movie)).movie_embeddings.targets[-1] for movie in (plain, described)
    )
    assert (one - other).abs().max() > 1e-3


def test_content_embeddings_as_arrays(model: RecGraph) -> None:
    """As `encode_poster` and `encode_plot` return them."""
    table = pd.DataFrame({"movie_id": [9001, 9002], "title": ["A", "B"]})
    rows = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, 0.0]], dtype=np.float32)
    keyed = model.add_movies(table, {"text": ContentEmbeddings([9002, 9001], rows[::-1])})
    assert torch.equal(model.add_movies(table, {"text": rows}).movie_embeddings.targets, keyed.movie_embeddings.targets)
    one = model.add_movies(table[:1], {"text": rows[0]})
    assert torch.equal(
        one.movie_embeddings.targets, model.add_movies(table[:1], {"text": rows[:1].tolist()}).movie_embeddings.targets
    )
    for wrong, message in (
        (rows[0], r"not an array of shape \(3,\)"),
        (rows[:1], "2 movie ids for 1 embeddings"),
        (rows[:, :2], "embeddings of dimension 2 .* do not fit those of dimension 3"),
        ("poster.jpg", "the text embeddings of the added movies: .*could not convert"),
    ):
        with pytest.raises(DataError, match=message):
            model.add_movies(table, {"text": wrong})


@pytest.mark.parametrize(
    ("movie", "message"),
    [
        (NewMovie(features={"poster": [1.0]}), "unknown modality poster; the dataset has text"),
        (NewMovie(features={"text": [1.0, 2.0]}), "embeddings of dimension 2 .* do not fit those of dimension 3"),
        (NewMovie(features={"text": [1.0, np.nan, 0.0]}), "not finite"),
        (NewMovie(year="soon"), "year"),  # type: ignore[arg-type]
    ],
)
def test_errors(model: RecGraph, movie: NewMovie, message: str) -> None:
    with pytest.raises(DataError, match=message):
        similar_movies(model, movie)


def test_text_ids() -> None:
    ratings = pd.DataFrame({"user_id": ["a", "a", "b", "b"], "movie_id": ["x", "y", "x", "z"]})
    model = fit(Dataset(ratings), config=Config().override(["model.embedding_dim=4", "train.epochs=1"]), progress=False)
    assert set(similar_movies(model, NewMovie("A title"))["movie_id"]) == {"x", "y", "z"}


def test_saved_runs_keep_content_embeddings(model: RecGraph, tmp_path: Path) -> None:
    path = model.save(tmp_path / "run")
    again = load(path)
    assert repr(again.graph.dataset.features) == repr(model.graph.dataset.features)
    assert again.graph.attributes.keys() == model.graph.attributes.keys()
    torch.testing.assert_close(again.movie_embeddings.targets, model.movie_embeddings.targets)
    pd.testing.assert_frame_equal(
        similar_movies(again, described(model, 7)), similar_movies(model, described(model, 7))
    )
