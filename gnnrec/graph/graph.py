"""`Graph`: a dataset as nodes and edges, and the way from ids to nodes and back.

A graph is never changed. Adding ratings or movies gives a new graph, in which every old node keeps its number,
so that a trained encoder can go on with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from gnnrec.data import Dataset
from gnnrec.data.added import with_movies, with_ratings
from gnnrec.graph.movies import (
    GENRES,
    MOVIE_ATTRIBUTES,
    NewMovie,
    attribute_edges,
    attribute_values,
    decade_features,
    distinct_values,
    known_attribute_values,
    numeric_movie_features,
    profile_features,
    value_edges,
    warn_unknown_values,
)
from gnnrec.graph.transitions import transition_counts
from gnnrec.graph.users import UserBatch
from gnnrec.graph.vocabulary import Vocabulary


def rating_edges(dataset: Dataset) -> dict[str, Tensor]:
    """Return the edges sorted by user, then by time; equal times stay in the order of the file."""
    ratings = dataset.ratings
    row = pd.Index(dataset.users["user_id"]).get_indexer(pd.Index(ratings["user_id"]))
    movie = pd.Index(dataset.movies["movie_id"]).get_indexer(pd.Index(ratings["movie_id"]))
    time = ratings["timestamp"].to_numpy() if "timestamp" in ratings else np.zeros(len(row), np.int64)
    rating = ratings["rating"].to_numpy() if "rating" in ratings else np.ones(len(row), np.float32)
    order = np.lexsort((time, row))
    columns = {
        "user_index": (row, np.int64),
        "movie_index": (movie, np.int64),
        "rating": (rating, np.float32),
        "timestamp": (time, np.int64),
    }
    return {name: torch.from_numpy(values[order].astype(dtype)) for name, (values, dtype) in columns.items()}


def add_relation(
    data: HeteroData, name: tuple[str, str, str], edges: tuple[Tensor, Tensor], **attributes: Tensor
) -> None:
    """Add a relation and its reverse, ``rev_...``, with the same attributes on both."""
    source, relation, target = name
    data[name].edge_index = torch.stack(edges)
    data[target, f"rev_{relation}", source].edge_index = torch.stack(edges[::-1])
    for key, values in attributes.items():
        data[name][key] = values
        data[target, f"rev_{relation}", source][key] = values


def csr_ranges(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return every integer of the csr_ranges ``[start, end)`` in turn, and the range each is from."""
    length = end - start
    row = torch.repeat_interleave(torch.arange(len(start)), length)
    offset = torch.arange(int(length.sum())) - torch.repeat_interleave(length.cumsum(0) - length, length)
    return start[row] + offset, row


