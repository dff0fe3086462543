"""After training: let content carry as much of every movie's vector as it can."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor

from gnnrec.nn.encoder import Encoder, GraphTensors
from gnnrec.nn.features import NodeEncoder, NodeFeatures

E = TypeVar("E", bound=Encoder)

KERNEL_SCALE = 10.0**0.5
"""Of the kernel's features beside the linear ones."""


class ContentRidge:
    r"""Moves what content can tell from the id vectors into the content's weights; no vector of a rated movie changes.

    Training divides each vector between content and id in no particular way, and an unseen movie has only the content
    part. So content is refitted to the whole vectors of the movies with an id, by weighted ridge regression, and their
    id vectors become what is left over:

    .. math:: W = (C^T D C + \lambda I)^{-1} C^T D H, \qquad e_v = h_v - W^T c_v

    :math:`C` has a row of content for each movie, :math:`H` their vectors. The matrix before :math:`H` does not change
    in training; it is made once.

    Parameters
    ----------
    encoder : Encoder
        Prepared.
    graph : GraphTensors
        Of training.
    reg : float
        :math:`\lambda`, against a mean weight of 1.
    power : float
        Weights :math:`D` are the movies' numbers of ratings to this power.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.models.gnn import make_encoder
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> encoder, tensors = make_encoder(Config().override(["model.embedding_dim=8"]), graph), GraphTensors.of(graph)
    >>> encoder.prepare(tensors)
    >>> settled = ContentRidge(encoder, tensors).refit(encoder)
    >>> before, after = encoder.eval()(tensors)["movie"], settled(tensors)["movie"]
    >>> bool(torch.allclose(before, after, atol=1e-4)), bool(settled.target.features.weight.any())
    (True, True)
    """

    def __init__(self, encoder: Encoder, graph: GraphTensors, reg: float = 10.0, power: float = 1.0) -> None:
        self.graph = graph
        node = encoder.message
        self.num_ids = len(node.has_id)
        self.content = content_matrix(node, graph.content)[: self.num_ids]  # [num_ids, width]
        weight = graph.movie_degree[: self.num_ids] ** power * node.has_id
        weight = weight / weight.sum().clamp(min=1e-9) * node.has_id.sum()
        weighted = self.content * weight.sqrt().unsqueeze(1)
        rows, width = weighted.shape
        on = weighted.device
        if width <= rows:
            gram = weighted.T @ weighted + reg * torch.eye(width, device=on)
            solution = torch.linalg.solve(gram, weighted.T)
        else:  # the same, by the smaller matrix
            gram = weighted @ weighted.T + reg * torch.eye(rows, device=on)
            solution = torch.linalg.solve(gram, weighted).T
        self.solution = solution * weight.sqrt()  # [width, num_ids]

    @torch.no_grad()
    def refit(self, encoder: E) -> E:
        """Return a copy in evaluation mode; rated movies keep their vectors, others get better ones."""
        encoder = copy.deepcopy(encoder).eval().requires_grad_(False)
        for node in (encoder.message, encoder.target):
            if node.ids is None or not node.has_id.any():
                continue
            whole = node(self.graph.content)[: self.num_ids]  # [num_ids, dim]
            weights = self.solution @ whole
            node.ids.copy_(whole - self.content @ weights)
            set_content(node, weights)
        return encoder


def content_matrix(node: NodeEncoder, content: NodeFeatures) -> Tensor:
    """Return ``[num_nodes, width]``: the inputs of the linear map from content to vectors, part by part."""
    parts = [content.x[:, : node.features.in_features], *(content.shares(kind) for kind in node.attributes)]
    for name in node.modalities:
        values, known = content.modalities[name]
        parts += [node.modality(name).normalize(values, known), (~known).float().unsqueeze(1)]
    if node.kernel is not None:
        parts.append(node.kernel.features(content) * KERNEL_SCALE)
    return torch.cat(parts, dim=1)


def set_content(node: NodeEncoder, weights: Tensor) -> None:
    """Make ``[width, dim]`` weights, in the order of `content_matrix`, those of a node encoder."""
    modalities = [node.modality(name) for name in node.modalities]
    widths = [node.features.in_features, *(len(vectors) for vectors in node.attributes.values())]
    widths += [part for modality in modalities for part in (len(modality.mean), 1)]
    widths += [] if node.kernel is None else [len(node.kernel.weight)]
    parts = iter(weights.split(widths))
    node.features.weight.copy_(next(parts).T)
    for vectors in node.attributes.values():
        vectors.copy_(next(parts))
    for modality in modalities:
        modality.project.weight.copy_(next(parts).T)
        modality.missing.copy_(next(parts).squeeze(0))
    if node.kernel is not None:
        node.kernel.weight.copy_(next(parts) * KERNEL_SCALE)
