"""What a study tunes: the keys of a model's configuration, and how one configuration is fitted.

Search spaces and trials see a model only through `Tunable`; `TunableGNN` is the graph network with its `Config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Protocol, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from gnnrec.config import Config, ModelConfig, TrainConfig
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.models.base import Recommender
from gnnrec.models.gnn_training import fit, holdout_validation
from gnnrec.splitting import Split

ENCODER = "model.encoder"
"""The key that decides which encoder-specific keys a configuration has."""
ENCODER_KEYS: dict[str, tuple[str, ...]] = {"lightgcn": ("user_degree_smoothing",), "graphsage": ("aggregation",)}
"""Keys of the section ``model`` that only one encoder reads, by encoder."""


@dataclass(frozen=True)
class KnownKey:
    """One key of a configuration: its type, its default, and when it applies.

    Attributes
    ----------
    adapter : pydantic.TypeAdapter
        Validates values of the key.
    number : type, optional
        ``int`` or ``float`` where the key is a number and may have a range; otherwise None.
    default : object
    requires : (str, frozenset), optional
        The key applies only while another key has one of these values. None if it always applies.

    Examples
    --------
    >>> key = known_keys(Config)["model.aggregation"]
    >>> key.default, key.requires
    ('mean', ('model.encoder', frozenset({'graphsage'})))
    >>> key.validate("sum")
    'sum'
    """

    adapter: TypeAdapter[Any]
    number: type[int] | type[float] | None
    default: Any
    requires: tuple[str, frozenset[Any]] | None = None

    def validate(self, value: Any) -> Any:
        """Return a value as the configuration would hold it; a `ConfigError` if it would refuse it."""
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise ConfigError(f"{value!r} is not allowed: {error.errors()[0]['msg']}") from None


def known_keys(config_class: type[BaseModel]) -> dict[str, KnownKey]:
    """Return every key of a configuration class as ``section.key``, including those of only some encoders.

    Parameters
    ----------
    config_class : type of pydantic.BaseModel
        `Config`, or a class with sections like it.

    Returns
    -------
    dict of str to KnownKey
        The union over all encoders; `KnownKey.requires` names the encoders of a key that not all of them have.

    Examples
    --------
    >>> keys = known_keys(Config)
    >>> keys["train.epochs"].number, keys["train.epochs"].requires
    (<class 'int'>, None)
    """
    encoders: dict[str, set[str]] = {}
    found: dict[str, FieldInfo] = {}
    for encoder in ENCODER_KEYS:
        for section, section_class in _sections(config_class, encoder).items():
            for name, field in section_class.items():
                found.setdefault(f"{section}.{name}", field)
                encoders.setdefault(f"{section}.{name}", set()).add(encoder)
    return {
        key: KnownKey(
            adapter=TypeAdapter(Annotated[field.annotation, field]),  # type: ignore[arg-type]
            number={int: int, float: float}.get(field.annotation),  # type: ignore[arg-type]
            default=field.get_default(call_default_factory=True),
            requires=None if encoders[key] == set(ENCODER_KEYS) else (ENCODER, frozenset(encoders[key])),
        )
        for key, field in found.items()
    }


def _sections(config_class: type[BaseModel], encoder: str) -> dict[str, dict[str, FieldInfo]]:
    """Return the fields of each section of a configuration with this encoder."""
    sections: dict[str, dict[str, FieldInfo]] = {}
    for section, field in config_class.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        fields = dict(field.annotation.model_fields)
        if field.annotation is ModelConfig:
            for other in ENCODER_KEYS.keys() - {encoder}:
                for name in ENCODER_KEYS[other]:
                    fields.pop(name)
        sections[section] = fields
    return sections


class EpochState(Protocol):
    """What a callback is given after an epoch."""

    @property
    def epoch(self) -> int:
        """Number of the epoch, from 1."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures of the epoch, among them the validation metric, such as ``ndcg@20``."""


