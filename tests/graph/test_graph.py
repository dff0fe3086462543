"""The graph of four users, edge by edge; and that existing nodes keep their numbers when something is added."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import DataError
from gnnrec.graph import DECADES, Graph, UserBatch
from gnnrec.user_features.age import AGE_BINS

RATINGS = pd.DataFrame(
    [
        # user, movie, rating, time: bob rated 20 and 10 in the same second, in this order
        ("ann", 10, 5, 300),
        ("bob", 20, 2, 100),
        ("ann", 30, 3, 100),
        ("bob", 10, 4, 100),
        ("cat", 30, 1, 500),
        ("ann", 20, 4, 200),
    ],
    columns=["user_id", "movie_id", "rating", "timestamp"],
)
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40],
        "title": ["Heat (1995)", "Alien (1979)", "Clue (1899)", "Nameless"],
        "genres": ["Crime|Action", "Horror", "", "Action"],
    }
)
USERS = pd.DataFrame(
    {
        "user_id": ["ann", "bob", "cat", "dan"],
        "age": [17, 25, None, 80],
        "gender": ["F", "M", None, "M"],
        "occupation": ["artist", None, "nurse", "artist"],
    }
)
USER, MOVIE = "user", "movie"


@pytest.fixture
def graph() -> Graph:
    return Graph.from_dataset(Dataset(RATINGS, MOVIES, USERS, "toy"))


def edges(pair: tuple[torch.Tensor, torch.Tensor] | torch.Tensor) -> list[tuple[int, int]]:
    return list(zip(pair[0].tolist(), pair[1].tolist(), strict=True))


def assert_equal(found: UserBatch, expected: UserBatch) -> None:
    for field in ("x", "user_index", "movie_index", "rating", "timestamp"):
        assert torch.equal(getattr(found, field), getattr(expected, field)), field
    assert edges(found.occupation) == edges(expected.occupation)


def test_nodes(graph):
    assert (graph.num_users, graph.num_movies) == (4, 4)
    assert graph.genres.tolist() == ["Action", "Crime", "Horror"]
    assert graph.occupations.tolist() == ["artist", "nurse"]
    assert graph.genders.tolist() == ["F", "M"]
    assert {kind: ids.tolist() for kind, ids in graph.ids.items()} == {
        "user": ["ann", "bob", "cat", "dan"],
        "movie": [10, 20, 30, 40],
        "genre": ["Action", "Crime", "Horror"],
        "occupation": ["artist", "nurse"],
    }
    assert repr(graph) == "Graph(4 users, 4 movies, 3 genres, 2 occupations, 6 ratings)"


def test_ratings_by_user_then_time_then_file(graph):
    users = graph.users
    assert users.user_index.tolist() == [0, 0, 0, 1, 1, 2]
    assert users.movie_index.tolist() == [2, 1, 0, 1, 0, 2]
    assert users.rating.tolist() == [3, 4, 5, 2, 4, 1]
    assert users.timestamp.tolist() == [100, 200, 300, 100, 100, 500]


def test_features(graph):
    ages, genders = graph.users.x.split([len(AGE_BINS) + 1, 2], dim=1)
    assert [row.nonzero().flatten().tolist() for row in ages] == [[0], [2], [], [6]]
    assert genders.tolist() == [[1, 0], [0, 1], [0, 0], [0, 1]]
    decades = [[DECADES[i] for i in row.nonzero().flatten()] for row in graph.movies.x]
    assert decades == [[1990], [1970], [1920], []]


def test_hetero_data(graph):
    data = graph.hetero_data
    assert data.validate(raise_on_error=True)
    assert {kind: data[kind].num_nodes for kind in data.node_types} == {USER: 4, MOVIE: 4, "genre": 3, "occupation": 2}
    expected = {
        (USER, "rated", MOVIE): [(0, 2), (0, 1), (0, 0), (1, 1), (1, 0), (2, 2)],
        (MOVIE, "has", "genre"): [(0, 1), (0, 0), (1, 2), (3, 0)],
        (USER, "works_as", "occupation"): [(0, 0), (2, 1), (3, 0)],
    }
    both = set(expected) | {(target, f"rev_{relation}", source) for source, relation, target in expected}
    assert set(data.edge_types) == both
    for (source, relation, target), pairs in expected.items():
        assert edges(data[source, relation, target].edge_index) == pairs
        assert edges(data[target, f"rev_{relation}", source].edge_index) == [pair[::-1] for pair in pairs]
    for store in (data[USER, "rated", MOVIE], data[MOVIE, "rev_rated", USER]):
        assert store.rating.tolist() == [3, 4, 5, 2, 4, 1]
        assert store.time.tolist() == [100, 200, 300, 100, 100, 500]


def test_user_batch_is_in_the_given_order(graph):
    found = graph.user_batch(torch.tensor([2, 3, 0]))
    assert found.num_users == 3
    assert edges((found.user_index, found.movie_index)) == [(0, 2), (2, 2), (2, 1), (2, 0)]
    assert found.rating.tolist() == [1, 3, 4, 5]
    assert found.timestamp.tolist() == [500, 100, 200, 300]
    assert edges(found.occupation) == [(0, 1), (1, 0), (2, 0)]
    assert torch.equal(found.x, graph.users.x[[2, 3, 0]])


def test_user_batch_equals_slices():
    graph = Graph.from_dataset(make_sample(80, 40))
    assert_equal(graph.user_batch(torch.arange(80)), graph.users)
    assert_equal(graph.user_batch(torch.arange(20, 50)), graph.users.slice(20, 50))
    nodes = torch.tensor([7, 70, 7])
    found = graph.user_batch(nodes)
    for row, node in enumerate(nodes.tolist()):
        own = graph.users.user_index == node
        assert torch.equal(found.movie_index[found.user_index == row], graph.users.movie_index[own])
        assert_equal(found.slice(row, row + 1), graph.users.slice(node, node + 1))


def test_only_ids():
    graph = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": [7, 5], "movie_id": ["x", "y"]})))
    assert graph.ids[USER].tolist() == [5, 7]
    assert edges((graph.users.user_index, graph.users.movie_index)) == [(0, 1), (1, 0)]
    assert graph.users.rating.isfinite().all()
    assert graph.users.timestamp.tolist() == [0, 0]
    assert graph.hetero_data.validate(raise_on_error=True)


def test_add_ratings(graph):
    rows = pd.DataFrame({"user_id": ["eve", "ann", "eve"], "movie_id": [40, 40, 10], "rating": [2, 5, 3]})
    users = pd.DataFrame({"user_id": ["eve"], "age": [30], "gender": ["F"], "occupation": ["nurse"]})
    larger = graph.add_ratings(rows, users)
    assert larger.ids[USER].tolist() == ["ann", "bob", "cat", "dan", "eve"]
    assert larger.ids[MOVIE].equals(graph.ids[MOVIE])
    # An added rating without a time is the latest one.
    assert edges((larger.users.user_index, larger.users.movie_index)) == [
        (0, 2), (0, 1), (0, 0), (0, 3), (1, 1), (1, 0), (2, 2), (4, 3), (4, 0),
    ]  # fmt: skip
    assert edges(larger.users.occupation) == [(0, 0), (2, 1), (3, 0), (4, 1)]
    assert torch.equal(larger.users.x[:4], graph.users.x)
    assert larger.users.x[4].tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert graph.num_users == 4
    assert larger.hetero_data.validate(raise_on_error=True)


def test_added_ratings_are_in_order_of_time(graph):
    rows = pd.DataFrame({"user_id": ["ann"], "movie_id": [40], "rating": [5], "timestamp": [250]})
    assert graph.add_ratings(rows).users.movie_index[:4].tolist() == [2, 1, 3, 0]


def test_added_profiles_use_the_known_spelling(graph):
    users = pd.DataFrame(
        {"user_id": ["eve", "fay", "gus", "hal"], "gender": ["f ", "F", "m", None], "occupation": ["ARTIST"] * 4}
    )
    larger = graph.add_ratings(pd.DataFrame({"user_id": ["eve"], "movie_id": [40]}), users)
    assert larger.dataset.users["gender"].tolist()[4:] == ["F", "F", "M", pd.NA]
    assert larger.dataset.users["occupation"].tolist()[3:] == ["artist"] * 5
    assert torch.equal(larger.users.x[:4], graph.users.x)


def test_add_movies(graph):
    new = pd.DataFrame({"movie_id": [5], "title": ["Brazil (1985)"], "genres": ["Crime"]})
    larger = graph.add_movies(new)
    assert larger.ids[MOVIE].tolist() == [10, 20, 30, 40, 5]
    assert edges(larger.movies.attribute_edges["genres"]) == [*edges(graph.movies.attribute_edges["genres"]), (4, 1)]
    assert torch.equal(larger.movies.x[:4], graph.movies.x)
    assert DECADES[int(larger.movies.x[4].argmax())] == 1980
    assert_equal(larger.users, graph.users)
    assert larger.movie_node("brazil (1985)") == 4
    assert graph.num_movies == 4


def frame(**columns):
    return pd.DataFrame(columns, index=range(7, 7 + len(columns[next(iter(columns))])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda g: g.add_ratings(frame(user_id=["eve", "ann"], movie_id=[10, 10])),
            "added ratings row 1: user 'ann' has rated movie 10 already",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve", "eve"], movie_id=[10, 10])),
            "added ratings row 1: user 'eve' rated movie 10 twice; keep one of the two rows (first at added",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve", "ann"], movie_id=[10, 99])),
            "added ratings row 1: movie 99 is unknown; add it with add_movies",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve", "fay"], movie_id=[10, 10], rating=[1, "x"])),
            "added ratings row 1: rating 'x' is not a number",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=[1], movie_id=[10])),
            "added ratings: user_id must be text, as in the dataset, not whole numbers",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve", "eve"], movie_id=["10", "Zardoz (1974)"])),
            "added ratings row 1: unknown movie 'Zardoz (1974)'",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve"], movie_id=[10]), frame(user_id=["eve", "bob"])),
            "added users row 1: user 'bob' is already in the dataset",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve"], movie_id=[10]), frame(user_id=["eve", "eve"])),
            "added users row 1: user_id 'eve' is listed twice; keep one row of each (first at added users row 0)",
        ),
        (
            lambda g: g.add_ratings(frame(user_id=["eve"], movie_id=[10]), frame(user_id=["eve"], age=[-1])),
            "added users row 0: age -1 is not between 0 and 150",
        ),
        (lambda g: g.add_movies(frame(movie_id=[5, 10])), "added movies row 1: movie 10 is already in the dataset"),
        (lambda g: g.add_movies(frame(movie_id=[5, 5])), "added movies row 1: movie_id 5 is listed twice"),
        (lambda g: g.add_movies(frame(movie_id=[5, 6], year=[1, "x"])), "added movies row 1: year 'x' is not a number"),
        (lambda g: g.add_movies(frame(movie_id=["x"])), "added movies: movie_id must be whole numbers"),
        (lambda g: g.add_movies(frame(title=["X"])), "added movies: no column movie_id"),
    ],
)  # fmt: skip
def test_errors_name_the_row_of_the_given_frame(graph, call, message):
    with pytest.raises(DataError) as caught:
        call(graph)
    assert str(caught.value).startswith(message)


def test_movies_without_titles():
    hint = "; the movies have no titles; give an id, or load a movies table"
    for ids, name, close in (([10, 20], "Heat (1995)", ""), (["heat", "clue"], "haet", "; did you mean 'heat'?")):
        graph = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": [7, 5], "movie_id": ids})))
        with pytest.raises(DataError) as caught:
            graph.movie_node(name)
        assert str(caught.value) == f"unknown movie '{name}'{hint}{close}"


def test_an_unknown_text_id_of_movies_with_titles():
    ratings = pd.DataFrame({"user_id": ["ann-north", "bob"], "movie_id": ["f-heat", "f-alien"]})
    movies = pd.DataFrame({"movie_id": ["f-heat", "f-alien"], "title": ["Heat (1995)", "Alien (1979)"]})
    graph = Graph.from_dataset(Dataset(ratings, movies))
    with pytest.raises(DataError, match=r"^unknown movie 'f-aliens'; did you mean 'f-alien'"):
        graph.movie_node("f-aliens")
    with pytest.raises(DataError, match=r"^user 'ann-nort' is not in the graph; .*; did you mean 'ann-north'"):
        graph.user_nodes(["bob", "ann-nort"])
    with pytest.raises(DataError, match=r"^movie 5 is not in the graph; [^;]*$"):
        graph.movie_nodes([5])


def test_an_unknown_title_of_movies_with_titles(graph):
    with pytest.raises(DataError, match=r"^unknown movie 'Heet \(1995\)'; did you mean 'Heat \(1995\)'"):
        graph.movie_node("Heet (1995)")


def test_add_movies_of_a_new_genre_warns(graph):
    with pytest.warns(UserWarning, match="genre 'Opera' was not seen in training"):
        larger = graph.add_movies(pd.DataFrame({"movie_id": [5], "genres": ["Opera|Crime"]}))
    assert larger.genres.equals(graph.genres)
    assert edges(larger.movies.attribute_edges["genres"])[-1] == (4, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.add_ratings(pd.DataFrame({"user_id": ["ann"], "movie_id": [99]})), "movie 99 is unknown"),
        (
            lambda g: g.add_ratings(pd.DataFrame({"user_id": ["ann"], "movie_id": [10]})),
            "'ann' has rated movie 10 already",
        ),
        (lambda g: g.add_movies(pd.DataFrame({"movie_id": [10]})), "movie 10 is already in the dataset"),
        (lambda g: g.add_movies(pd.DataFrame({"title": ["X"]})), "movie_id is missing|no column movie_id"),
        (lambda g: g.user_nodes(["ann", "zoe"]), "user 'zoe' is not in the graph; pass a NewUser"),
        (lambda g: g.movie_nodes([10, 11]), "movie 11 is not in the graph; add it with add_movies"),
    ],
)
def test_errors(graph, call, message):
    with pytest.raises(DataError, match=message):
        call(graph)
