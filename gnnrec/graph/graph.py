"""`Graph`: a dataset as nodes and edges, and the mapping between ids and nodes.

A graph is immutable. Adding or removing ratings or adding movies returns a new graph in which every existing node keeps
its number, so that a trained encoder can use it. Without a user, later users move up. Both graphs share what they have
in common.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import NO_USER, check_flag, check_text, is_listing, plain_id
from gnnrec._torch import csr_ranges
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.data.changes import clean_added_movies
from gnnrec.graph.movies import (
    GENRES,
    MOVIE,
    MOVIE_ATTRIBUTES,
    OCCUPATION,
    USER,
    MovieFeatures,
    NewMovie,
    attribute_values,
    unused_movie_id,
    warn_unknown_attributes,
)
from gnnrec.graph.new_user import NewUser, encode_new_users
from gnnrec.graph.rated_titles import find_movies, replace_titles
from gnnrec.graph.titles import TitleIndex
from gnnrec.graph.user_batches import all_users, ratings_of, users_at
from gnnrec.graph.user_values import category_columns, find_user_values, user_values_in, user_vocabularies
from gnnrec.graph.users import UserBatch, UserProfiles
from gnnrec.graph.vocabulary import Vocabulary, warn_unknown_values

if TYPE_CHECKING:  # PyG takes seconds to import, and most programs never need it
    from gnnrec._pyg import HeteroData


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Users, movies, genres and occupations as nodes; ratings, genres of movies and occupations of users as edges.

    Directors and actors are nodes, too, if the movies table has them. Build one with `Graph.from_dataset`.

    Attributes
    ----------
    dataset : Dataset
        Row ``i`` of ``dataset.users`` (``movies``) is user (movie) node ``i``.
    attributes : dict of str to pandas.Index
        Attribute nodes of movies by column of the movies table: ``genres`` always, ``directors`` and ``actors`` if
        there are any.
    user_values : dict of str to pandas.Index
        User features that models see, and the known values of those that are categories; occupations are nodes.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> graph = Graph.from_dataset(make_sample(60, 40))
    >>> graph.num_users, graph.num_movies, graph.ids["movie"][:3].tolist()
    (60, 40, [1, 2, 3])
    >>> graph.hetero_data["user", "rated", "movie"].edge_index.shape == (2, graph.dataset.num_ratings)
    True
    """

    dataset: Dataset
    attributes: dict[str, pd.Index]
    user_values: dict[str, pd.Index]
    # Profiles of the first users and features of the first movies, reused from the graph this one was derived from.
    _first_profiles: UserProfiles | None = field(default=None)
    _first_movies: MovieFeatures | None = field(default=None)
    # Rows of the first users in embedding tables, once users were removed.
    _first_rows: Tensor | None = field(default=None)

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        vocabularies: Mapping[str, pd.Index] | None = None,
        *,
        min_movies: int = 2,
        embedding_rows: Tensor | None = None,
    ) -> Graph:
        """Build the graph of a dataset.

        Parameters
        ----------
        dataset : Dataset
            Every movie and user in its tables becomes a node, also without ratings.
        vocabularies : mapping, optional
            `vocabularies` of the graph that a model was trained on, so that the model can use this one. Other genres,
            occupations, genders and other categories are ignored with a warning, other directors and actors without.
        min_movies : int
            Directors and actors with fewer movies get no node, if there are no `vocabularies`.
        embedding_rows : Tensor, optional
            See the attribute of that name; with `vocabularies`.
        """
        if vocabularies is None:
            attributes = attribute_values(dataset.movies, min_movies)
            return cls(dataset, attributes, find_user_values(dataset.users))
        attributes = {
            column: vocabularies[column] for column in MOVIE_ATTRIBUTES if column == GENRES or column in vocabularies
        }
        graph = cls(dataset, attributes, user_values_in(vocabularies), _first_rows=embedding_rows)
        graph._warn_unknown(dataset.movies, dataset.users)
        return graph

    @cached_property
    def users(self) -> UserBatch:
        """All users, with their ratings sorted by time; equal times are in file order."""
        return all_users(self)

    @cached_property
    def embedding_rows(self) -> Tensor:
        """Row of each user in the tables of models that have learned an embedding per user, ``[num_users]`` int64.

        It is the user node, unless users were removed: then the others keep their rows, and users that were added
        later have -1, like a new user.
        """
        if self._first_rows is None:
            return torch.arange(self.num_users)
        return torch.nn.functional.pad(self._first_rows, (0, self.num_users - len(self._first_rows)), value=-1)

    @property
    def has_removed_users(self) -> bool:
        """Whether users were removed, so that `embedding_rows` differ from the user nodes."""
        return self._first_rows is not None

    @cached_property
    def profiles(self) -> UserProfiles:
        """Profiles of all users."""
        first, users = self._first_profiles, self.dataset.users
        if first is None:
            return UserProfiles.from_table(users, self.user_values)
        if len(first) == len(users):
            return first
        return first.append(UserProfiles.from_table(users.iloc[len(first) :], self.user_values))

    @cached_property
    def movies(self) -> MovieFeatures:
        """Features of all movies."""
        dataset = self.dataset
        return MovieFeatures.from_table(dataset.movies, dataset.features, self.attributes, self._first_movies)

    @property
    def num_users(self) -> int:
        """Number of user nodes."""
        return self.dataset.num_users

    @property
    def num_movies(self) -> int:
        """Number of movie nodes."""
        return self.dataset.num_movies

    @property
    def genres(self) -> pd.Index:
        """The genre nodes."""
        return self.attributes[GENRES]

    @property
    def occupations(self) -> pd.Index:
        """The occupation nodes."""
        return self.user_values["occupation"]

    @property
    def genders(self) -> pd.Index:
        """Known genders."""
        return self.user_values["gender"]

    @property
    def has_times(self) -> bool:
        """Whether the ratings have timestamps; without them, histories are in file order."""
        return self.dataset.has_times

    @property
    def has_weights(self) -> bool:
        """Whether the ratings have weights, such as play counts on a log scale."""
        return "weight" in self.dataset.rating_table.columns

    @property
    def vocabularies(self) -> dict[str, pd.Index]:
        """Movie attributes and user features known to a model trained on this graph; for `from_dataset`."""
        return {**self.attributes, **user_vocabularies(self.user_values)}

    @cached_property
    def ids(self) -> dict[str, pd.Index]:
        """The caller's id of every node, by node type."""
        return {
            USER: self.dataset.user_ids.ids,
            MOVIE: self.dataset.movie_ids.ids,
            **{MOVIE_ATTRIBUTES[column].node_type: values for column, values in self.attributes.items()},
            OCCUPATION: self.occupations,
        }

    @cached_property
    def hetero_data(self) -> HeteroData:
        """The graph as PyG's `HeteroData`, with every relation in both directions.

        No part of it is derived from several ratings, so that it can be split; `gnnrec.graph.add_transitions` adds
        links between movies that were rated one after the other.
        """
        from gnnrec.graph.hetero import to_hetero_data

        return to_hetero_data(self.users, self.movies, self.attributes, len(self.occupations))

    @cached_property
    def user_ptr(self) -> Tensor:
        """``[num_users + 1]`` int64: user ``u`` has ratings ``user_ptr[u]`` to ``user_ptr[u + 1] - 1`` of `users`."""
        counts = torch.bincount(self.users.user_index, minlength=self.num_users)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    def user_edges(self, nodes: Tensor, until: Tensor | None = None) -> Tensor:
        """Return the positions in `users` of the ratings in ``user_batch(nodes, until)``."""
        return csr_ranges(self.user_ptr[nodes], self.user_ptr[nodes + 1] if until is None else until)[0]

    def user_batch(self, nodes: Tensor, until: Tensor | None = None) -> UserBatch:
        """Return a batch of users, with their full histories or only the ratings before a position.

        Parameters
        ----------
        nodes : Tensor
            ``[n]`` int64, user nodes; may repeat.
        until : Tensor, optional
            ``[n]`` int64, index in `users` of the first rating to leave out: the history before that rating. Whole
            histories by default.
        """
        return users_at(self, nodes, until)

    def user_nodes(self, user_ids: Iterable[Any]) -> Tensor:
        """Return the node of each user id, ``[n]`` int64; raise `DataError` for unknown ids."""
        return self._user_vocabulary.nodes(user_ids)

    def check_user_type(self, user_ids: Iterable[Any]) -> None:
        """Raise a `DataError` for the first user id that would be known if its type (text or number) were different."""
        self._user_vocabulary.check_type(user_ids)

    def movie_nodes(self, movie_ids: Iterable[Any]) -> Tensor:
        """Return the node of each movie id, ``[n]`` int64; raise `DataError` for unknown ids."""
        return self._movie_vocabulary.nodes(movie_ids)

    @cached_property
    def titles(self) -> TitleIndex:
        """Finds movies by id and title."""
        return TitleIndex(self.dataset.movies)

    def movie_node(self, movie: Any) -> int:
        """Return the node of a movie, given by id or by title; see `gnnrec.graph.titles`."""
        return self.titles.node(movie)

    def movie_nodes_by_name(self, movies: Iterable[Any], *, unknown: str = "error") -> list[int | None]:
        """Return the node of each movie, given by id or by title.

        Parameters
        ----------
        movies : iterable
            Ids and titles.
        unknown : str
            ``"error"``; or ``"skip"``, which logs movies that are unknown, and returns None for them.
        """
        return find_movies(movies, self._movie_vocabulary, lambda: self.titles, unknown)

    def add_ratings(
        self,
        ratings: pd.DataFrame,
        users: pd.DataFrame | None = None,
        *,
        update: bool = False,
        unknown: str = "error",
    ) -> Graph:
        """Return a graph with more ratings; unknown user ids become new users.

        The time does not depend on the size of the graph; anything derived from all ratings is computed on first use.

        Parameters
        ----------
        ratings : pandas.DataFrame
            ``user_id, movie_id[, rating][, timestamp]``. The movies must be in the graph; ``movie_id`` may hold titles,
            and a column ``title`` will do.
        users : pandas.DataFrame, optional
            ``user_id[, age][, gender][, occupation]`` and other user features of new users. Their ids may be text, such
            as ``"anna"``, also where the others are whole numbers.
        update : bool
            Let a rating replace the one that the user gave the movie before, with a new time; otherwise it is an error.
        unknown : str
            ``"error"``; or ``"skip"`` to leave out ratings of unknown movies, which are logged.

        Raises
        ------
        DataError
            A movie is unknown, a user has rated a movie before (without `update`), or `users` lists a user that is
            already in the graph. The message names the row of the given frame.
        """
        check_flag(update=update)
        ratings = replace_titles(ratings, self.dataset.movie_ids, lambda: self.titles, unknown)
        dataset = self.dataset.add_ratings(ratings, users, update=update, spellings=self.user_values)
        if users is not None:
            self._warn_unknown(None, dataset.users.iloc[self.num_users :])
        return self._with_users(dataset)

    def add_user(
        self,
        user_id: Hashable,
        ratings: NewUser | Mapping[Any, float] | Iterable[Any] = (),
        *,
        age: float | None = None,
        gender: str | None = None,
        occupation: str | None = None,
        profile: Mapping[str, Any] | None = None,
        timestamps: Mapping[Any, Any] | Iterable[Any] | None = None,
        unknown: str = "error",
    ) -> Graph:
        """Return a graph with one more user.

        Parameters
        ----------
        user_id : int or str
            An unused id. It may be a name such as ``"anna"`` even if all other ids are whole numbers.
        ratings, age, gender, occupation, profile, timestamps, unknown
            As for `NewUser`; `ratings` may also be a `NewUser`. Without `timestamps`, movies count as rated at the time
            of the latest rating, in the given order.

        Raises
        ------
        DataError
            The user is already in the graph, a text id spells a number, or as for `NewUser`.

        Examples
        --------
        >>> from gnnrec.datasets import make_sample
        >>> graph = Graph.from_dataset(make_sample(60, 40)).add_user("anna", {3: 5, 7: 2}, age=33)
        >>> graph.ids["user"][-2:].tolist(), graph.user_batch(graph.user_nodes(["anna"])).movie_index.tolist()
        ([60, 'anna'], [2, 6])
        """
        user_id = plain_id(user_id, "user", NO_USER)
        if isinstance(user_id, str):
            check_text(user_id=user_id)
        if isinstance(ratings, NewUser):
            user = ratings
        else:
            about = {} if profile is None else profile
            user = NewUser(age, gender, occupation, ratings, timestamps=timestamps, profile=about, unknown=unknown)
        batch = encode_new_users(self, [user], unknown)
        row = {name: [value] for name, value in user.features.items()}
        dataset = self.dataset.add_users(pd.DataFrame({"user_id": [user_id], **row}), spellings=self.user_values)
        if len(batch.movie_index):
            timed = user.timestamps is not None
            dataset = dataset.add_ratings(ratings_of(batch, user_id, self.dataset.movie_ids.ids, timed=timed))
        return self._with_users(dataset)

    def remove_ratings(self, user_id: Hashable, movies: Any, *, unknown: str = "error") -> Graph:
        """Return a graph without a user's ratings of some movies; the user stays.

        Parameters
        ----------
        user_id : int or str
        movies : id, title, or list of these
        unknown : str
            ``"error"``; or ``"skip"`` to leave out unknown movies, which are logged.

        Raises
        ------
        DataError
            The user or a movie is unknown, or the user has not rated the movie.

        Examples
        --------
        >>> from gnnrec.datasets import make_sample
        >>> graph = Graph.from_dataset(make_sample(60, 40)).add_user("anna", {3: 5, 7: 2, 9: 4})
        >>> fewer = graph.remove_ratings("anna", [3, 9])
        >>> fewer.user_batch(fewer.user_nodes(["anna"])).movie_index.tolist()
        [6]
        """
        self.user_nodes([user_id])
        if not is_listing(movies) or isinstance(movies, Mapping):
            movies = [movies]
        found = [node for node in self.movie_nodes_by_name(movies, unknown=unknown) if node is not None]
        return self._with_users(self.dataset.remove_ratings(user_id, self.dataset.movie_ids.ids[found].tolist()))

    def remove_user(self, user_id: Hashable) -> Graph:
        """Return a graph without a user, their profile and their ratings; the nodes of later users move up by one.

        Raises
        ------
        DataError
            The user is unknown.

        Examples
        --------
        >>> from gnnrec.datasets import make_sample
        >>> graph = Graph.from_dataset(make_sample(60, 40))
        >>> graph.remove_user(2).ids["user"][:3].tolist(), graph.num_users
        ([1, 3, 4], 60)
        """
        node = int(self.user_nodes([user_id])[0])
        first = self.__dict__.get("profiles", self._first_profiles)
        if first is not None and node < len(first):
            first = first.without(node)
        rows = self.embedding_rows
        rows = torch.cat([rows[:node], rows[node + 1 :]])
        return self._with_users(self.dataset.remove_user(user_id), _first_profiles=first, _first_rows=rows)

    def _with_users(self, dataset: Dataset, **fields: Any) -> Graph:
        """Return the graph of a dataset with other users or ratings, and the same movies."""
        fields.setdefault("_first_profiles", self.__dict__.get("profiles", self._first_profiles))
        return self._with(dataset, shared=("movies", "_movie_vocabulary", "titles"), **fields)

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, Any] | None = None) -> Graph:
        """Return a graph with more movies.

        Parameters
        ----------
        movies : pandas.DataFrame
            ``movie_id[, title][, genres][, year][, directors][, actors][, runtime][, plot]``.
        features : mapping of str to ContentEmbeddings or array_like, optional
            Content embeddings of these movies, by modality of the graph, made by the same encoder. An array has a row
            for each row of `movies`; for a single movie it may be one vector.

        Raises
        ------
        DataError
            A movie is already in the graph, its row is invalid (the message names the row of the given frame), or its
            embeddings are of an unknown modality or another dimension.
        """
        dataset = self.dataset.add_movies(movies, features)
        self._warn_unknown(dataset.movies.iloc[self.num_movies :], None)
        first = self.__dict__.get("movies", self._first_movies)
        graph = self._with(
            dataset, shared=("profiles", "_user_vocabulary", "user_ptr", "embedding_rows"), _first_movies=first
        )
        if "titles" in self.__dict__:
            graph.__dict__["titles"] = self.titles.extend(dataset.movies.iloc[self.num_movies :])
        return graph

    def add_movie(self, movie: NewMovie) -> Graph:
        """Return a graph with one more movie, the last node, under an unused id."""
        movie_id = unused_movie_id(self.dataset.movie_ids)
        return self.add_movies(movie.row(movie_id), movie.embeddings(movie_id))

    def new_movie_features(self, movie: NewMovie) -> MovieFeatures:
        """Return the features of a new movie, ``len(...) == 1``: the same as in the graph ``add_movie(movie)``.

        Raises
        ------
        DataError
            As for `add_movies`.

        Examples
        --------
        >>> from gnnrec.datasets import make_sample
        >>> graph = Graph.from_dataset(make_sample(60, 40))
        >>> features = graph.new_movie_features(NewMovie("Night Train (2001)", genres=["Crime"]))
        >>> tuple(features.x.shape), len(features)
        ((1, 11), 1)
        """
        movie_id = unused_movie_id(self.dataset.movie_ids)
        row, given = clean_added_movies(
            movie.row(movie_id), self.dataset.movie_ids, movie.embeddings(movie_id), self.dataset.features
        )
        self._warn_unknown(row, None)
        missing = {name: ContentEmbeddings([], values.values[:0]) for name, values in self.dataset.features.items()}
        return MovieFeatures.from_table(row, {**missing, **given}, self.attributes)

    def __repr__(self) -> str:
        attributes = "".join(f"{len(values):,} {column}, " for column, values in self.attributes.items())
        return (
            f"Graph({self.num_users:,} users, {self.num_movies:,} movies, {attributes}"
            f"{len(self.occupations)} occupations, {self.dataset.num_ratings:,} ratings)"
        )

    def _with(self, dataset: Dataset, shared: Iterable[str], **fields: Any) -> Graph:
        """Return the graph of another dataset; `shared` names cached properties that remain valid."""
        graph = dataclasses.replace(self, dataset=dataset, **fields)
        graph.__dict__.update({name: self.__dict__[name] for name in shared if name in self.__dict__})
        return graph

    def _warn_unknown(self, movies: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        """Warn about values in added rows that are not in the vocabularies."""
        if movies is not None:
            warn_unknown_attributes(movies, self.attributes)
        if users is not None:
            for name, column, known in category_columns(users, self.user_values):
                warn_unknown_values(column, known, name)

    @cached_property
    def _user_vocabulary(self) -> Vocabulary:
        return Vocabulary(USER, self.dataset.user_ids, "pass a NewUser, or add ratings with add_ratings")

    @cached_property
    def _movie_vocabulary(self) -> Vocabulary:
        return Vocabulary(MOVIE, self.dataset.movie_ids, "add it with add_movies")
