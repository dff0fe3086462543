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
from gnnrec.graph import edges, features
from gnnrec.graph.content import MovieContent
from gnnrec.graph.hetero import MOVIE, OCCUPATION, USER, hetero_data
from gnnrec.graph.movies import NewMovie
from gnnrec.graph.names import Names
from gnnrec.graph.sides import MOVIE_SIDES, values_among, values_in
from gnnrec.graph.users import UserBatch


@dataclass(frozen=True, eq=False, repr=False)
class Graph(MovieContent):
    """Users, movies, genres and occupations, joined by who rated what, what is of which genre, who does what.

    Directors and actors are nodes, too, where the movies table names them. Build one with `Graph.from_dataset`.

    Attributes
    ----------
    dataset : Dataset
        Where the nodes come from: row ``i`` of ``dataset.users`` (``movies``) is user (movie) node ``i``.
    sides : dict of str to pandas.Index
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
    sides: dict[str, pd.Index]
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
            What the graph that a model was trained on `knows <Graph.known>`, so that the model fits this one too.
            Other genres, occupations and genders are ignored with a warning, other directors and actors without.
        min_movies : int
            Directors and actors of fewer movies are left out, where nothing is `known`.
        """
        if known is None:
            sides = values_in(dataset.movies, min_movies)
            occupations = features.distinct(dataset.users["occupation"])
            genders = features.distinct(dataset.users["gender"])
        else:
            occupations, genders = known["occupations"], known["genders"]
            sides = values_among(dataset.movies, known)
            features.warn_of_new(dataset.users["occupation"], occupations, "occupation")
            features.warn_of_new(dataset.users["gender"], genders, "gender")
        ages = dataset.users["age"].to_numpy(dtype="float64", na_value=np.nan)
        codes = genders.get_indexer(pd.Index(dataset.users["gender"].astype(object)))
        users = UserBatch(
            x=features.profile_features(ages, codes, len(genders)),
            occupation=features.links(dataset.users["occupation"], occupations),
            **edges.of_ratings(dataset),
            node=torch.arange(dataset.num_users),
            num_movies=dataset.num_movies,
            num_occupations=len(occupations),
        )
        return cls(dataset, sides, occupations, genders, users)

    @property
    def num_users(self) -> int:
        """Number of user nodes."""
        return self.dataset.num_users

    @property
    def has_times(self) -> bool:
        """Whether the ratings have timestamps. Without them, histories are in the order of the file."""
        return "timestamp" in self.dataset.ratings

    @property
    def known(self) -> dict[str, pd.Index]:
        """The values a model trained on this graph knows, for `from_dataset`."""
        return {**self.sides, "occupations": self.occupations, "genders": self.genders}

    @cached_property
    def ids(self) -> dict[str, pd.Index]:
        """The caller's id of every node, by node type."""
        return {
            USER: pd.Index(self.dataset.users["user_id"]),
            MOVIE: pd.Index(self.dataset.movies["movie_id"]),
            **{MOVIE_SIDES[column].node_type: values for column, values in self.sides.items()},
            OCCUPATION: self.occupations,
        }

    @cached_property
    def data(self) -> HeteroData:
        """The same graph as PyG's `HeteroData`, both directions of every relation in it.

        Besides who rated what there is which movie was watched soon after which, with its ``count``; see
        `gnnrec.graph.followed_by`. That relation is left out where ratings have no timestamps: the order of a file is
        not that of watching.
        """
        return hetero_data(self)

    def edges_of(self, nodes: Tensor, until: Tensor | None = None) -> Tensor:
        """Return which of the graph's ratings `known_users` gives these users, in its order."""
        return edges.ranges(self.first_edge[nodes], self.first_edge[nodes + 1] if until is None else until)[0]

    def known_users(self, nodes: Tensor, until: Tensor | None = None) -> UserBatch:
        """Return some of the graph's users, as they are or as they once were.

        Parameters
        ----------
        nodes : Tensor
            ``[n]`` int64, who, in this order; the same user may be asked for several times.
        until : Tensor, optional
            ``[n]`` int64, the place among the graph's ratings before which each history ends: a user as they were just
            before they made that rating. Whole histories by default.
        """
        edge, row = edges.ranges(self.first_edge[nodes], self.first_edge[nodes + 1] if until is None else until)
        occupation = self._occupation_of[nodes]
        works = torch.nonzero(occupation >= 0).squeeze(1)
        return dataclasses.replace(
            self.users,
            x=self.users.x[nodes],
            occupation=(works, occupation[works]),
            row=row,
            movie=self.users.movie[edge],
            rating=self.users.rating[edge],
            time=self.users.time[edge],
            node=nodes,
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
        return Graph.from_dataset(with_ratings(self.dataset, ratings, users, self.known), self.known)

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, Any] | None = None) -> Graph:
        """Return a graph with more movies.

        Parameters
        ----------
        movies : pandas.DataFrame
            ``movie_id[, title][, genres][, year][, directors][, actors][, runtime][, plot]``.
        features : mapping of str to MovieVectors or array_like, optional
            Their vectors, for modalities that the graph has; made by the same encoder. An array has a row for each row
            of `movies`; of a single movie it may be the one vector.

        Raises
        ------
        DataError
            A movie is already there, or its row is wrong (the message names the row of the frame given), or its vectors
            are of another modality or width.
        """
        return Graph.from_dataset(with_movies(self.dataset, movies, features or {}), self.known)

    def add_movie(self, movie: NewMovie) -> Graph:
        """Return a graph with one more movie, the last node, under an id that nobody else has."""
        ids = self.dataset.movies["movie_id"]
        movie_id: Any = int(ids.max()) + 1 if ids.dtype == "int64" else "".join(["new movie", *ids])
        return self.add_movies(movie.row(movie_id), movie.vectors(movie_id))

    def __repr__(self) -> str:
        sides = "".join(f"{len(values):,} {column}, " for column, values in self.sides.items())
        return (
            f"Graph({self.num_users:,} users, {self.num_movies:,} movies, {sides}"
            f"{len(self.occupations)} occupations, {self.dataset.num_ratings:,} ratings)"
        )

    @cached_property
    def first_edge(self) -> Tensor:
        """``[num_users + 1]`` int64, where the ratings of each user begin in `users`; they end where the next begin."""
        counts = torch.bincount(self.users.row, minlength=self.num_users)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    @cached_property
    def _occupation_of(self) -> Tensor:
        nodes = torch.full((self.num_users,), -1)
        nodes[self.users.occupation[0]] = self.users.occupation[1]
        return nodes

    @cached_property
    def _users_by_name(self) -> Names:
        return Names(USER, self.ids[USER], "pass a NewUser, or add their ratings with add_ratings")

    @cached_property
    def _movies_by_name(self) -> Names:
        return Names(MOVIE, self.ids[MOVIE], "add it with add_movies", self.dataset.movies["title"])