class EpochCallback(Protocol):
    """What is called after every epoch of a fit."""

    def on_epoch_end(self, state: EpochState) -> None:
        """Look at an epoch; an exception raised here ends the fit."""


class Tunable(Protocol):
    """A model as a study sees it: the keys of its configuration, and how one configuration is fitted.

    Configurations are opaque to the study (`Config` for the graph network). As mappings they are nested by the dots of
    their keys: ``{"train": {"epochs": 3}}`` holds the key ``train.epochs``.

    Examples
    --------
    >>> model: Tunable = TunableGNN()
    >>> model.to_mapping(model.make_config({"train": {"epochs": 3}}, "example"))["train"]["epochs"]
    3
    """

    @property
    def keys(self) -> Mapping[str, KnownKey]:
        """Every key that some configuration has."""

    @property
    def fixed(self) -> Mapping[str, str]:
        """Keys that a study must not vary, and why."""

    @property
    def watched_metrics(self) -> tuple[str, ...]:
        """Metrics that can be the first objective: those that can decide when a fit stops."""

    def make_config(self, values: dict[str, Any], where: str) -> Any:
        """Validate a nested mapping; missing keys keep their defaults, and errors begin with `where`."""

    def to_mapping(self, config: Any) -> dict[str, Any]:
        """Return a configuration as the nested mapping that `make_config` reads."""

    def validation_metric(self, config: Any) -> str:
        """Return what decides when a fit stops, such as ``ndcg@20``."""

    def watch(self, config: Any, metric: str, k: int) -> Any:
        """Return the configuration whose fits stop by this metric."""

    def holdout(self, dataset: Dataset, config: Any) -> Split:
        """Hold out validation rows of a dataset, the same for every trial."""

    def fit(self, data: Split, config: Any, callbacks: Sequence[EpochCallback]) -> Recommender:
        """Fit a configuration on the train rows."""


@dataclass(frozen=True)
class TunableGNN:
    """The graph network: configurations are `Config`.

    Examples
    --------
    >>> gnn = TunableGNN()
    >>> gnn.validation_metric(gnn.watch(Config(), "recall", 10))
    'recall@10'
    >>> "model.embedding_dim" in gnn.keys
    True
    """

    keys: ClassVar[Mapping[str, KnownKey]] = known_keys(Config)
    fixed: ClassVar[Mapping[str, str]] = {
        "train.metric": "trials are compared by it; set objectives instead",
        "train.k": "trials are compared by it; set objectives instead",
        "train.seed": "the best trial would be the luckiest seed",
        "train.device": "it is not part of the model",
    }
    watched_metrics: ClassVar[tuple[str, ...]] = get_args(TrainConfig.model_fields["metric"].annotation)

    def make_config(self, values: dict[str, Any], where: str) -> Config:
        """Validate a nested mapping; errors begin with `where`."""
        return Config.from_mapping(values, where)

    def to_mapping(self, config: Config) -> dict[str, Any]:
        """Return all sections as nested mappings."""
        return config.model_dump()

    def validation_metric(self, config: Config) -> str:
        """Return ``metric@k`` of the configuration."""
        return f"{config.train.metric}@{config.train.k}"

    def watch(self, config: Config, metric: str, k: int) -> Config:
        """Return the configuration with this ``train.metric`` and ``train.k``."""
        return config.override([f"train.metric={metric}", f"train.k={k}"])

    def holdout(self, dataset: Dataset, config: Config) -> Split:
        """Hold out a tenth of every user's ratings, as `fit` does."""
        return holdout_validation(dataset, config.train)

    def fit(self, data: Split, config: Config, callbacks: Sequence[EpochCallback]) -> Recommender:
        """Train the graph network."""
        return fit(data, config, progress=False, on_epoch=lambda entry: _after_epoch(callbacks, entry))


def _after_epoch(callbacks: Sequence[EpochCallback], entry: dict[str, Any]) -> None:
    for callback in callbacks:
        callback.on_epoch_end(SimpleNamespace(epoch=entry["epoch"], metrics=entry))
