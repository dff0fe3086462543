"""`Config`: every setting of the graph neural network and its training, checked and immutable.

YAML files, ``--set`` on the command line and saved runs all use this class. Names of encoders,
losses and metrics are checked against the registries, so a registered extension is accepted like a built-in one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from gnnrec._checks import as_list, did_you_mean, shown
from gnnrec._io import write_atomic
from gnnrec._yaml import MAX_NODES, YAML_ERRORS, load_yaml, read_yaml
from gnnrec.errors import ConfigError
from gnnrec.registry import ENCODERS, LOSSES, METRICS, Registry

Positive = Annotated[float, Field(gt=0)]

_LOSS_ARGUMENTS = 5
"""Every loss takes this many arguments; further ones are options."""

_validating: ContextVar[bool] = ContextVar("validating", default=False)


@contextmanager
def _validation() -> Iterator[None]:
    token = _validating.set(True)
    try:
        yield
    finally:
        _validating.reset(token)


class Settings(BaseModel):
    """Base class of all settings: frozen; unknown keys and invalid values raise `ConfigError`.

    Examples
    --------
    >>> class Window(Settings):
    ...     days: int = Field(7, ge=1)
    >>> Window(days=0)
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: Window: days: must be at least 1, not 0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    def __init__(self, **values: Any) -> None:
        if _validating.get():  # a section of other settings: the outermost call reports all errors
            super().__init__(**values)
            return
        _check_keys(values, type(self).__name__)
        with _validation():
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(_format(error, type(self))) from None

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))  # fields may be dicts


def _check_keys(values: Mapping[Any, Any], where: str) -> None:
    """Raise a `ConfigError` for a key that is not a string, or a huge number or list, at any depth."""
    for section in (values, *values.values()):
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if not isinstance(key, str):
                raise ConfigError(f"{where}: the key {shown(key)} is not a string")
            is_huge_decimal = isinstance(value, Decimal) and value.is_finite() and value.adjusted() > MAX_BITS
            if is_huge_decimal or (isinstance(value, int) and value.bit_length() > MAX_BITS):
                raise ConfigError(f"{where}: {key}: {shown(value)} is too large")
            if (size := _size(value)) > MAX_NODES:
                raise ConfigError(f"{where}: {key} has {size:,} values, too many for a setting")


def _size(value: Any) -> int:
    """Return the length of a value, 0 for one without, such as an array without dimensions."""
    try:
        return len(value)
    except TypeError:
        return 0


MAX_BITS = 64
"""Maximum number of bits of a whole number."""


def _registered(name: str, registry: Registry) -> str:
    try:
        registry.get(name)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return name


MAX_DIM, MAX_LAYERS, MAX_DECAYS, MAX_MEMBERS = 65_536, 64, 64, 64
"""Upper bounds of settings; larger values would only exhaust memory."""


