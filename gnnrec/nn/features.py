"""A node's own vector, before any propagation: what is known about it, plus an id vector where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, device, nn

from gnnrec.config import ModelConfig
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, MovieFeatures, UserBatch
from gnnrec.sparse import Adjacency

GENRES, OCCUPATIONS = "genres", "occupations"


@dataclass(frozen=True)
class FeatureSizes:
    """How wide each part of a `NodeFeatures` is; what an encoder must know before it sees one.

    Attributes
    ----------
    num_features, num_numeric_features : int
    attributes, modalities : mapping of str to int
        Number of side nodes of each kind, and width of the vectors of each modality.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> sizes = NodeFeatures.from_movies(Graph.from_dataset(Dataset(ratings, movies)).movies).sizes
    >>> sizes.attributes["genres"], dict(sizes.modalities)
    (2, {})
    """

    num_features: int
    num_numeric_features: int = 0
    attributes: Mapping[str, int] = field(default_factory=dict)
    modalities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class NodeFeatures:
    """What is known of nodes, in four parts, each of which may be empty.

    Attributes
    ----------
    x : Tensor
        ``[num_nodes, num_features]``: features that count linearly.
    attributes : dict of str to Adjacency
        By kind, from side nodes to these: the genres of a movie, the occupation of a person.
    modalities : dict of str to (Tensor, Tensor)
        By name, ``[num_nodes, width]`` vectors, and ``[num_nodes]`` bool, which nodes have one.
    numeric : Tensor
        ``[num_nodes, num_numeric_features]``: few numbers that tell more together than each alone; see `Kernel`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> content = NodeFeatures.from_movies(Graph.from_dataset(Dataset(ratings, movies)).movies)
    >>> content.shares("genres").tolist()  # Drama, War
    [[1.0, 0.0], [0.5, 0.5]]
    """

    x: Tensor
    attributes: dict[str, Adjacency]
    modalities: dict[str, tuple[Tensor, Tensor]]
    numeric: Tensor

    @classmethod
    def from_movies(cls, movies: MovieFeatures, on: device | str = "cpu") -> NodeFeatures:
        """Return the features of movies, those of a graph or new ones."""
        return cls(
            x=movies.x.to(on),
            attributes={
                kind: Adjacency(movie.to(on), node.to(on), len(movies), movies.num_attributes[kind])
                for kind, (movie, node) in movies.attribute_edges.items()
            },
            modalities={name: (values.to(on), known.to(on)) for name, (values, known) in movies.modalities.items()},
            numeric=movies.numeric.to(on),
        )

    @classmethod
    def of_people(cls, batch: UserBatch) -> NodeFeatures:
        """Take the profiles of people."""
        return cls(batch.x, {OCCUPATIONS: batch.user_occupation}, {}, batch.x.new_zeros(len(batch.x), 0))

    @property
    def sizes(self) -> FeatureSizes:
        """How wide the parts are."""
        return FeatureSizes(
            self.x.size(1),
            self.numeric.size(1),
            {kind: attribute.num_cols for kind, attribute in self.attributes.items()},
            {name: values.size(1) for name, (values, _) in self.modalities.items()},
        )

    def shares(self, kind: str) -> Tensor:
        """Return the links to one kind of side nodes, ``[num_nodes, num_side]``; those of each node sum to 1, or 0."""
        attribute = self.attributes[kind]
        links = self.x.new_zeros(attribute.num_rows, attribute.num_cols)
        links[attribute.row, attribute.col] = attribute_weight(attribute)
        return links


def content_sizes(graph: Graph, model: ModelConfig) -> FeatureSizes:
    """Return the sizes of what a model reads of a graph's movies: the kinds and modalities that its config names.

    Raises
    ------
    ConfigError
        The graph has nothing of that name.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> dict(content_sizes(graph, ModelConfig(attributes=("genres",))).attributes)
    {'genres': 9}
    >>> try:
    ...     content_sizes(graph, ModelConfig(attributes=("studios",)))
    ... except ConfigError as error:
    ...     print(error)
    model.attributes names studios, which sample does not have; it has genres, directors, actors
    """
    content = NodeFeatures.from_movies(graph.movies)
    sizes = content.sizes
    modalities = tuple(sizes.modalities) if model.modalities is None else model.modalities
    for what, names, there in (
        ("attributes", model.attributes, sizes.attributes),
        ("modalities", modalities, sizes.modalities),
    ):
        if unknown := [name for name in names if name not in there]:
            raise ConfigError(
                f"model.{what} names {', '.join(unknown)}, which {graph.dataset.name} does not have; "
                f"it has {', '.join(there) or 'none'}"
            )
    return replace(
        sizes,
        attributes={kind: sizes.attributes[kind] for kind in model.attributes},
        modalities={name: sizes.modalities[name] for name in modalities},
        num_features=sizes.num_features if model.numeric_features else 0,
        num_numeric_features=sizes.num_numeric_features if model.numeric_features else 0,
    )


def attribute_weight(attribute: Adjacency) -> Tensor:
    """Return what each link counts when a node takes the mean over its side nodes, ``[num_edges]``."""
    return 1 / attribute.degrees()[0][attribute.row]


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


KERNEL_FEATURES, LENGTH_SCALE, GENRE_SCALE = 512, 2.5, 3.0


@dataclass(frozen=True, eq=False)
class DropMask:
    """What nodes have to do without at a step of training.

    Attributes
    ----------
    ids : Tensor
        ``[num_nodes]`` bool, true where the id vector is left out.
    modalities : dict of str to Tensor
        ``[num_nodes]`` bool each, true where a modality is taken to be missing.

    Examples
    --------
    >>> encoder = NodeEncoder(FeatureSizes(num_features=0), dim=2, num_ids=2)
    >>> content = NodeFeatures(torch.zeros(2, 0), {}, {}, torch.zeros(2, 0))
    >>> vectors = encoder(content, DropMask(ids=torch.tensor([True, False])))
    >>> vectors[0].tolist(), bool((vectors[1] == encoder.ids[1]).all())
    ([0.0, 0.0], True)
    """

    ids: Tensor
    modalities: dict[str, Tensor] = field(default_factory=dict)


class ModalityProjection(nn.Module):
    r"""Vectors of one modality, normalized and projected; a learned vector where there is none.

    .. math:: M(v) = \begin{cases} P \, (v - \mu) / \sigma & \text{if the node has } v \\ o & \text{else} \end{cases}
    """

    mean: Tensor
    size: Tensor

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, dim, bias=False)
        self.missing = nn.Parameter(torch.zeros(dim))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("size", torch.ones(()))
        nn.init.zeros_(self.project.weight)

    def normalize(self, values: Tensor, known: Tensor) -> Tensor:
        """Return ``[num_nodes, width]``, zeros where there is no vector."""
        return (values - self.mean) / self.size * known.unsqueeze(1)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Return ``[num_nodes, dim]``."""
        return self.project(self.normalize(values, known)) + self.missing * (~known).unsqueeze(1)


