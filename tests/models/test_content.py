"""Models of content: formulas against plain loops, movies without ratings, content embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import ConfigError, DataError, Dataset, Graph, Recommender, Split, _memory
from gnnrec.benchmarking import fit_best
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.errors import OutOfMemoryError
from gnnrec.models import EASE, ContentKNN, FeatureRidge, Popularity
from gnnrec.models.content import content_matrix
from gnnrec.registry import MODELS
from gnnrec.splitting import split as make_split

RATINGS = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3, 4], "movie_id": [10, 20, 10, 20, 20, 30, 40]})
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40, 50, 60],
        "genres": ["Horror", "Horror|Comedy", "Comedy", "Drama", "Horror", ""],
        "year": [1995, 1999, 2001, 1995, 1991, None],
    }
)
EMBEDDINGS = ContentEmbeddings([10, 20, 40, 50, 999], [[1.0, 0], [0, 1], [1, 1], [3, 0], [0, 3]])


def toy(**features: ContentEmbeddings) -> Dataset:
    return Dataset(RATINGS, MOVIES).with_features(**features)


def toy_graph(**features: ContentEmbeddings) -> Graph:
    return Graph.from_dataset(toy(**features))


@pytest.fixture(scope="module")
def cold() -> Split:
    return make_split(make_sample(300, 200, seed=1), "cold-movies", fold=1)


def test_content_without_embeddings() -> None:
    x = content_matrix(toy_graph())
    assert x.shape == (6, 3 + 11)  # Comedy, Drama, Horror, and the decades from the 1920s on
    half = 0.5**0.5
    assert x[:, :3].tolist() == pytest.approx(
        np.array([[0, 0, 1], [half, 0, half], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    )
    assert x[:, 3:].argmax(1).tolist()[:5] == [7, 7, 8, 7, 7]
    assert not x[5].any(), "no genre, no year"


def test_content_with_embeddings() -> None:
    graph = toy_graph(text=EMBEDDINGS, poster=ContentEmbeddings([20], [[5.0]]))
    x = content_matrix(graph)[:, 14:].numpy()
    assert x.shape == (6, 1 + 2)
    assert not x[:, 0].any(), "there is only one poster"
    mean = EMBEDDINGS.values.mean(axis=0)
    length = np.sqrt(np.mean([np.sum((row - mean) ** 2) for row in EMBEDDINGS.values]))
    expected = np.zeros((6, 2))
    for row, movie in enumerate(MOVIES["movie_id"]):
        if movie in EMBEDDINGS.movie_ids:
            expected[row] = (EMBEDDINGS.values[list(EMBEDDINGS.movie_ids).index(movie)] - mean) / length
    np.testing.assert_allclose(x[:, 1:], expected, atol=1e-6)
    # Standardized over all embeddings, so a movie added later does not change the others.
    later = graph.add_movies(pd.DataFrame({"movie_id": [999, 70]}))
    np.testing.assert_array_equal(content_matrix(later)[:6].numpy()[:, 14:], x)
    np.testing.assert_allclose(
        content_matrix(later)[6:, 15:], [(EMBEDDINGS.values[4] - mean) / length, [0, 0]], atol=1e-6
    )


@pytest.mark.parametrize("num_neighbors", [1, 2, 50])
def test_contentknn_formula(num_neighbors: int) -> None:
    graph = toy_graph(text=EMBEDDINGS)
    x = content_matrix(graph).double().numpy()
    nearest, every = np.zeros((6, num_neighbors)), np.zeros((6, 6))
    for j in range(6):
        cosine = {}
        for i in range(4):  # movies with ratings
            if i != j:
                norm = np.linalg.norm(x[i]) * np.linalg.norm(x[j])
                cosine[i] = every[i, j] = max(x[i] @ x[j] / norm, 0.0) if norm else 0.0
        best = sorted(cosine.values(), reverse=True)[:num_neighbors]
        nearest[j, : len(best)] = best
    weights = ContentKNN(num_neighbors=num_neighbors).fit(graph.dataset).weights.numpy()
    np.testing.assert_allclose(-np.sort(-weights.T)[:, :num_neighbors], nearest[:, :6], atol=1e-6)
    np.testing.assert_allclose(weights[weights > 0], every[weights > 0], atol=1e-6)
    assert (weights > 0).sum() == (nearest > 0).sum()


def test_contentknn_neighbors_of_added_movies() -> None:
    model = ContentKNN(num_neighbors=2).fit(toy())
    larger = model.add_movies(pd.DataFrame({"movie_id": [70], "genres": ["Drama"], "title": ["New (1996)"]}))
    assert larger.recommend({40: 5}, k=1)["movie_id"].tolist() == [70]
    torch.testing.assert_close(larger.weights[:6, :6], model.weights)
    assert not larger.weights[6].any(), "no training ratings"
    assert larger.recommend({40: 5}, candidates=[50, 70])["movie_id"].tolist() == [70, 50]
    with pytest.raises(DataError, match="6 movies but the model was fitted on 7"):
        larger.with_graph(model.graph)


def test_ridge_minimizes_its_objective() -> None:
    reg = 0.7
    model = FeatureRidge(embedding_dim=3, reg=reg, power=0.5).fit(toy(text=EMBEDDINGS))
    x = content_matrix(model.graph).double().numpy()
    v = model.embeddings.double().numpy()[:4]  # of rated movies: as factorized
    # The same regression with a column of ones for the bias, which is not penalized.
    design = np.column_stack([x[:4], np.ones(4)])
    penalty = reg * np.eye(design.shape[1])
    penalty[-1, -1] = 0
    solved = np.linalg.solve(design.T @ design + penalty, design.T @ v)
    np.testing.assert_allclose(model.weight, solved[:-1], atol=1e-4)
    np.testing.assert_allclose(model.bias, solved[-1], atol=1e-4)
    np.testing.assert_allclose(model.embeddings[4:], x[4:] @ solved[:-1] + solved[-1], atol=1e-4)
    content_only = FeatureRidge(embedding_dim=3, reg=reg, power=0.5, content_only=True).fit(toy(text=EMBEDDINGS))
    np.testing.assert_allclose(content_only.embeddings[:4], x[:4] @ solved[:-1] + solved[-1], atol=1e-4)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_ridge_folds_users_in(power: float) -> None:
    """An SVD of full rank reproduces its matrix; a user is the sum of the rated movies."""
    model = FeatureRidge(embedding_dim=4, power=power).fit(toy())
    x = np.zeros((4, 6))
    x[model.graph.users.user_index, model.graph.users.movie_index] = 1
    counts = x.sum(axis=0)
    scaled = x * np.where(counts > 0, np.maximum(counts, 1) ** -power, 0)
    _, s, vh = np.linalg.svd(scaled, full_matrices=False)
    v = vh[s > 1e-6].T
    found = model.score(model.graph.users)[:, :4]
    np.testing.assert_allclose(found, (scaled @ v @ v.T)[:, :4] + 1e-6 * counts[:4] / 4, atol=1e-5)


def test_ridge_embeds_added_movies() -> None:
    model = FeatureRidge(embedding_dim=2, reg=0.1).fit(toy())
    larger = model.add_movies(pd.DataFrame({"movie_id": [70], "genres": ["Horror"], "year": [1992]}))
    torch.testing.assert_close(larger.embeddings[6], model.embeddings[4])  # the same genre and decade
    torch.testing.assert_close(larger.embeddings[:6], model.embeddings)
    again = larger.add_movies(pd.DataFrame({"movie_id": [80]}))
    torch.testing.assert_close(again.embeddings[:7], larger.embeddings)


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ContentKNN, {"num_neighbors": 0}, "num_neighbors: must be at least 1"),
        (FeatureRidge, {"embedding_dim": 0}, "embedding_dim: must be at least 1"),
        (FeatureRidge, {"reg": 0.0}, "reg: must be above 0"),
        (FeatureRidge, {"reg": float("nan")}, "reg: must be above 0"),
        (FeatureRidge, {"power": 1.5}, "power: must be at most 1"),
    ],
)
def test_wrong_hyperparameters(cls: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**values)


def test_contentknn_refuses_too_many_movies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available_memory", lambda: 4 * 6**2)
    with pytest.raises(OutOfMemoryError, match=r"contentknn on 6 movies needs .* GiB of memory"):
        ContentKNN().fit(toy())


def ndcg(model: Recommender, split: Split) -> float:
    return float(model.evaluate(split, ks=[10], metrics=["ndcg"])["value"].item())


@pytest.mark.parametrize("name", ["contentknn", "ridge"])
def test_cold_movies_are_ranked_above_chance(name: str, cold: Split) -> None:
    """Models of ratings alone cannot rank movies without training ratings."""
    chance = max(ndcg(Popularity().fit(cold), cold), ndcg(EASE(reg=100.0).fit(cold), cold))
    assert ndcg(fit_best(name, cold), cold) > chance + 0.05


@pytest.mark.parametrize("name", ["contentknn", "ridge"])
def test_embeddings_are_used(name: str, cold: Split) -> None:
    """Embeddings that encode who rated a movie help, but not if they are assigned to the wrong movies."""
    whole = pd.concat([cold.train, cold.valid, cold.test])
    table = pd.crosstab(whole["movie_id"], whole["user_id"] % 40)
    values = table.to_numpy() / table.sum(axis=1).to_numpy()[:, None]
    found = {}
    for kind, ids in (("right", table.index), ("wrong", np.roll(table.index, 1))):
        data = cold.dataset.with_features(text=ContentEmbeddings(ids, values))
        found[kind] = ndcg(MODELS.get(name)(**MODELS.metadata(name)["grid"][0]).fit(data), cold)
    assert found["right"] > found["wrong"] + 0.01
