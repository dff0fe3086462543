"""`RecGraph`: a graph, a trained encoder and the movies' vectors. What `fit` returns and `load` reads back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gnnrec import storage
from gnnrec.config import Config
from gnnrec.device import pick_device
from gnnrec.graph import Graph, UserBatch, batch_of
from gnnrec.nn import ENCODERS, Content, Encoder, GraphTensors, MovieStates, content_sizes
from gnnrec.recommend import Recommender


@dataclass(frozen=True, eq=False, repr=False)
class RecGraph(Recommender):
    """A trained recommender. It is never changed: what adds to it returns a new one.

    Attributes
    ----------
    graph : Graph
        Everything it may look at: the training ratings and what was added since.
    config : Config
        How it was made.
    encoder : Encoder
        The trained network, in evaluation mode.
    history : list of dict
        One entry per epoch of training: ``epoch, loss, <metric>, seconds``.
    report : dict
        Metrics and facts that were recorded with it, as plain JSON values.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import fit, load_dataset, recommend
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> model = fit(load_dataset("sample", num_users=60, num_movies=40), config, progress=False)
    >>> tuple(model.user_vectors([1, {3: 5, 7: 4}]).shape), tuple(model.movie_vectors().shape)
    ((2, 8), (40, 8))
    >>> more = model.add_ratings(pd.DataFrame({"user_id": [61], "movie_id": [3], "rating": [5]}))
    >>> model.graph.num_users, more.graph.num_users, len(recommend(more, 61, k=5))
    (60, 61, 5)
    """

    graph: Graph
    config: Config
    encoder: Encoder
    history: list[dict[str, Any]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    name: str = "gnn"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.encoder.parameters()).device

    @cached_property
    def states(self) -> MovieStates:
        """All movies after propagation through the whole graph; computed once."""
        with torch.inference_mode():
            return self.encoder.movies(GraphTensors.of(self.graph, self.device))

    @cached_property
    def _spread(self) -> Tensor:
        """The symmetric root ``[dim, dim]`` of the second moments of the users' vectors."""
        with torch.inference_mode():
            z = self.vectors_of(self.graph.users)
            values, directions = torch.linalg.eigh(z.T @ z / len(z))
            return (directions * values.clamp(min=0).sqrt()) @ directions.T

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]``, each the inner product of a person's and a movie's vector."""
        with torch.inference_mode():
            return self.vectors_of(users) @ self.states.targets.T

    def vectors_of(self, users: UserBatch) -> Tensor:
        """Return the vectors ``[num_users, dim]`` of the people in a batch."""
        with torch.inference_mode():
            return self.encoder.users(users.to(self.device), self.states)

    def user_vectors(self, who: Any) -> Tensor:
        """Return the vectors ``[num_people, dim]`` of known or new people; `who` as in `recommend`."""
        return self.vectors_of(batch_of(self.graph, who)[0])

    def movie_vectors(self) -> Tensor:
        r"""Return vectors ``[num_movies, dim]`` whose inner product compares the scores that all users give two movies.

        With :math:`Z` the vectors of the graph's users and :math:`t_i` those that users are compared with, it is
        :math:`t_i^T Z^T Z \, t_j / n`: movies are alike when the same people are shown them. Directions in which people
        do not differ count for nothing. The :math:`t_i` themselves are ``states.targets``.
        """
        return self.states.targets @ self._spread

    def with_graph(self, graph: Graph) -> Self:
        """Return the same network on another graph that begins with the same movies; nothing is trained."""
        return dataclasses.replace(self, graph=graph)

    def with_report(self, **entries: Any) -> Self:
        """Return the same model with more entries in its report."""
        return dataclasses.replace(self, report={**self.report, **entries})

    def save(self, path: str | Path, *, keep: Iterable[str] = ()) -> Path:
        """Write a folder that `load` reads back; it appears whole or not at all.

        It holds ``config.yaml``, ``weights.safetensors``, ``graph.safetensors`` and ``nodes.json`` (ratings and
        tables), ``metrics.json``, ``run.json`` and, where there is a history, ``training.png``, none of it pickled.

        Parameters
        ----------
        path : str or Path
            The folder. If it exists it must be a saved run, which is replaced.
        keep : iterable of str
            What to keep of the replaced run: ``"checkpoint.pt"``, ``"split"``. Files that are not a run's always stay.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            The folder exists and is not a saved run.
        """
        records = {"history": self.history, "report": self.report}
        return storage.write_run(path, self.config, self.graph, self.encoder.state_dict(), records, keep)

    def __repr__(self) -> str:
        model = self.config.model
        return f"RecGraph({model.encoder}, {model.embedding_dim} dimensions, {self.graph!r})"


def load(path: str | Path, device: str = "cpu") -> RecGraph:
    """Read a folder that `RecGraph.save` or `fit` wrote.

    Parameters
    ----------
    path : str or Path
    device : str
        Where the network shall run; ``"auto"`` takes a GPU when there is one.

    Raises
    ------
    DataError
        The folder is not a saved run, or a file in it is damaged.
    ConfigError
        The device cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import fit, load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> model = fit(load_dataset("sample", num_users=60, num_movies=40), config, progress=False)
    >>> load(model.save(tempfile.mkdtemp()))  # doctest: +ELLIPSIS
    RecGraph(lightgcn, 8 dimensions, Graph(60 users, 40 movies, ...
    """
    run = storage.read_run(path)
    encoder = make_encoder(run.config, run.graph, num_ids=run.num_ids)
    storage.load_weights(encoder, run.weights, path)
    encoder.to(pick_device(device)).eval().requires_grad_(False)
    return RecGraph(run.graph, run.config, encoder, run.records["history"], run.records["report"])


def make_encoder(config: Config, graph: Graph, num_ids: int | None = None) -> Encoder:
    """Return an untrained encoder of the right size for a graph.

    Parameters
    ----------
    config : Config
    graph : Graph
    num_ids : int, optional
        Number of movies with an id vector; all by default. Fewer when movies were added after training.
    """
    movie = content_sizes(graph, config.model)
    person = Content.of_people(graph.users).sizes
    num_movies = graph.num_movies if num_ids is None else num_ids
    return ENCODERS[config.model.encoder].build(config.model, movie, person, num_movies)
