"""`Config`: every setting of a model and its training, in one frozen, checked place.

The YAML file, ``--set`` on the command line and the header of a saved run are all this class.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnnrec.errors import ConfigError


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
    """How GraphSAGE joins neighbours; LightGCN always takes the normalised sum."""
    degree_smoothing: float = Field(0.25, ge=0)
    """Ratings that every movie gets on top when degrees normalise, in units of the mean; keeps rare movies quiet."""
    init: Literal["svd", "random"] = "svd"
    """Where the movies' id vectors start: at an SVD of the ratings, or small and random."""
    init_scale: float = Field(0.3, gt=0)
    """Size of the first scores when starting from the SVD; 1 would be the SVD's own."""


class TrainConfig(_Section):
    """How it is trained."""

    loss: Literal["weighted_squared_error", "softmax", "bpr"] = "weighted_squared_error"
    """What is minimised."""
    negative_weight: float = Field(0.3, gt=0)
    """What an unwatched movie counts in the weighted squared error."""
    edge_dropout: float = Field(0.5, gt=0, lt=1)
    """Share of the ratings that, at each step, carry no message but are predicted."""
    id_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the movies that, at each step, must do without their id vector."""
    history_dropout: float = Field(0.05, ge=0, lt=1)
    """Share of the people who, at each step, are known by their profile only: cold starts to learn from."""
    profile_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the people whose age, gender and occupation are hidden at each step."""
    epochs: int = Field(30, ge=1)
    """Passes over all users, at the most."""
    batch_size: int = Field(512, ge=1)
    """Users per step."""
    learning_rate: float = Field(0.002, gt=0)
    """Of Adam."""
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
            lines = [f"  {'.'.join(map(str, e['loc'])) or where}: {_explain(e)}" for e in error.errors()]
            raise ConfigError(f"{where} is not valid:\n" + "\n".join(lines)) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a YAML file; what it leaves out keeps its default."""
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
        return cls.from_mapping(values or {}, str(path))

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


def _explain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such key"
    return f"{error['msg']} (got {error['input']!r})"
