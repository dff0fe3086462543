"""What a training step asks, and what it may look at to answer.

Ratings carry messages or are questions, never both: nothing a person is asked about ever reaches their vector, at any
number of layers. There are two ways to ask.

`random`: each rating of the graph is a message or a question by the toss of a coin.
`next`: a person as they were at some moment is asked what they rated next. Their history until then is the messages.
"""

from __future__ import annotations

import inspect

import torch
from torch import Generator, Tensor

from gnnrec.config import TrainConfig
from gnnrec.graph import Graph, UserBatch
from gnnrec.graph.graph import csr_ranges
from gnnrec.nn import DropMask, Encoder, GraphTensors, MovieEmbeddings
from gnnrec.registry import LOSSES
from gnnrec.sparse import Adjacency

SHORT = 15.0
"""Ratings of the longest of the short histories."""


def sample_batches(graph: Graph, train: TrainConfig, generator: Generator) -> list[Tensor]:
    """Return the batches of one epoch: users, or moments, each given by the rating that comes next."""
    counts = torch.bincount(graph.users.user_index, minlength=graph.num_users)
    active = torch.nonzero(counts).squeeze(1)
    if train.objective == "next_item":
        users = active.repeat_interleave(train.cutoffs_per_user)
        share = torch.rand(len(users), generator=generator) ** (1 / train.cutoff_recency)
        place = (share * counts[users]).long().clamp(max=counts[users] - 1)
        active = graph.user_ptr[users] + place
    return list(active[torch.randperm(len(active), generator=generator)].split(train.batch_size))


def batch_loss(
    encoder: Encoder, graph: Graph, tensors: GraphTensors, drawn: Tensor, train: TrainConfig, generator: Generator
) -> Tensor:
    """Return the loss of one batch that `sample_batches` gave."""
    ask = next_item_loss if train.objective == "next_item" else masked_edge_loss
    if encoder.views is None:
        return ask(encoder, graph, tensors, drawn, train, generator)
    # The views' dropout takes PyTorch's own random numbers: those of the run, then, and the caller's are left alone.
    device = tensors.movie_degree.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return ask(encoder, graph, tensors, drawn, train, generator)


def masked_edge_loss(
    encoder: Encoder, graph: Graph, tensors: GraphTensors, users: Tensor, train: TrainConfig, generator: Generator
) -> Tensor:
    """Ask users ``[n]`` for a random share of their ratings."""
    keep = bernoulli(tensors.users.user_movie.num_edges, 1 - train.edge_dropout, generator)
    edges = graph.user_edges(users)
    batch, has_history = _newcomers(graph.user_batch(users), train, generator)
    keep[edges] = _shortened(keep[edges], batch, train, generator) * has_history[batch.user_index]
    movies = _movies(encoder, tensors, keep, train, generator)
    z = _users(encoder, batch, movies, keep[edges])
    return _loss(z, movies.targets, tensors, batch, keep[edges] == 0, train, generator)


def next_item_loss(
    encoder: Encoder, graph: Graph, tensors: GraphTensors, moments: Tensor, train: TrainConfig, generator: Generator
) -> Tensor:
    """Ask the people of some ratings ``[n]``, as they were just before them, for these and the following ones."""
    users = graph.users.user_index[moments]
    batch, has_history = _newcomers(graph.user_batch(users, until=moments), train, generator)
    keep = bernoulli(len(batch.user_index), 1 - train.edge_dropout, generator) * has_history[batch.user_index]
    # What these people did later must not come back to them through the movies either.
    whole = bernoulli(tensors.users.user_movie.num_edges, 1 - train.edge_dropout, generator)
    first = graph.user_ptr[1:].scatter_reduce(0, users, moments, "amin")
    whole[csr_ranges(first, graph.user_ptr[1:])[0]] = 0
    movies = _movies(encoder, tensors, whole, train, generator)
    z = _users(encoder, batch, movies, keep)
    until = torch.minimum(moments + train.horizon, graph.user_ptr[users + 1])
    edges = graph.user_edges(users, until)
    known = graph.user_batch(users, until)
    return _loss(z, movies.targets, tensors, known, edges >= moments[known.user_index], train, generator)


def _newcomers(batch: UserBatch, train: TrainConfig, generator: Generator) -> tuple[UserBatch, Tensor]:
    """Let some people come without a profile and some without a history (0 in the result): so will newcomers."""
    has_history = bernoulli(batch.num_users, 1 - train.history_dropout, generator)
    hidden = bernoulli(batch.num_users, train.profile_dropout, generator).bool()
    return batch.without_profile(hidden), has_history


def _shortened(keep: Tensor, batch: UserBatch, train: TrainConfig, generator: Generator) -> Tensor:
    """Let some people bring a few of their ratings only; small numbers of them are as frequent as large ones."""
    if not train.history_truncation:
        return keep
    short = bernoulli(batch.num_users, train.history_truncation, generator)
    few = SHORT ** torch.rand(batch.num_users, generator=generator)  # 1 to SHORT
    share = few / torch.bincount(batch.user_index, minlength=batch.num_users)  # of their ratings
    kept = torch.rand(len(keep), generator=generator) < share.clamp(max=1 - train.edge_dropout)[batch.user_index]
    return torch.where(short[batch.user_index] > 0, kept.float(), keep)


def _movies(
    encoder: Encoder, tensors: GraphTensors, keep: Tensor, train: TrainConfig, generator: Generator
) -> MovieEmbeddings:
    device = tensors.movie_degree.device
    num_movies = len(tensors.movie_degree)
    ids = bernoulli(num_movies, train.id_dropout, generator).bool()
    modalities = {
        name: bernoulli(num_movies, train.modality_dropout, generator).bool().to(device)
        for name in encoder.message.modalities
    }
    return encoder.movies(tensors, keep.to(device), DropMask(ids.to(device), modalities))


def _users(encoder: Encoder, batch: UserBatch, movies: MovieEmbeddings, keep: Tensor) -> Tensor:
    device = movies.targets.device
    return encoder.users(batch.to(device), movies, keep.to(device))


def _loss(
    z: Tensor,
    targets: Tensor,
    tensors: GraphTensors,
    known: UserBatch,
    question: Tensor,
    train: TrainConfig,
    generator: Generator,
) -> Tensor:
    """Return the loss of people's vectors, where `known` holds what they watched and what they are asked for."""
    # A movie nobody rated is not a movie nobody likes: only rated ones are there to be chosen from.
    rated = tensors.movie_degree > 0
    column = rated.cumsum(0) - 1
    row, movie = known.user_index.to(z.device), known.movie_index.to(z.device)
    watched = Adjacency(row, column[movie], known.num_users, int(rated.sum()))
    loss = LOSSES.get(train.loss)
    options = dict(train.loss_options)
    if "negative_weight" in inspect.signature(loss).parameters:
        options.setdefault("negative_weight", train.negative_weight)
    value: Tensor = loss(z, targets[rated], watched, question.to(z.device), generator, **options)
    return value


def bernoulli(n: int, probability: float, generator: Generator) -> Tensor:
    """Return ``[n]`` ones and zeros; always drawn on the CPU, so that every device trains on the same."""
    return (torch.rand(n, generator=generator) < probability).float()
