"""ALS and BPR of the package implicit, against the equations of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gnnrec import ConfigError
from gnnrec.models import ALS, BPR
from tests.helpers.graphs import dataset_of, random_dataset

pytest.importorskip("implicit")


def test_als_folds_users_in_by_the_equation_of_the_paper() -> None:
    data, x = random_dataset(40, 12, 0.3)
    model = ALS(embedding_dim=3, reg=2.0, alpha=5.0).fit(data)
    y = model.similarity_embeddings().double().numpy()
    for user in (0, 7):
        weight = np.where(x[user] > 0, 5.0, 1.0)
        embedding = np.linalg.solve((y.T * weight) @ y + 2.0 * np.eye(3), (y.T * weight) @ x[user])
        found = model.score(model.graph.user_batch(torch.tensor([user])))[0]
        np.testing.assert_allclose(found, y @ embedding, atol=1e-4)


def test_als_recommends_popular_movies_for_an_empty_history() -> None:
    model = ALS(embedding_dim=2).fit(dataset_of(user_id=[1, 1, 2, 2, 3], movie_id=[10, 20, 20, 30, 20]))
    assert model.recommend({}, k=3)["movie_id"].tolist() == [20, 10, 30]


def test_bpr_ranks_observed_movies_first() -> None:
    data, x = random_dataset(40, 12, 0.3)
    model = BPR(embedding_dim=4, epochs=150, learning_rate=0.1).fit(data)
    assert model.similarity_embeddings().shape == (12, 4)
    scores = model.score(model.graph.users).numpy()
    right = [scores[u, i] > scores[u, j] for u in range(40) for i in x[u].nonzero()[0] for j in (1 - x[u]).nonzero()[0]]
    assert np.mean(right) > 0.95


def test_bpr_scores_with_the_bias_of_the_package() -> None:
    data, x = random_dataset(30, 10, 0.3)
    model = BPR(embedding_dim=4, epochs=20, learning_rate=0.1).fit(data)
    assert model.bias.abs().max() > 0.01
    # A bias per movie: popular movies have a higher one.
    assert np.corrcoef(model.bias, x.sum(axis=0))[0, 1] > 0.3
    torch.testing.assert_close(model.score(model.graph.users), model.users @ model.movies.T + model.bias)


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ALS, {"epochs": 0}, "epochs: must be at least 1"),
        (ALS, {"alpha": 0.0}, "alpha: must be above 0"),
        (BPR, {"epochs": 0}, "epochs: must be at least 1"),
        (BPR, {"reg": -0.1}, "reg: must be at least 0"),
    ],
)
def test_wrong_hyperparameters(cls: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**values)
