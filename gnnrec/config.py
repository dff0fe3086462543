"""`Config`: every setting of a model and its training, in one frozen, checked place.

The YAML file, ``--set`` on the command line and the settings of a saved run are all this class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gnnrec.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ModelConfig(_Section):
    """What the network is."""

    encoder: Literal["lightgcn", "graphsage"] = "lightgcn"
    """Which encoder propagates."""
    embedding_dim: int = Field(128, ge=1)
    """Width of all vectors."""
    num_layers: int = Field(1, ge=1)
    """How often people gather from movies; each layer after the first goes two hops further."""
    aggregation: Literal["mean", "max", "min", "sum"] = "mean"
    """How GraphSAGE joins neighbours; LightGCN always takes the normalized sum."""
    movie_degree_smoothing: float = Field(0.25, ge=0)
    """Ratings that every movie gets on top when degrees normalize, in units of the mean; keeps rare movies quiet."""
    user_degree_smoothing: float = Field(10.0, ge=0)
    """LightGCN: ratings that every person gets on top when degrees normalize; so of few, the profile counts more."""
    attributes: tuple[str, ...] = ("genres",)
    """What movies are linked to besides people: ``genres``, ``directors``, ``actors``, as far as the data has them."""
    modalities: tuple[str, ...] | None = None
    """Which of the dataset's vectors of movies are read, such as ``poster`` and ``text``; null for all there are."""
    numeric_features: bool = True
    """Whether decades are read; unseen movies are placed by a smooth function of year, runtime, plot length, genres."""
    temporal: bool = False
    """Whether people's vectors know the order and the dates of what they watched; the next six keys say how."""
    position_decays: tuple[Positive, ...] = Field((0.7, 3.0, 12.0, 50.0), min_length=1)
    """Views of a history in which a rating fades with the number of later ones; each fades to 1/e after so many."""
    day_decays: tuple[Positive, ...] = ()
    """Views in which a rating fades with the days between it and the person's last one."""
    rating_decays: tuple[Positive, ...] = ()
    """Views by rank in which a movie counts by how far above or below the person's mean it was rated."""
    date_features: bool = False
    """Whether the hidden layer is told the date of the person's last rating."""
    hidden_dim: int = Field(256, ge=0)
    """Width of the hidden layer that reads all views together; 0 for none."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of the hidden layer, and of the vector made of the views, that is dropped in training."""
    init: Literal["svd", "transitions", "random"] = "svd"
    """Start of the movies' id vectors: an SVD of the ratings, an SVD of what followed what, or small and random."""
    init_scale: float = Field(0.3, gt=0)
    """Size of the first scores when starting from the SVD; 1 would be the SVD's own."""
    transition_window: int = Field(10, ge=1)
    """How many places later in a history a movie still counts as "followed by", for ``init: transitions``."""

    @model_validator(mode="after")
    def _dates_are_read(self) -> Self:
        if self.temporal and self.date_features and not self.hidden_dim:
            raise ValueError("date_features is for the hidden layer; set hidden_dim above 0, or date_features to false")
        return self


