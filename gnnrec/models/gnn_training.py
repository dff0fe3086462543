"""`GNN`: the training loop of the graph neural network.

The edges that a step sees and those that it predicts are chosen in `gnnrec.training.edge_sampling`.
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
import torch
from pydantic import model_validator
from torch import Tensor

from gnnrec._locks import claim
from gnnrec._progress import training_bar
from gnnrec._seeded import Seeded
from gnnrec._torch import memory_errors, pick_device
from gnnrec._workers import Workers
from gnnrec.config import Config, ModelConfig, TrainConfig
from gnnrec.data import Dataset
from gnnrec.data.user_columns import known_features
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import Validation
from gnnrec.graph import Graph
from gnnrec.models.base import Recommender
from gnnrec.models.continuation import (
    check_continuation,
    check_start,
    copy_weights,
    fingerprint_of,
    grown_vocabularies,
    holdout_new_ratings,
    trained_rows,
)
from gnnrec.models.estimator import BaseEstimator, check_fit_data
from gnnrec.models.gnn import RecGraph, network_builder
from gnnrec.models.saved_state import build_with
from gnnrec.models.storage import write_run, write_weights
from gnnrec.models.suggest import describe_config, suggest_config
from gnnrec.nn import BaseEncoder, ContentRidge, EASEPart, Encoder, GraphTensors, init_from_svd, init_from_transitions
from gnnrec.registry import ENCODERS, LOSSES, METRICS, Registry, register_model
from gnnrec.splitting import Split, random_split, temporal_split
from gnnrec.training.callbacks import Callback, CallbackList, FitState
from gnnrec.training.checkpoint import CHECKPOINT_FILE, TrainingState
from gnnrec.training.edge_sampling import batch_loss, sample_batches
from gnnrec.training.optimizer import AdamW

HASHED_ROWS = 1 << 20
"""Rows whose digest is computed at a time."""


@register_model("gnn")
class GNN(BaseEstimator):
    """The graph neural network: encoder, training objective and all their settings.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> GNN(config=config).fit(load_dataset("sample", num_users=60, num_movies=40))  # doctest: +ELLIPSIS
    RecGraph(lightgcn, 8 dimensions, Graph(60 users, ...
    """

    trains_in_epochs: ClassVar[bool] = True
    can_continue: ClassVar[bool] = True

    config: Config | None = None
    """Settings of the network and its training; None chooses them from the data, see `gnnrec.suggest_config`."""
    overrides: tuple[str, ...] = ()
    """Changes to them, as ``section.key=value``."""

    @model_validator(mode="after")
    def _overrides_are_settings(self) -> Self:
        self.base_config  # noqa: B018 - a wrong key or value is an error here, not after the data are read
        return self

    @property
    def random_seed(self) -> int:
        """See `BaseEstimator.random_seed`: ``train.seed`` of the config."""
        return self.base_config.train.seed

    def with_seed(self, seed: int) -> Self:
        """See `BaseEstimator.with_seed`."""
        return type(self)(config=self.config, overrides=(*self.overrides, f"train.seed={seed}"))

    @property
    def base_config(self) -> Config:
        """The settings before anything is chosen from the data: `config` or `Config()`, with the overrides."""
        return (self.config or Config()).override(self.overrides)

    def config_for(self, data: Dataset | Split) -> Config:
        """Return the settings that a fit on this data uses."""
        return (self.config or suggest_config(data)).override(self.overrides)

    def fit(
        self,
        data: Dataset | Split,
        *,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        run_dir: str | Path | None = None,
        resume: bool = False,
        start: Recommender | None = None,
    ) -> RecGraph:
        """Train the network; see `gnnrec.fit`."""
        check_fit_data(data)
        origin = None if start is None else check_start(start)
        if origin is not None and self.config is None:
            continued = type(self)(config=self.continuing(origin).config, overrides=self.overrides)
            return continued.fit(
                data, callbacks=callbacks, progress=progress, run_dir=run_dir, resume=resume, start=origin
            )
        workers = Workers.join(pick_device(self.base_config.train.device))
        with memory_errors("training"), claim(run_dir if workers.is_first else None):
            return self._fit(data, callbacks, progress, run_dir, resume, workers, origin)

    def _fit(
        self,
        data: Dataset | Split,
        callbacks: Sequence[Callback],
        progress: bool,
        run_dir: str | Path | None,
        resume: bool,
        workers: Workers,
        origin: RecGraph | None,
    ) -> RecGraph:
        config = self.config_for(data)
        train = config.train
        listeners = CallbackList(callbacks if workers.is_first else (), train.patience)
        if "timestamp" not in (data.train if isinstance(data, Split) else data.ratings):
            _check_timestamps(data.name, config)
        if origin is not None:
            check_continuation(origin, config, data)
        if isinstance(data, Split):
            split = data
        elif origin is None:
            split = holdout_validation(data, config)
        else:
            split = holdout_new_ratings(data, config, origin.graph)

        known = None if origin is None else grown_vocabularies(origin.graph, split.dataset)
        graph = Graph.from_dataset(split.dataset, known)
        tensors, state = init_training(graph, config, workers.device, origin)
        workers.share_weights(state.encoder)
        encoder, optimizer, generator = state.encoder, state.optimizer, state.generator
        ridge, ease = ContentRidge(encoder, tensors), fit_ease(tensors, config)

        def finished() -> BaseEncoder:
            """Return the encoder used for recommendations: current weights, content weights refitted, EASE part."""
            made = ridge.refit(encoder)
            made.ease = ease
            return made

        # Resume
        fingerprint = _fingerprint(config, split, origin)
        if resume:
            if run_dir is None:
                raise ConfigError("resume needs the run_dir of the run to continue")
            state.read(run_dir, fingerprint)
        elif run_dir is not None and workers.is_first:  # loadable before the first epoch; replaces an earlier run
            write_run(run_dir, RecGraph(graph, config, finished()), in_training=True)
        start = -math.inf
        validation = None if split.valid.empty else Validation(split, train.metric, train.k, workers)
        if validation is None:
            warnings.warn("no validation ratings: all epochs run and the last one is kept", stacklevel=4)
        elif state.epoch == 0:
            start = validation(RecGraph(graph, config, finished()))
            if origin is not None:  # no epoch may be worse than the network it continues
                state.best_score = start

        # Epochs
        num_active = len(torch.unique(graph.users.user_index))
        per_user = train.cutoffs_per_user if train.objective == "next_item" else 1
        num_batches = -(-num_active * per_user // train.batch_size)
        progress_state = FitState(
            model=self.name,
            settings=config.model_dump(mode="json"),
            num_epochs=train.epochs,
            epoch=state.epoch,
            epochs_since_best=state.epochs_since_best,
        )
        chosen = "" if self.config else f"settings chosen from the data: {describe_config(config)}"
        bar_of_epochs = training_bar(train.epochs, num_batches, enabled=progress and workers.is_first, note=chosen)
        with listeners.running(progress_state), bar_of_epochs as bar:
            try:
                while state.epoch < train.epochs and progress_state.stopped_by is None:
                    started = time.perf_counter()
                    encoder.train()
                    total = torch.zeros((), device=tensors.movie_degree.device)
                    batches = zip(*(sample_batches(graph, train, generator) for _ in encoder.members), strict=True)
                    for i, batch_by_member in enumerate(batches):
                        done = (state.epoch + i / num_batches) / train.epochs
                        for group in optimizer.param_groups:
                            group["lr"] = train.learning_rate * (1 - done * (1 - train.final_lr_ratio))
                        optimizer.zero_grad()
                        for member, batch in zip(encoder.members, batch_by_member, strict=True):
                            loss = batch_loss(member, graph, tensors, batch, train, generator, workers)
                            loss.backward()
                            total += loss.detach()
                        workers.sum_gradients(encoder)
                        workers.share_generator(generator)  # losses draw numbers for each rating of their own
                        optimizer.step()
                        bar.step()
                    mean_loss = workers.sum(total).item() / (num_batches * len(encoder.members))
                    _check_finite(mean_loss, encoder, state.epoch + 1)

                    # Validation and checkpoint
                    entry = {"epoch": state.epoch + 1, "loss": mean_loss, "seconds": time.perf_counter() - started}
                    model = RecGraph(graph, config, finished())
                    metrics = {}
                    if validation is not None:
                        metrics[f"{train.metric}@{train.k}"] = validation(model)
                    state.record(entry | metrics, score=next(iter(metrics.values()), None))
                    bar.epoch(entry | metrics)
                    if run_dir is not None and workers.is_first:
                        state.write(run_dir, fingerprint)
                        if state.epochs_since_best == 0:  # if this process is killed, the run contains its best epoch
                            write_weights(run_dir, model.encoder.state_dict())

                    progress_state.epoch, progress_state.loss = state.epoch, mean_loss
                    progress_state.seconds, progress_state.metrics = entry["seconds"], metrics
                    progress_state.epochs_since_best = state.epochs_since_best
                    listeners.on_epoch_end(progress_state)
                    progress_state.stopped_by = workers.share(progress_state.stopped_by)
            finally:
                # Also after Ctrl-C: the best epoch so far becomes the run.
                state.load_best()
                whole = Graph.from_dataset(data, graph.vocabularies) if isinstance(data, Dataset) else graph
                model = RecGraph(whole, config, finished(), state.history)
                if run_dir is not None and workers.is_first:
                    model.save(run_dir, keep=[CHECKPOINT_FILE])
        if validation is not None and workers.is_first:
            _warn_about_training(state, train, start, origin is not None)
        return model

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> RecGraph:
        """See `Estimator.restore`. There are fewer id embeddings than movies if movies were added after training."""
        config = self.base_config
        member = "encoders.0." if config.model.num_members > 1 else ""
        num_ids = len(state[f"{member}target.id_embeddings"])
        if num_ids > graph.num_movies:
            raise LookupError(f"{num_ids:,} movies have an id embedding, and the graph has {graph.num_movies:,}")
        encoder = build_with(state, network_builder(config, graph, num_ids, with_ease=True))
        encoder.eval().requires_grad_(False)
        return RecGraph(graph, config, encoder)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """See `Estimator.from_settings`."""
        return cls(config=Config.from_mapping(dict(settings)))

    @classmethod
    def continuing(cls, start: Recommender) -> Self:
        """See `BaseEstimator.continuing`: the learning rate is that at which the training of `start` ended."""
        config = check_start(start).config
        rate = config.train.learning_rate * config.train.final_lr_ratio
        return cls(config=config.override([f"train.learning_rate={rate!r}", "train.final_lr_ratio=1"]))

    @classmethod
    def names_in(cls, settings: Mapping[str, Any]) -> list[tuple[Registry, Any]]:
        """See `BaseEstimator.names_in`: the encoder, the loss and the validation metric."""
        places = (("model", "encoder", ENCODERS), ("train", "loss", LOSSES), ("train", "metric", METRICS))
        found = []
        for section, key, registry in places:
            values = settings.get(section)
            if isinstance(values, Mapping) and isinstance(values.get(key), str):
                found.append((registry, values[key]))
        return found  # `Config` rejects invalid values


def init_training(
    graph: Graph, config: Config, device: torch.device, origin: RecGraph | None = None
) -> tuple[GraphTensors, TrainingState]:
    """Return the tensors of the training graph and the state before the first epoch, which depends on the seed.

    With `origin`, the weights are those of this model.
    """
    generator = torch.Generator().manual_seed(config.train.seed)
    tensors = GraphTensors.from_graph(graph, device)
    with Seeded(config.train.seed):
        encoder = network_builder(config, graph, graph.num_movies)().to(device)
    encoder.prepare(tensors)
    if origin is None or bool((tensors.movie_degree.cpu()[trained_rows(origin, graph) < 0] > 0).any()):
        for member in encoder.members:
            _init_movies(member, tensors, config.model, generator)
    if origin is not None:
        copy_weights(origin, encoder, graph, tensors)
    optimizer = AdamW(encoder.parameters(), lr=config.train.learning_rate, weight_decay=config.train.weight_decay)
    return tensors, TrainingState(encoder, optimizer, generator)


def _init_movies(encoder: Encoder, tensors: GraphTensors, model: ModelConfig, generator: torch.Generator) -> None:
    """Initialize the id embeddings of movies."""
    if model.init == "svd":
        smoothing, power = model.init_user_smoothing, model.init_spectral_power
        init_from_svd(encoder, tensors, generator, model.init_scale, smoothing, power)
    elif model.init == "transitions":
        weight, power = model.transition_attribute_weight, model.transition_spectral_power
        init_from_transitions(encoder, tensors, generator, model.init_scale, model.transition_window, weight, power)


def fit_ease(tensors: GraphTensors, config: Config) -> EASEPart | None:
    """Return the EASE part of the model, None without one."""
    model = config.model
    if not model.ease_dim:
        return None
    adjacency = tensors.users.user_movie
    return EASEPart.fit(adjacency, model.ease_dim, model.ease_reg, model.ease_weight, config.train.seed)


def holdout_validation(dataset: Dataset, config: Config) -> Split:
    """Hold out a tenth of each user's ratings for validation: random ones, or the last ones for ``next_item``."""
    train = config.train
    if train.objective == "next_item":
        split = temporal_split(dataset, (0.9, 0.1, 0.0))
        return split.with_request_times() if config.model.request_time_features else split
    return random_split(dataset, (0.9, 0.1, 0.0), seed=train.seed)


def _check_finite(loss: float, encoder: torch.nn.Module, epoch: int) -> None:
    if not torch.isfinite(torch.tensor(loss)):
        raise FloatingPointError(f"the loss is {loss} in epoch {epoch}; lower train.learning_rate")
    # The loss does not reflect the last step of the epoch.
    if not all(weight.isfinite().all() for weight in encoder.parameters()):
        raise FloatingPointError(f"a weight is not finite after epoch {epoch}; lower train.learning_rate")


def _warn_about_training(state: TrainingState, train: TrainConfig, start: float, continues: bool) -> None:
    """Warn if no epoch was better than the initialization, or if training may have ended too early."""
    metric = f"{train.metric}@{train.k}"
    if continues:
        if state.best_score <= start:
            warnings.warn(
                f"no epoch was better than start, whose weights are kept: its {metric} on the validation ratings is "
                f"{start:.4f}",
                stacklevel=5,
            )
        return
    if train.epochs == 1:
        return  # such settings intend a model close to its initialization
    if state.best_score <= start:
        warnings.warn(
            f"no epoch was better than the initialization: the best {metric} on the validation ratings is "
            f"{state.best_score:.4f}, and it was {start:.4f} before the first epoch; lower train.learning_rate, or "
            "train.negative_weight if the data are sparse",
            stacklevel=5,
        )
    elif state.epoch == train.epochs and state.epochs_since_best == 0:
        warnings.warn(
            f"the last epoch, {state.epoch}, was the best on the validation ratings; raise train.epochs", stacklevel=5
        )


def _check_timestamps(name: str, config: Config) -> None:
    """Reject settings that depend on time if there are no timestamps; file order is not a substitute."""
    dependent = {
        "model.temporal=true": config.model.temporal,
        "model.init=transitions": config.model.init == "transitions",
        "train.objective=next_item": config.train.objective == "next_item",
    }
    if needing := [setting for setting, is_set in dependent.items() if is_set]:
        raise DataError(
            f"{name} has no timestamps, which {' and '.join(needing)} {'needs' if len(needing) == 1 else 'need'}; "
            "add a timestamp column (row numbers will do if the rows are in chronological order)"
        )


def _fingerprint(config: Config, split: Split, origin: RecGraph | None = None) -> str:
    """Return a digest of everything that must be unchanged when a run is resumed."""
    settings = config.model_dump()
    free = ("epochs", "patience", "device")
    # A decaying learning rate depends on the number of epochs.
    for name in free if config.train.final_lr_ratio == 1 else free[1:]:
        settings["train"].pop(name)
    digest = hashlib.sha256(repr(settings).encode() + b"request times" * split.request_times)
    read = ["movie_id", "genres", "year", "directors", "actors", "runtime", "plot"]
    movies = split.movies[[column for column in read if column in split.movies]]
    users = split.users[["user_id", *known_features(split.users)]]
    for frame in (split.train, split.valid, movies, users):
        for start in range(0, len(frame), HASHED_ROWS):  # each row is hashed by itself
            rows = frame.iloc[start : start + HASHED_ROWS]
            digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    if origin is not None:
        digest.update(fingerprint_of(origin))
    for name, embeddings in split.features.items():
        digest.update(f"{name} {embeddings.movie_ids.tolist()}".encode() + embeddings.values.tobytes())
    return digest.hexdigest()
