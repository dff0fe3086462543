"""`fit`: the training loop, top to bottom.

What a step asks and what it may look at is in `gnnrec.training.edge_sampling`.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any

import pandas as pd
import torch

from gnnrec._progress import training_bar
from gnnrec._torch import pick_device
from gnnrec.config import Config, TrainConfig
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import evaluate
from gnnrec.graph import Graph
from gnnrec.models.gnn import RecGraph, make_encoder, write_weights
from gnnrec.nn import ContentRidge, GraphTensors, init_from_svd, init_from_transitions
from gnnrec.splitting import Split, random_split, temporal_split
from gnnrec.training.checkpoint import FILE, TrainingState
from gnnrec.training.edge_sampling import batch_loss, sample_batches


def fit(
    data: Dataset | Split,
    config: Config | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> RecGraph:
    """Train a model.

    Parameters
    ----------
    data : Dataset or Split
        A split is trained on its train rows and watched on its valid rows; the graph holds the train rows. Of a
        dataset, a tenth of each person's ratings is held back to know when to stop, drawn at random or, with
        ``objective: next_item``, the last tenth; then the graph gets all of it.
    config : Config, optional
        Defaults are good for MovieLens-1M.
    run_dir : str or Path, optional
        Folder for the run. It can be loaded from the first epoch on, also after Ctrl-C, and resumed.
    resume : bool
        Go on where the run in `run_dir` stopped. The result equals that of an uninterrupted run.
    progress : bool
        Show a progress bar.
    on_epoch : callable, optional
        Called after every epoch with a copy of its figures: ``epoch`` (from 1), ``loss``, ``seconds`` and, when there
        are valid rows, the metric, such as ``ndcg@20``. What it raises ends the training as Ctrl-C would: the run
        folder keeps the best epoch so far, and the exception goes on to the caller.

    Returns
    -------
    RecGraph
        With the weights of the best epoch.

    Raises
    ------
    ConfigError
        The device cannot be used, or the run to resume has another config or other data.
    DataError
        A setting goes by time, and the ratings have no timestamps.
    FloatingPointError
        The loss, or a weight, is no longer a finite number.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> config = Config().override(["train.epochs=2", "model.embedding_dim=16"])
    >>> fit(load_dataset("sample", n_users=60, n_movies=40), config, progress=False)  # doctest: +ELLIPSIS
    RecGraph(lightgcn, 16 dimensions, Graph(60 users, ...
    """
    if not isinstance(data, (Dataset, Split)):
        raise DataError(f"fit takes a Dataset or a Split, not {type(data).__name__}; load_dataset makes one")
    if not isinstance(config, (Config, NoneType)):
        raise ConfigError(f"config must be a Config, not {type(config).__name__}; Config.from_yaml reads a file")
    config = config or Config()
    train = config.train
    if "timestamp" not in (data.train if isinstance(data, Split) else data.ratings):
        _stop_without_times(data.name, config)
    split = data if isinstance(data, Split) else holdout_validation(data, train)

    graph = Graph.from_dataset(split.dataset)
    tensors, state = start(graph, config, pick_device(train.device))
    encoder, optimizer, generator = state.encoder, state.optimizer, state.generator
    ridge = ContentRidge(encoder, tensors)

    # Resume
    fingerprint = _fingerprint(config, split)
    if resume:
        if run_dir is None:
            raise ConfigError("resume needs the run_dir of the run to go on with")
        state.read(run_dir, fingerprint)
    elif run_dir is not None:  # whole and loadable before the first epoch; nothing of an earlier run stays
        RecGraph(graph, config, ridge.refit(encoder)).save(run_dir)
    if split.valid.empty:
        warnings.warn("no validation ratings: training takes all epochs, and the last one is kept", stacklevel=2)

    # Epochs
    num_active = len(torch.unique(graph.users.user_index))
    num_batches = -(-num_active * (train.cutoffs_per_user if train.objective == "next_item" else 1) // train.batch_size)
    try:
        with training_bar(train.epochs, num_batches, enabled=progress) as bar:
            while state.epoch < train.epochs and state.waited < train.patience:
                started = time.perf_counter()
                encoder.train()
                total = torch.zeros((), device=tensors.movie_degree.device)
                for i, drawn in enumerate(sample_batches(graph, train, generator)):
                    done = (state.epoch + i / num_batches) / train.epochs
                    for group in optimizer.param_groups:
                        group["lr"] = train.learning_rate * (1 - done * (1 - train.final_lr_ratio))
                    loss = batch_loss(encoder, graph, tensors, drawn, train, generator)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += loss.detach()
                    bar.step(state.epoch)
                mean_loss = total.item() / num_batches
                if not torch.isfinite(total):
                    raise FloatingPointError(
                        f"the loss is {mean_loss} in epoch {state.epoch + 1}; lower train.learning_rate"
                    )
                if not all(weight.isfinite().all() for weight in encoder.parameters()):  # only the last step shows here
                    raise FloatingPointError(
                        f"a weight is no finite number after epoch {state.epoch + 1}; lower train.learning_rate"
                    )

                # Validation and checkpoint
                entry = {
                    "epoch": state.epoch + 1,
                    "loss": mean_loss,
                    "seconds": time.perf_counter() - started,
                }
                model = RecGraph(graph, config, ridge.refit(encoder))
                if len(split.valid):
                    entry[f"{train.metric}@{train.k}"] = _validate(model, split)
                state.record(entry)
                bar.epoch(entry)
                if run_dir is not None:
                    state.write(run_dir, fingerprint)
                    if state.waited == 0:  # should this process be killed, the run has its best epoch
                        write_weights(run_dir, model.encoder.state_dict())
                if on_epoch is not None:
                    on_epoch(dict(entry))
    finally:
        # Also on Ctrl-C: what is best so far becomes the run.
        state.load_best()
        whole = Graph.from_dataset(data, graph.vocabularies) if isinstance(data, Dataset) else graph
        model = RecGraph(whole, config, ridge.refit(encoder), state.history)
        if run_dir is not None:
            model.save(run_dir, keep=[FILE])
    return model


def start(graph: Graph, config: Config, device: torch.device) -> tuple[GraphTensors, TrainingState]:
    """Return the graph's tensors and everything that training changes, seeded and at its starting point."""
    generator = torch.Generator().manual_seed(config.train.seed)
    tensors = GraphTensors.of(graph, device)
    with torch.random.fork_rng(devices=[]):  # leave the caller's random numbers alone
        torch.manual_seed(config.train.seed)
        encoder = make_encoder(config, graph).to(device)
    encoder.prepare(tensors)
    if config.model.init == "svd":
        init_from_svd(encoder, tensors, generator, config.model.init_scale)
    elif config.model.init == "transitions":
        window = config.model.transition_window
        init_from_transitions(encoder, tensors, generator, config.model.init_scale, window)
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=config.train.learning_rate, weight_decay=config.train.weight_decay
    )
    return tensors, TrainingState(encoder, optimizer, generator)


def holdout_validation(dataset: Dataset, train: TrainConfig) -> Split:
    """Return a dataset with a tenth of each person's ratings to validate on, asked for as training asks."""
    if train.objective == "next_item":
        return temporal_split(dataset, (0.9, 0.1, 0.0))
    return random_split(dataset, (0.9, 0.1, 0.0), seed=train.seed)


def _stop_without_times(name: str, config: Config) -> None:
    """Refuse settings that go by time: the order of a file may be anything."""
    going_by_time = {
        "model.temporal=true": config.model.temporal,
        "model.init=transitions": config.model.init == "transitions",
        "train.objective=next_item": config.train.objective == "next_item",
    }
    if wanted := [setting for setting, on in going_by_time.items() if on]:
        raise DataError(
            f"{name} has no timestamps, which {' and '.join(wanted)} {'needs' if len(wanted) == 1 else 'need'}; "
            "give the ratings a column timestamp (where rows are in order of time, their numbers will do)"
        )


def _validate(model: RecGraph, split: Split) -> float:
    train = model.config.train
    per_user = evaluate(
        model,
        split.valid,
        ks=(train.k,),
        metrics=(train.metric,),
        candidates=split.candidates_for("valid"),
        history=split.support,
        per_user=True,
    )
    return float(per_user[f"{train.metric}@{train.k}"].mean())


def _fingerprint(config: Config, split: Split) -> str:
    """Return a digest of what must not change between a run and its resumption."""
    settings = config.model_dump()
    free = ("epochs", "patience", "device")
    for name in free if config.train.final_lr_ratio == 1 else free[1:]:  # a falling rate looks at the last epoch
        settings["train"].pop(name)
    digest = hashlib.sha256(repr(settings).encode())
    known = ["movie_id", "genres", "year", "directors", "actors", "runtime", "plot"]
    movies = split.movies[[column for column in known if column in split.movies]]
    users = split.users[["user_id", "age", "gender", "occupation"]]
    for frame in (split.train, split.valid, movies, users):
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    for name, vectors in split.features.items():
        digest.update(f"{name} {vectors.movie_ids.tolist()}".encode() + vectors.values.tobytes())
    return digest.hexdigest()
