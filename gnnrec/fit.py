"""`fit`: the training loop, top to bottom.

At every step each rating in the graph is either a message or a question. Messages are propagated; questions must be
answered from them. So nothing a person is asked about ever reaches their vector, at any number of layers.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from pathlib import Path
from types import NoneType

import pandas as pd
import torch
from torch import Tensor

from gnnrec import checkpoint, storage
from gnnrec.config import Config, TrainConfig
from gnnrec.data import Dataset, Split
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluate import evaluate
from gnnrec.graph import Graph
from gnnrec.nn import LOSSES, Encoder, GraphTensors, start_from_svd
from gnnrec.progress import training_bar
from gnnrec.propagate import Adjacency
from gnnrec.recgraph import RecGraph, make_encoder


def fit(
    data: Dataset | Split,
    config: Config | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> RecGraph:
    """Train a model.

    Parameters
    ----------
    data : Dataset or Split
        A split is trained on its train rows and watched on its valid rows; the graph holds the train rows. Of a
        dataset, a tenth of each person's ratings is held back to know when to stop; then the graph gets all of it.
    config : Config, optional
        Defaults are good for MovieLens-1M.
    run_dir : str or Path, optional
        Folder for the run. It can be loaded from the first epoch on, also after Ctrl-C, and resumed.
    resume : bool
        Go on where the run in `run_dir` stopped. The result equals that of an uninterrupted run.
    progress : bool
        Show a progress bar.

    Returns
    -------
    RecGraph
        With the weights of the best epoch.

    Raises
    ------
    ConfigError
        The device cannot be used, or the run to resume has another config or other data.
    FloatingPointError
        The loss is no longer a finite number.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> fit(load_dataset("sample", n_users=60, n_movies=40), progress=False)  # doctest: +ELLIPSIS
    RecGraph(lightgcn, 128 dimensions, Graph(60 users, ...
    """
    if not isinstance(data, (Dataset, Split)):
        raise DataError(f"fit takes a Dataset or a Split, not {type(data).__name__}; load_dataset makes one")
    if not isinstance(config, (Config, NoneType)):
        raise ConfigError(f"config must be a Config, not {type(config).__name__}; Config.from_yaml reads a file")
    config = config or Config()
    train = config.train
    split = data if isinstance(data, Split) else Split.random(data, (0.9, 0.1, 0.0), seed=train.seed)

    graph = Graph.from_dataset(split.dataset)
    tensors, state = start(graph, config, storage.pick_device(train.device))
    encoder, optimiser, generator = state.encoder, state.optimiser, state.generator

    # Resume
    fingerprint = _fingerprint(config, split)
    if resume:
        if run_dir is None:
            raise ConfigError("resume needs the run_dir of the run to go on with")
        state.read(run_dir, fingerprint)
    elif run_dir is not None:  # whole and loadable before the first epoch; nothing of an earlier run stays
        RecGraph(graph, config, encoder.settled(tensors)).save(run_dir)
    if split.valid.empty:
        warnings.warn("no validation ratings: training takes all epochs, and the last one is kept", stacklevel=2)

    # Epochs
    active = torch.nonzero(torch.bincount(graph.users.row, minlength=graph.num_users)).squeeze(1)
    num_batches = -(-len(active) // train.batch_size)
    try:
        with training_bar(train.epochs, num_batches, enabled=progress) as bar:
            while state.epoch < train.epochs and state.waited < train.patience:
                started = time.perf_counter()
                encoder.train()
                total = torch.zeros((), device=tensors.movie_degree.device)
                order = active[torch.randperm(len(active), generator=generator)]
                for nodes in order.split(train.batch_size):
                    loss = step_loss(encoder, graph, tensors, nodes, train, generator)
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    total += loss.detach()
                    bar.step(state.epoch)
                mean_loss = total.item() / num_batches
                if not torch.isfinite(total):
                    raise FloatingPointError(
                        f"the loss is {mean_loss} in epoch {state.epoch + 1}; lower train.learning_rate"
                    )

                # Validation and checkpoint
                entry = {
                    "epoch": state.epoch + 1,
                    "loss": mean_loss,
                    "seconds": time.perf_counter() - started,
                }
                model = RecGraph(graph, config, encoder.settled(tensors))
                if len(split.valid):
                    entry[f"{train.metric}@{train.k}"] = _validate(model, split)
                state.record(entry)
                bar.epoch(entry)
                if run_dir is not None:
                    state.write(run_dir, fingerprint)
                    if state.waited == 0:  # should this process be killed, the run has its best epoch
                        storage.write_weights(run_dir, model.encoder.state_dict())
    finally:
        # Also on Ctrl-C: what is best so far becomes the run.
        state.load_best()
        whole = Graph.from_dataset(data, graph.known) if isinstance(data, Dataset) else graph
        model = RecGraph(whole, config, encoder.settled(tensors), state.history)
        if run_dir is not None:
            model.save(run_dir, keep=[checkpoint.FILE])
    return model


def start(graph: Graph, config: Config, device: torch.device) -> tuple[GraphTensors, checkpoint.State]:
    """Return the graph's tensors and everything that training changes, seeded and at its starting point."""
    generator = torch.Generator().manual_seed(config.train.seed)
    tensors = GraphTensors.of(graph, device)
    with torch.random.fork_rng(devices=[]):  # leave the caller's random numbers alone
        torch.manual_seed(config.train.seed)
        encoder = make_encoder(config, graph).to(device)
    encoder.prepare(tensors)
    if config.model.init == "svd":
        start_from_svd(encoder, tensors, generator, config.model.init_scale)
    optimiser = torch.optim.AdamW(
        encoder.parameters(), lr=config.train.learning_rate, weight_decay=config.train.weight_decay
    )
    return tensors, checkpoint.State(encoder, optimiser, generator)


def step_loss(
    encoder: Encoder,
    graph: Graph,
    tensors: GraphTensors,
    nodes: Tensor,
    train: TrainConfig,
    generator: torch.Generator,
) -> Tensor:
    """Return the loss of one batch of users."""
    device = tensors.movie_degree.device
    # Each rating of the whole graph: message (1) or question (0)?
    keep = _coins(tensors.users.watched.num_edges, 1 - train.edge_dropout, generator)
    batch, edges = graph.known_users(nodes), graph.edges_of(nodes)
    # Some people come with no history at all, some without a profile: so will newcomers.
    has_history = _coins(len(nodes), 1 - train.history_dropout, generator)
    keep[edges] *= has_history[batch.row]
    batch = batch.without_profile(_coins(len(nodes), train.profile_dropout, generator).bool())
    drop_id = _coins(graph.num_movies, train.id_dropout, generator).bool()

    batch, keep, edges = batch.to(device), keep.to(device), edges.to(device)
    movies = encoder.movies(tensors, keep, drop_id.to(device))
    z = encoder.users(batch, movies, keep[edges])  # [batch, dim]
    # A movie nobody rated is not a movie nobody likes: only rated ones are there to be chosen from.
    rated = tensors.movie_degree > 0
    column = rated.cumsum(0) - 1
    watched = Adjacency(batch.row, column[batch.movie], batch.num_users, int(rated.sum()))
    options = {"negative_weight": train.negative_weight} if train.loss == "weighted_squared_error" else {}
    return LOSSES[train.loss](z, movies.targets[rated], watched, keep[edges] == 0, generator, **options)


def _coins(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return ``[n]`` ones and zeros; always drawn on the CPU, so that every device trains on the same."""
    return (torch.rand(n, generator=generator) < probability).float()


def _validate(model: RecGraph, split: Split) -> float:
    train = model.config.train
    per_user = evaluate(
        model,
        split.valid,
        ks=(train.k,),
        metrics=(train.metric,),
        candidates=split.catalogue,
        history=split.support,
        per_user=True,
    )
    return float(per_user[f"{train.metric}@{train.k}"].mean())


def _fingerprint(config: Config, split: Split) -> str:
    """Return a digest of what must not change between a run and its resumption."""
    settings = config.model_dump()
    for free in ("epochs", "patience", "device"):
        settings["train"].pop(free)
    digest = hashlib.sha256(repr(settings).encode())
    movies, users = (
        split.movies[["movie_id", "genres", "year"]],
        split.users[["user_id", "age", "gender", "occupation"]],
    )
    for frame in (split.train, split.valid, movies, users):
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()
