"""Splits edges into message-passing and supervision edges for each training step.

An edge is one or the other, never both: no supervision edge of a user reaches the user's embedding, whatever the number
of layers. There are two training objectives.

`masked_edges`: every rating of the graph is randomly a message-passing or a supervision edge.
`next_item`: the next rating of a user after a sampled cutoff is predicted from the history before it.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import torch
from torch import Generator, Tensor

from gnnrec._seeded import Seeded
from gnnrec._torch import csr_ranges
from gnnrec._workers import ALONE, Workers
from gnnrec.config import TrainConfig
from gnnrec.graph import Graph, UserBatch
from gnnrec.nn import DropMask, Encoder, GraphTensors, MovieEmbeddings
from gnnrec.registry import LOSSES
from gnnrec.sparse import Adjacency

MAX_TRUNCATED_LENGTH = 15.0
"""Maximum number of ratings of a truncated history."""
MAX_WHOLE_MASK = 1 << 22
"""Up to this many ratings, a step draws a mask of all of them; beyond it, only of those it needs."""


def sample_batches(graph: Graph, train: TrainConfig, generator: Generator) -> list[Tensor]:
    """Return the batches of one epoch: user nodes, or for ``next_item`` the ratings that follow the cutoffs.

    Parameters
    ----------
    graph : Graph
        Graph of the training ratings.
    train : TrainConfig
    generator : torch.Generator

    Returns
    -------
    list of Tensor
        ``[n]`` int64 each.

    Examples
    --------
    >>> parts = sample_batches(graph, TrainConfig(batch_size=25), torch.Generator().manual_seed(0))
    >>> [len(users) for users in parts]
    [25, 25, 10]
    >>> next_item = TrainConfig(batch_size=25, objective="next_item", cutoffs_per_user=2)
    >>> [len(cutoffs) for cutoffs in sample_batches(graph, next_item, torch.Generator().manual_seed(0))]
    [25, 25, 25, 25, 20]
    """
    counts = torch.bincount(graph.users.user_index, minlength=graph.num_users)
    active = torch.nonzero(counts).squeeze(1)
    if train.objective == "next_item":
        users = active.repeat_interleave(train.cutoffs_per_user)
        share = torch.rand(len(users), generator=generator) ** (1 / train.cutoff_recency)
        position = (share * counts[users]).long().clamp(max=counts[users] - 1)
        active = graph.user_ptr[users] + position
    return list(active[torch.randperm(len(active), generator=generator)].split(train.batch_size))


def batch_loss(
    encoder: Encoder,
    graph: Graph,
    tensors: GraphTensors,
    batch: Tensor,
    train: TrainConfig,
    generator: Generator,
    workers: Workers = ALONE,
) -> Tensor:
    """Return the loss of a batch from `sample_batches`.

    Parameters
    ----------
    encoder : Encoder
        Prepared.
    graph : Graph
        Graph of the training ratings.
    tensors : GraphTensors
        Its tensors, on the device of the encoder.
    batch : Tensor
        ``[n]`` int64, from `sample_batches`.
    train : TrainConfig
    generator : torch.Generator
        Source of all random numbers.
    workers : Workers
        Processes that each compute a part of the loss, which the whole batch is divided into.

    Returns
    -------
    Tensor
        Scalar; the part of this process.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.models.gnn import make_encoder
    >>> config = Config().override(["model.embedding_dim=8"])
    >>> encoder, tensors = make_encoder(config, graph), GraphTensors.from_graph(graph)
    >>> encoder.prepare(tensors)
    >>> generator = torch.Generator().manual_seed(0)
    >>> batch = sample_batches(graph, config.train, generator)[0]
    >>> loss = batch_loss(encoder, graph, tensors, batch, config.train, generator)
    >>> loss.backward()
    >>> loss.item() > 0
    True
    """
    objective = next_item_loss if train.objective == "next_item" else masked_edge_loss
    if encoder.temporal is None:
        return objective(encoder, graph, tensors, batch, train, generator, workers)
    with Seeded(int(torch.randint(2**62, (), generator=generator)) + workers.rank):  # for dropout
        return objective(encoder, graph, tensors, batch, train, generator, workers)


def masked_edge_loss(
    encoder: Encoder,
    graph: Graph,
    tensors: GraphTensors,
    users: Tensor,
    train: TrainConfig,
    generator: Generator,
    workers: Workers = ALONE,
) -> Tensor:
    """Return the loss of predicting a random subset of the ratings of `users`, ``[n]`` nodes.

    The other parameters are those of `batch_loss`.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.models.gnn import make_encoder
    >>> config = Config().override(["model.embedding_dim=8"])
    >>> encoder, tensors = make_encoder(config, graph), GraphTensors.from_graph(graph)
    >>> encoder.prepare(tensors)
    >>> generator = torch.Generator().manual_seed(0)
    >>> users = torch.tensor([0, 1, 2])
    >>> masked_edge_loss(encoder, graph, tensors, users, config.train, generator).item() > 0
    True
    """
    edges = graph.user_edges(users)
    edge_mask = _draw_edge_mask(encoder, tensors, train, generator)
    mask = bernoulli(len(edges), 1 - train.edge_dropout, generator) if edge_mask is None else edge_mask[edges]
    batch, has_history = _drop_profiles_and_histories(graph.user_batch(users), train, generator)
    mask = _truncate_histories(mask, batch, train, generator) * has_history[batch.user_index]
    if edge_mask is not None:
        edge_mask[edges] = mask
    movies = _embed_movies(encoder, tensors, edge_mask, train, generator)
    num_users, num_supervised = batch.num_users, int((mask == 0).sum())
    if workers.size > 1:
        start, end = workers.part(num_users)
        mask = mask[(batch.user_index >= start) & (batch.user_index < end)]
        batch = batch.slice(start, end)
    if not batch.num_users:
        return 0.0 * movies.targets.sum()
    z = _embed_users(encoder, batch, movies, mask)
    confidence = batch.relative_weight() if encoder.edge_weights else None
    loss = _catalog_loss(z, movies.targets, tensors, batch, mask == 0, train, generator, confidence)
    return loss * _share(train, batch.num_users / num_users, int((mask == 0).sum()), num_supervised)


def next_item_loss(
    encoder: Encoder,
    graph: Graph,
    tensors: GraphTensors,
    cutoffs: Tensor,
    train: TrainConfig,
    generator: Generator,
    workers: Workers = ALONE,
) -> Tensor:
    """Return the loss of predicting the ratings `cutoffs`, ``[n]`` edges, and the horizon after them from earlier ones.

    The other parameters are those of `batch_loss`.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.models.gnn import make_encoder
    >>> config = Config().override(["model.embedding_dim=8", "train.objective=next_item"])
    >>> encoder, tensors = make_encoder(config, graph), GraphTensors.from_graph(graph)
    >>> encoder.prepare(tensors)
    >>> generator = torch.Generator().manual_seed(0)
    >>> cutoffs = graph.user_ptr[1:4] - 1  # the last rating of each of the first three users
    >>> next_item_loss(encoder, graph, tensors, cutoffs, config.train, generator).item() > 0
    True
    """
    users = graph.users.user_index[cutoffs]
    batch, has_history = _drop_profiles_and_histories(graph.user_batch(users, until=cutoffs), train, generator)
    if encoder.uses_request_time:
        known = bernoulli(len(cutoffs), 1 - train.request_time_dropout, generator).long()
        batch = dataclasses.replace(batch, request_time=graph.users.timestamp[cutoffs] * known)
    mask = bernoulli(len(batch.user_index), 1 - train.edge_dropout, generator) * has_history[batch.user_index]
    # Ratings after a cutoff must not reach the user through the movies either.
    graph_mask = _draw_edge_mask(encoder, tensors, train, generator)
    if graph_mask is not None:
        first = graph.user_ptr[1:].scatter_reduce(0, users, cutoffs, "amin")
        graph_mask[csr_ranges(first, graph.user_ptr[1:])[0]] = 0
    movies = _embed_movies(encoder, tensors, graph_mask, train, generator)
    until = torch.minimum(cutoffs + train.horizon, graph.user_ptr[users + 1])
    num_cutoffs, num_supervised = len(cutoffs), int((until - cutoffs).sum())
    if workers.size > 1:
        start, end = workers.part(num_cutoffs)
        mask = mask[(batch.user_index >= start) & (batch.user_index < end)]
        batch = batch.slice(start, end)
        cutoffs, users, until = cutoffs[start:end], users[start:end], until[start:end]
    if not len(cutoffs):
        return 0.0 * movies.targets.sum()
    z = _embed_users(encoder, batch, movies, mask)
    edges = graph.user_edges(users, until)
    observed = graph.user_batch(users, until)
    confidence = observed.relative_weight() if encoder.edge_weights else None
    supervision = edges >= cutoffs[observed.user_index]
    loss = _catalog_loss(z, movies.targets, tensors, observed, supervision, train, generator, confidence)
    return loss * _share(train, len(cutoffs) / num_cutoffs, int((until - cutoffs).sum()), num_supervised)


def _share(train: TrainConfig, share_of_users: float, supervised: int, all_supervised: int) -> float:
    """Return the weight of a process's mean loss in that of the whole batch."""
    if LOSSES.metadata(train.loss).get("mean_over") == "users":
        return share_of_users
    return supervised / all_supervised if all_supervised else share_of_users