class RandomFourierFeatures(nn.Module):
    r"""Random Fourier features of the facts and the genres: a linear map of them is a smooth function of all together.

    .. math:: \phi(f) = \sqrt{2 / R} \, \cos(\Omega f + b), \qquad
        \phi(f) \cdot \phi(g) \approx e^{-|f - g|^2 / 2 \ell^2}

    (Rahimi & Recht, NIPS 2007.) Its weights are zero until `ContentRidge` sets them.
    """

    frequency: Tensor
    phase: Tensor
    weight: Tensor

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(0)  # the same for every model: they are a means, not a choice
        frequency = torch.randn(width, KERNEL_FEATURES, generator=drawn) / LENGTH_SCALE
        self.register_buffer("frequency", frequency)
        self.register_buffer("phase", torch.rand(KERNEL_FEATURES, generator=drawn) * 2 * torch.pi)
        self.register_buffer("weight", torch.zeros(KERNEL_FEATURES, dim))

    def features(self, content: NodeFeatures) -> Tensor:
        """Return ``[num_nodes, KERNEL_FEATURES]``."""
        inputs = content.numeric
        if len(self.frequency) > inputs.size(1):
            inputs = torch.cat([inputs, GENRE_SCALE * content.shares(GENRES)], dim=1)
        return (2 / KERNEL_FEATURES) ** 0.5 * torch.cos(inputs @ self.frequency + self.phase)

    def forward(self, content: NodeFeatures) -> Tensor:
        """Return ``[num_nodes, dim]``."""
        return self.features(content) @ self.weight


class _Linear(nn.Linear):
    """A linear layer that may have no inputs, of which PyTorch would warn."""

    def reset_parameters(self) -> None:
        if self.in_features:
            super().reset_parameters()