class ModelConfig(Settings):
    """Architecture of the network: the settings that all encoders share.

    The settings of one encoder are a subclass that is registered with it, such as
    `gnnrec.nn.lightgcn.LightGCNConfig`; `Config` chooses the subclass by `encoder`.

    Examples
    --------
    >>> Config(model=ModelConfig(num_layers=2)).model.num_layers
    2
    """

    encoder: str = "lightgcn"
    """Registered name of the encoder."""
    embedding_dim: int = Field(128, ge=1, le=MAX_DIM)
    """Dimension of all embeddings."""
    num_layers: int = Field(1, ge=1, le=MAX_LAYERS)
    """Number of propagation layers; each additional layer extends the receptive field by two hops."""
    movie_degree_smoothing: float = Field(0.25, ge=0)
    """Pseudo-count added to every movie's degree, in units of the mean degree; reduces the influence of rare movies."""
    attributes: tuple[str, ...] = ("genres",)
    """Attribute nodes that movies are linked to: ``genres``, ``directors``, ``actors``, where the data has them."""
    modalities: tuple[str, ...] | None = None
    """Content embeddings to use, such as ``poster`` and ``text``; null for all that the dataset has."""
    edge_weights: bool = False
    """Whether weights of interactions (plays, hours) scale the messages of ``lightgcn`` and ``weighted_mse``."""
    numeric_features: bool = True
    """Whether to use numeric movie features (decade, year, runtime, plot length)."""
    num_members: int = Field(1, ge=1, le=MAX_MEMBERS)
    """Number of networks that are trained with different random numbers, and whose scores are averaged."""
    dislike_weight: float = Field(1.0, ge=0)
    """How strongly disliked movies count against similar ones in recommendations; 0 treats them like liked ones."""
    ease_dim: int = Field(0, ge=0, le=MAX_DIM)
    """Number of singular vectors of an EASE model (Steck 2019) whose scores are added to the network's; 0 for none."""
    ease_reg: float = Field(3.0, gt=0)
    """Regularization of that EASE model, in units of the mean degree of a rating's movie."""
    ease_weight: float = Field(1.0, gt=0)
    """Weight of its scores relative to those of the network."""
    temporal: bool = False
    """Whether user embeddings depend on the order and dates of the history; see the `*_decays` settings."""
    position_decays: tuple[Positive, ...] = Field((0.7, 3.0, 12.0, 50.0), min_length=1, max_length=MAX_DECAYS)
    """Temporal pooling by position: a rating's weight decays to 1/e after this many later ratings."""
    day_decays: tuple[Positive, ...] = Field((), max_length=MAX_DECAYS)
    """Temporal pooling by date: a rating's weight decays to 1/e after this many days before the last rating."""
    rating_decays: tuple[Positive, ...] = Field((), max_length=MAX_DECAYS)
    """Temporal pooling by position, weighted by how far each rating is above or below the user's mean."""
    date_features: bool = False
    """Whether the hidden layer also sees the date of the user's last rating."""
    request_time_features: bool = False
    """Whether the hidden layer also sees the time since the user's last rating, at the time of the request."""
    hidden_dim: int = Field(256, ge=0, le=MAX_DIM)
    """Width of the hidden layer over the pooled histories; 0 for none."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout of the hidden layer and of the pooled histories."""
    init: Literal["svd", "transitions", "random"] = "svd"
    """Initialization of movie id embeddings: SVD of the ratings, SVD of the transition counts, or random."""
    init_scale: float = Field(0.3, gt=0)
    """Scale of the initial scores relative to the SVD."""
    init_user_smoothing: float = Field(0.0, ge=0)
    """``init: svd``: pseudo-count added to every user's degree, in units of the mean degree; for sparse data."""
    init_spectral_power: float = Field(0.0, ge=0)
    """``init: svd``: singular vectors count for their singular value to this power; for sparse data."""
    transition_window: int = Field(10, ge=1)
    """How many positions later a movie counts as a transition, for ``init: transitions``."""
    transition_attribute_weight: float = Field(0.0, ge=0)
    """``init: transitions``: weight of shared attributes of movies, added to the transition counts; for sparse data."""
    transition_spectral_power: float = Field(1.0, ge=0)
    """``init: transitions``: singular vectors count for their singular value to this power."""

    @property
    def network_dim(self) -> int:
        """Dimension of the embeddings of all members, without those of the EASE part."""
        return self.num_members * self.embedding_dim

    @field_validator("encoder")
    @classmethod
    def _encoder_exists(cls, value: str) -> str:
        return _registered(value, ENCODERS)

    @model_validator(mode="after")
    def _date_features_need_a_hidden_layer(self) -> Self:
        if self.temporal and self.date_features and not self.hidden_dim:
            raise ValueError("date_features needs the hidden layer; set hidden_dim above 0, or date_features to false")
        if self.request_time_features and not (self.temporal and self.hidden_dim):
            raise ValueError("request_time_features needs temporal: true and a hidden_dim above 0")
        return self