def _draw_edge_mask(encoder: Encoder, tensors: GraphTensors, train: TrainConfig, generator: Generator) -> Tensor | None:
    """Return 1 for message-passing and 0 for supervision edges, ``[num_edges]``.

    None if movies receive no messages and the graph is large: the work of a step then depends on the batch only. For
    smaller graphs the mask is drawn in any case, so that seeds give the same results for any number of layers.
    """
    num_edges = tensors.users.user_movie.num_edges
    if not encoder.movies_receive_messages and num_edges > MAX_WHOLE_MASK:
        return None
    return bernoulli(num_edges, 1 - train.edge_dropout, generator)


def _drop_profiles_and_histories(
    batch: UserBatch, train: TrainConfig, generator: Generator
) -> tuple[UserBatch, Tensor]:
    """Drop some profiles and histories; return the batch, and ``[num_users]`` with 0 for dropped histories."""
    has_history = bernoulli(batch.num_users, 1 - train.history_dropout, generator)
    hidden = bernoulli(batch.num_users, train.profile_dropout, generator).bool()
    return batch.without_profile(hidden), has_history


def _truncate_histories(edge_mask: Tensor, batch: UserBatch, train: TrainConfig, generator: Generator) -> Tensor:
    """Keep only a few random ratings of some users; the number kept is log-uniform."""
    if not train.history_truncation:
        return edge_mask
    truncated = bernoulli(batch.num_users, train.history_truncation, generator)
    length = MAX_TRUNCATED_LENGTH ** torch.rand(batch.num_users, generator=generator)
    share = length / torch.bincount(batch.user_index, minlength=batch.num_users)
    kept = torch.rand(len(edge_mask), generator=generator) < share.clamp(max=1 - train.edge_dropout)[batch.user_index]
    return torch.where(truncated[batch.user_index] > 0, kept.float(), edge_mask)


