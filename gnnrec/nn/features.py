"""Node features, and the `NodeEncoder` that turns them into the embedding of a node before any propagation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.config import ModelConfig
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, MovieFeatures, UserBatch
from gnnrec.sparse import Adjacency

GENRES, OCCUPATIONS = "genres", "occupations"

NUM_FOURIER_FEATURES = 512
LENGTH_SCALE = 2.5
"""Length scale of the Gaussian kernel that random Fourier features approximate."""
GENRE_SCALE = 3.0
"""Weight of the genre shares relative to the numeric features in that kernel."""


@dataclass(frozen=True)
class FeatureSizes:
    """Dimensions of the parts of a `NodeFeatures`; an encoder is built from them.

    Attributes
    ----------
    num_features, num_numeric_features : int
    attributes : mapping of str to int
        Number of attribute nodes, by attribute.
    modalities : mapping of str to int
        Dimension of the content embeddings, by modality.

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
    """Features of nodes of one type, in four parts. Each part may be empty.

    Attributes
    ----------
    x : Tensor
        ``[num_nodes, num_features]``, features with a linear effect.
    attributes : dict of str to Adjacency
        By attribute (genres of movies, occupation of users), the adjacency from attribute nodes to these nodes.
    modalities : dict of str to (Tensor, Tensor)
        By modality, ``[num_nodes, width]`` content embeddings, and ``[num_nodes]`` bool, which nodes have one.
    numeric : Tensor
        ``[num_nodes, num_numeric_features]``, features with a non-linear joint effect; see `RandomFourierFeatures`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> features = NodeFeatures.from_movies(Graph.from_dataset(Dataset(ratings, movies)).movies)
    >>> features.attribute_shares("genres").tolist()  # Drama, War
    [[1.0, 0.0], [0.5, 0.5]]
    """

    x: Tensor
    attributes: dict[str, Adjacency]
    modalities: dict[str, tuple[Tensor, Tensor]]
    numeric: Tensor

    @classmethod
    def from_movies(cls, movies: MovieFeatures, device: torch.device | str = "cpu") -> NodeFeatures:
        """Return the features of movies, whether they are in a graph or new."""
        return cls(
            x=movies.x.to(device),
            attributes={
                name: Adjacency(movie.to(device), node.to(device), len(movies), movies.num_attributes[name])
                for name, (movie, node) in movies.attribute_edges.items()
            },
            modalities={
                name: (values.to(device), known.to(device)) for name, (values, known) in movies.modalities.items()
            },
            numeric=movies.numeric.to(device),
        )

    @classmethod
    def from_users(cls, users: UserBatch) -> NodeFeatures:
        """Return the profile features of users."""
        return cls(users.x, {OCCUPATIONS: users.user_occupation}, {}, users.x[:, :0])

    @property
    def sizes(self) -> FeatureSizes:
        """Dimensions of the parts."""
        return FeatureSizes(
            self.x.size(1),
            self.numeric.size(1),
            {name: adjacency.num_cols for name, adjacency in self.attributes.items()},
            {name: values.size(1) for name, (values, _) in self.modalities.items()},
        )

    def attribute_shares(self, name: str) -> Tensor:
        """Return the weight of every attribute node, ``[num_nodes, num_attribute_nodes]``; rows sum to 1, or to 0."""
        adjacency = self.attributes[name]
        shares = self.x.new_zeros(adjacency.num_rows, adjacency.num_cols)
        shares[adjacency.row, adjacency.col] = mean_weights(adjacency)
        return shares


