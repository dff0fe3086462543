"""`Graph`: a dataset as nodes and edges, and the way from ids to nodes and back.

A graph is never changed. Adding ratings or movies gives a new graph, in which every old node keeps its number,
so that a trained encoder can go on with it.
"""

from __future__ import annotations

import dataclasses
import difflib
import warnings
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
from gnnrec.errors import DataError
from gnnrec.graph import features
from gnnrec.graph.people import UserBatch

USER, MOVIE, GENRE, OCCUPATION = "user", "movie", "genre", "occupation"


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Users, movies, genres and occupations, joined by who rated what, what is of which genre, who does what.

    Build one with `Graph.from_dataset`.

    Attributes
    ----------
    dataset : Dataset
        Where the nodes come from: row ``i`` of ``dataset.users`` (``movies``) is user (movie) node ``i``.
    genres, occupations, genders : pandas.Index
        The known values; the first two are node types.
    users : UserBatch
        Every user of the graph.
    """

    dataset: Dataset
    genres: pd.Index
    occupations: pd.Index
    genders: pd.Index
    users: UserBatch

    @classmethod
    def from_dataset(cls, dataset: Dataset, known: Mapping[str, pd.Index] | None = None) -> Graph:
        """Build the graph of a dataset.

        Parameters
        ----------
        dataset : Dataset
            Every movie and user in its tables becomes a node, also one without ratings.
        known : mapping, optional
            The ``genres``, ``occupations`` and ``genders`` of the graph that a model was trained on, so that it
            fits this one too. Others are ignored with a warning.
        """
        if known is None:
            genres = features.distinct(dataset.movies["genres"], "|")
            occupations = features.distinct(dataset.users["occupation"])
            genders = features.distinct(dataset.users["gender"])
        else:
            genres, occupations, genders = known["genres"], known["occupations"], known["genders"]
            _warn_of_new(dataset.movies["genres"], genres, "genre", "|")
            _warn_of_new(dataset.users["occupation"], occupations, "occupation")
            _warn_of_new(dataset.users["gender"], genders, "gender")
        profile = (
            features.age_features(dataset.users["age"]),
            features.gender_features(dataset.users["gender"], genders),
        )
        users = UserBatch(
            x=torch.cat(profile, dim=1),
            occupation=features.links(dataset.users["occupation"], occupations),
            **_rating_edges(dataset),
            num_movies=dataset.num_movies,
            num_occupations=len(occupations),
        )
        return cls(dataset, genres, occupations, genders, users)

    @property
    def num_users(self) -> int:
        """Number of user nodes."""
        return self.dataset.num_users

    @property
    def num_movies(self) -> int:
        """Number of movie nodes."""
        return self.dataset.num_movies

    @property
    def known(self) -> dict[str, pd.Index]:
        """The values a model trained on this graph knows, for `from_dataset`."""
        return {"genres": self.genres, "occupations": self.occupations, "genders": self.genders}

    @cached_property
    def ids(self) -> dict[str, pd.Index]:
        """The caller's id of every node, by node type."""
        return {
            USER: pd.Index(self.dataset.users["user_id"]),
            MOVIE: pd.Index(self.dataset.movies["movie_id"]),
            GENRE: self.genres,
            OCCUPATION: self.occupations,
        }

    @cached_property
    def movie_x(self) -> Tensor:
        """``[num_movies, 11]``, the decade of release."""
        return features.decade_features(self.dataset.movies["year"])

    @cached_property
    def movie_genres(self) -> tuple[Tensor, Tensor]:
        """Edges ``(movie, genre)``, each ``[num_edges]`` int64."""
        return features.links(self.dataset.movies["genres"], self.genres, "|")

    @cached_property
    def data(self) -> HeteroData:
        """The same graph as PyG's `HeteroData`, both directions of every relation in it."""
        data = HeteroData()
        data[USER].x, data[MOVIE].x = self.users.x, self.movie_x
        data[GENRE].num_nodes, data[OCCUPATION].num_nodes = len(self.genres), len(self.occupations)
        _add_relation(
            data, (USER, "rated", MOVIE), (self.users.row, self.users.movie),
            rating=self.users.rating, time=self.users.time,
        )  # fmt: skip
        _add_relation(data, (MOVIE, "has", GENRE), self.movie_genres)
        _add_relation(data, (USER, "works_as", OCCUPATION), self.users.occupation)
        return data

    def edges_of(self, nodes: Tensor) -> Tensor:
        """Return which of the graph's ratings belong to these users, in the order of `known_users`."""
        return _ranges(self._user_ptr[nodes], self._user_ptr[nodes + 1])[0]

    def known_users(self, nodes: Tensor) -> UserBatch:
        """Return some of the graph's users, in the order of `nodes` ``[n]`` int64."""
        edge, row = _ranges(self._user_ptr[nodes], self._user_ptr[nodes + 1])
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
        )

    def describe_users(self, profiles: pd.DataFrame) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the features ``[n, num_features]`` and occupation edges of people with these profiles."""
        parts = (
            features.age_features(profiles["age"]),
            features.gender_features(profiles["gender"], self.genders),
        )
        return torch.cat(parts, dim=1), features.links(profiles["occupation"], self.occupations)

    def user_nodes(self, user_ids: Iterable[Any]) -> Tensor:
        """Return the node of each user id; an unknown one is a `DataError`."""
        return self._nodes(USER, user_ids, "pass a NewUser, or add their ratings with add_ratings")

    def movie_nodes(self, movie_ids: Iterable[Any]) -> Tensor:
        """Return the node of each movie id; an unknown one is a `DataError`."""
        return self._nodes(MOVIE, movie_ids, "add it with add_movies")

    def movie_node(self, movie: Any) -> int:
        """Return the node of one movie, given by id or by title."""
        ids = self.ids[MOVIE]
        if isinstance(movie, str) and movie not in ids:
            return self._node_of_title(movie)
        return int(self.movie_nodes([movie])[0])

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
            A movie is unknown, or a user rated one of the movies before.
        """
        old = self.dataset
        # Only a frame of its own can tell which row of the caller's is wrong.
        everyone = pd.Index(old.users["user_id"])
        fresh = Dataset(ratings, name="added ratings")
        self.movie_nodes(fresh.ratings["movie_id"].unique())
        names = fresh.ratings["user_id"] if users is None else pd.concat([users["user_id"], fresh.ratings["user_id"]])
        names = names[~names.isin(everyone)].drop_duplicates()
        people = pd.DataFrame({"user_id": names})
        if users is not None:
            people = people.merge(users, on="user_id", how="left")
        added = fresh.ratings
        for column, default in (("rating", DEFAULT_RATING_OF_ADDED), ("timestamp", None)):
            if column in old.ratings and column not in added:
                latest = old.ratings[column].max() if default is None else default
                added = added.assign(**{column: latest})
        rows = pd.concat([old.ratings, added[old.ratings.columns]], ignore_index=True)
        return self._with(ratings=rows, users=pd.concat([old.users, people], ignore_index=True))

    def add_movies(self, movies: pd.DataFrame) -> Graph:
        """Return a graph with more movies, described by ``movie_id[, title][, genres][, year]``.

        Raises
        ------
        DataError
            A movie is already there.
        """
        known = self.ids[MOVIE]
        if "movie_id" in movies and (again := movies["movie_id"].isin(known)).any():
            raise DataError(f"movie {movies['movie_id'][again].tolist()[0]!r} is already in the graph")
        return self._with(movies=pd.concat([self.dataset.movies, movies], ignore_index=True))

    def __repr__(self) -> str:
        return (
            f"Graph({self.num_users:,} users, {self.num_movies:,} movies, {len(self.genres)} genres, "
            f"{len(self.occupations)} occupations, {self.dataset.num_ratings:,} ratings)"
        )

    @cached_property
    def _user_ptr(self) -> Tensor:
        counts = torch.bincount(self.users.row, minlength=self.num_users)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    @cached_property
    def _occupation_of(self) -> Tensor:
        nodes = torch.full((self.num_users,), -1)
        nodes[self.users.occupation[0]] = self.users.occupation[1]
        return nodes

    @cached_property
    def _titles(self) -> dict[str, list[int]]:
        titles: dict[str, list[int]] = {}
        for node, title in enumerate(self.dataset.movies["title"]):
            titles.setdefault(title.casefold(), []).append(node)
        return titles

    def _node_of_title(self, title: str) -> int:
        found = self._titles.get(title.strip().casefold(), [])
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(self.ids[MOVIE][node]) for node in found)
            raise DataError(f"{len(found)} movies are called {title!r} (ids {ids}); name one by its id")
        if title.isdecimal() and self.ids[MOVIE].dtype.kind == "i" and int(title) in self.ids[MOVIE]:
            return int(self.movie_nodes([int(title)])[0])
        close = difflib.get_close_matches(title.casefold(), self._titles, n=3, cutoff=0.6)
        names = ", ".join(repr(self.dataset.movies["title"].iloc[self._titles[c][0]]) for c in close)
        raise DataError(f"movie {title!r} is not known" + (f"; did you mean {names}?" if names else ""))

    def _nodes(self, node_type: str, ids: Iterable[Any], hint: str) -> Tensor:
        wanted = pd.Index(list(ids)) if not isinstance(ids, pd.Index) else ids
        nodes = self.ids[node_type].get_indexer(wanted)
        if (nodes < 0).any():
            raise DataError(f"{node_type} {wanted.tolist()[int(np.argmin(nodes))]!r} is not in the graph; {hint}")
        return torch.from_numpy(nodes.astype(np.int64))

    def _with(self, **frames: Any) -> Graph:
        return Graph.from_dataset(dataclasses.replace(self.dataset, **frames), self.known)


