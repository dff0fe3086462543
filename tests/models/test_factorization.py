"""MF and NeuMF: scores of observed and unobserved movies, and NeuMF against its pairwise forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gnnrec import ConfigError, Dataset
from gnnrec.models import MF, NeuMF
from gnnrec.models.factorization import NeuMFNetwork
from tests.helpers.contract import sample
from tests.helpers.graphs import dataset_of


def test_mf_separates_observed_from_unobserved_movies() -> None:
    data = dataset_of(user_id=[0, 1, 2, 3, 3], movie_id=[1, 1, 1, 2, 3])
    model = MF(embedding_dim=1, num_negatives=4, reg=0.0, epochs=400, learning_rate=0.05).fit(data)
    users = model.graph.users
    scores = model.score(users)
    observed = torch.zeros(4, 3, dtype=torch.bool)
    observed[users.user_index, users.movie_index] = True
    assert (scores[observed] > 0).all()
    assert (scores[~observed] < 0).all()
    torch.testing.assert_close(scores, model.users @ model.movies.T + model.bias)


def blocks(size: int = 12) -> Dataset:
    """Return two groups of users and of movies; each user has rated about two thirds of the own group's movies."""
    user, movie = np.divmod(np.arange(4 * size * size), 2 * size)
    rated = ((user < size) == (movie < size)) & ((user + movie) % 3 > 0)
    return dataset_of(user_id=user[rated], movie_id=movie[rated])


def test_neumf_fits_blocks() -> None:
    model = NeuMF(embedding_dim=2, layers=(8, 4), epochs=40, learning_rate=0.03, batch_size=100).fit(blocks())
    scores = model.score(model.graph.users)
    group = torch.arange(24) < 12
    own = group.unsqueeze(1) == group
    assert (scores.masked_fill(~own, torch.inf).amin(1) > scores.masked_fill(own, -torch.inf).amax(1)).all()
    assert set(model.similar_movies(3, k=11)["movie_id"]) == set(range(12)) - {3}


@pytest.mark.parametrize("layers", [(8, 4), (8, 6, 4)])
def test_neumf_scores_of_all_pairs_equal_those_of_single_pairs(layers: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = NeuMFNetwork(5, 7, 3, layers)
    user, movie = (index.flatten() for index in torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij"))
    expected = network.logits(*network.embed(user, movie)).view(5, 7)
    torch.testing.assert_close(network.all_logits(torch.arange(5)), expected)


def test_movies_added_later_get_the_lowest_score() -> None:
    model = MF(embedding_dim=2, epochs=1).fit(sample().dataset)
    larger = model.add_movies(sample().dataset.movies.head(1).assign(movie_id=9001, title="New (2001)"))
    scores = larger.score(larger.graph.user_batch(torch.arange(5)))
    assert torch.equal(scores[:, -1], scores[:, :-1].amin(1))
    assert not larger.similarity_embeddings()[-1].any()


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (MF, {"num_negatives": 0}, "num_negatives: must be at least 1"),
        (MF, {"reg": -1.0}, "reg: must be at least 0"),
        (MF, {"learning_rate": 0.0}, "learning_rate: must be above 0"),
        (MF, {"dim": 4}, "dim: there is no such key"),
        (NeuMF, {"layers": (7, 4)}, r"at least two widths, the first one even, not \(7, 4\)"),
        (NeuMF, {"layers": (8,)}, r"at least two widths, the first one even, not \(8,\)"),
        (NeuMF, {"epochs": 0}, "epochs: must be at least 1"),
    ],
)
def test_wrong_hyperparameters(cls: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**values)
