"""Content takes over what it can tell of a vector, and no rated movie moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, Dataset, Graph
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import ContentRidge, Encoder, GraphTensors
from gnnrec.nn.content_ridge import content_matrix


def world(width: int) -> tuple[Encoder, GraphTensors]:
    """Return an encoder with random weights, and a graph whose last movie has no rating and whose first has no text."""
    made = make_sample(60, 40, seed=5, ratings_per_user=10)
    movies = pd.concat([made.movies, pd.DataFrame({"movie_id": [888], "genres": ["Drama"]})], ignore_index=True)
    text = ContentEmbeddings(movies["movie_id"][1:], np.random.default_rng(0).normal(size=(len(movies) - 1, width)))
    graph = Graph.from_dataset(Dataset(made.ratings, movies, made.users, features={"text": text}))
    torch.manual_seed(0)
    encoder = make_encoder(Config().override(["model.embedding_dim=6"]), graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_()
    tensors = GraphTensors.of(graph)
    encoder.prepare(tensors)
    return encoder, tensors


@pytest.mark.parametrize("width", [4, 900])
def test_content_is_a_weighted_ridge_regression(width: int) -> None:
    """With 900 columns it is solved by the smaller matrix of movies."""
    encoder, tensors = world(width)
    settled = ContentRidge(encoder, tensors, reg=3.0, power=0.5).refit(encoder)
    encoder.eval()
    rated = (tensors.movie_degree > 0).numpy()
    weight = tensors.movie_degree.numpy() ** 0.5
    weight = weight / weight[rated].mean()
    for before, after in ((encoder.message, settled.message), (encoder.target, settled.target)):
        content = content_matrix(before, tensors.content).double().numpy()
        whole = before(tensors.content).detach().double().numpy()
        d = (weight * rated)[:, None]
        w = np.linalg.solve(content.T @ (d * content) + 3.0 * np.eye(content.shape[1]), content.T @ (d * whole))
        unseen = after(tensors.content).numpy()[~rated]
        np.testing.assert_allclose(unseen, (content @ w)[~rated], rtol=1e-3, atol=1e-3)


def test_rated_movies_keep_their_vectors_and_the_encoder_its_weights() -> None:
    encoder, tensors = world(4)
    copy = {name: value.clone() for name, value in encoder.state_dict().items()}
    settled = ContentRidge(encoder, tensors).refit(encoder)
    rated = tensors.movie_degree > 0
    before, after = (one.eval().target(tensors.content).detach() for one in (encoder, settled))
    torch.testing.assert_close(after[rated], before[rated], atol=1e-5, rtol=1e-5)
    assert (after[~rated] - before[~rated]).abs().max() > 0.1
    assert all(torch.equal(value, copy[name]) for name, value in encoder.state_dict().items())


def test_settling_twice_is_settling_once() -> None:
    encoder, tensors = world(4)
    ridge = ContentRidge(encoder, tensors)
    once = ridge.refit(encoder)
    twice = ridge.refit(once)
    torch.testing.assert_close(twice.target(tensors.content), once.target(tensors.content), atol=1e-4, rtol=1e-4)