DEFAULT_RATING_OF_ADDED = 5.0


def _rating_edges(dataset: Dataset) -> dict[str, Tensor]:
    """Return the edges sorted by user, then by time; equal times stay in the order of the file."""
    ratings = dataset.ratings
    row = pd.Index(dataset.users["user_id"]).get_indexer(pd.Index(ratings["user_id"]))
    movie = pd.Index(dataset.movies["movie_id"]).get_indexer(pd.Index(ratings["movie_id"]))
    time = ratings["timestamp"].to_numpy() if "timestamp" in ratings else np.zeros(len(row), np.int64)
    rating = ratings["rating"].to_numpy() if "rating" in ratings else np.ones(len(row), np.float32)
    order = np.lexsort((time, row))
    columns = {
        "row": (row, np.int64),
        "movie": (movie, np.int64),
        "rating": (rating, np.float32),
        "time": (time, np.int64),
    }
    return {name: torch.from_numpy(values[order].astype(dtype)) for name, (values, dtype) in columns.items()}


def _add_relation(
    data: HeteroData, name: tuple[str, str, str], edges: tuple[Tensor, Tensor], **attributes: Tensor
) -> None:
    source, relation, target = name
    data[name].edge_index = torch.stack(edges)
    data[target, f"rev_{relation}", source].edge_index = torch.stack(edges[::-1])
    for key, values in attributes.items():
        data[name][key] = values
        data[target, f"rev_{relation}", source][key] = values


def _ranges(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return every integer of the ranges ``[start, end)`` in turn, and the range each is from."""
    length = end - start
    row = torch.repeat_interleave(torch.arange(len(start)), length)
    offset = torch.arange(int(length.sum())) - torch.repeat_interleave(length.cumsum(0) - length, length)
    return start[row] + offset, row


def _warn_of_new(values: pd.Series, known: pd.Index, what: str, separator: str | None = None) -> None:
    new = features.distinct(values, separator).difference(known)
    if len(new):
        warnings.warn(
            f"{what} {', '.join(map(repr, new))} was not seen in training and is ignored", stacklevel=4
        )  # fmt: skip
