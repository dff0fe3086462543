"""`Ensemble`: several encoders that are trained with different random numbers, and whose scores are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from gnnrec.graph import UserBatch
from gnnrec.nn.encoder import BaseEncoder, Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.features import DropMask, NodeFeatures


class Ensemble(BaseEncoder):
    r"""Encoders of the same kind whose scores are averaged: one encoder with longer embeddings.

    With :math:`z_u^{(k)} \cdot t_i^{(k)}` the score of member :math:`k` of :math:`K`, the embeddings are

    .. math:: z_u = \frac{1}{\sqrt K} \left[ z_u^{(1)}, \ldots, z_u^{(K)} \right], \qquad
        t_i = \frac{1}{\sqrt K} \left[ t_i^{(1)}, \ldots, t_i^{(K)} \right], \qquad
        z_u \cdot t_i = \frac{1}{K} \sum_{k=1}^{K} z_u^{(k)} \cdot t_i^{(k)}

    Members have their own parameters and losses; they differ in whatever is random in initialization and training. What
    one of them overfits, the others do not (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474).

    Parameters
    ----------
    encoders : sequence of Encoder
        Of the same class and settings.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.models.gnn import make_encoder
    >>> config = Config().override(["model.embedding_dim=8"])
    >>> ensemble = Ensemble([make_encoder(config, graph) for _ in range(3)]).eval()
    >>> tensors = GraphTensors.from_graph(graph)
    >>> ensemble.prepare(tensors)
    >>> embeddings = ensemble(tensors)
    >>> tuple(embeddings["movie"].shape)
    (40, 24)
    >>> members = [member(tensors) for member in ensemble.members]
    >>> mean = torch.stack([one["user"] @ one["movie"].T for one in members]).mean(0)
    >>> bool(torch.allclose(embeddings["user"] @ embeddings["movie"].T, mean, atol=1e-6))
    True
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.dislike_weight = encoders[0].dislike_weight

    @property
    def members(self) -> Sequence[Encoder]:
        """See `BaseEncoder.members`."""
        return cast(Sequence[Encoder], list(self.encoders))

    @torch.no_grad()
    def prepare(self, graph: GraphTensors) -> None:
        """See `BaseEncoder.prepare`."""
        super().prepare(graph)
        for member in self.members:
            member.prepare(graph)

    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `BaseEncoder.embed_movies`."""
        parts = [member.embed_movies(graph, edge_mask, drop_mask) for member in self.members]
        messages = [message for part in parts for message in part.messages]
        return MovieEmbeddings(messages, self._joined([part.targets for part in parts]), parts[0].degree)

    def embed_new_movies(self, features: NodeFeatures) -> Tensor:
        """See `BaseEncoder.embed_new_movies`."""
        return self._joined([member.embed_new_movies(features) for member in self.members])

    def embed_histories(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """See `BaseEncoder.embed_histories`."""
        num_layers = len(movies.messages) // len(self.members)
        return self._joined(
            [
                member.embed_histories(
                    users, replace(movies, messages=movies.messages[k * num_layers : (k + 1) * num_layers]), edge_mask
                )
                for k, member in enumerate(self.members)
            ]
        )

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the embeddings of all members next to each other, ``[num_nodes, num_members * embedding_dim]``."""
        joined: Tensor = torch.cat(list(parts), dim=1) / len(parts) ** 0.5
        return joined