class TrainConfig(Settings):
    """Training of the network.

    Examples
    --------
    >>> Config(train=TrainConfig(loss="softmax", epochs=5)).train.loss
    'softmax'
    >>> TrainConfig(epochs=0)
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: TrainConfig: epochs: must be at least 1, not 0
    """

    loss: str = "weighted_mse"
    """Registered name of the loss."""
    negative_weight: float = Field(0.3, gt=0)
    """Weight of unobserved movies, for losses that have this option: ``weighted_mse``."""
    loss_options: dict[str, Any] = {}
    """Further options of the loss, by parameter name."""
    objective: Literal["masked_edges", "next_item"] = "masked_edges"
    """Training objective: predict a random subset of ratings, or the next rating after a sampled cutoff."""
    cutoffs_per_user: int = Field(10, ge=1)
    """``next_item``: cutoffs sampled per user and epoch."""
    cutoff_recency: float = Field(2.0, ge=1)
    """``next_item``: how strongly late cutoffs are preferred; 1 samples uniformly."""
    horizon: int = Field(1, ge=1)
    """``next_item``: number of ratings after each cutoff to predict."""
    edge_dropout: float = Field(0.5, gt=0, lt=1)
    """Fraction of ratings excluded from message passing at each step; ``masked_edges`` predicts them."""
    id_dropout: float = Field(0.1, ge=0, lt=1)
    """Fraction of movies whose id embedding is dropped at each step."""
    modality_dropout: float = Field(0.2, ge=0, lt=1)
    """Fraction of movies whose content embedding is dropped at each step, drawn separately for each modality."""
    history_dropout: float = Field(0.05, ge=0, lt=1)
    """Fraction of users whose history is dropped at each step, as for a cold start."""
    history_truncation: float = Field(0.1, ge=0, lt=1)
    """``masked_edges``: fraction of users whose history is cut to 1 to 15 ratings at each step."""
    profile_dropout: float = Field(0.1, ge=0, lt=1)
    """Fraction of users whose age, gender and occupation are dropped at each step."""
    request_time_dropout: float = Field(0.1, ge=0, lt=1)
    """Fraction of users whose request time is dropped at each step, with ``model.request_time_features``."""
    epochs: int = Field(30, ge=1)
    """Maximum number of epochs."""
    batch_size: int = Field(512, ge=1)
    """Users per step; with ``next_item``, cutoffs."""
    learning_rate: float = Field(0.002, gt=0, le=1e30)
    """Learning rate of AdamW."""
    final_lr_ratio: float = Field(1.0, gt=0, le=1)
    """Learning rate after the last epoch relative to the first, with linear decay; 1 keeps it constant."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay of AdamW."""
    patience: int = Field(6, ge=1)
    """Early stopping: epochs without improvement of the validation metric."""
    metric: str = "ndcg"
    """Registered name of the validation metric."""
    k: int = Field(20, ge=1)
    """Cutoff of the validation metric."""
    seed: int = Field(0, ge=0)
    """Random seed."""
    device: str = "auto"
    """PyTorch device such as ``cpu`` or ``cuda:1``; ``auto`` uses a GPU if available."""

    @field_validator("loss")
    @classmethod
    def _loss_exists(cls, value: str) -> str:
        return _registered(value, LOSSES)

    @field_validator("metric")
    @classmethod
    def _metric_exists(cls, value: str) -> str:
        if METRICS.metadata(_registered(value, METRICS)).get("of", "users") != "users":
            raise ValueError(f"the metric {value!r} does not measure accuracy; choose one that does, such as ndcg")
        return value

    @model_validator(mode="after")
    def _loss_has_these_options(self) -> Self:
        if not self.loss_options:
            return self
        parameters = inspect.signature(LOSSES.get(self.loss)).parameters
        options = list(parameters)[_LOSS_ARGUMENTS:]
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        if not takes_any and (unknown := [name for name in self.loss_options if name not in options]):
            choice = f"choose from {', '.join(options)}" if options else "it has none"
            raise ValueError(f"loss_options: the loss {self.loss!r} has no option {', '.join(unknown)}; {choice}")
        return self


def model_config_class(encoder: str) -> type[ModelConfig]:
    """Return the settings class that is registered with an encoder.

    Examples
    --------
    >>> model_config_class("graphsage").__name__
    'GraphSAGEConfig'
    """
    found: type[ModelConfig] = ENCODERS.metadata(encoder).get("config", ModelConfig)
    return found


