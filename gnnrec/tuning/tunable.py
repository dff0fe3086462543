"""`Tunable`: the hyperparameters of a model, and how to fit one configuration of them.

Search spaces and trials see a model only through `Tunable`. `TunableGNN` is the graph neural network with its `Config`,
`TunableModel` any other registered model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from gnnrec.config import Config, ModelConfig, Settings, explain_value, model_config_class
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import BaseEstimator, get_estimator
from gnnrec.models.gnn_training import GNN, holdout_validation
from gnnrec.registry import ENCODERS, LOSSES, METRICS, MODELS, Registry
from gnnrec.splitting import Split, random_split
from gnnrec.training.callbacks import Callback

ENCODER_KEY = "model.encoder"
"""The key that decides which encoder-specific keys a configuration has."""
REGISTRIES = {ENCODER_KEY: ENCODERS, "train.loss": LOSSES, "train.metric": METRICS}
"""Keys of `Config` whose values are registered names."""
FIXED = {
    "seed": "trials would differ by their random seeds",
    "device": "it is not part of the model",
}
"""Hyperparameters that a study must not vary, and why."""


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
    registry : Registry, optional
        Where the values are names: the registry that they must be in.

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
    registry: Registry | None = None

    @classmethod
    def from_field(cls, info: FieldInfo, **options: Any) -> KnownKey:
        """Return the key of a field of a settings class."""
        return cls(
            adapter=TypeAdapter(Annotated[info.annotation, info]),  # type: ignore[arg-type]
            number={int: int, float: float}.get(info.annotation),  # type: ignore[arg-type]
            default=info.get_default(call_default_factory=True),
            **options,
        )

    def validate(self, value: Any) -> Any:
        """Validate and convert a value; raise `ConfigError` if it is invalid."""
        try:
            checked = self.adapter.validate_python(value)
        except ValidationError as error:
            raise ConfigError(explain_value(error.errors()[0])) from None
        if self.registry is not None:
            self.registry.get(checked)
        return checked


def known_keys(config_class: type[Settings]) -> dict[str, KnownKey]:
    """Return every key of a configuration class as ``section.key``, including those of only some encoders.

    Parameters
    ----------
    config_class : type of Settings
        `Config`, or a class with sections like it.

    Returns
    -------
    dict of str to KnownKey
        The union over all registered encoders; `KnownKey.requires` names the encoders of a key that not all have.

    Examples
    --------
    >>> keys = known_keys(Config)
    >>> keys["train.epochs"].number, keys["train.epochs"].requires
    (<class 'int'>, None)
    """
    encoders = ENCODERS.names()
    found: dict[str, FieldInfo] = {}
    encoders_of: dict[str, set[str]] = {}
    for encoder in encoders:
        for section, section_field in config_class.model_fields.items():
            section_class = section_field.annotation
            assert isinstance(section_class, type)
            assert issubclass(section_class, Settings)
            if issubclass(section_class, ModelConfig):
                section_class = model_config_class(encoder)
            for name, info in section_class.model_fields.items():
                found.setdefault(f"{section}.{name}", info)
                encoders_of.setdefault(f"{section}.{name}", set()).add(encoder)
    return {
        key: KnownKey.from_field(
            info,
            requires=None if encoders_of[key] == set(encoders) else (ENCODER_KEY, frozenset(encoders_of[key])),
            registry=REGISTRIES.get(key),
        )
        for key, info in found.items()
    }


def per_user_metrics() -> tuple[str, ...]:
    """Return the metrics that can select epochs and compare trials: accuracy metrics, with a value for each user."""
    return tuple(name for name in METRICS.names() if METRICS.metadata(name).get("of", "users") == "users")


@runtime_checkable
class Tunable(Protocol):
    """The interface of a model to a study: the keys of its configuration, and how to fit one configuration.

    Configurations are opaque to the study. As mappings they are nested by the dots of their keys:
    ``{"train": {"epochs": 3}}`` holds the key ``train.epochs``.

    Examples
    --------
    >>> model: Tunable = TunableGNN()
    >>> model.to_mapping(model.make_config({"train": {"epochs": 3}}, "example"))["train"]["epochs"]
    3
    """

    @property
    def name(self) -> str:
        """Registered name of the model; stored with a study."""

    @property
    def default(self) -> Any:
        """The configuration whose values are used for keys that a search space does not mention."""

    @property
    def keys(self) -> Mapping[str, KnownKey]:
        """Every key that some configuration has."""

    @property
    def fixed(self) -> Mapping[str, str]:
        """Keys that a study must not vary, and why."""

    @property
    def validation_metrics(self) -> tuple[str, ...]:
        """Metrics that can be the first objective."""

    def make_config(self, values: dict[str, Any], where: str) -> Any:
        """Validate a nested mapping; errors begin with `where`."""

    def to_mapping(self, config: Any) -> dict[str, Any]:
        """Return a configuration as the nested mapping that `make_config` reads."""

    def validation_metric(self, config: Any) -> str:
        """Return the metric that selects the best epoch of a fit, such as ``ndcg@20``."""

    def with_validation_metric(self, config: Any, metric: str, k: int) -> Any:
        """Return the configuration whose fits select the best epoch by this metric, where that can be chosen."""

    def holdout(self, dataset: Dataset, config: Any) -> Split:
        """Hold out validation ratings of a dataset, the same for every trial."""

    def fit(self, data: Split, config: Any, callbacks: Sequence[Callback]) -> Recommender:
        """Fit a configuration on the training ratings."""


@dataclass(frozen=True)
class TunableGNN:
    """The graph neural network: configurations are `Config`.

    Attributes
    ----------
    default : Config
        Values of the keys that a search space does not mention.

    Examples
    --------
    >>> gnn = TunableGNN()
    >>> gnn.validation_metric(gnn.with_validation_metric(Config(), "recall", 10))
    'recall@10'
    >>> "model.embedding_dim" in gnn.keys
    True
    """

    default: Config = field(default_factory=Config)
    name: ClassVar[str] = "gnn"
    fixed: ClassVar[Mapping[str, str]] = {
        "train.metric": "trials are compared by it; set objectives instead",
        "train.k": "trials are compared by it; set objectives instead",
        **{f"train.{key}": reason for key, reason in FIXED.items()},
    }

    @cached_property
    def keys(self) -> Mapping[str, KnownKey]:
        """Every key of `Config`, those of all registered encoders included."""
        return known_keys(Config)

    @property
    def validation_metrics(self) -> tuple[str, ...]:
        """All accuracy metrics."""
        return per_user_metrics()

    def make_config(self, values: dict[str, Any], where: str) -> Config:
        """Validate a nested mapping; errors begin with `where`."""
        return Config.from_mapping(values, where)

    def to_mapping(self, config: Config) -> dict[str, Any]:
        """Return all sections as nested mappings."""
        return config.model_dump()

    def validation_metric(self, config: Config) -> str:
        """Return ``metric@k`` of the configuration."""
        return f"{config.train.metric}@{config.train.k}"

    def with_validation_metric(self, config: Config, metric: str, k: int) -> Config:
        """Return the configuration with this ``train.metric`` and ``train.k``."""
        return config.override([f"train.metric={metric}", f"train.k={k}"])

    def holdout(self, dataset: Dataset, config: Config) -> Split:
        """Hold out a tenth of every user's ratings, as `gnnrec.fit` does."""
        return holdout_validation(dataset, config)

    def fit(self, data: Split, config: Config, callbacks: Sequence[Callback]) -> Recommender:
        """Train the network."""
        return GNN(config=config).fit(data, callbacks=callbacks)