class NodeEncoder(nn.Module):
    r"""Turn what is known of a node and, when known, its id into one vector.

    .. math:: h_v = W x_v + b + \sum_{S} \frac{1}{|S(v)|} \sum_{s \in S(v)} e_s + \sum_M M(v) + K \phi(f_v) + k_v \, e_v

    :math:`S(v)` are the side nodes of one kind linked to `v` (the genres of a movie, the occupation of a user),
    :math:`M` its modalities (plot, poster; see `ModalityProjection`), :math:`\phi` its facts (see `RandomFourierFeatures`), and :math:`k_v` is 1
    where the id vector is known and not dropped. A node that was never trained on gets its vector from the other terms;
    these start at zero, so that the id vectors may start from a factorisation of the ratings.

    Parameters
    ----------
    sizes : FeatureSizes
    dim : int
        Width of the vectors.
    num_ids : int
        Number of id vectors, for the first `num_ids` nodes; 0 for nodes without any.

    Examples
    --------
    >>> content = NodeFeatures(torch.tensor([[1.0], [0.0], [1.0]]), {}, {}, torch.zeros(3, 0))
    >>> encoder = NodeEncoder(content.sizes, dim=2, num_ids=2)
    >>> _ = nn.init.constant_(encoder.features.weight, 0.5)
    >>> _ = nn.init.ones_(encoder.ids)
    >>> encoder(content).tolist()  # the last one has no id
    [[1.5, 1.5], [1.0, 1.0], [0.5, 0.5]]
    """

    has_id: Tensor

    def __init__(self, sizes: FeatureSizes, dim: int, num_ids: int = 0) -> None:
        super().__init__()
        # Without ids, the bias is what is known of somebody of whom nothing is known.
        self.features = _Linear(sizes.num_features, dim, bias=num_ids == 0)
        self.attributes = nn.ParameterDict({kind: torch.zeros(num, dim) for kind, num in sizes.attributes.items()})
        self.ids = nn.Parameter(torch.empty(num_ids, dim)) if num_ids else None
        # Movies without a training rating have a row but no trained vector in it.
        self.register_buffer("has_id", torch.ones(num_ids, dtype=torch.bool))
        self.reset_parameters()
        self.modalities = nn.ModuleDict(
            {name: ModalityProjection(width, dim) for name, width in sizes.modalities.items()}
        )
        inputs = sizes.num_numeric_features + sizes.attributes.get(GENRES, 0)
        self.kernel = RandomFourierFeatures(inputs, dim) if sizes.num_numeric_features else None

    def reset_parameters(self) -> None:
        """Start content at zero and id vectors small and random."""
        nn.init.zeros_(self.features.weight)
        if self.features.bias is not None:
            nn.init.zeros_(self.features.bias)
        if self.ids is not None:
            nn.init.normal_(self.ids, std=0.1)

    @torch.no_grad()
    def prepare(self, content: NodeFeatures, rated: Tensor) -> None:
        """Take from the training graph what is fixed before training: which nodes have ids, how large vectors are."""
        self.has_id.copy_(rated)
        for name in self.modalities:
            values, known = content.modalities[name]
            mean, size = scale_of(values, known & rated)
            self.modality(name).mean.copy_(mean)
            self.modality(name).size.copy_(size)

    def modality(self, name: str) -> ModalityProjection:
        """Return one of the modalities."""
        module = self.modalities[name]
        assert isinstance(module, ModalityProjection)
        return module

    def embed_features(self, content: NodeFeatures, dropped: DropMask | None = None) -> Tensor:
        """Return the embeddings without ids, ``[num_nodes, dim]``: those of nodes that were not trained on."""
        h = self.features(content.x[:, : self.features.in_features])  # [num_nodes, dim]
        for kind, vectors in self.attributes.items():
            attribute = content.attributes[kind]
            h = h + attribute.matmul(attribute_weight(attribute), vectors)
        for name in self.modalities:
            values, known = content.modalities[name]
            h = h + self.modality(name)(values, known if dropped is None else known & ~dropped.modalities[name])
        if self.kernel is not None and not self.training:
            h = h + self.kernel(content)
        return h

    def forward(self, content: NodeFeatures, dropped: DropMask | None = None) -> Tensor:
        """Return the vectors.

        Parameters
        ----------
        content : NodeFeatures
        dropped : DropMask, optional
            What some nodes have to do without, in training.

        Returns
        -------
        Tensor
            ``[num_nodes, dim]``.
        """
        h = self.embed_features(content, dropped)  # [num_nodes, dim]
        if self.ids is None:
            return h
        use = self.has_id if dropped is None else self.has_id & ~dropped.ids[: self.ids.size(0)]
        # Nodes added after training lie behind the table and have no id vector.
        ids = self.ids * use.unsqueeze(1)
        return h + nn.functional.pad(ids, (0, 0, 0, content.x.size(0) - ids.size(0)))
