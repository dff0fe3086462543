"""What the layers of a trained LightGCN do: how alike nodes become, and how much each layer adds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnrec._torch import pick_device
from gnnrec.models.gnn import RecGraph
from gnnrec.models.gnn_training import init_training
from gnnrec.nn import GraphTensors, LightGCN
from gnnrec.training.edge_sampling import bernoulli


def diagnose(model: RecGraph) -> dict[str, Any]:
    """Return what can be read from a trained LightGCN.

    Returns
    -------
    dict
        ``cosine_movies`` and ``cosine_users``: mean cosine of two movies (before and after each step) and of two users
        (after each step); ``alpha`` and ``beta``, the learned weights of the layers; ``shares``, the mean norm of what
        each layer adds to the message of a movie; ``hidden_ratio``, how long the message of a movie from its second
        layer is in training, where ratings are hidden, in units of its length afterwards.
    """
    encoder = model.encoder
    assert isinstance(encoder, LightGCN)
    tensors = GraphTensors.from_graph(model.graph)
    rated = tensors.movie_degree > 0
    with torch.inference_mode():
        movies, users = propagated(encoder, tensors, None)
        mask = bernoulli(
            tensors.users.user_movie.num_edges,
            1 - model.config.train.edge_dropout,
            torch.Generator().manual_seed(0),
        )
        hidden, _ = propagated(encoder, tensors, mask)
        found: dict[str, Any] = {
            "cosine_movies": [mean_cosine(m[rated]) for m in movies],
            "cosine_users": [mean_cosine(u) for u in users],
            "alpha": encoder.alpha.tolist(),
            "beta": encoder.beta.tolist(),
            "shares": [
                float(a * m[rated].norm(dim=1).mean()) for a, m in zip(encoder.alpha.abs(), movies, strict=True)
            ],
        }
        if len(movies) > 1:
            found["hidden_ratio"] = float(hidden[1][rated].norm(dim=1).mean() / movies[1][rated].norm(dim=1).mean())
    return found


def propagated(encoder: LightGCN, tensors: GraphTensors, mask: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
    """Return the embeddings of movies before and after each layer but the last, and of users after each layer."""
    m = encoder.message(tensors.movie_features)
    user_movie = tensors.users.user_movie
    weight = encoder._edge_weights(tensors.users, encoder.movie_degrees(tensors), mask)
    movies, users = [m], [user_movie.matmul(weight, m)]
    for _ in encoder.beta:
        m = user_movie.matmul_transposed(weight, users[-1])
        movies.append(m)
        users.append(user_movie.matmul(weight, m))
    return movies, users


def mean_cosine(embeddings: Tensor) -> float:
    """Return the mean cosine of two different rows; rows of zeros do not count.

    Examples
    --------
    >>> mean_cosine(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])), mean_cosine(torch.ones(5, 3))
    (0.0, 1.0)
    """
    norm = embeddings.norm(dim=1, keepdim=True)
    unit = (embeddings / norm.clamp(min=1e-30))[norm.squeeze(1) > 0].double()
    n = len(unit)
    return round(float((unit.sum(0).square().sum() - n) / (n * (n - 1))), 6)


def untrained(model: RecGraph) -> RecGraph:
    """Return the model before its first epoch."""
    _, state = init_training(model.graph, model.config, pick_device("cpu"))
    return RecGraph(model.graph, model.config, state.encoder.eval().requires_grad_(False))