class MovieContent:
    """Movies by their years, facts, vectors and links; `Graph` inherits it."""

    dataset: Dataset
    attributes: dict[str, pd.Index]

    @property
    def num_movies(self) -> int:
        """Number of movie nodes."""
        return self.dataset.num_movies

    @property
    def genres(self) -> pd.Index:
        """The genres that are nodes."""
        return self.attributes[GENRES]

    @cached_property
    def movie_x(self) -> Tensor:
        """``[num_movies, 11]``, the decade of release."""
        return decade_features(self.dataset.movies["year"].to_numpy(dtype="float64", na_value=np.nan))

    @cached_property
    def movie_numeric_features(self) -> Tensor:
        """``[num_movies, 6]``, see `gnnrec.graph.movies.numeric_movie_features`."""
        return numeric_movie_features(self.dataset.movies)

    @cached_property
    def movie_modalities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """By modality ``[num_movies, width]`` vectors and ``[num_movies]`` bool, which movies have one."""
        ids = self.dataset.movies["movie_id"]
        aligned = {name: vectors.aligned(ids) for name, vectors in self.dataset.features.items()}
        return {name: (torch.from_numpy(values), torch.from_numpy(known)) for name, (values, known) in aligned.items()}

    @cached_property
    def movie_attribute_edges(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Edges ``(movie, node)``, each ``[num_edges]`` int64, for each kind in `attributes`."""
        return attribute_edges(self.dataset.movies, self.attributes)

    @property
    def movie_genres(self) -> tuple[Tensor, Tensor]:
        """Edges ``(movie, genre)``, each ``[num_edges]`` int64."""
        return self.movie_attribute_edges[GENRES]


USER, MOVIE, OCCUPATION = "user", "movie", "occupation"


def hetero_data(graph: Graph) -> HeteroData:
    """Return every node and both directions of every relation of a graph."""
    data, users = HeteroData(), graph.users
    data[USER].x, data[MOVIE].x = users.x, graph.movie_x
    for column, values in graph.attributes.items():
        data[MOVIE_ATTRIBUTES[column].node_type].num_nodes = len(values)
    data[OCCUPATION].num_nodes = len(graph.occupations)
    add_relation(
        data, (USER, "rated", MOVIE), (users.user_index, users.movie_index), rating=users.rating, time=users.timestamp
    )
    for column, ends in graph.movie_attribute_edges.items():
        side = MOVIE_ATTRIBUTES[column]
        add_relation(data, (MOVIE, side.relation, side.node_type), ends)
    add_relation(data, (USER, "works_as", OCCUPATION), users.occupation)
    if graph.has_times:
        source, following, count = transition_counts(users)
        add_relation(data, (MOVIE, "transition_counts", MOVIE), (source, following), count=count)
    return data


@dataclass(frozen=True, eq=False, repr=False)
class Graph(MovieContent):
    """Users, movies, genres and occupations, joined by who rated what, what is of which genre, who does what.

    Directors and actors are nodes, too, where the movies table names them. Build one with `Graph.from_dataset`.

    Attributes
    ----------
    dataset : Dataset
        Where the nodes come from: row ``i`` of ``dataset.users`` (``movies``) is user (movie) node ``i``.
    attributes : dict of str to pandas.Index
        What movies are linked to: the nodes by column of the movies table, ``genres`` always, ``directors`` and
        ``actors`` where there are any.
    occupations, genders : pandas.Index
        The known values; occupations are nodes.
    users : UserBatch
        Every user of the graph.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> graph = Graph.from_dataset(make_sample(60, 40))
    >>> graph.num_users, graph.num_movies, graph.ids["movie"][:3].tolist()
    (60, 40, [1, 2, 3])
    >>> graph.data["user", "rated", "movie"].edge_index.shape == (2, graph.dataset.num_ratings)
    True
    """

    dataset: Dataset
    attributes: dict[str, pd.Index]
    occupations: pd.Index
    genders: pd.Index
    users: UserBatch

    @classmethod
    def from_dataset(
        cls, dataset: Dataset, known: Mapping[str, pd.Index] | None = None, *, min_movies: int = 2
    ) -> Graph:
        """Build the graph of a dataset.

        Parameters
        ----------
        dataset : Dataset
            Every movie and user in its tables becomes a node, also one without ratings.
        known : mapping, optional
            What the graph that a model was trained on `knows <Graph.vocabularies>`, so that the model fits this one too.
            Other genres, occupations and genders are ignored with a warning, other directors and actors without.
        min_movies : int
            Directors and actors of fewer movies are left out, where nothing is `known`.
        """
        if known is None:
            attributes = attribute_values(dataset.movies, min_movies)
            occupations = distinct_values(dataset.users["occupation"])
            genders = distinct_values(dataset.users["gender"])
        else:
            occupations, genders = known["occupations"], known["genders"]
            attributes = known_attribute_values(dataset.movies, known)
            warn_unknown_values(dataset.users["occupation"], occupations, "occupation")
            warn_unknown_values(dataset.users["gender"], genders, "gender")
        ages = dataset.users["age"].to_numpy(dtype="float64", na_value=np.nan)
        codes = genders.get_indexer(pd.Index(dataset.users["gender"].astype(object)))
        users = UserBatch(
            x=profile_features(ages, codes, len(genders)),
            occupation=value_edges(dataset.users["occupation"], occupations),
            **rating_edges(dataset),
            node_id=torch.arange(dataset.num_users),
            num_movies=dataset.num_movies,
            num_occupations=len(occupations),
        )
        return cls(dataset, attributes, occupations, genders, users)

    @property
    def num_users(self) -> int:
        """Number of user nodes."""
        return self.dataset.num_users

    @property
    def has_times(self) -> bool:
        """Whether the ratings have timestamps. Without them, histories are in the order of the file."""
        return "timestamp" in self.dataset.ratings

    @property
    def vocabularies(self) -> dict[str, pd.Index]:
        """The values a model trained on this graph knows, for `from_dataset`."""
        return {**self.attributes, "occupations": self.occupations, "genders": self.genders}

    @cached_property
    def ids(self) -> dict[str, pd.Index]:
        """The caller's id of every node, by node type."""
        return {
            USER: pd.Index(self.dataset.users["user_id"]),
            MOVIE: pd.Index(self.dataset.movies["movie_id"]),
            **{MOVIE_ATTRIBUTES[column].node_type: values for column, values in self.attributes.items()},
            OCCUPATION: self.occupations,
        }

    @cached_property
    def data(self) -> HeteroData:
        """The same graph as PyG's `HeteroData`, both directions of every relation in it.

        Besides who rated what there is which movie was watched soon after which, with its ``count``; see
        `gnnrec.graph.transitions.transition_counts`. That relation is left out where ratings have no timestamps: the order of a file is
        not that of watching.
        """
        return hetero_data(self)

    def user_edges(self, nodes: Tensor, until: Tensor | None = None) -> Tensor:
        """Return which of the graph's ratings `user_batch` gives these users, in its order."""
        return csr_ranges(self.user_ptr[nodes], self.user_ptr[nodes + 1] if until is None else until)[0]

    def user_batch(self, nodes: Tensor, until: Tensor | None = None) -> UserBatch:
        """Return some of the graph's users, as they are or as they once were.

        Parameters
        ----------
        nodes : Tensor
            ``[n]`` int64, who, in this order; the same user may be asked for several times.
        until : Tensor, optional
            ``[n]`` int64, the place among the graph's ratings before which each history ends: a user as they were just
            before they made that rating. Whole histories by default.
        """
        edge, row = csr_ranges(self.user_ptr[nodes], self.user_ptr[nodes + 1] if until is None else until)
        occupation = self._occupation_of[nodes]
        works = torch.nonzero(occupation >= 0).squeeze(1)
        return dataclasses.replace(
            self.users,
            x=self.users.x[nodes],
            occupation=(works, occupation[works]),
            user_index=row,
            movie_index=self.users.movie_index[edge],
            rating=self.users.rating[edge],
            timestamp=self.users.timestamp[edge],
            node_id=nodes,
        )

    def user_nodes(self, user_ids: Iterable[Any]) -> Tensor:
        """Return the node of each user id, ``[n]`` int64; an unknown one is a `DataError`."""
        return self._users_by_name.nodes(user_ids)

    def movie_nodes(self, movie_ids: Iterable[Any]) -> Tensor:
        """Return the node of each movie id, ``[n]`` int64; an unknown one is a `DataError`."""
        return self._movies_by_name.nodes(movie_ids)

    def movie_node(self, movie: Any) -> int:
        """Return the node of one movie, given by id or by title."""
        return self._movies_by_name.node(movie)

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Graph:
        """Return a graph with more ratings; ids not seen before become new users.

        Parameters
        ----------
        ratings : pandas.DataFrame
            ``user_id, movie_id[, rating][, timestamp]``. The movies must be in the graph.
        users : pandas.DataFrame, optional
            ``user_id[, age][, gender][, occupation]`` of new users.

        Raises
        ------
        DataError
            A movie is unknown, a user rated one of the movies before, or `users` names one who is in the graph. The
            message names the row of the frame given.
        """
        return Graph.from_dataset(with_ratings(self.dataset, ratings, users, self.vocabularies), self.vocabularies)

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, Any] | None = None) -> Graph:
        """Return a graph with more movies.

        Parameters
        ----------
        movies : pandas.DataFrame
            ``movie_id[, title][, genres][, year][, directors][, actors][, runtime][, plot]``.
        features : mapping of str to ContentEmbeddings or array_like, optional
            Their vectors, for modalities that the graph has; made by the same encoder. An array has a row for each row
            of `movies`; of a single movie it may be the one vector.

        Raises
        ------
        DataError
            A movie is already there, or its row is wrong (the message names the row of the frame given), or its vectors
            are of another modality or width.
        """
        return Graph.from_dataset(with_movies(self.dataset, movies, features or {}), self.vocabularies)

    def add_movie(self, movie: NewMovie) -> Graph:
        """Return a graph with one more movie, the last node, under an id that nobody else has."""
        ids = self.dataset.movies["movie_id"]
        movie_id: Any = int(ids.max()) + 1 if ids.dtype == "int64" else "".join(["new movie", *ids])
        return self.add_movies(movie.row(movie_id), movie.vectors(movie_id))

    def __repr__(self) -> str:
        attributes = "".join(f"{len(values):,} {column}, " for column, values in self.attributes.items())
        return (
            f"Graph({self.num_users:,} users, {self.num_movies:,} movies, {attributes}"
            f"{len(self.occupations)} occupations, {self.dataset.num_ratings:,} ratings)"
        )

    @cached_property
    def user_ptr(self) -> Tensor:
        """``[num_users + 1]`` int64, where the ratings of each user begin in `users`; they end where the next begin."""
        counts = torch.bincount(self.users.user_index, minlength=self.num_users)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    @cached_property
    def _occupation_of(self) -> Tensor:
        nodes = torch.full((self.num_users,), -1)
        nodes[self.users.occupation[0]] = self.users.occupation[1]
        return nodes

    @cached_property
    def _users_by_name(self) -> Vocabulary:
        return Vocabulary(USER, self.ids[USER], "pass a NewUser, or add their ratings with add_ratings")

    @cached_property
    def _movies_by_name(self) -> Vocabulary:
        return Vocabulary(MOVIE, self.ids[MOVIE], "add it with add_movies", self.dataset.movies["title"])
