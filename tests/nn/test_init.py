"""Initialization of id embeddings: the filter of the graph that the untrained scores are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnrec import Config, Dataset, Graph
from gnnrec.datasets import make_sample
from gnnrec.graph import transition_counts
from gnnrec.models.gnn_training import init_training
from gnnrec.nn.init import TRANSITION_SMOOTHING

DIM = 12
PLAIN = (f"model.embedding_dim={DIM}", "model.init_scale=1", "model.user_degree_smoothing=0", "model.dislike_weight=0")


def untrained_scores(graph: Graph, *overrides: str) -> np.ndarray:
    """Return the scores before the first epoch."""
    tensors, state = init_training(graph, Config().override([*PLAIN, *overrides]), torch.device("cpu"))
    with torch.inference_mode():
        embeddings = state.encoder.eval()(tensors)
    return (embeddings["user"] @ embeddings["movie"].T).numpy()


@pytest.mark.parametrize(("movie_smoothing", "user_smoothing", "power"), [(0, 0, 0), (0.7, 0, 0), (0.7, 1.5, 0.5)])
def test_untrained_scores_are_a_low_pass_filter(movie_smoothing: float, user_smoothing: float, power: float) -> None:
    graph = Graph.from_dataset(make_sample(60, 40, seed=5, ratings_per_user=10))
    ratings = np.zeros((graph.num_users, graph.num_movies))
    ratings[graph.users.user_index.numpy(), graph.users.movie_index.numpy()] = 1
    user_degree, movie_degree = ratings.sum(1), ratings.sum(0)
    movie_degree = np.maximum(movie_degree + movie_smoothing * movie_degree[movie_degree > 0].mean(), 1)
    smoothed = user_degree + user_smoothing * user_degree.mean()
    normalized = smoothed[:, None] ** -0.5 * ratings * movie_degree**-0.5
    _, s, vt = np.linalg.svd(normalized)
    low_pass = vt[:DIM].T * (s[:DIM] / s[0]) ** power @ vt[:DIM]
    # Users are normalized by their own degrees, whatever the decomposed matrix.
    history = (user_degree / user_degree.mean())[:, None] ** -0.5 * ratings * movie_degree**-0.5
    expected = history @ low_pass * movie_degree**0.5
    scores = untrained_scores(
        graph,
        f"model.movie_degree_smoothing={movie_smoothing}",
        f"model.init_user_smoothing={user_smoothing}",
        f"model.init_spectral_power={power}",
    )
    np.testing.assert_allclose(scores, expected, atol=5e-3)


@pytest.mark.parametrize(("weight", "power"), [(0.0, 1.0), (0.5, 1.0), (2.0, 0.6)])
def test_shared_attributes_are_added_to_transitions(weight: float, power: float) -> None:
    graph = Graph.from_dataset(make_sample(60, 40, seed=5, ratings_per_user=10))
    source, following, count = transition_counts(graph.users, window=4)
    counts = np.zeros((graph.num_movies, graph.num_movies))
    counts[source.numpy(), following.numpy()] = count.numpy()
    before, after = (counts.sum(axis) + TRANSITION_SMOOTHING for axis in (1, 0))
    expected = counts / np.sqrt(before[:, None] * after)
    movie, genre = (ends.numpy() for ends in graph.movies.attribute_edges["genres"])
    has_genre = np.zeros((graph.num_movies, genre.max() + 1))
    has_genre[movie, genre] = 1
    normalized = has_genre / np.sqrt(has_genre.sum(1, keepdims=True).clip(1) * has_genre.sum(0).clip(1))
    expected += weight * normalized @ normalized.T
    u, s, vt = np.linalg.svd(expected)
    expected = u[:, :DIM] * (s[0] * (s[:DIM] / s[0]) ** power) @ vt[:DIM] * graph.num_movies / DIM**0.5
    settings = Config().override(
        [
            *PLAIN,
            "model.init=transitions",
            "model.transition_window=4",
            f"model.transition_attribute_weight={weight}",
            f"model.transition_spectral_power={power}",
        ]
    )
    tensors, state = init_training(graph, settings, torch.device("cpu"))
    encoder = state.encoder
    relative = (tensors.movie_degree + encoder.degree_pseudocount).clamp(min=1) / encoder.mean_degree
    message = encoder.message.id_embeddings.detach() / relative.sqrt().unsqueeze(1)
    found = (message @ encoder.target.id_embeddings.detach().T).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02 * abs(expected).max())


def test_shared_attributes_of_data_without_any() -> None:
    """The start is that from transitions alone."""
    sample = make_sample(60, 40, seed=5, ratings_per_user=10)
    graph = Graph.from_dataset(Dataset(sample.ratings))
    one, other = (
        untrained_scores(graph, "model.init=transitions", f"model.transition_attribute_weight={weight}")
        for weight in (0.0, 0.5)
    )
    assert np.array_equal(one, other)


def test_more_dimensions_than_the_matrix_has_rank() -> None:
    graph = Graph.from_dataset(make_sample(12, 12, ratings_per_user=4))
    scores = untrained_scores(graph, "model.embedding_dim=32", "model.init_spectral_power=0.5")
    assert np.isfinite(scores).all()
