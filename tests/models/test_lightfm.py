"""LightFM: scores against the package, cold movies, new users."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import ConfigError, DataError, Dataset, Graph, NewUser, Recommender, Split
from gnnrec.datasets import make_sample
from gnnrec.models import LightFM, Popularity
from gnnrec.models.content import content_matrix
from gnnrec.models.lightfm import LightFMModel
from gnnrec.splitting import split as make_split

lightfm = pytest.importorskip("lightfm")


@pytest.fixture(scope="module")
def cold() -> Split:
    return make_split(make_sample(300, 200, seed=1), "cold-movies", fold=1)


@pytest.fixture(scope="module")
def fitted(cold: Split) -> LightFMModel:
    return LightFM(embedding_dim=16, epochs=15).fit(cold.dataset)


def ndcg(model: Recommender, split: Split) -> float:
    return float(model.evaluate(split, ks=[10], metrics=["ndcg"])["value"].item())


def test_scores_are_those_of_the_package(cold: Split) -> None:
    """Of training users and movies, and from features alone for all others."""
    import scipy.sparse

    model = LightFM(embedding_dim=8, epochs=2, seed=3).fit(cold.dataset)
    graph = model.graph
    observed = torch.zeros(graph.num_users, graph.num_movies)
    observed[graph.users.user_index, graph.users.movie_index] = 1
    occupations = torch.zeros(graph.num_users, graph.users.num_occupations)
    occupations[graph.users.occupation] = 1
    features = []
    for rated, rest in (
        (observed.sum(1) > 0, torch.cat([graph.users.x, occupations], dim=1)),
        (observed.sum(0) > 0, content_matrix(graph)),
    ):
        features.append(scipy.sparse.csr_matrix(torch.cat([torch.eye(len(rated))[:, rated], rest], dim=1).numpy()))
    package = lightfm.LightFM(no_components=8, loss="warp", random_state=3)
    package.fit(scipy.sparse.coo_matrix(observed.numpy()), *features, epochs=2)
    row, column = (index.ravel() for index in np.indices(observed.shape))
    expected = package.predict(row, column, features[1], features[0]).reshape(observed.shape)
    found = model.score(graph.users).numpy()
    assert np.isfinite(found).all()
    # The package keeps the initial embedding of a decade without training ratings; here it is left out.
    tags = content_matrix(graph)
    comparable = ~tags[:, ~tags[observed.any(0)].any(0)].any(1).numpy()
    assert comparable.sum() == graph.num_movies - 1
    # The package adds a user bias, which changes no ranking.
    ours, theirs = (scores[:, comparable] - scores[:, comparable].mean(1)[:, None] for scores in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_cold_movies_and_new_users(fitted: LightFMModel, cold: Split) -> None:
    assert ndcg(fitted, cold) > ndcg(Popularity().fit(cold), cold) + 0.05
    # Of a new user the profile is used, the history is not.
    profile = {"age": 25, "gender": "F", "occupation": fitted.graph.occupations[0]}
    without, same = (fitted.recommend(NewUser(**profile, ratings=r), k=5, exclude_seen=False) for r in ({}, {1: 5}))
    pd.testing.assert_frame_equal(without, same)
    other = fitted.recommend(NewUser(age=60, gender="M"), k=5, exclude_seen=False)
    assert other["movie_id"].tolist() != without["movie_id"].tolist()


def test_ids_without_training_ratings_have_no_embedding(fitted: LightFMModel, cold: Split) -> None:
    nodes = fitted.graph.movie_nodes(cold.test["movie_id"].unique())
    assert not fitted.movies[nodes].any()
    assert fitted.movies.any(dim=1).sum() == cold.train["movie_id"].nunique()
    larger = fitted.add_movies(pd.DataFrame({"movie_id": [9001, 9002], "genres": ["", ""]}))
    assert not larger.similarity_embeddings()[-2:].any()
    torch.testing.assert_close(larger.similarity_embeddings()[:-2], fitted.similarity_embeddings())


def test_other_users_are_refused(fitted: LightFMModel) -> None:
    data = fitted.graph.dataset
    reversed_users = Dataset(data.ratings, data.movies, data.users.iloc[::-1].reset_index(drop=True))
    with pytest.raises(DataError, match="was trained on other users"):
        fitted.with_graph(Graph.from_dataset(reversed_users))


def test_the_loss_is_the_fraction_of_pairs_in_the_wrong_order(cold: Split) -> None:
    history = LightFM(embedding_dim=16, epochs=12).fit(cold.dataset).history
    losses = [entry["loss"] for entry in history]
    assert len(losses) == 12
    assert 0 < losses[-1] < losses[0] < 0.5


def test_wrong_loss() -> None:
    with pytest.raises(ConfigError, match="loss: must be 'warp' or 'bpr'"):
        LightFM(loss="logistic")
