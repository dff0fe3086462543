"""A node's own vector, before any propagation: what is known about it, plus an id vector where it has one."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gnnrec.nn.content import GENRES, Content, ContentSizes, scale_of, side_weight

KERNEL_FEATURES, LENGTH_SCALE, GENRE_SCALE = 512, 2.5, 3.0


@dataclass(frozen=True, eq=False)
class Dropped:
    """What nodes have to do without at a step of training.

    Attributes
    ----------
    ids : Tensor
        ``[num_nodes]`` bool, true where the id vector is left out.
    modalities : dict of str to Tensor
        ``[num_nodes]`` bool each, true where a modality is taken to be missing.

    Examples
    --------
    >>> encoder = NodeEncoder(ContentSizes(num_features=0), dim=2, num_ids=2)
    >>> content = Content(torch.zeros(2, 0), {}, {}, torch.zeros(2, 0))
    >>> vectors = encoder(content, Dropped(ids=torch.tensor([True, False])))
    >>> vectors[0].tolist(), bool((vectors[1] == encoder.ids[1]).all())
    ([0.0, 0.0], True)
    """

    ids: Tensor
    modalities: dict[str, Tensor] = field(default_factory=dict)


class Modality(nn.Module):
    r"""Vectors of one modality, normalised and projected; a learned vector where there is none.

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

    def normalise(self, values: Tensor, known: Tensor) -> Tensor:
        """Return ``[num_nodes, width]``, zeros where there is no vector."""
        return (values - self.mean) / self.size * known.unsqueeze(1)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Return ``[num_nodes, dim]``."""
        return self.project(self.normalise(values, known)) + self.missing * (~known).unsqueeze(1)


class Kernel(nn.Module):
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

    def features(self, content: Content) -> Tensor:
        """Return ``[num_nodes, KERNEL_FEATURES]``."""
        inputs = content.facts
        if len(self.frequency) > inputs.size(1):
            inputs = torch.cat([inputs, GENRE_SCALE * content.shares(GENRES)], dim=1)
        return (2 / KERNEL_FEATURES) ** 0.5 * torch.cos(inputs @ self.frequency + self.phase)

    def forward(self, content: Content) -> Tensor:
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
    :math:`M` its modalities (plot, poster; see `Modality`), :math:`\phi` its facts (see `Kernel`), and :math:`k_v` is 1
    where the id vector is known and not dropped. A node that was never trained on gets its vector from the other terms;
    these start at zero, so that the id vectors may start from a factorisation of the ratings.

    Parameters
    ----------
    sizes : ContentSizes
    dim : int
        Width of the vectors.
    num_ids : int
        Number of id vectors, for the first `num_ids` nodes; 0 for nodes without any.

    Examples
    --------
    >>> content = Content(torch.tensor([[1.0], [0.0], [1.0]]), {}, {}, torch.zeros(3, 0))
    >>> encoder = NodeEncoder(content.sizes, dim=2, num_ids=2)
    >>> _ = nn.init.constant_(encoder.features.weight, 0.5)
    >>> _ = nn.init.ones_(encoder.ids)
    >>> encoder(content).tolist()  # the last one has no id
    [[1.5, 1.5], [1.0, 1.0], [0.5, 0.5]]
    """

    has_id: Tensor

    def __init__(self, sizes: ContentSizes, dim: int, num_ids: int = 0) -> None:
        super().__init__()
        # Without ids, the bias is what is known of somebody of whom nothing is known.
        self.features = _Linear(sizes.num_features, dim, bias=num_ids == 0)
        self.sides = nn.ParameterDict({kind: torch.zeros(num, dim) for kind, num in sizes.sides.items()})
        self.ids = nn.Parameter(torch.empty(num_ids, dim)) if num_ids else None
        # Movies without a training rating have a row but no trained vector in it.
        self.register_buffer("has_id", torch.ones(num_ids, dtype=torch.bool))
        self.reset_parameters()
        self.modalities = nn.ModuleDict({name: Modality(width, dim) for name, width in sizes.modalities.items()})
        inputs = sizes.num_facts + sizes.sides.get(GENRES, 0)
        self.kernel = Kernel(inputs, dim) if sizes.num_facts else None

    def reset_parameters(self) -> None:
        """Start content at zero and id vectors small and random."""
        nn.init.zeros_(self.features.weight)
        if self.features.bias is not None:
            nn.init.zeros_(self.features.bias)
        if self.ids is not None:
            nn.init.normal_(self.ids, std=0.1)

    @torch.no_grad()
    def prepare(self, content: Content, rated: Tensor) -> None:
        """Take from the training graph what is fixed before training: which nodes have ids, how large vectors are."""
        self.has_id.copy_(rated)
        for name in self.modalities:
            values, known = content.modalities[name]
            mean, size = scale_of(values, known & rated)
            self.modality(name).mean.copy_(mean)
            self.modality(name).size.copy_(size)

    def modality(self, name: str) -> Modality:
        """Return one of the modalities."""
        module = self.modalities[name]
        assert isinstance(module, Modality)
        return module

    def forward(self, content: Content, dropped: Dropped | None = None) -> Tensor:
        """Return the vectors.

        Parameters
        ----------
        content : Content
        dropped : Dropped, optional
            What some nodes have to do without, in training.

        Returns
        -------
        Tensor
            ``[num_nodes, dim]``.
        """
        h = self.features(content.x[:, : self.features.in_features])  # [num_nodes, dim]
        for kind, vectors in self.sides.items():
            side = content.sides[kind]
            h = h + side.matmul(side_weight(side), vectors)
        for name in self.modalities:
            values, known = content.modalities[name]
            h = h + self.modality(name)(values, known if dropped is None else known & ~dropped.modalities[name])
        if self.kernel is not None and not self.training:
            h = h + self.kernel(content)
        if self.ids is None:
            return h
        use = self.has_id if dropped is None else self.has_id & ~dropped.ids[: self.ids.size(0)]
        # Nodes added after training lie behind the table and have no id vector.
        ids = self.ids * use.unsqueeze(1)
        return h + nn.functional.pad(ids, (0, 0, 0, content.x.size(0) - ids.size(0)))
