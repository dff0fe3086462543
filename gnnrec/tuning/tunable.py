"""What a study tunes: the keys of a model's configuration, and how one configuration is fitted.

Search spaces and trials see a model only through `Tunable`; `TunableGNN` is the graph network with its `Config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from gnnrec.config import Config, ModelConfig, model_config_class
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import BaseEstimator, fit, get_estimator
from gnnrec.models.gnn_training import holdout_validation
from gnnrec.registry import ENCODERS, LOSSES, METRICS, MODELS, Registry
from gnnrec.splitting import Split, random_split
from gnnrec.training.callbacks import Callback

ENCODER = "model.encoder"
"""The key that decides which encoder-specific keys a configuration has."""
NAMES: dict[str, Registry] = {ENCODER: ENCODERS, "train.loss": LOSSES, "train.metric": METRICS}
"""Keys whose values are registered names."""


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
        Where the value must be registered, for keys that are names.

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

    def validate(self, value: Any) -> Any:
        """Return a value as the configuration would hold it; a `ConfigError` if it would refuse it."""
        if self.registry is not None:
            self.registry.get(value)
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
    names = ENCODERS.names()
    encoders: dict[str, set[str]] = {}
    found: dict[str, FieldInfo] = {}
    for encoder in names:
        for section, section_class in _sections(config_class, encoder).items():
            for name, field in section_class.items():
                found.setdefault(f"{section}.{name}", field)
                encoders.setdefault(f"{section}.{name}", set()).add(encoder)
    return {
        key: _known_key(
            field,
            requires=None if encoders[key] == set(names) else (ENCODER, frozenset(encoders[key])),
            registry=NAMES.get(key),
        )
        for key, field in found.items()
    }


def _known_key(
    field: FieldInfo, requires: tuple[str, frozenset[Any]] | None = None, registry: Registry | None = None
) -> KnownKey:
    return KnownKey(
        adapter=TypeAdapter(Annotated[field.annotation, field]),  # type: ignore[arg-type]
        number={int: int, float: float}.get(field.annotation),  # type: ignore[arg-type]
        default=field.get_default(call_default_factory=True),
        requires=requires,
        registry=registry,
    )


def _sections(config_class: type[BaseModel], encoder: str) -> dict[str, dict[str, FieldInfo]]:
    """Return the fields of each section of a configuration with this encoder."""
    sections: dict[str, dict[str, FieldInfo]] = {}
    for section, field in config_class.model_fields.items():
        annotation = field.annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        chosen = model_config_class(encoder) if issubclass(annotation, ModelConfig) else annotation
        sections[section] = dict(chosen.model_fields)
    return sections


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

    def fit(self, data: Split, config: Any, callbacks: Sequence[Callback]) -> Recommender:
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

    @property
    def keys(self) -> Mapping[str, KnownKey]:
        """Every key of a `Config`, for all encoders."""
        return known_keys(Config)

    fixed: ClassVar[Mapping[str, str]] = {
        "train.metric": "trials are compared by it; set objectives instead",
        "train.k": "trials are compared by it; set objectives instead",
        "train.seed": "the best trial would be the luckiest seed",
        "train.device": "it is not part of the model",
    }
    @property
    def watched_metrics(self) -> tuple[str, ...]:
        """Metrics with a value per user."""
        return user_metrics()

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

    def fit(self, data: Split, config: Config, callbacks: Sequence[Callback]) -> Recommender:
        """Train the graph network."""
        model: Recommender = fit(data, config=config, callbacks=callbacks, progress=False)
        return model


@dataclass(frozen=True)
class TunableEstimator:
    """Any registered model: configurations are its estimators, keys their hyperparameters.

    Attributes
    ----------
    model : str
        Registered name.

    Examples
    --------
    >>> ease = TunableEstimator("ease")
    >>> list(ease.keys), ease.make_config({"reg": 500}, "example").reg
    (['reg'], 500.0)
    """

    model: str
    fixed: ClassVar[Mapping[str, str]] = {"seed": "the best trial would be the luckiest seed"}

    @property
    def keys(self) -> Mapping[str, KnownKey]:
        """Hyperparameters of the model."""
        return {name: _known_key(field) for name, field in MODELS.get(self.model).model_fields.items()}

    @property
    def watched_metrics(self) -> tuple[str, ...]:
        """Fits stop by NDCG@20, but any metric can be the objective of a model without epochs."""
        return ("ndcg",) if MODELS.get(self.model).trains_in_epochs else user_metrics()

    def make_config(self, values: dict[str, Any], where: str) -> BaseEstimator:
        """Return an estimator; errors begin with `where`."""
        try:
            return get_estimator(self.model, **values)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def to_mapping(self, config: BaseEstimator) -> dict[str, Any]:
        """Return the hyperparameters."""
        return config.model_dump()

    def validation_metric(self, config: BaseEstimator) -> str:
        """Return the metric that decides when a fit stops."""
        return "ndcg@20"

    def watch(self, config: BaseEstimator, metric: str, k: int) -> BaseEstimator:
        """Return the same estimator: its fits always stop by NDCG@20."""
        return config

    def holdout(self, dataset: Dataset, config: BaseEstimator) -> Split:
        """Hold out a random tenth of every user's ratings."""
        return random_split(dataset, (0.9, 0.1, 0.0))

    def fit(self, data: Split, config: BaseEstimator, callbacks: Sequence[Callback]) -> Recommender:
        """Fit the model."""
        return config.fit(data, callbacks=callbacks)


def user_metrics() -> tuple[str, ...]:
    """Return the registered metrics that have a value per user from its hits."""
    return tuple(name for name in METRICS.names() if METRICS.metadata(name).get("of", "users") == "users")