def movie_feature_sizes(graph: Graph, config: ModelConfig) -> FeatureSizes:
    """Return the sizes of the movie features that a model uses: the attributes and modalities named in its config.

    Raises
    ------
    ConfigError
        The graph lacks one of them.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> dict(movie_feature_sizes(graph, ModelConfig(attributes=("genres",))).attributes)
    {'genres': 9}
    >>> movie_feature_sizes(graph, ModelConfig(attributes=("studios",)))
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: model.attributes: sample has no studios; choose from genres, directors, actors
    """
    sizes = NodeFeatures.from_movies(graph.movies).sizes
    modalities = tuple(sizes.modalities) if config.modalities is None else config.modalities
    for key, names, available in (
        ("attributes", config.attributes, sizes.attributes),
        ("modalities", modalities, sizes.modalities),
    ):
        if unknown := [name for name in names if name not in available]:
            choice = f"choose from {', '.join(available)}" if available else "it has none"
            raise ConfigError(f"model.{key}: {graph.dataset.name} has no {', '.join(unknown)}; {choice}")
    return replace(
        sizes,
        attributes={name: sizes.attributes[name] for name in config.attributes},
        modalities={name: sizes.modalities[name] for name in modalities},
        num_features=sizes.num_features if config.numeric_features else 0,
        num_numeric_features=sizes.num_numeric_features if config.numeric_features else 0,
    )


def mean_weights(adjacency: Adjacency) -> Tensor:
    """Return the edge weights that average over the neighbors of each row, ``[num_edges]``."""
    return 1 / adjacency.degrees()[0][adjacency.row]


def mean_and_scale(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean ``[width]`` and a scalar scale: ``(values - mean) / scale`` has rows of mean squared norm 1.

    Both are taken over the rows in `mask`. One scale for all columns keeps the geometry of an embedding space.
    """
    if not mask.any():
        return values.new_zeros(values.size(1)), values.new_ones(())
    rows = values[mask]
    mean = rows.mean(dim=0)
    scale = (rows - mean).square().sum(dim=1).mean().sqrt()
    return mean, torch.where(scale > 0, scale, torch.ones_like(scale))


@dataclass(frozen=True, eq=False)
class DropMask:
    """Inputs that are hidden from the encoder in a training step.

    Attributes
    ----------
    ids : Tensor
        ``[num_nodes]`` bool, true where the id embedding is dropped.
    modalities : dict of str to Tensor
        By modality, ``[num_nodes]`` bool, true where the content embedding is treated as missing.

    Examples
    --------
    >>> encoder = NodeEncoder(FeatureSizes(num_features=0), embedding_dim=2, num_ids=2)
    >>> features = NodeFeatures(torch.zeros(2, 0), {}, {}, torch.zeros(2, 0))
    >>> embeddings = encoder(features, DropMask(ids=torch.tensor([True, False])))
    >>> embeddings[0].tolist(), bool((embeddings[1] == encoder.id_embeddings[1]).all())
    ([0.0, 0.0], True)
    """

    ids: Tensor
    modalities: dict[str, Tensor] = field(default_factory=dict)


class ModalityProjection(nn.Module):
    r"""Standardizes and projects the content embeddings of one modality; a learned vector where there is none.

    .. math:: M(v) = \begin{cases} P \, (v - \mu) / \sigma & \text{if the node has } v \\ o & \text{else} \end{cases}

    Parameters
    ----------
    width : int
        Dimension of the content embeddings.
    embedding_dim : int
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, embedding_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, embedding_dim, bias=False)
        self.missing = nn.Parameter(torch.zeros(embedding_dim))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        nn.init.zeros_(self.projection.weight)

    def standardize(self, values: Tensor, known: Tensor) -> Tensor:
        """Return ``[num_nodes, width]``, zeros where there is no content embedding."""
        return (values - self.mean) / self.scale * known.unsqueeze(1)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Return ``[num_nodes, embedding_dim]``."""
        projected: Tensor = self.projection(self.standardize(values, known))
        return projected + self.missing * (~known).unsqueeze(1)


class RandomFourierFeatures(nn.Module):
    r"""Random Fourier features of the numeric features and genres (Rahimi & Recht, NIPS 2007).

    .. math:: \phi(f) = \sqrt{2 / R} \, \cos(\Omega f + b), \qquad
        \phi(f) \cdot \phi(g) \approx e^{-|f - g|^2 / 2 \ell^2}

    Frequencies are orthogonal (Yu et al., NIPS 2016), and each has a cosine and a sine (:math:`b` is 0 or
    :math:`-\pi/2`): the error is smaller than that of independent frequencies and phases. A linear map of these
    features is a smooth function of all inputs together. Its weights are zero until `ContentRidge` sets them.

    Parameters
    ----------
    num_inputs : int
        Number of numeric features, or of numeric features and genres.
    embedding_dim : int
    """

    frequency: Tensor
    phase: Tensor
    weight: Tensor

    def __init__(self, num_inputs: int, embedding_dim: int) -> None:
        super().__init__()
        number = NUM_FOURIER_FEATURES // 2
        frequency = torch.from_numpy(orthogonal_frequencies(num_inputs, number) / LENGTH_SCALE).float()
        self.register_buffer("frequency", torch.cat([frequency, frequency], dim=1))
        self.register_buffer("phase", torch.tensor([0.0, -torch.pi / 2]).repeat_interleave(number))
        self.register_buffer("weight", torch.zeros(NUM_FOURIER_FEATURES, embedding_dim))

    def basis(self, features: NodeFeatures) -> Tensor:
        """Return ``[num_nodes, NUM_FOURIER_FEATURES]``."""
        inputs = features.numeric
        if len(self.frequency) > inputs.size(1):
            inputs = torch.cat([inputs, GENRE_SCALE * features.attribute_shares(GENRES)], dim=1)
        return torch.cos(inputs @ self.frequency + self.phase) * math.sqrt(2 / NUM_FOURIER_FEATURES)

    def forward(self, features: NodeFeatures) -> Tensor:
        """Return ``[num_nodes, embedding_dim]``."""
        if not self.weight.any():  # in training
            return self.weight.new_zeros(len(features.x), self.weight.size(1))
        return self.basis(features) @ self.weight


def orthogonal_frequencies(num_inputs: int, number: int) -> np.ndarray:
    """Return ``[num_inputs, number]``: columns as long as normal vectors, in blocks of orthogonal ones."""
    rng = np.random.default_rng(0)  # independent of the seed of the model
    size = min(num_inputs, number)
    blocks = []
    for _ in range(-(-number // size)):
        directions = np.linalg.qr(rng.normal(size=(num_inputs, size)))[0]  # [num_inputs, size]
        blocks.append(directions * np.sqrt(rng.chisquare(num_inputs, size)))
    return np.concatenate(blocks, axis=1)[:, :number]


class _Linear(nn.Linear):
    """A linear layer that may have no inputs, which PyTorch would warn about."""

    def reset_parameters(self) -> None:
        if self.in_features:
            super().reset_parameters()


class _ByModality(nn.ModuleDict):
    """Modules by modality, for any name, even ``keys`` (an attribute of ModuleDict) or one with a dot."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        for name, module in modules.items():
            is_free = name and "." not in name and not hasattr(self, name)
            self._names[name] = name if is_free else f"|{name.replace('.', '|')}"
            self.add_module(self._names[name], module)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> nn.Module:
        return self._modules[self._names[name]]


