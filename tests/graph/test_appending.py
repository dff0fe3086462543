"""Adding ratings and movies appends: the result is the graph that is built from all rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import ContentEmbeddings, Dataset, append_only, sorting
from gnnrec.data.sorting import sort_by_group
from gnnrec.errors import DataError
from gnnrec.graph import Graph, NewMovie, UserBatch
from gnnrec.models import EASE

NUM_USERS, NUM_MOVIES = 6, 7
GENRES = ("Drama", "Comedy|Drama", "", "Crime")


@st.composite
def appends(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    """Draw steps that add ratings ``(user, movie, rating, time)`` of old and new users, or a few movies."""
    pairs = draw(st.permutations([(u, m) for u in range(NUM_USERS) for m in range(NUM_MOVIES)]))
    steps: list[tuple[str, list[Any]]] = []
    start = 0
    for _ in range(draw(st.integers(2, 5))):
        if steps and draw(st.booleans()):
            steps.append(("movies", draw(st.lists(st.sampled_from(GENRES), min_size=1, max_size=2))))
            continue
        size = draw(st.integers(1, 8))
        # Few distinct times, so that many are equal.
        rows = [(u, m, draw(st.integers(1, 5)), draw(st.integers(0, 3))) for u, m in pairs[start : start + size]]
        steps.append(("ratings", rows))
        start += size
    return steps


def rating_rows(rows: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"])


def movie_rows(first_id: int, genres: list[str]) -> pd.DataFrame:
    ids = range(first_id, first_id + len(genres))
    return pd.DataFrame({"movie_id": ids, "title": [f"Movie {i} ({1950 + i})" for i in ids], "genres": genres})


def rebuilt(graph: Graph) -> Graph:
    """Return the graph of the same tables, checked and sorted from the beginning."""
    data = graph.dataset
    whole = Dataset(data.ratings, data.movies, data.users, data.name, features=data.features)
    pd.testing.assert_frame_equal(whole.ratings, data.ratings)
    pd.testing.assert_frame_equal(whole.movies, data.movies)
    pd.testing.assert_frame_equal(whole.users, data.users)
    return Graph.from_dataset(whole, graph.vocabularies)


def assert_equal_batches(found: UserBatch, expected: UserBatch) -> None:
    for name in ("x", "user_index", "movie_index", "rating", "timestamp", "node_id"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype and torch.equal(one, other), name
    assert all(torch.equal(one, other) for one, other in zip(found.occupation, expected.occupation, strict=True))
    assert (found.num_movies, found.num_occupations) == (expected.num_movies, expected.num_occupations)


def assert_equal_graphs(found: Graph, expected: Graph) -> None:
    assert_equal_batches(found.users, expected.users)
    assert torch.equal(found.movies.x, expected.movies.x)
    assert torch.equal(found.movies.numeric, expected.movies.numeric)
    for pair, other in (
        *((found.movies.attribute_edges[name], expected.movies.attribute_edges[name]) for name in found.attributes),
        *((values, expected.movies.modalities[name]) for name, values in found.movies.modalities.items()),
    ):
        assert all(torch.equal(one, two) for one, two in zip(pair, other, strict=True))
    assert {kind: ids.tolist() for kind, ids in found.ids.items()} == {
        kind: ids.tolist() for kind, ids in expected.ids.items()
    }
    assert repr(found) == repr(expected)


def apply(steps: list[tuple[str, list[Any]]], look: list[bool]) -> Graph:
    """Build the graph of the first step and apply the others; `look` says after which ones to compute its tensors."""
    kind, rows = steps[0]
    assert kind == "ratings"
    movies = movie_rows(0, [GENRES[i % len(GENRES)] for i in range(NUM_MOVIES)])
    graph = Graph.from_dataset(Dataset(rating_rows(rows), movies, name="toy"))
    next_id = 100
    for (kind, rows), sees_all in zip(steps[1:], look, strict=True):
        if kind == "ratings":
            graph = graph.add_ratings(rating_rows(rows))
        else:
            graph = graph.add_movies(movie_rows(next_id, rows))
            next_id += len(rows)
        if sees_all:
            _ = graph.users, graph.movies, graph.ids
    return graph


@settings(max_examples=25, deadline=None)
@given(steps=appends(), data=st.data())
def test_appending_equals_building_from_all_rows(steps: list[tuple[str, list[Any]]], data: st.DataObject) -> None:
    look = [data.draw(st.booleans()) for _ in steps[1:]]
    graph = apply(steps, look)
    nodes = torch.tensor(data.draw(st.lists(st.integers(0, graph.num_users - 1), min_size=1, max_size=5)))
    before = graph.user_batch(nodes)  # without putting all ratings together
    expected = rebuilt(graph)
    assert_equal_batches(before, expected.user_batch(nodes))
    assert_equal_graphs(graph, expected)
    assert torch.equal(graph.user_ptr, expected.user_ptr)
    assert_equal_batches(graph.user_batch(nodes), before)


@settings(max_examples=15, deadline=None)
@given(steps=appends())
def test_merging_early_changes_nothing(steps: list[tuple[str, list[Any]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MIN_MERGE", "MAX_INSERTS", "MAX_PARTS"):
            patch.setattr(append_only, name, 1)
        graph = apply(steps, [False] * len(steps[1:]))
        assert_equal_graphs(graph, rebuilt(graph))


@settings(max_examples=15, deadline=None)
@given(steps=appends())
def test_scores_after_appending(steps: list[tuple[str, list[Any]]]) -> None:
    graph = apply(steps, [False] * len(steps[1:]))
    model = EASE(reg=1).fit(apply(steps[:1], []).dataset)
    appended, whole = model.with_graph(graph), model.with_graph(rebuilt(graph))
    users = graph.ids["user"].tolist()
    pd.testing.assert_frame_equal(appended.recommend(users, k=50), whole.recommend(users, k=50))


def test_two_graphs_from_one() -> None:
    base = apply([("ratings", [(0, 0, 5, 1), (1, 1, 4, 1)])], [])
    one = base.add_ratings(rating_rows([(0, 1, 3, 0), (8, 1, 3, 0)]))
    other = base.add_ratings(rating_rows([(0, 2, 2, 2)]))
    assert one.add_ratings(rating_rows([(8, 2, 1, 1)])).num_users == 3
    for graph in (base, one, other):
        assert_equal_graphs(graph, rebuilt(graph))
    assert (base.num_users, one.num_users, other.num_users) == (2, 3, 2)
    assert one.users.movie_index.tolist() == [1, 0, 1, 1]
    assert other.users.movie_index.tolist() == [0, 2, 1]


def test_a_rating_can_only_be_added_once() -> None:
    base = apply([("ratings", [(0, 0, 5, 1), (1, 1, 4, 1)])], [])
    larger = base.add_ratings(rating_rows([(0, 1, 3, 0), (8, 1, 3, 0)]))
    for user in (0, 8):
        with pytest.raises(DataError, match=f"^added ratings row 1: user {user} has rated movie 1 already"):
            larger.add_ratings(rating_rows([(1, 2, 1, 1), (user, 1, 1, 1)]))
    with pytest.raises(DataError, match=r"^added users row 0: user 8 is already in the dataset"):
        larger.add_ratings(rating_rows([(9, 1, 1, 1)]), pd.DataFrame({"user_id": [8]}))


def test_users_and_movies_with_other_columns() -> None:
    ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})
    movies = pd.DataFrame({"movie_id": [10, 20], "plot": ["A b.", None], "country": ["fr", "de"]})
    users = pd.DataFrame({"user_id": [1, 2], "gender": ["F", "M"], "zip": ["a", "b"]})
    graph = Graph.from_dataset(Dataset(ratings, movies, users))
    graph = graph.add_movies(pd.DataFrame({"movie_id": [30, 40], "runtime": [90, None], "directors": ["A|B", "A"]}))
    graph = graph.add_movies(pd.DataFrame({"movie_id": [50], "plot": ["C d e."], "imdb_id": [114709]}))
    graph = graph.add_ratings(pd.DataFrame({"user_id": [3, 4], "movie_id": [50, 10]}), users.assign(user_id=[4, 5]))
    assert_equal_graphs(graph, rebuilt(graph))
    assert graph.dataset.movies["runtime"].tolist() == [pd.NA, pd.NA, 90, pd.NA, pd.NA]
    assert graph.dataset.users["user_id"].tolist() == [1, 2, 4, 5, 3]


def test_content_embeddings_of_added_movies() -> None:
    ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})
    # 30 has an embedding before it is a movie, 20 gets one when 40 is added.
    text = ContentEmbeddings([10, 30], [[1.0, 2.0], [3.0, 4.0]])
    graph = Graph.from_dataset(Dataset(ratings).with_features(text=text))
    _ = graph.movies
    graph = graph.add_movies(pd.DataFrame({"movie_id": [30, 40]}), {"text": ContentEmbeddings([20], [[5.0, 6.0]])})
    assert_equal_graphs(graph, rebuilt(graph))
    values, known = graph.movies.modalities["text"]
    assert values.tolist() == [[1, 2], [5, 6], [3, 4], [0, 0]]
    assert known.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    "movie",
    [
        NewMovie("Night Train (2001)", genres=["Drama"], features={"text": [0.5, 0.25]}),
        NewMovie(),
        NewMovie(genres="Crime|Comedy", runtime=90, plot="A b c."),
    ],
)
def test_features_of_a_new_movie(movie: NewMovie) -> None:
    graph = apply([("ratings", [(0, 0, 5, 1), (1, 1, 4, 1)])], [])
    text = ContentEmbeddings([0, 1], [[1.0, 2.0], [3.0, 4.0]])
    graph = Graph.from_dataset(graph.dataset.with_features(text=text))
    features, expected = graph.new_movie_features(movie), graph.add_movie(movie).movies
    assert len(features) == 1
    assert torch.equal(features.x[0], expected.x[-1])
    assert torch.equal(features.numeric[0], expected.numeric[-1])
    for (values, known), (all_values, all_known) in zip(
        features.modalities.values(), expected.modalities.values(), strict=True
    ):
        assert torch.equal(values[0], all_values[-1])
        assert known[0] == all_known[-1]
    for name, (row, node) in features.attribute_edges.items():
        rows, nodes = expected.attribute_edges[name]
        assert row.tolist() == [0] * len(node)
        assert node.tolist() == nodes[rows == graph.num_movies].tolist()


@given(
    rows=st.lists(st.tuples(st.integers(0, 2**20), st.integers(-(2**62), 2**62)), max_size=40),
    divisors=st.tuples(st.sampled_from([1, 2**18]), st.sampled_from([1, 2**23, 2**61])),
    by_group=st.sampled_from([None, 1, 2]),
    smallest=st.sampled_from([0, 1000]),
)
def test_sorting_equals_lexsort(
    rows: list[tuple[int, int]], divisors: tuple[int, int], by_group: int | None, smallest: int
) -> None:
    """With many and few groups and values, in files that are sorted by neither, by group, or by both."""
    rows = [(group // divisors[0], value // divisors[1]) for group, value in rows]
    if by_group is not None:
        rows.sort(key=lambda row: row[:by_group])
    group = np.array([row[0] for row in rows], dtype=np.int32)
    value = np.array([row[1] for row in rows], dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "MIN_KEYED", smallest)
        patch.setattr(sorting, "SORTED_AT_ONCE", 3)
        assert sort_by_group(group, value).tolist() == np.lexsort((value, group)).tolist()
