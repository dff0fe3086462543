"""`Content`: what is known of nodes besides who watched what, as an encoder reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, device

from gnnrec.config import ModelConfig
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.propagate import Adjacency

GENRES, OCCUPATIONS = "genres", "occupations"


@dataclass(frozen=True)
class ContentSizes:
    """How wide each part of a `Content` is; what an encoder must know before it sees one.

    Attributes
    ----------
    num_features, num_facts : int
    sides, modalities : mapping of str to int
        Number of side nodes of each kind, and width of the vectors of each modality.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> sizes = Content.of_movies(Graph.from_dataset(Dataset(ratings, movies))).sizes
    >>> sizes.sides["genres"], dict(sizes.modalities)
    (2, {})
    """

    num_features: int
    num_facts: int = 0
    sides: Mapping[str, int] = field(default_factory=dict)
    modalities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Content:
    """What is known of nodes, in four parts, each of which may be empty.

    Attributes
    ----------
    x : Tensor
        ``[num_nodes, num_features]``: features that count linearly.
    sides : dict of str to Adjacency
        By kind, from side nodes to these: the genres of a movie, the occupation of a person.
    modalities : dict of str to (Tensor, Tensor)
        By name, ``[num_nodes, width]`` vectors, and ``[num_nodes]`` bool, which nodes have one.
    facts : Tensor
        ``[num_nodes, num_facts]``: few numbers that tell more together than each alone; see `Kernel`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> content = Content.of_movies(Graph.from_dataset(Dataset(ratings, movies)))
    >>> content.shares("genres").tolist()  # Drama, War
    [[1.0, 0.0], [0.5, 0.5]]
    """

    x: Tensor
    sides: dict[str, Adjacency]
    modalities: dict[str, tuple[Tensor, Tensor]]
    facts: Tensor

    @classmethod
    def of_movies(cls, graph: Graph, on: device | str = "cpu") -> Content:
        """Take what a graph knows of its movies."""
        return cls(
            x=graph.movie_x.to(on),
            sides={
                kind: Adjacency(movie.to(on), node.to(on), graph.num_movies, len(graph.sides[kind]))
                for kind, (movie, node) in graph.movie_sides.items()
            },
            modalities={
                name: (values.to(on), known.to(on)) for name, (values, known) in graph.movie_modalities.items()
            },
            facts=graph.movie_facts.to(on),
        )

    @classmethod
    def of_people(cls, batch: UserBatch) -> Content:
        """Take the profiles of people."""
        return cls(batch.x, {OCCUPATIONS: batch.works_as}, {}, batch.x.new_zeros(len(batch.x), 0))

    @property
    def sizes(self) -> ContentSizes:
        """How wide the parts are."""
        return ContentSizes(
            self.x.size(1),
            self.facts.size(1),
            {kind: side.num_cols for kind, side in self.sides.items()},
            {name: values.size(1) for name, (values, _) in self.modalities.items()},
        )

    def shares(self, kind: str) -> Tensor:
        """Return the links to one kind of side nodes, ``[num_nodes, num_side]``; those of each node sum to 1, or 0."""
        side = self.sides[kind]
        links = self.x.new_zeros(side.num_rows, side.num_cols)
        links[side.row, side.col] = side_weight(side)
        return links


def content_sizes(graph: Graph, model: ModelConfig) -> ContentSizes:
    """Return the sizes of what a model reads of a graph's movies: the kinds and modalities that its config names.

    Raises
    ------
    ConfigError
        The graph has nothing of that name.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> dict(content_sizes(graph, ModelConfig(sides=("genres",))).sides)
    {'genres': 9}
    >>> try:
    ...     content_sizes(graph, ModelConfig(sides=("studios",)))
    ... except ConfigError as error:
    ...     print(error)
    model.sides names studios, which sample does not have; it has genres, directors, actors
    """
    content = Content.of_movies(graph)
    sizes = content.sizes
    modalities = tuple(sizes.modalities) if model.modalities is None else model.modalities
    for what, names, there in (("sides", model.sides, sizes.sides), ("modalities", modalities, sizes.modalities)):
        if unknown := [name for name in names if name not in there]:
            raise ConfigError(
                f"model.{what} names {', '.join(unknown)}, which {graph.dataset.name} does not have; "
                f"it has {', '.join(there) or 'none'}"
            )
    return replace(
        sizes,
        sides={kind: sizes.sides[kind] for kind in model.sides},
        modalities={name: sizes.modalities[name] for name in modalities},
        num_features=sizes.num_features if model.facts else 0,
        num_facts=sizes.num_facts if model.facts else 0,
    )


def side_weight(side: Adjacency) -> Tensor:
    """Return what each link counts when a node takes the mean over its side nodes, ``[num_edges]``."""
    return 1 / side.degrees()[0][side.row]


def scale_of(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean ``[width]`` and size (scalar) of vectors, so that ``(values - mean) / size`` has a mean square of 1.

    Taken over the nodes that have a vector; a modality keeps its shape, its columns are not made alike.
    """
    if not known.any():
        return values.new_zeros(values.size(1)), values.new_ones(())
    own = values[known]
    mean = own.mean(dim=0)
    size = (own - mean).square().sum(dim=1).mean().sqrt()
    return mean, torch.where(size > 0, size, torch.ones_like(size))
