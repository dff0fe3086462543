"""`Dataset.filtered`: which ratings, users and movies are left, and the description of the filters."""

from __future__ import annotations

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.data.filters import in_core
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.splitting import random_split

CHAIN = pd.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 3, 3, 3, 4],
        "movie_id": [10, 20, 10, 20, 20, 30, 40, 30],
        "rating": [5.0, 3.0, 4.0, 3.5, 2.0, 5.0, 4.0, 1.0],
    }
)


def test_min_rating() -> None:
    kept = Dataset(CHAIN, name="mine").filtered(min_rating=3.5)
    assert kept.ratings[["user_id", "movie_id"]].to_numpy().tolist() == [[1, 10], [2, 10], [2, 20], [3, 30], [3, 40]]
    assert kept.users["user_id"].tolist() == [1, 2, 3]  # user 4 has no ratings left
    assert repr(kept) == "Dataset('mine', rating >= 3.5: 3 users, 4 movies, 5 ratings)"


def test_core_is_iterative() -> None:
    kept = Dataset(CHAIN).filtered(k_core=2)
    # Movie 40 and user 4 have one rating and are dropped; then movie 30 has one left, then user 3.
    assert kept.ratings[["user_id", "movie_id"]].to_numpy().tolist() == [[1, 10], [1, 20], [2, 10], [2, 20]]
    assert kept.movies["movie_id"].tolist() == [10, 20]


def test_core_after_rating() -> None:
    dataset = Dataset(CHAIN, name="mine")
    both = dataset.filtered(min_rating=3, k_core=2)
    assert repr(both) == "Dataset('mine', rating >= 3, 2-core: 2 users, 2 movies, 4 ratings)"
    pd.testing.assert_frame_equal(both.ratings, dataset.filtered(3).filtered(k_core=2).ratings)
    assert dataset.filtered(3).filtered(k_core=2).filters == "rating >= 3, 2-core"


def test_no_filters() -> None:
    movies = pd.DataFrame({"movie_id": [10, 20, 30, 40, 50]})
    dataset = Dataset(CHAIN, movies)
    assert dataset.filtered() is dataset
    assert dataset.filtered(k_core=1).movies["movie_id"].tolist() == [10, 20, 30, 40]  # movie 50 has no ratings


def test_tables_keep_their_columns() -> None:
    dataset = make_sample(50, 40)
    kept = dataset.filtered(4, 5)
    assert 0 < kept.num_users <= 50
    for table, column in (("movies", "movie_id"), ("users", "user_id")):
        rows = getattr(dataset, table)
        expected = rows[rows[column].isin(kept.ratings[column])].reset_index(drop=True)
        pd.testing.assert_frame_equal(getattr(kept, table), expected)


def test_splits_describe_the_filters() -> None:
    split = random_split(make_sample(50, 40).filtered(3, 5))
    assert split.protocol == "rating >= 3, 5-core, random per user 0.8/0.1/0.1, seed 0"


@settings(max_examples=25, deadline=None)
@given(
    pairs=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=50),
    k=st.integers(1, 5),
)
def test_core_equals_networkx(pairs: set[tuple[int, int]], k: int) -> None:
    rows = pd.DataFrame(sorted(pairs), columns=["user_id", "movie_id"])
    kept = rows[in_core(rows["user_id"].to_numpy(), rows["movie_id"].to_numpy(), k)]
    graph = nx.Graph([(f"u{u}", f"m{m}") for u, m in pairs])
    core = nx.k_core(graph, k)
    assert {(f"u{u}", f"m{m}") for u, m in kept.itertuples(index=False)} == {tuple(sorted(e)[::-1]) for e in core.edges}
    if len(kept):
        assert kept["user_id"].value_counts().min() >= k
        assert kept["movie_id"].value_counts().min() >= k
        assert in_core(kept["user_id"].to_numpy(), kept["movie_id"].to_numpy(), k).all()  # a fixed point


def test_refused() -> None:
    dataset = Dataset(CHAIN, name="mine")
    with pytest.raises(DataError, match="plain has no column rating, so min_rating=3 cannot be applied"):
        Dataset(CHAIN.drop(columns="rating"), name="plain").filtered(min_rating=3)
    with pytest.raises(DataError, match="no ratings of mine are left after rating >= 3, 9-core; use a weaker filter"):
        dataset.filtered(3, 9)
    for wrong in (0, 2.5, True, "10"):
        with pytest.raises(ConfigError, match="k_core must be an integer of at least 1"):
            dataset.filtered(k_core=wrong)  # type: ignore[arg-type]
    for wrong in (float("nan"), "3", True):
        with pytest.raises(ConfigError, match="min_rating must be a finite number"):
            dataset.filtered(min_rating=wrong)  # type: ignore[arg-type]
