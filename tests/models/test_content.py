"""Baselines that know content: against plain loops, on movies nobody has rated, with vectors of posters and texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from gnnrec.models.registry import PEERS

from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import evaluate
from gnnrec.graph import Graph, NewUser
from gnnrec.models import EASE, ContentKNN, FeatureRidge, Popularity, content_matrix, fit_peer
from gnnrec.models import neighbors as counting
from gnnrec.models.base import recommend
from gnnrec.models.lightfm import LightFM
from gnnrec.splitting import Split
from gnnrec.splitting import split as make_split
from gnnrec.training.loop import Watch

RATINGS = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3, 4], "movie_id": [10, 20, 10, 20, 20, 30, 40]})
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40, 50, 60],
        "genres": ["Horror", "Horror|Comedy", "Comedy", "Drama", "Horror", ""],
        "year": [1995, 1999, 2001, 1995, 1991, None],
    }
)
VECTORS = ContentEmbeddings([10, 20, 40, 50, 999], [[1.0, 0], [0, 1], [1, 1], [3, 0], [0, 3]])


def toy(**features: ContentEmbeddings) -> Graph:
    return Graph.from_dataset(Dataset(RATINGS, MOVIES).with_features(**features))


@pytest.fixture(scope="module")
def unseen() -> Split:
    return make_split(make_sample(300, 200, seed=1), "cold-movies", fold=1)


def test_content_without_vectors() -> None:
    x = content_matrix(toy())
    assert x.shape == (6, 3 + 11)  # Comedy, Drama, Horror, and the decades from the 1920s on
    half = 0.5**0.5
    assert x[:, :3].tolist() == pytest.approx(
        np.array([[0, 0, 1], [half, 0, half], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    )
    assert x[:, 3:].argmax(1).tolist()[:5] == [7, 7, 8, 7, 7]
    assert not x[5].any(), "of the last nothing is known"


def test_content_with_vectors() -> None:
    graph = toy(text=VECTORS, poster=ContentEmbeddings([20], [[5.0]]))
    x = content_matrix(graph)[:, 14:].numpy()
    assert x.shape == (6, 1 + 2)
    assert not x[:, 0].any(), "all posters are the same one"
    mean = VECTORS.values.mean(axis=0)
    length = np.sqrt(np.mean([np.sum((row - mean) ** 2) for row in VECTORS.values]))
    expected = np.zeros((6, 2))
    for row, movie in enumerate(MOVIES["movie_id"]):
        if movie in VECTORS.movie_ids:
            expected[row] = (VECTORS.values[list(VECTORS.movie_ids).index(movie)] - mean) / length
    np.testing.assert_allclose(x[:, 1:], expected, atol=1e-6)
    # Standardised by all vectors, so that a movie added later does not move the others.
    later = graph.add_movies(pd.DataFrame({"movie_id": [999, 70]}))
    np.testing.assert_array_equal(content_matrix(later)[:6].numpy()[:, 14:], x)
    np.testing.assert_allclose(content_matrix(later)[6:, 15:], [(VECTORS.values[4] - mean) / length, [0, 0]], atol=1e-6)


@pytest.mark.parametrize("num_neighbors", [1, 2, 50])
def test_contentknn_formula(num_neighbors: int) -> None:
    graph = toy(text=VECTORS)
    x = content_matrix(graph).double().numpy()
    nearest, every = np.zeros((6, num_neighbors)), np.zeros((6, 6))
    for j in range(6):
        cosine = {}
        for i in range(4):  # the rated ones
            if i != j:
                norm = np.linalg.norm(x[i]) * np.linalg.norm(x[j])
                cosine[i] = every[i, j] = max(x[i] @ x[j] / norm, 0.0) if norm else 0.0
        best = sorted(cosine.values(), reverse=True)[:num_neighbors]
        nearest[j, : len(best)] = best
    weights = ContentKNN.fit(graph, num_neighbors).weights.numpy()
    np.testing.assert_allclose(-np.sort(-weights.T)[:, :num_neighbors], nearest[:, :6], atol=1e-6)
    np.testing.assert_allclose(weights[weights > 0], every[weights > 0], atol=1e-6)
    assert (weights > 0).sum() == (nearest > 0).sum()


def test_contentknn_places_a_movie_at_once() -> None:
    model = ContentKNN.fit(toy(), num_neighbors=2)
    larger = model.add_movies(pd.DataFrame({"movie_id": [70], "genres": ["Drama"], "title": ["New (1996)"]}))
    assert recommend(larger, {40: 5}, k=1)["movie_id"].tolist() == [70]
    torch.testing.assert_close(larger.weights[:6, :6], model.weights)
    assert not larger.weights[6].any(), "nobody watched it in training"
    assert recommend(larger, {40: 5}, candidates=[50, 70])["movie_id"].tolist() == [70, 50]
    with pytest.raises(DataError, match="6 movies but the model was fitted on 7"):
        larger.with_graph(model.graph)


def test_ridge_minimises_its_objective() -> None:
    reg = 0.7
    model = FeatureRidge.fit(toy(text=VECTORS), dim=3, reg=reg, power=0.5)
    x = content_matrix(model.graph).double().numpy()
    v = model.vectors.double().numpy()[:4]  # of the rated ones, as they are
    # The same regression with a column of ones for the bias, which is not punished.
    design = np.column_stack([x[:4], np.ones(4)])
    punished = reg * np.eye(design.shape[1])
    punished[-1, -1] = 0
    solved = np.linalg.solve(design.T @ design + punished, design.T @ v)
    np.testing.assert_allclose(model.weight, solved[:-1], atol=1e-4)
    np.testing.assert_allclose(model.bias, solved[-1], atol=1e-4)
    np.testing.assert_allclose(model.vectors[4:], x[4:] @ solved[:-1] + solved[-1], atol=1e-4)
    placed = FeatureRidge.fit(toy(text=VECTORS), dim=3, reg=reg, power=0.5, by_content=True)
    np.testing.assert_allclose(placed.vectors[:4], x[:4] @ solved[:-1] + solved[-1], atol=1e-4)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_ridge_folds_people_in(power: float) -> None:
    """With all of its dimensions an SVD gives back what it is of; a person is the sum of what they watched."""
    model = FeatureRidge.fit(toy(), dim=4, power=power)
    x = np.zeros((4, 6))
    x[model.graph.users.user_index, model.graph.users.movie_index] = 1
    counts = x.sum(axis=0)
    scaled = x * np.where(counts > 0, np.maximum(counts, 1) ** -power, 0)
    _, s, vh = np.linalg.svd(scaled, full_matrices=False)
    v = vh[s > 1e-6].T
    found = model.score(model.graph.users)[:, :4]
    np.testing.assert_allclose(found, (scaled @ v @ v.T)[:, :4] + 1e-6 * counts[:4] / 4, atol=1e-5)


def test_ridge_places_a_movie_at_once() -> None:
    model = FeatureRidge.fit(toy(), dim=2, reg=0.1)
    larger = model.add_movies(pd.DataFrame({"movie_id": [70], "genres": ["Horror"], "year": [1992]}))
    torch.testing.assert_close(larger.vectors[6], model.vectors[4])  # the same genre and decade
    torch.testing.assert_close(larger.vectors[:6], model.vectors)
    again = larger.add_movies(pd.DataFrame({"movie_id": [80]}))
    torch.testing.assert_close(again.vectors[:7], larger.vectors)


@pytest.mark.parametrize(
    ("fit", "settings", "message"),
    [
        (ContentKNN.fit, {"num_neighbors": 0}, "num_neighbors must be at least 1, not 0"),
        (FeatureRidge.fit, {"dim": 0}, "dim must be at least 1, not 0"),
        (FeatureRidge.fit, {"reg": 0.0}, "reg must be above 0, not 0.0"),
        (FeatureRidge.fit, {"reg": float("nan")}, "reg must be above 0, not nan"),
        (FeatureRidge.fit, {"power": 1.5}, "power must be between 0 and 1, not 1.5"),
        (LightFM.fit, {"loss": "logistic"}, "loss must be one of warp, bpr, not 'logistic'"),
    ],
)
def test_settings_that_make_no_sense(fit, settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(toy(), **settings)


def test_contentknn_refuses_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_MOVIES", 5)
    with pytest.raises(DataError, match=r"6 movies make a matrix of .* GB; .* at most 5"):
        ContentKNN.fit(toy())


def ndcg(model, split: Split) -> float:
    return evaluate(model, split, ks=[10], metrics=["ndcg"])["value"].item()


@pytest.mark.parametrize("name", ["contentknn", "ridge"])
def test_content_finds_the_audience_of_unseen_movies(name: str, unseen: Split) -> None:
    graph = Graph.from_dataset(unseen.dataset)
    # What people watched together says nothing about these.
    at_chance = max(ndcg(Popularity.fit(graph), unseen), ndcg(EASE.fit(graph, reg=100.0), unseen))
    assert ndcg(fit_peer(name, graph), unseen) > at_chance + 0.05


@pytest.mark.parametrize("name", ["contentknn", "ridge"])
def test_vectors_are_used(name: str, unseen: Split) -> None:
    """Vectors that say who likes a movie make a model better than genres alone, and only as those of that movie."""
    whole = pd.concat([unseen.train, unseen.valid, unseen.test])
    table = pd.crosstab(whole["movie_id"], whole["user_id"] % 40)
    values = table.to_numpy() / table.sum(axis=1).to_numpy()[:, None]
    graph = Graph.from_dataset(unseen.dataset)
    right, wrong = (
        Graph.from_dataset(graph.dataset.with_features(text=ContentEmbeddings(ids, values)))
        for ids in (table.index, np.roll(table.index, 1))
    )
    values_of = {kind: ndcg(fit_peer(name, g), unseen) for kind, g in (("right", right), ("wrong", wrong))}
    assert values_of["right"] > values_of["wrong"] + 0.01


def needs_lightfm() -> None:
    if not PEERS["lightfm"].installed:
        pytest.skip("needs the package lightfm-next")


def test_lightfm_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "lightfm", None)
    with pytest.raises(ConfigError, match=r"lightfm needs the package lightfm-next.*; pip install lightfm-next"):
        LightFM.fit(toy())


@pytest.fixture(scope="module")
def fitted(unseen: Split) -> LightFM:
    needs_lightfm()
    return LightFM.fit(Graph.from_dataset(unseen.dataset), dim=16, epochs=15)


def test_lightfm_scores_are_those_of_the_package(unseen: Split) -> None:
    """For who and what it was trained on, and with features alone for all others."""
    needs_lightfm()
    import lightfm
    import scipy.sparse

    graph = Graph.from_dataset(unseen.dataset)
    model = LightFM.fit(graph, dim=8, epochs=2, seed=3)
    watched = torch.zeros(graph.num_users, graph.num_movies)
    watched[graph.users.user_index, graph.users.movie_index] = 1
    works = torch.zeros(graph.num_users, graph.users.num_occupations)
    works[graph.users.occupation] = 1
    features = []
    for rated, rest in (
        (watched.sum(1) > 0, torch.cat([graph.users.x, works], dim=1)),
        (watched.sum(0) > 0, content_matrix(graph)),
    ):
        features.append(scipy.sparse.csr_matrix(torch.cat([torch.eye(len(rated))[:, rated], rest], dim=1).numpy()))
    package = lightfm.LightFM(no_components=8, loss="warp", random_state=3)
    package.fit(scipy.sparse.coo_matrix(watched.numpy()), *features, epochs=2)
    row, column = (index.ravel() for index in np.indices(watched.shape))
    expected = package.predict(row, column, features[1], features[0]).reshape(watched.shape)
    found = model.score(graph.users).numpy()
    assert np.isfinite(found).all()
    # Theirs takes a decade of which no movie was trained on as it was drawn, ours leaves it out.
    tags = content_matrix(graph)
    sure = ~tags[:, ~tags[watched.any(0)].any(0)].any(1).numpy()
    assert sure.sum() == graph.num_movies - 1
    # Theirs adds a bias of the person, which changes no list.
    ours, theirs = (scores[:, sure] - scores[:, sure].mean(1)[:, None] for scores in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_lightfm_on_unseen_movies_and_people(fitted: LightFM, unseen: Split) -> None:
    assert ndcg(fitted, unseen) > ndcg(Popularity.fit(fitted.graph), unseen) + 0.05
    # Someone new is their profile; what they watched is not known to it.
    profile = {"age": 25, "gender": "F", "occupation": fitted.graph.occupations[0]}
    nobody, same = (recommend(fitted, NewUser(**profile, ratings=r), k=5, exclude_seen=False) for r in ({}, {1: 5}))
    pd.testing.assert_frame_equal(nobody, same)
    other = recommend(fitted, NewUser(age=60, gender="M"), k=5, exclude_seen=False)
    assert other["movie_id"].tolist() != nobody["movie_id"].tolist()


def test_lightfm_starts_from_zero_where_nothing_was_learned(fitted: LightFM, unseen: Split) -> None:
    nodes = fitted.graph.movie_nodes(unseen.test["movie_id"].unique())
    assert not fitted.movies[nodes].any()
    assert fitted.movies.any(dim=1).sum() == unseen.train["movie_id"].nunique()
    larger = fitted.add_movies(pd.DataFrame({"movie_id": [9001, 9002], "genres": ["", ""]}))
    assert not larger.similarity_embeddings()[-2:].any()
    torch.testing.assert_close(larger.similarity_embeddings()[:-2], fitted.similarity_embeddings())


def test_lightfm_is_of_its_own_people(fitted: LightFM) -> None:
    data = fitted.graph.dataset
    turned = replace(data, users=data.users.iloc[::-1].reset_index(drop=True))
    with pytest.raises(DataError, match="was trained on other users"):
        fitted.with_graph(Graph.from_dataset(turned))


def test_lightfm_learns(unseen: Split) -> None:
    needs_lightfm()
    history: list[dict[str, float]] = []
    graph = Graph.from_dataset(unseen.dataset)
    LightFM.fit(graph, dim=16, epochs=12, watch=Watch(report=history.append))
    wrong = [entry["loss"] for entry in history]
    assert len(wrong) == 12
    assert 0 < wrong[-1] < wrong[0] < 0.5