class NodeEncoder(nn.Module):
    r"""Embeds nodes by their features and, where they have one, an id embedding.

    .. math:: h_v = W x_v + b + \sum_{S} \frac{1}{|S(v)|} \sum_{s \in S(v)} e_s + \sum_M M(v) + K \phi(f_v) + k_v \, e_v

    :math:`S(v)` are the nodes of one attribute linked to `v` (the genres of a movie, the occupation of a user),
    :math:`M` its modalities (plot, poster; see `ModalityProjection`), :math:`\phi` its numeric features (see
    `RandomFourierFeatures`), and :math:`k_v` is 1 where `v` has an id embedding that is not dropped. A node without one
    is embedded by the other terms. They start at zero, so that id embeddings can start from a factorization of the
    ratings.

    Parameters
    ----------
    sizes : FeatureSizes
    embedding_dim : int
    num_ids : int
        Number of id embeddings, for the first `num_ids` nodes; 0 for a node type without.

    Examples
    --------
    >>> features = NodeFeatures(torch.tensor([[1.0], [0.0], [1.0]]), {}, {}, torch.zeros(3, 0))
    >>> encoder = NodeEncoder(features.sizes, embedding_dim=2, num_ids=2)
    >>> _ = nn.init.constant_(encoder.linear.weight, 0.5)
    >>> _ = nn.init.ones_(encoder.id_embeddings)
    >>> encoder(features).tolist()  # the last node has no id embedding
    [[1.5, 1.5], [1.0, 1.0], [0.5, 0.5]]
    """

    has_id: Tensor

    def __init__(self, sizes: FeatureSizes, embedding_dim: int, num_ids: int = 0) -> None:
        super().__init__()
        # The bias is the embedding of a node without any features; id embeddings make it redundant.
        self.linear = _Linear(sizes.num_features, embedding_dim, bias=num_ids == 0)
        self.attributes = nn.ParameterDict(
            {name: torch.zeros(num_nodes, embedding_dim) for name, num_nodes in sizes.attributes.items()}
        )
        self.id_embeddings = nn.Parameter(torch.empty(num_ids, embedding_dim)) if num_ids else None
        # Movies without training ratings have a row in the table, but it is never trained.
        self.register_buffer("has_id", torch.ones(num_ids, dtype=torch.bool))
        self.reset_parameters()
        self.modalities = _ByModality(
            {name: ModalityProjection(width, embedding_dim) for name, width in sizes.modalities.items()}
        )
        num_inputs = sizes.num_numeric_features + sizes.attributes.get(GENRES, 0)
        self.fourier = RandomFourierFeatures(num_inputs, embedding_dim) if sizes.num_numeric_features else None

    def reset_parameters(self) -> None:
        """Initialize feature weights with zeros and id embeddings with small random numbers."""
        nn.init.zeros_(self.linear.weight)
        if self.linear.bias is not None:
            nn.init.zeros_(self.linear.bias)
        if self.id_embeddings is not None:
            nn.init.normal_(self.id_embeddings, std=0.1)

    @torch.no_grad()
    def prepare(self, features: NodeFeatures, rated: Tensor) -> None:
        """Set the constants of the training graph: nodes with an id embedding, means and scales of the modalities."""
        self.has_id.copy_(rated)
        for name in self.modalities:
            values, known = features.modalities[name]
            mean, scale = mean_and_scale(values, known & rated)
            self.modality(name).mean.copy_(mean)
            self.modality(name).scale.copy_(scale)

    def modality(self, name: str) -> ModalityProjection:
        """Return the projection of a modality."""
        module = self.modalities[name]
        assert isinstance(module, ModalityProjection)
        return module

    def embed_features(self, features: NodeFeatures, drop_mask: DropMask | None = None) -> Tensor:
        """Return the embeddings without id embeddings, ``[num_nodes, embedding_dim]``: those of untrained nodes."""
        h: Tensor = self.linear(features.x[:, : self.linear.in_features])  # [num_nodes, embedding_dim]
        for name, embeddings in self.attributes.items():
            adjacency = features.attributes[name]
            h = h + adjacency.matmul(mean_weights(adjacency), embeddings)
        for name in self.modalities:
            values, known = features.modalities[name]
            h = h + self.modality(name)(values, known if drop_mask is None else known & ~drop_mask.modalities[name])
        if self.fourier is not None and not self.training:
            h = h + self.fourier(features)
        return h

    def forward(self, features: NodeFeatures, drop_mask: DropMask | None = None) -> Tensor:
        """Embed nodes.

        Parameters
        ----------
        features : NodeFeatures
        drop_mask : DropMask, optional
            Inputs to hide, in training.

        Returns
        -------
        Tensor
            ``[num_nodes, embedding_dim]``.
        """
        h = self.embed_features(features, drop_mask)  # [num_nodes, embedding_dim]
        if self.id_embeddings is None:
            return h
        num_ids = len(self.id_embeddings)
        use = self.has_id if drop_mask is None else self.has_id & ~drop_mask.ids[:num_ids]
        ids = self.id_embeddings * use.unsqueeze(1)
        # Nodes that were added after training come last and have no id embedding.
        return h + nn.functional.pad(ids, (0, 0, 0, len(features.x) - num_ids))
