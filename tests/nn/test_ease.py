"""`EASEPart`: the weights of EASE as embeddings, beside those of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import Config, Dataset, Graph, NewMovie, RatingConfig
from gnnrec.datasets import make_sample
from gnnrec.models import EASE
from gnnrec.nn import EASEPart

pytestmark = pytest.mark.filterwarnings("ignore:no epoch was better", "ignore:the last epoch")

CONFIG = Config().override(["model.embedding_dim=8", "train.epochs=1", "train.batch_size=32", "train.id_dropout=0"])
WITH_EASE = CONFIG.override(["model.ease_dim=40", "model.ease_reg=1.5", "model.ease_weight=0.5"])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_sample(60, 40)


@pytest.fixture(scope="module")
def models(dataset: Dataset) -> tuple[gnnrec.RecGraph, gnnrec.RecGraph]:
    """Return the same network without and with EASE."""
    return tuple(gnnrec.fit(dataset, config=config, progress=False) for config in (CONFIG, WITH_EASE))  # type: ignore[return-value]


def ease_weights(graph: Graph, reg: float) -> np.ndarray:
    """Return the matrix of EASE with its penalty in units of the mean degree of a rating's movie."""
    degree = torch.bincount(graph.users.movie_index, minlength=graph.num_movies).double()
    return EASE(reg=reg * float((degree**2).sum() / degree.sum())).weights(graph).numpy()


@pytest.mark.parametrize(("num_users", "num_movies"), [(50, 30), (25, 60)])
def test_all_singular_vectors_give_the_weights_of_ease(num_users: int, num_movies: int) -> None:
    graph = Graph.from_dataset(make_sample(num_users, num_movies, ratings_per_user=8))
    part = EASEPart.fit(graph.users.user_movie, dim=min(num_users, num_movies), reg=0.7, weight=2.0)
    weights = (part.message @ part.target.T).numpy()
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(weights, 2 * ease_weights(graph, 0.7), atol=1e-5)


def test_later_singular_vectors_matter_less() -> None:
    graph = Graph.from_dataset(make_sample(80, 50))
    expected, errors = ease_weights(graph, 1.0), []
    for dim in (5, 15, 30, 50):
        part = EASEPart.fit(graph.users.user_movie, dim, 1.0)
        weights = (part.message @ part.target.T).numpy()
        np.fill_diagonal(weights, 0)
        errors.append(np.linalg.norm(weights - expected) / np.linalg.norm(expected))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4
    assert errors[0] > 0.1


def test_dimensions_beyond_the_rank_are_zero(dataset: Dataset) -> None:
    part = EASEPart.fit(Graph.from_dataset(dataset).users.user_movie, dim=44, reg=1.0)
    assert part.message.shape == (40, 44)
    assert not part.message[:, 40:].any()
    assert part.message[:, :30].any(dim=0).all()


def test_scores_are_the_sum_of_both(models: tuple[gnnrec.RecGraph, gnnrec.RecGraph]) -> None:
    plain, mixed = models
    likes = [{1: 5, 2: 5}, {7: 5}, {}]
    part = mixed.encoder.ease
    assert part is not None
    ease = (part.message @ part.target.T).numpy()  # of weight 0.5
    expected = np.stack([ease[[movie - 1 for movie in user]].sum(0) for user in likes])
    batch, _ = mixed.encode_users(likes)
    np.testing.assert_allclose(mixed.score(batch) - plain.score(batch), expected, atol=1e-5)
    np.fill_diagonal(ease, 0)
    np.testing.assert_allclose(ease, 0.5 * ease_weights(gnnrec_training_graph(mixed), 1.5), atol=1e-4)


def gnnrec_training_graph(model: gnnrec.RecGraph) -> Graph:
    """Return the graph without the ratings that `fit` holds out for validation."""
    return Graph.from_dataset(gnnrec.splitting.random_split(model.graph.dataset, (0.9, 0.1, 0.0), seed=0).dataset)


def test_it_takes_no_part_in_training(models: tuple[gnnrec.RecGraph, gnnrec.RecGraph]) -> None:
    plain, mixed = models
    assert plain.history[0]["loss"] == mixed.history[0]["loss"]
    assert plain.history[0]["ndcg@20"] != mixed.history[0]["ndcg@20"]
    own = plain.encoder.state_dict()
    assert all(torch.equal(own[name], value) for name, value in mixed.encoder.state_dict().items() if name in own)
    assert mixed.encoder.state_dict().keys() - own.keys() == {"ease.message", "ease.target"}


def test_dislikes_push_away_from_their_neighbors(models: tuple[gnnrec.RecGraph, gnnrec.RecGraph]) -> None:
    plain, mixed = models
    changes = []
    for model in (plain, mixed):
        batch, _ = model.encode_users([{1: 1, 2: 5}, {1: 5, 2: 5}])
        hated, loved = model.score(batch)
        changes.append((loved - hated).numpy())
    part = mixed.encoder.ease
    assert part is not None
    # Of two ratings, each dislike counts 20 / 22 of one and a half times: as minus one half of a like.
    np.testing.assert_allclose(
        changes[1] - changes[0], 20 / 22 * 1.5 * (part.target @ part.message[0]).numpy(), atol=1e-5
    )


def test_saved_loaded_and_grown(models: tuple[gnnrec.RecGraph, gnnrec.RecGraph], tmp_path: Path) -> None:
    mixed = models[1]
    loaded = gnnrec.load(mixed.save(tmp_path / "run"))
    users = [3, {1: 5, 7: 4}]
    assert torch.equal(loaded.user_embeddings(users), mixed.user_embeddings(users))
    assert loaded.user_embeddings(users).shape == (2, 48)
    grown = loaded.add_movies(pd.DataFrame({"movie_id": [901], "genres": ["Drama"]}))
    again = gnnrec.load(grown.save(tmp_path / "grown"))
    assert again.encoder.ease.message.shape == (40, 40)
    assert not again.movie_embeddings.targets[-1, 8:].any()
    pd.testing.assert_frame_equal(again.recommend(users), grown.recommend(users))
    new = NewMovie("Night Train (2001)", genres=["Drama"])
    assert loaded.embed_movie(new).shape == (48,)
    assert len(loaded.similar_movies(new, 3)) == 3


def test_a_resumed_run_is_the_same(dataset: Dataset, tmp_path: Path) -> None:
    config = WITH_EASE.override(["train.epochs=3"])
    whole = gnnrec.fit(dataset, config=config, progress=False)
    gnnrec.fit(dataset, config=config.override(["train.epochs=1"]), progress=False, run_dir=tmp_path / "run")
    resumed = gnnrec.fit(dataset, config=config, progress=False, run_dir=tmp_path / "run", resume=True)
    for name, value in whole.encoder.state_dict().items():
        torch.testing.assert_close(resumed.encoder.state_dict()[name], value)


def test_the_rating_head_reads_the_network_alone(models: tuple[gnnrec.RecGraph, gnnrec.RecGraph]) -> None:
    settings = RatingConfig(embedding_dim=4, num_samples=2, burn_in=1)
    plain, mixed = (
        gnnrec.predict_ratings(gnnrec.fit_rating_model(model, rating_config=settings, progress=False), [1, {2: 5}])
        for model in models
    )
    pd.testing.assert_frame_equal(plain, mixed)