def _embed_movies(
    encoder: Encoder, tensors: GraphTensors, edge_mask: Tensor | None, train: TrainConfig, generator: Generator
) -> MovieEmbeddings:
    device = tensors.movie_degree.device
    num_movies = len(tensors.movie_degree)
    ids = bernoulli(num_movies, train.id_dropout, generator).bool()
    modalities = {
        name: bernoulli(num_movies, train.modality_dropout, generator).bool().to(device)
        for name in encoder.message.modalities
    }
    edge_mask = None if edge_mask is None else edge_mask.to(device)
    return encoder.embed_movies(tensors, edge_mask, DropMask(ids.to(device), modalities))


def _embed_users(encoder: Encoder, batch: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor) -> Tensor:
    device = movies.targets.device
    return encoder.embed_users(batch.to(device), movies, edge_mask.to(device))


def _catalog_loss(
    user_embeddings: Tensor,
    movie_embeddings: Tensor,
    tensors: GraphTensors,
    observed: UserBatch,
    supervision: Tensor,
    train: TrainConfig,
    generator: Generator,
    confidence: Tensor | None,
) -> Tensor:
    """Return the loss of user embeddings; `observed` has both kinds of edges, `supervision` marks those to predict.

    `confidence` are relative weights of the edges, for losses that take them.
    """
    # Movies without ratings are excluded: they are unobserved, not disliked.
    rated = tensors.movie_degree > 0
    column = rated.cumsum(0) - 1
    device = user_embeddings.device
    user, movie = observed.user_index.to(device), observed.movie_index.to(device)
    edges = Adjacency(user, column[movie], observed.num_users, int(rated.sum()))
    arguments = (user_embeddings, movie_embeddings[rated], edges, supervision.to(device), generator)
    options = loss_options(train)
    if confidence is not None and "confidence" in inspect.signature(LOSSES.get(train.loss)).parameters:
        options["confidence"] = confidence.to(device)
    loss: Tensor = LOSSES.get(train.loss)(*arguments, **options)
    return loss


def loss_options(train: TrainConfig) -> dict[str, Any]:
    """Return the keyword arguments of the loss: ``train.loss_options``, and ``train.negative_weight`` if it has one."""
    if "negative_weight" in inspect.signature(LOSSES.get(train.loss)).parameters:
        return {"negative_weight": train.negative_weight, **train.loss_options}
    return dict(train.loss_options)


def bernoulli(n: int, probability: float, generator: Generator) -> Tensor:
    """Return ``[n]`` zeros and ones; drawn on the CPU, so that results do not depend on the device."""
    return (torch.rand(n, generator=generator) < probability).float()