class Config(Settings):
    """All settings of the graph neural network.

    Examples
    --------
    >>> Config().override(["model.num_layers=2", "train.loss=bpr"]).model.num_layers
    2
    >>> Config(model={"encoder": "graphsage", "aggregation": "max"}).model.aggregation
    'max'
    """

    model: SerializeAsAny[ModelConfig] = Field(default_factory=lambda: model_config_class("lightgcn")())
    """Architecture of the network; the settings class of its encoder."""
    train: TrainConfig = TrainConfig()
    """Training of the network."""

    @field_validator("model", mode="before")
    @classmethod
    def _settings_of_the_encoder(cls, value: Any) -> Any:
        """Validate the model section as the settings class of its encoder."""
        if isinstance(value, ModelConfig):
            wanted = model_config_class(value.encoder)
            if type(value) is ModelConfig:  # has the shared settings only
                return wanted(**value.model_dump(exclude_unset=True))
            if type(value) is not wanted:
                raise ValueError(
                    f"{type(value).__name__} is not the settings class of the encoder {value.encoder!r}, which is "
                    f"{wanted.__name__}; set its field encoder to the name that it is registered with"
                )
            return value
        if not isinstance(value, dict):
            return value
        default = ModelConfig.model_fields["encoder"].default
        name = value.get("encoder", default)
        known = isinstance(name, str) and name in ENCODERS
        return model_config_class(name if known else default).model_validate(value)

    @model_validator(mode="after")
    def _request_times_are_trained(self) -> Self:
        if self.model.request_time_features and self.train.objective != "next_item":
            raise ValueError(
                "model.request_time_features needs train.objective: next_item; other objectives have no request time"
            )
        return self

    @classmethod
    def from_mapping(cls, values: dict[str, Any], where: str = "config") -> Self:
        """Return the config from a nested mapping; a `ConfigError` lists all invalid keys and values."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where} must hold keys and values, not {shown(values)}")
        _check_keys(values, where)
        try:
            with _validation():
                return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError(_format(error, cls, where)) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a YAML file, given by path or by the name of a config that comes with gnnrec.

        Omitted keys have their default values.

        Examples
        --------
        >>> Config.from_yaml("ml1m-fast").model.embedding_dim
        64
        """
        return cls.from_mapping(read_yaml(path), str(path))

    def to_yaml(self, path: str | Path) -> None:
        """Write all settings, defaults included; a reader sees the old file or the new one."""
        write_atomic(Path(path), yaml.safe_dump(self.model_dump(), sort_keys=False).encode())

    def override(self, assignments: Iterable[str]) -> Self:
        """Return a config with ``section.key=value`` assignments applied; values are in YAML."""
        assignments = as_list(assignments, "assignments", "texts such as model.num_layers=2")
        if wrong := [one for one in assignments if not isinstance(one, str)]:
            raise ConfigError(f"cannot read {shown(wrong[0])}; write section.key=value, as in model.num_layers=2")
        values: dict[str, Any] = {"model": self.model.model_dump(), "train": self.train.model_dump()}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            section, dot, name = key.strip().partition(".")
            if not equals or not dot:
                raise ConfigError(f"cannot read {shown(assignment)}; write section.key=value, as in model.num_layers=2")
            if not isinstance(values.get(section), dict):
                raise ConfigError(f"unknown config section {shown(section)}; choose one of {', '.join(values)}")
            try:
                values[section][name] = load_yaml(text)
            except YAML_ERRORS:
                raise ConfigError(f"cannot read the value in {shown(assignment)}; it is not YAML") from None
        model = values["model"]
        if (
            isinstance(model["encoder"], str)
            and model["encoder"] in ENCODERS
            and model["encoder"] != self.model.encoder
        ):
            # Drop settings that only the previous encoder has.
            known = model_config_class(model["encoder"]).model_fields
            given = {assignment.partition("=")[0].strip() for assignment in assignments}
            values["model"] = {k: v for k, v in model.items() if k in known or f"model.{k}" in given}
        return type(self).from_mapping(values)


