"""`ContentRidge`: after training, refits feature weights by ridge regression; id embeddings keep the residual."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
from torch import Tensor

from gnnrec._torch import ridge_gram
from gnnrec.graph import UserBatch
from gnnrec.nn.encoder import BaseEncoder, Encoder, GraphTensors
from gnnrec.nn.features import NodeEncoder, NodeFeatures

E = TypeVar("E", bound=BaseEncoder)

FOURIER_SCALE = 10.0**0.5
"""Scale of the random Fourier features relative to the linear features; it sets how strongly they are regularized."""
NUM_USERS, NUM_BLOCKS = 2048, 16
"""Size of the sample of users whose scores are compared, and of how many blocks of consecutive users it consists."""


class ContentRidge:
    r"""Refits feature weights to the movie embeddings; the embeddings of rated movies do not change.

    Training splits each embedding arbitrarily between features and id, and a new movie has only the feature part.
    Therefore, the feature weights are refitted to the full embeddings of the movies with an id embedding, by weighted
    ridge regression, and the id embeddings become the residual:

    .. math:: W = (X^T D X + \lambda I)^{-1} X^T D H, \qquad e_v = h_v - s W^T x_v

    :math:`X` has a row of features for each movie, :math:`H` their embeddings. The matrix before :math:`H` does not
    change during training and is computed once.

    A regression predicts means, so predicted embeddings differ less from each other than those of rated movies do, and
    new movies would rarely be recommended. The scale :math:`s` of the targets makes up for this: with it, the scores of
    movies whose own embedding the regression has not seen have the same second moment as those of rated movies,

    .. math:: s^2 = \frac{\sum_v d_v \sum_u (z_u \cdot h_v)^2}{\sum_v d_v \sum_u (z_u \cdot \hat h_v)^2}, \qquad
        \hat h_v = \frac{W^T x_v - \ell_v h_v}{1 - \ell_v}, \qquad
        \ell_v = d_v \, x_v^T (X^T D X + \lambda I)^{-1} x_v

    :math:`z_u` are the embeddings of a sample of users, :math:`\hat h_v` the prediction of a regression on all other
    movies and :math:`\ell_v` the leverage of a movie. For messages :math:`s = 1`.

    Parameters
    ----------
    encoder : Encoder or Ensemble
        Prepared.
    graph : GraphTensors
        The training graph.
    reg : float
        :math:`\lambda`, relative to a mean weight of 1.
    power : float
        The weights :math:`D` are the degrees of movies to this power.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.models.gnn import make_encoder
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> encoder = make_encoder(Config().override(["model.embedding_dim=8"]), graph)
    >>> tensors = GraphTensors.from_graph(graph)
    >>> encoder.prepare(tensors)
    >>> refitted = ContentRidge(encoder, tensors).refit(encoder)
    >>> before, after = encoder.eval()(tensors)["movie"], refitted(tensors)["movie"]
    >>> bool(torch.allclose(before, after, atol=1e-4)), bool(refitted.target.linear.weight.any())
    (True, True)
    """

    def __init__(self, encoder: BaseEncoder, graph: GraphTensors, reg: float = 10.0, power: float = 0.5) -> None:
        self.graph = graph
        node_encoder = encoder.members[0].message  # the others have the same features
        self.num_ids = len(node_encoder.has_id)
        self.features = feature_matrix(node_encoder, graph.movie_features)[: self.num_ids]  # [num_ids, width]
        weight = graph.movie_degree[: self.num_ids] ** power * node_encoder.has_id
        weight = weight / weight.sum().clamp(min=1e-9) * node_encoder.has_id.sum()
        weighted = self.features * weight.sqrt().unsqueeze(1)
        rows, width = weighted.shape
        if width <= rows:
            solution = torch.linalg.solve(ridge_gram(weighted, reg), weighted.T)
        else:  # the dual form has the smaller matrix
            solution = torch.linalg.solve(ridge_gram(weighted.T, reg), weighted).T
        self.solution = solution * weight.sqrt()  # [width, num_ids]
        self.weight = weight
        self.leverage = (self.features * self.solution.T).sum(1).clamp(max=1 - 1e-6)  # [num_ids]
        self.users = sample_users(graph.users)
        self._made: BaseEncoder | None = None

    @torch.no_grad()
    def refit(self, encoder: E) -> E:
        """Return an encoder in evaluation mode, with the same embeddings of rated movies and better ones of new movies.

        It is the same object every time: the weights of the encoder of an earlier call change.
        """
        if self._made is None:
            self._made = copy.deepcopy(encoder).eval().requires_grad_(False)
        made = cast(E, self._made)
        own = made.state_dict()  # the tensors themselves
        for name, value in encoder.state_dict().items():
            own[name].copy_(value)
        for member in made.members:
            for node_encoder in (member.message, member.target):
                if node_encoder.id_embeddings is None or not node_encoder.has_id.any():
                    continue
                embeddings = node_encoder(self.graph.movie_features)[: self.num_ids]  # [num_ids, embedding_dim]
                weights = self.solution @ embeddings
                if node_encoder is member.target:
                    weights *= self._scale(member, embeddings, weights)
                node_encoder.id_embeddings.copy_(embeddings - self.features @ weights)
                set_feature_weights(node_encoder, weights)
        return made

    def _scale(self, member: Encoder, embeddings: Tensor, weights: Tensor) -> Tensor:
        """Return the scale of predicted targets, a scalar; 1 if they are all zero."""
        leverage = self.leverage.unsqueeze(1)
        left_out = (self.features @ weights - leverage * embeddings) / (1 - leverage)  # [num_ids, embedding_dim]
        z = member.embed_histories(self.users, member.embed_movies(self.graph))  # [num_users, embedding_dim]
        moment = z.T @ z
        known, predicted = (((h @ moment) * h).sum(1) @ self.weight for h in (embeddings, left_out))
        return torch.where(predicted > 0, known / predicted, torch.ones_like(known)).sqrt()


def sample_users(users: UserBatch) -> UserBatch:
    """Return at most `NUM_USERS` users, in blocks at equal distances."""
    if users.num_users <= NUM_USERS:
        return users
    size = NUM_USERS // NUM_BLOCKS
    starts = [i * (users.num_users - size) // (NUM_BLOCKS - 1) for i in range(NUM_BLOCKS)]
    return UserBatch.concatenate([users.slice(start, start + size) for start in starts])


def feature_matrix(node_encoder: NodeEncoder, features: NodeFeatures) -> Tensor:
    """Return the inputs of the linear map from features to embeddings, ``[num_nodes, width]``."""
    parts = [features.x[:, : node_encoder.linear.in_features]]
    parts += [features.attribute_shares(name) for name in node_encoder.attributes]
    for name in node_encoder.modalities:
        values, known = features.modalities[name]
        parts += [node_encoder.modality(name).standardize(values, known), (~known).float().unsqueeze(1)]
    if node_encoder.fourier is not None:
        parts.append(node_encoder.fourier.basis(features) * FOURIER_SCALE)
    return torch.cat(parts, dim=1)


def set_feature_weights(node_encoder: NodeEncoder, weights: Tensor) -> None:
    """Set the feature weights ``[width, embedding_dim]`` of a node encoder, in the order of `feature_matrix`."""
    modalities = [node_encoder.modality(name) for name in node_encoder.modalities]
    widths = [node_encoder.linear.in_features, *(len(table) for table in node_encoder.attributes.values())]
    widths += [width for modality in modalities for width in (len(modality.mean), 1)]
    widths += [] if node_encoder.fourier is None else [len(node_encoder.fourier.weight)]
    parts = iter(weights.split(widths))
    node_encoder.linear.weight.copy_(next(parts).T)
    for table in node_encoder.attributes.values():
        table.copy_(next(parts))
    for modality in modalities:
        modality.projection.weight.copy_(next(parts).T)
        modality.missing.copy_(next(parts).squeeze(0))
    if node_encoder.fourier is not None:
        node_encoder.fourier.weight.copy_(next(parts) * FOURIER_SCALE)