@dataclass(frozen=True)
class TunableModel:
    """Any other model: configurations are estimators, and keys are the names of their hyperparameters.

    Models that are trained in epochs keep the epoch with the best NDCG@20.

    Attributes
    ----------
    default : BaseEstimator
        Values of the hyperparameters that a search space does not mention.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> ease = TunableModel(EASE(reg=300))
    >>> ease.name, list(ease.keys), ease.to_mapping(ease.default)
    ('ease', ['reg'], {'reg': 300.0})
    """

    default: BaseEstimator

    @property
    def name(self) -> str:
        """Registered name of the model."""
        return self.default.name

    @cached_property
    def keys(self) -> Mapping[str, KnownKey]:
        """The hyperparameters of the estimator."""
        return {name: KnownKey.from_field(info) for name, info in type(self.default).model_fields.items()}

    @property
    def fixed(self) -> Mapping[str, str]:
        """Seed and device, if the model has them."""
        return {key: reason for key, reason in FIXED.items() if key in self.keys}

    @property
    def validation_metrics(self) -> tuple[str, ...]:
        """All accuracy metrics."""
        return per_user_metrics()

    def make_config(self, values: dict[str, Any], where: str) -> BaseEstimator:
        """Return the estimator with these hyperparameters; errors begin with `where`."""
        try:
            return type(self.default)(**values)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def to_mapping(self, config: BaseEstimator) -> dict[str, Any]:
        """Return all hyperparameters."""
        return config.model_dump()

    def validation_metric(self, config: BaseEstimator) -> str:
        """Return ``ndcg@20``."""
        return "ndcg@20"

    def with_validation_metric(self, config: BaseEstimator, metric: str, k: int) -> BaseEstimator:
        """Return the configuration unchanged."""
        return config

    def holdout(self, dataset: Dataset, config: BaseEstimator) -> Split:
        """Hold out a random tenth of every user's ratings."""
        return random_split(dataset, (0.9, 0.1, 0.0), seed=0)

    def fit(self, data: Split, config: BaseEstimator, callbacks: Sequence[Callback]) -> Recommender:
        """Fit the estimator."""
        return config.fit(data, callbacks=callbacks)


def get_tunable(model: str | type[BaseEstimator] | BaseEstimator | Tunable) -> Tunable:
    """Return a model as a `Tunable`.

    Parameters
    ----------
    model : str, Estimator, Estimator class or Tunable
        As for `gnnrec.fit`. The hyperparameters of an estimator are those that a search space does not mention.

    Raises
    ------
    ConfigError
        The name is not registered, or is not a model.

    Examples
    --------
    >>> get_tunable("gnn").name, get_tunable("itemknn").name
    ('gnn', 'itemknn')
    """
    if not isinstance(model, (str, type, BaseEstimator)) and isinstance(model, Tunable):
        return model
    if isinstance(model, str):
        model = MODELS.get(model)
    estimator = get_estimator(model)  # type: ignore[arg-type]
    return TunableGNN(estimator.base_config) if isinstance(estimator, GNN) else TunableModel(estimator)
