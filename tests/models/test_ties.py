"""Choices among equals, masked and NaN scores: the same answer in any table order, in little memory, or an error."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gnnrec import DataError, Dataset, Graph, Split, evaluate, explain, predict_ratings, recommend, similar_movies
from gnnrec import _torch as module
from gnnrec._torch import rows_per_chunk, stable_topk
from gnnrec.datasets import make_sample
from gnnrec.evaluation.metrics import MAX_PAIRS, CatalogStatistics, genre_diversity
from gnnrec.models import SLIM, ContentKNN, ItemKNN, Popularity
from gnnrec.models.base import Recommender
from gnnrec.models.counts import cooccurrence_counts
from gnnrec.ratings.baselines import Biases
from gnnrec.splitting import random_split


@pytest.mark.parametrize("num_movies", [4, 6, 20, 40, 300])
def test_equally_near_movies_are_chosen_by_id(num_movies: int) -> None:
    ids = np.random.default_rng(0).permutation(num_movies) * 10
    movies = pd.DataFrame({"movie_id": ids})
    model = ItemKNN(num_neighbors=2).fit(Dataset(pd.DataFrame({"user_id": 1, "movie_id": ids}), movies))
    place = {movie: row for row, movie in enumerate(ids)}
    for movie in (0, 10, 30):
        rows = model.weights[:, place[movie]].nonzero().squeeze(1)
        assert sorted(ids[rows]) == [one for one in (0, 10, 20) if one != movie][:2]
        torch.testing.assert_close(model.weights[rows, place[movie]], torch.ones(2))


@pytest.mark.parametrize("text_ids", [False, True])
@pytest.mark.parametrize("estimator", [ItemKNN(num_neighbors=7), ContentKNN(num_neighbors=7)])
def test_the_order_of_the_movies_table_does_not_matter(estimator: Any, text_ids: bool) -> None:
    split = random_split(make_sample(120, 90, seed=3, ratings_per_user=12))
    frames = [split.train, split.valid, split.test, split.movies]
    if text_ids:
        frames = [frame.assign(movie_id="m" + frame["movie_id"].astype(str)) for frame in frames]
    train, valid, test, movies = frames
    whole = Split(train, valid, test, movies, split.users)
    shuffled = Split(train, valid, test, movies.sample(frac=1, random_state=1), split.users)
    one, other = (estimator.fit(split) for split in (whole, shuffled))
    place = pd.Index(shuffled.movies["movie_id"]).get_indexer(pd.Index(whole.movies["movie_id"]))
    torch.testing.assert_close(one.weights, other.weights[place][:, place])
    assert ((one.weights != 0) == (other.weights[place][:, place] != 0)).all()


@settings(deadline=None)
@given(
    st.integers(1, 11).flatmap(
        lambda width: st.lists(
            st.lists(st.sampled_from([float("-inf"), -1.0, 0.0, 2.0, float("inf")]), min_size=width, max_size=width),
            min_size=1,
            max_size=6,
        )
    ),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([2, 3, 64]),
)
def test_topk_is_a_stable_sort_in_blocks_of_any_size(rows: list[list[float]], k: int, block: int, width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_TIED", block)
        patch.setattr(module, "MAXIMA_WIDTH", width)
        patch.setattr(module, "MIN_MAXIMA", 1)
        values, columns = stable_topk(torch.tensor(rows), k)
    expected = torch.tensor(rows).sort(dim=1, descending=True, stable=True)
    assert values.tolist() == expected.values[:, :k].tolist()
    assert columns.tolist() == expected.indices[:, :k].tolist()


@pytest.mark.parametrize("width", [2560, 2600, 4001])
def test_topk_of_many_columns_is_a_stable_sort(width: int) -> None:
    """Columns are compared by the maxima of blocks first, also the last ones, which do not fill a block."""
    generator = torch.Generator().manual_seed(width)
    scores = torch.randint(0, 400, (40, width), generator=generator).float()
    scores[::2] = torch.rand(20, width, generator=generator)
    scores[3, 7:] = -torch.inf
    scores[4, : width - 3] = -torch.inf
    values, columns = stable_topk(scores, 10)
    expected = scores.sort(dim=1, descending=True, stable=True)
    assert torch.equal(values, expected.values[:, :10])
    assert torch.equal(columns, expected.indices[:, :10])


class LargestResult(TorchDispatchMode):
    """Notes the size of the largest tensor that an operation makes; the memory of a process depends on more."""

    num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = {
            one.untyped_storage().data_ptr() for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)
        }
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in given:  # not a view
                self.num_bytes = max(self.num_bytes, one.numel() * one.element_size())
        return found


def test_masked_scores_cost_no_more_than_others() -> None:
    """A row with fewer than k candidates must not make all rows be sorted whole."""
    scores = torch.rand(64, 20_000)
    scores[0, 5:] = -torch.inf
    many = torch.rand(512, 40_000)
    for rows in (0, slice(None)):
        many[rows, 5:] = -torch.inf
        with LargestResult() as largest:
            stable_topk(many, 10)
        assert (
            largest.num_bytes <= many.numel()
        )  # a quarter of the scores; whole rows would be sorted into twice as much
    values, columns = stable_topk(scores, 10)
    assert columns[0].tolist() == [*scores[0, :5].argsort(descending=True).tolist(), *range(5, 10)]
    assert (values[0, 5:] == -torch.inf).all() and (values[1:] > 0).all()


def test_few_rows_at_once_for_many_movies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows_per_chunk(1, 1024) == rows_per_chunk(4096, 1024) == 1024
    assert rows_per_chunk(65_536, 1024) == rows_per_chunk(10**6, 1024) == 64
    assert rows_per_chunk(10**9, 1024) == rows_per_chunk(0, 1) == 1
    dataset = make_sample(60, 40)
    model = Popularity().fit(dataset)
    expected = recommend(model, list(range(1, 31)), k=5)
    seen = []

    class Watched(type(model)):  # type: ignore[misc]
        def score(self, users: Any) -> torch.Tensor:
            seen.append(users.num_users)
            return super().score(users)

    monkeypatch.setattr(module, "MAX_SCORES", 40 * 8)
    pd.testing.assert_frame_equal(recommend(Watched(*vars_of(model)), list(range(1, 31)), k=5), expected)
    assert seen == [8, 8, 8, 6]


def vars_of(model: Recommender) -> list[Any]:
    return [getattr(model, one.name) for one in dataclasses.fields(model)]  # type: ignore[arg-type]


def test_diversity_in_little_memory() -> None:
    """Two thousand lists of 300 movies are 180 million pairs, which must not be in memory together."""
    many = CatalogStatistics(torch.ones(1000), 1, (torch.rand(1000, 8) < 0.3).float(), num_candidates=1000)
    with LargestResult() as largest:
        genre_diversity(torch.stack([torch.randperm(1000)[:300] for _ in range(1000)]), many)
    assert largest.num_bytes <= 4 * MAX_PAIRS
    genres = (torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    catalog = CatalogStatistics(torch.ones(50), 1, genres, num_candidates=50)
    lists = torch.arange(50).view(2, 25)
    expected = []
    for row in lists.tolist():
        pairs = [
            1 - float((genres[i] * genres[j]).sum() / ((genres[i] + genres[j]) > 0).sum())
            for n, i in enumerate(row)
            for j in row[n + 1 :]
            if genres[i].any() and genres[j].any()
        ]
        expected.append(sum(pairs) / len(pairs))
    assert genre_diversity(lists, catalog).tolist() == pytest.approx(expected)


# NaN


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Broken(Recommender):
    """Scores the user in row 1 of a batch, and compares movie 5, with NaN."""

    graph: Graph
    estimator: Popularity

    def score(self, users: Any) -> torch.Tensor:
        scores = torch.rand(users.num_users, self.graph.num_movies)
        scores[min(1, users.num_users - 1), 3] = torch.nan
        return scores

    def with_graph(self, graph: Graph) -> Any:
        return dataclasses.replace(self, graph=graph)

    def similarity_embeddings(self) -> torch.Tensor:
        embeddings = torch.rand(self.graph.num_movies, 4)
        embeddings[5] = torch.nan
        return embeddings

    def state(self) -> dict[str, torch.Tensor]:
        return {}


def test_nan_is_an_error_at_every_door() -> None:
    dataset = make_sample(60, 40)
    broken = Broken(Graph.from_dataset(dataset), Popularity())
    with pytest.raises(DataError, match="'popularity' returned NaN scores for user 9"):
        recommend(broken, [4, 9, 2])
    with pytest.raises(DataError, match="'popularity' returned NaN scores for user 'new user'"):
        recommend(broken, {1: 5})
    with pytest.raises(DataError, match="'popularity' returned NaN scores for user"):
        explain(broken, 1, [2])
    with pytest.raises(DataError, match="'popularity' returned NaN scores for user"):
        evaluate(broken, unrated(dataset))
    for movie in (1, 6):
        with pytest.raises(
            DataError, match=r"'popularity' has NaN embeddings \(for example of .*\), which cannot be compared"
        ):
            similar_movies(broken, movie)
    biases = Biases().fit(dataset)
    with_nan = dataclasses.replace(biases, **{first_tensor(biases): getattr(biases, first_tensor(biases)) * torch.nan})
    with pytest.raises(DataError, match="predicted NaN for"):
        predict_ratings(with_nan, [1, 2])


def test_infinity_is_an_error_and_minus_infinity_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_sample(60, 40)
    model = Popularity().fit(dataset)
    finite = model.score(model.graph.users)
    scores = finite.clone()
    monkeypatch.setattr(type(model), "score", lambda self, users: scores[: users.num_users].clone())
    scores[0, 3] = -torch.inf
    assert dataset.movies["movie_id"].iloc[3] not in set(recommend(model, 1, k=40, exclude_seen=False)["movie_id"])
    scores[0, 5] = torch.inf
    for door in (
        lambda: recommend(model, 1),
        lambda: recommend(model, {1: 5}),
        lambda: explain(model, 1, [2]),
        lambda: evaluate(model, unrated(dataset)),
    ):
        with pytest.raises(DataError, match="'popularity' returned infinite scores for user"):
            door()


def unrated(dataset: Dataset) -> pd.DataFrame:
    rated = set(map(tuple, dataset.ratings[["user_id", "movie_id"]].to_numpy().tolist()))
    free = [
        (user, movie) for user in (1, 2) for movie in dataset.movies["movie_id"].tolist() if (user, movie) not in rated
    ]
    return pd.DataFrame(free, columns=["user_id", "movie_id"])


def first_tensor(model: Any) -> str:
    return next(
        one.name
        for one in dataclasses.fields(model)
        if isinstance(value := getattr(model, one.name), torch.Tensor) and value.is_floating_point()
    )


# An optimizer that runs until it has converged


def objective(x: torch.Tensor, weights: torch.Tensor, l1: float, l2: float) -> float:
    return float(0.5 * (x - x @ weights).square().sum() + l2 / 2 * weights.square().sum() + l1 * weights.abs().sum())


@pytest.mark.parametrize("rho", [0.3, 30.0, 3000.0, 3e6])
def test_slim_reaches_the_minimum_from_any_penalty(rho: float) -> None:
    split = random_split(make_sample(120, 60), seed=0)
    graph = Graph.from_dataset(split.dataset)
    x = torch.zeros(graph.num_users, graph.num_movies)
    x[graph.users.user_index, graph.users.movie_index] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = SLIM(l1=1.0, l2=20.0, rho=rho).fit(split).weights
    assert objective(x, weights, 1.0, 20.0) == pytest.approx(646.88, abs=0.01)
    assert torch.equal(cooccurrence_counts(graph), x.T @ x)


def test_slim_says_when_it_does_not_converge() -> None:
    with pytest.warns(
        UserWarning, match=r"slim did not converge in 3 iterations: its relative residual is .*raise iter"
    ):
        SLIM(iterations=3).fit(make_sample(120, 60))