class RatingConfig(Settings):
    """Settings of the rating head that `gnnrec.fit_rating_model` fits.

    Examples
    --------
    >>> RatingConfig(num_sample=20)
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: RatingConfig: num_sample: there is no such key; did you mean 'num_samples'?
    """

    embedding_dim: int = Field(32, ge=1)
    """Number of latent factors per user and movie, not counting the bias."""
    num_samples: int = Field(80, ge=1)
    """Number of posterior samples that are kept and averaged over."""
    burn_in: int = Field(10, ge=0)
    """Number of Gibbs steps before the first kept sample."""
    reg: float = Field(5.0, gt=0)
    """Ridge penalty of the regression from graph embeddings and features to latent factors."""
    profile_shrinkage: float = Field(20.0, gt=0)
    """Number of ratings at which the graph embedding and the profile contribute equally to a user's prior."""
    use_graph_embeddings: bool = True
    """Include the graph embeddings in the priors; otherwise only profiles, genres and decades."""
    seed: int = Field(0, ge=0)
    """Random seed."""


def config_keys(root: type[BaseModel]) -> list[str]:
    """Return the fields of a settings class and ``field.key`` of their own fields, including those of all encoders.

    Examples
    --------
    >>> [key for key in config_keys(Config) if "degree" in key]
    ['model.movie_degree_smoothing', 'model.user_degree_smoothing']
    """
    found = list(root.model_fields)
    for section, field in root.model_fields.items():
        annotation = field.annotation
        classes = [annotation]
        if isinstance(annotation, type) and issubclass(annotation, ModelConfig):
            classes = [model_config_class(name) for name in ENCODERS.names()]
        for cls in classes:
            found += [f"{section}.{key}" for key in getattr(cls, "model_fields", ())]
    return list(dict.fromkeys(found))


def _format(error: ValidationError, root: type[BaseModel], where: str | None = None) -> str:
    """Return one message for all errors of a validation."""
    errors = error.errors()
    if where is None and len(errors) == 1:
        return ": ".join(
            [root.__name__, *filter(None, [".".join(map(str, errors[0]["loc"]))]), _explain(errors[0], root)]
        )
    found = [f"{'.'.join(map(str, e['loc'])) or where or root.__name__}: {_explain(e, root)}" for e in errors]
    return f"{where or root.__name__} is not valid:\n" + "\n".join(f"  {line}" for line in found)


def _explain(error: Any, root: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        keys = config_keys(root)
        key = ".".join(map(str, error["loc"]))
        if key in keys:
            owners = [name for name in ENCODERS.names() if error["loc"][-1] in model_config_class(name).model_fields]
            return f"only the encoder {' or '.join(owners)} has this setting"
        return f"there is no such key{did_you_mean(key, keys)}"
    if error["type"] == "value_error":  # from a validator of ours
        return str(error["ctx"]["error"])
    return explain_value(error)


_BOUNDS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
_BOUND_WORDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_KINDS = {"int": "an integer", "float": "a number", "bool": "true or false", "string": "text"}


def explain_value(error: Any) -> str:
    """Describe one of pydantic's errors about a value.

    Examples
    --------
    >>> from pydantic import TypeAdapter
    >>> for kind, value in ((Annotated[int, Field(ge=1)], 0), (float, "fast"), (Literal["svd", "random"], "pca")):
    ...     try:
    ...         TypeAdapter(kind).validate_python(value)
    ...     except ValidationError as error:
    ...         print(explain_value(error.errors()[0]))
    must be at least 1, not 0
    must be a number, not 'fast'
    must be 'svd' or 'random', not 'pca'
    """
    kind, given = error["type"], f", not {shown(error['input'])}"
    if kind in _BOUNDS:
        bound = _BOUNDS[kind]
        return f"must be {_BOUND_WORDS[bound]} {error['ctx'][bound]:g}{given}"
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}{given}"
    if (name := kind.partition("_")[0]) in _KINDS:
        return f"must be {_KINDS[name]}{given}"
    return f"{error['msg']} (got {shown(error['input'])})"
