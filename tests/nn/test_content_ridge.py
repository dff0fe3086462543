"""The ridge regression after training: features explain as much as they can, embeddings of rated movies stay."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, Dataset, Graph
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import ContentRidge, Encoder, GraphTensors
from gnnrec.nn.content_ridge import NUM_USERS, feature_matrix, sample_users


def encoder_and_tensors(width: int) -> tuple[Encoder, GraphTensors]:
    """Return an encoder with random weights, and a graph whose last movie is unrated and whose first has no text."""
    sample = make_sample(60, 40, seed=5, ratings_per_user=10)
    movies = pd.concat([sample.movies, pd.DataFrame({"movie_id": [888], "genres": ["Drama"]})], ignore_index=True)
    text = ContentEmbeddings(movies["movie_id"][1:], np.random.default_rng(0).normal(size=(len(movies) - 1, width)))
    graph = Graph.from_dataset(Dataset(sample.ratings, movies, sample.users, features={"text": text}))
    torch.manual_seed(0)
    encoder = make_encoder(Config().override(["model.embedding_dim=6"]), graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_()
    tensors = GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    return encoder, tensors


@pytest.mark.parametrize("width", [4, 900])
def test_features_of_new_movies_by_weighted_ridge_regression(width: int) -> None:
    """Of 900 columns the dual solution is computed. The scale is compared with that of a regression per movie left out."""
    encoder, tensors = encoder_and_tensors(width)
    refitted = ContentRidge(encoder, tensors, reg=3.0, power=0.5).refit(encoder)
    encoder.eval()
    rated = (tensors.movie_degree > 0).numpy()
    weight = tensors.movie_degree.numpy() ** 0.5
    d = weight / weight[rated].mean() * rated
    z = encoder.embed_histories(tensors.users, encoder.embed_movies(tensors)).detach().double().numpy()
    for before, after in ((encoder.message, refitted.message), (encoder.target, refitted.target)):
        x = feature_matrix(before, tensors.movie_features).double().numpy()
        embeddings = before(tensors.movie_features).detach().double().numpy()
        w = ridge(x, embeddings, d)
        scale = 1.0
        if before is encoder.target:  # refit without each of the movies
            others = [d * (np.arange(len(d)) != movie) for movie in range(len(d))]
            left_out = np.stack([x[movie] @ ridge(x, embeddings, other) for movie, other in enumerate(others)])
            known, predicted = (d @ ((z @ h.T) ** 2).sum(axis=0) for h in (embeddings, left_out))
            scale = float(np.sqrt(known / predicted))
            assert abs(scale - 1) > 0.1
        unrated = after(tensors.movie_features).numpy()[~rated]
        np.testing.assert_allclose(unrated, scale * (x @ w)[~rated], rtol=2e-3, atol=2e-3)


def ridge(x: np.ndarray, embeddings: np.ndarray, weight: np.ndarray) -> np.ndarray:
    d = weight[:, None]
    return np.linalg.solve(x.T @ (d * x) + 3.0 * np.eye(x.shape[1]), x.T @ (d * embeddings))


def test_without_features_new_movies_have_zero_embeddings() -> None:
    """The scale, a quotient of zeros, is not NaN."""
    graph = Graph.from_dataset(make_sample(20, 12))
    config = Config().override(["model.embedding_dim=4", "model.attributes=[]", "model.numeric_features=false"])
    encoder = make_encoder(config, graph)
    tensors = GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    refitted = ContentRidge(encoder, tensors).refit(encoder)
    assert not refitted.target.embed_features(tensors.movie_features).any()
    assert refitted.target(tensors.movie_features).equal(encoder.eval().target(tensors.movie_features))


def test_a_sample_of_many_users_is_spread_over_all() -> None:
    graph = Graph.from_dataset(make_sample(NUM_USERS + 500, 30, ratings_per_user=5))
    users = sample_users(graph.users)
    nodes = users.node_id.tolist()
    assert len(set(nodes)) == NUM_USERS and nodes[0] == 0 and nodes[-1] == graph.num_users - 1
    assert max(b - a for a, b in pairwise(nodes)) < 40
    degree = graph.users.user_movie.degrees()[0]
    assert users.user_movie.degrees()[0].equal(degree[users.node_id])


def test_embeddings_of_rated_movies_and_the_original_encoder_do_not_change() -> None:
    encoder, tensors = encoder_and_tensors(4)
    weights = {name: value.clone() for name, value in encoder.state_dict().items()}
    refitted = ContentRidge(encoder, tensors).refit(encoder)
    rated = tensors.movie_degree > 0
    before, after = (one.eval().target(tensors.movie_features).detach() for one in (encoder, refitted))
    torch.testing.assert_close(after[rated], before[rated], atol=1e-5, rtol=1e-5)
    assert (after[~rated] - before[~rated]).abs().max() > 0.1
    assert all(torch.equal(value, weights[name]) for name, value in encoder.state_dict().items())


def test_refitting_twice_changes_nothing() -> None:
    encoder, tensors = encoder_and_tensors(4)
    ridge = ContentRidge(encoder, tensors)
    features = tensors.movie_features
    refitted = ridge.refit(encoder)
    once, weights = refitted.target(features), refitted.target.linear.weight.clone()
    assert weights.any()
    twice = ridge.refit(refitted)
    torch.testing.assert_close(twice.target(features), once, atol=1e-4, rtol=1e-4)
    assert ridge.refit(encoder).target(features).equal(once)  # nothing of an earlier call is left