class TrainConfig(_Section):
    """How it is trained."""

    loss: Literal["weighted_mse", "softmax", "bpr"] = "weighted_mse"
    """What is minimised."""
    negative_weight: float = Field(0.3, gt=0)
    """What an unwatched movie counts in the weighted squared error."""
    objective: Literal["masked_edges", "next_item"] = "masked_edges"
    """What is asked at each step: a random share of the ratings, or what somebody rated next at some moment."""
    cutoffs_per_user: int = Field(10, ge=1)
    """With ``objective: next_item``, how many moments of each person are asked about in an epoch."""
    cutoff_recency: float = Field(2.0, ge=1)
    """How much late moments are preferred, as in time they are nearest to what will be asked; 1 draws all alike."""
    horizon: int = Field(1, ge=1)
    """With ``objective: next_item``, how many of the following ratings are asked for at each moment."""
    edge_dropout: float = Field(0.5, gt=0, lt=1)
    """Share of the ratings that, at each step, carry no message; with ``objective: masked_edges`` they are the questions."""
    id_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the movies that, at each step, must do without their id vector."""
    modality_dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the movies that, at each step, must do without a modality, drawn for each of them."""
    history_dropout: float = Field(0.05, ge=0, lt=1)
    """Share of the people who, at each step, are known by their profile only: cold starts to learn from."""
    history_truncation: float = Field(0.1, ge=0, lt=1)
    """With ``objective: masked_edges``, share of the people who, at each step, are known by 1 to 15 of their ratings only."""
    profile_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the people whose age, gender and occupation are hidden at each step."""
    epochs: int = Field(30, ge=1)
    """Passes over all users, at the most."""
    batch_size: int = Field(512, ge=1)
    """People per step; with ``objective: next_item``, moments."""
    learning_rate: float = Field(0.002, gt=0)
    """Of Adam."""
    final_lr_ratio: float = Field(1.0, gt=0, le=1)
    """What is left of the learning rate after the last epoch; it falls evenly. 1 keeps it constant."""
    weight_decay: float = Field(0.0, ge=0)
    """Of Adam, decoupled (AdamW)."""
    patience: int = Field(6, ge=1)
    """Stop after so many epochs without a better validation metric."""
    metric: Literal["ndcg", "recall", "hit_rate", "mrr", "map", "precision"] = "ndcg"
    """What is watched on the validation ratings."""
    k: int = Field(20, ge=1)
    """Length of the list that the metric looks at."""
    seed: int = Field(0, ge=0)
    """Of everything random."""
    device: str = "auto"
    """``auto`` takes a GPU when there is one; else a PyTorch device such as ``cpu`` or ``cuda:1``."""


class Config(_Section):
    """Everything `fit` can be told.

    Examples
    --------
    >>> Config().override(["model.num_layers=2", "train.loss=bpr"]).model.num_layers
    2
    """

    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()

    @classmethod
    def from_mapping(cls, values: dict[str, Any], where: str = "config") -> Self:
        """Check a nested mapping; a `ConfigError` names each wrong key and what was expected."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"  {'.'.join(map(str, e['loc'])) or where}: {_explain(e, cls)}" for e in error.errors()]
            raise ConfigError(f"{where} is not valid:\n" + "\n".join(lines)) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a YAML file; what it leaves out keeps its default."""
        return cls.from_mapping(read_yaml(path), str(path))

    def to_yaml(self, path: str | Path) -> None:
        """Write all settings, defaults included."""
        Path(path).write_text(yaml.safe_dump(self.model_dump(), sort_keys=False), encoding="utf-8")

    def override(self, assignments: Iterable[str]) -> Self:
        """Return a config with ``section.key=value`` assignments applied, values read as YAML."""
        values = self.model_dump()
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            section, dot, name = key.strip().partition(".")
            if not equals or not dot:
                raise ConfigError(f"cannot read {assignment!r}; write section.key=value, as in model.num_layers=2")
            if not isinstance(values.get(section), dict):
                raise ConfigError(f"there is no config section {section!r}; there are {', '.join(values)}")
            try:
                values[section][name] = yaml.safe_load(text)
            except yaml.YAMLError:
                raise ConfigError(f"cannot read the value in {assignment!r}; it is not YAML") from None
        return type(self).from_mapping(values)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the keys and values of a YAML file, none when it is empty; a `ConfigError` for anything else."""
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {path}") from None
    except OSError as error:
        raise ConfigError(f"the config file {path} cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"{path} is not YAML: {error.problem} in line {line}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(values).__name__}")
    return values or {}


def _keys(root: type[BaseModel]) -> list[str]:
    """Return the sections, and ``section.key`` of all that is in them."""
    found = list(root.model_fields)
    for section, field in root.model_fields.items():
        found += [f"{section}.{key}" for key in getattr(field.annotation, "model_fields", ())]
    return found


def _explain(error: Any, root: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(".".join(map(str, error["loc"])), _keys(root), n=1)
        return f"there is no such key{f'; did you mean {close[0]}?' if close else ''}"
    if error["type"] == "value_error":  # of a check of ours, which says all there is to say
        return str(error["ctx"]["error"])
    return f"{error['msg']} (got {error['input']!r})"
