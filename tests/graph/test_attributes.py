"""Directors and actors as nodes: which ones, their edges, and graphs whose vocabularies lack them."""

from __future__ import annotations

import warnings
from collections import Counter

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.graph import Graph

RATINGS = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 30], "rating": [5, 4, 3]})
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40],
        "genres": ["Crime|Action", "Horror", "", "Action"],
        "directors": ["Ann Lee|Bo Ray", "Ann Lee", "Cy Fox", None],
        "actors": ["Dee|Eli|Fay", "Eli|Gus", "Dee", "Ann Lee|Eli"],
    }
)


def dataset(movies: pd.DataFrame = MOVIES) -> Dataset:
    return Dataset(RATINGS, movies, name="toy")


def edges(pair: tuple[torch.Tensor, torch.Tensor] | torch.Tensor) -> list[tuple[int, int]]:
    return list(zip(pair[0].tolist(), pair[1].tolist(), strict=True))


def test_nodes_and_edges() -> None:
    graph = Graph.from_dataset(dataset())
    assert {column: values.tolist() for column, values in graph.attributes.items()} == {
        "genres": ["Action", "Crime", "Horror"],
        "directors": ["Ann Lee"],
        "actors": ["Dee", "Eli"],
    }
    assert graph.ids["director"].tolist() == ["Ann Lee"]
    assert {column: edges(ends) for column, ends in graph.movies.attribute_edges.items()} == {
        "genres": [(0, 1), (0, 0), (1, 2), (3, 0)],
        "directors": [(0, 0), (1, 0)],
        "actors": [(0, 0), (0, 1), (1, 1), (2, 0), (3, 1)],
    }
    assert repr(graph) == "Graph(2 users, 4 movies, 3 genres, 1 directors, 2 actors, 0 occupations, 3 ratings)"


def test_hetero_data() -> None:
    graph = Graph.from_dataset(dataset())
    data = graph.hetero_data
    assert data.validate(raise_on_error=True)
    assert (data["genre"].num_nodes, data["director"].num_nodes, data["actor"].num_nodes) == (3, 1, 2)
    for relation, node_type, column in (("directed_by", "director", "directors"), ("stars", "actor", "actors")):
        pairs = edges(graph.movies.attribute_edges[column])
        assert edges(data["movie", relation, node_type].edge_index) == pairs
        assert edges(data[node_type, f"rev_{relation}", "movie"].edge_index) == [pair[::-1] for pair in pairs]


def test_min_movies() -> None:
    graph = Graph.from_dataset(dataset(), min_movies=1)
    assert graph.attributes["directors"].tolist() == ["Ann Lee", "Bo Ray", "Cy Fox"]
    assert Graph.from_dataset(dataset(), min_movies=3).attributes["actors"].tolist() == ["Eli"]


def test_attributes_without_values_are_left_out() -> None:
    graph = Graph.from_dataset(dataset(), min_movies=3)
    assert list(graph.attributes) == list(graph.movies.attribute_edges) == ["genres", "actors"]
    assert "director" not in graph.hetero_data.node_types
    assert list(Graph.from_dataset(dataset(MOVIES[["movie_id"]])).attributes) == ["genres"]


def test_vocabularies_without_directors() -> None:
    vocabularies = Graph.from_dataset(dataset()).vocabularies
    assert list(vocabularies) == ["genres", "directors", "actors", "occupations", "genders"]
    old = {name: vocabularies[name] for name in ("genres", "occupations", "genders")}
    graph = Graph.from_dataset(dataset(), old)
    assert list(graph.attributes) == ["genres"]
    assert list(graph.vocabularies) == list(old)


def test_added_movies_keep_the_nodes() -> None:
    graph = Graph.from_dataset(dataset())
    new = pd.DataFrame({"movie_id": [50], "genres": ["Crime"], "directors": ["Cy Fox|Ann Lee"], "actors": [["Hal"]]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # unknown directors and actors are ignored silently
        larger = graph.add_movies(new)
    assert larger.attributes["directors"].tolist() == ["Ann Lee"]  # Cy Fox is no node
    assert edges(larger.movies.attribute_edges["directors"]) == [(0, 0), (1, 0), (4, 0)]
    assert edges(larger.movies.attribute_edges["actors"]) == edges(graph.movies.attribute_edges["actors"])
    with pytest.warns(UserWarning, match="genre 'Opera' was not seen in training"):
        graph.add_movies(new.assign(genres="Opera"))


def test_attributes_that_the_movies_table_lacks_have_no_edges() -> None:
    graph = Graph.from_dataset(dataset(MOVIES.drop(columns="actors")), Graph.from_dataset(dataset()).vocabularies)
    assert graph.attributes["actors"].tolist() == ["Dee", "Eli"]
    assert edges(graph.movies.attribute_edges["actors"]) == []


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=8), st.integers(1, 3))
def test_every_credit_is_an_edge(casts: list[list[str]], min_movies: int) -> None:
    count = len(casts)
    ratings = pd.DataFrame({"user_id": 1, "movie_id": range(count)})
    movies = pd.DataFrame({"movie_id": range(count), "actors": casts})
    graph = Graph.from_dataset(Dataset(ratings, movies), min_movies=min_movies)
    films = Counter(actor for cast in casts for actor in set(cast))
    expected = {(movie, a) for movie, cast in enumerate(casts) for a in cast if films[a] >= min_movies}
    if not expected:
        assert list(graph.attributes) == ["genres"]
        return
    names = graph.attributes["actors"]
    found = [(movie, names[node]) for movie, node in edges(graph.movies.attribute_edges["actors"])]
    assert len(found) == len(set(found))
    assert set(found) == expected
