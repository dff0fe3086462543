"""`SearchSpace`: a base config, the keys that a study varies, and what it optimizes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from gnnrec._checks import shown
from gnnrec._yaml import YAML_ERRORS, find_config, load_yaml, read_yaml
from gnnrec.errors import ConfigError
from gnnrec.models.estimator import BaseEstimator
from gnnrec.registry import METRICS
from gnnrec.tuning.parameters import MAX_VALUES, Choices, Range, example_keys, parse_parameter, to_json
from gnnrec.tuning.tunable import KnownKey, Tunable, TunableGNN, get_tunable

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Objective:
    """A quantity that a study optimizes, measured on the validation ratings.

    Attributes
    ----------
    metric : str
        A metric of `evaluate`, or ``seconds``, the duration of a fit.
    k : int
        Length of the recommendation lists; 0 for ``seconds``.

    Examples
    --------
    >>> objective = Objective.from_string("ndcg@20")
    >>> objective.metric, objective.k, objective.direction
    ('ndcg', 20, 'maximize')
    >>> Objective.from_string("seconds").direction
    'minimize'
    """

    metric: str
    k: int = 0

    @classmethod
    def from_string(cls, text: str) -> Objective:
        """Parse ``metric@k`` or ``seconds``."""
        if text == "seconds":
            return cls("seconds")
        if (match := re.fullmatch(r"(.+)@([1-9]\d*)", text)) and match[1] in METRICS:
            return cls(match[1], int(match[2]))
        raise ConfigError(
            f"unknown objective {text!r}; use seconds or metric@k, such as ndcg@20, with one of "
            f"{', '.join(METRICS.names())}"
        )

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """The direction of optimization, as Optuna calls it."""
        return "minimize" if self.metric == "seconds" else "maximize"

    def __str__(self) -> str:
        return f"{self.metric}@{self.k}" if self.k else self.metric


@dataclass(frozen=True)
class SearchSpace:
    """The keys that a study varies, and the base configuration.

    A key that exists for some encoders only is suggested only in trials with such an encoder.

    Attributes
    ----------
    base : Config or Estimator
        The configuration of everything that is not varied.
    parameters : mapping of str to Range or Choices
        What is varied, by ``section.key``, or by the name of a hyperparameter.
    inactive : mapping of str to object
        Fixed values of keys that `base` does not have but trials with another encoder do.
    tunable : Tunable
        The model; the graph neural network by default.

    Raises
    ------
    ConfigError
        A parameter does not apply to any trial.

    Examples
    --------
    >>> space = SearchSpace.from_mapping(
    ...     {
    ...         "train": {"epochs": 10},
    ...         "space": {
    ...             "train.learning_rate": {"low": 0.0005, "high": 0.01, "log": True},
    ...             "model.embedding_dim": {"choices": [64, 128]},
    ...         },
    ...     }
    ... )
    >>> print(space.parameters["train.learning_rate"])
    0.0005 to 0.01, log scale
    >>> space.config({"train.learning_rate": 0.00412345, "model.embedding_dim": 64}).train.learning_rate
    0.004123
    """

    base: Any
    parameters: Mapping[str, Range | Choices]
    inactive: Mapping[str, Any] = field(default_factory=dict)
    tunable: Tunable = field(default_factory=TunableGNN)

    def __post_init__(self) -> None:
        for key in self.parameters:
            if key not in self.tunable.keys:
                raise ConfigError(f"space: unknown key {key}; {example_keys(self.tunable)}")
            gate, allowed = self._requirement(key)
            if _has_choice(gate, allowed, self.parameters) if gate in self.parameters else self.applies(key, self.base):
                continue
            needed = " or ".join(sorted(map(str, allowed)))
            raise ConfigError(f"space: {key} applies only with {gate} {needed}, which no trial has")

    @classmethod
    def from_yaml(cls, path: str | Path, model: str | type[BaseEstimator] | BaseEstimator | Tunable = "gnn") -> Self:
        """Read a YAML file, by its path or by the name of one that comes with gnnrec.

        ``space:`` lists the keys that are varied. The base is a file named by ``config:``, relative to this one, or
        the rest of this file: the sections ``model:`` and ``train:`` of the graph neural network, or the
        hyperparameters of another model. If both are given, these override the file.

        Parameters
        ----------
        path : str or Path
        model : str, Estimator, Estimator class or Tunable
            As for `tune`.

        Raises
        ------
        ConfigError
            The file is invalid; the message names file and key.
        """
        return cls.from_mapping(read_yaml(path), str(path), find_config(path).parent, model)

    @classmethod
    def from_mapping(
        cls,
        values: Mapping[str, Any],
        where: str = "search space",
        folder: Path | None = None,
        model: str | type[BaseEstimator] | BaseEstimator | Tunable = "gnn",
    ) -> Self:
        """Validate a nested mapping laid out like the YAML file.

        Parameters
        ----------
        values : mapping
        where : str
            Start of error messages.
        folder : Path, optional
            Where a relative ``config:`` is looked up; the working directory by default.
        model : str, Estimator, Estimator class or Tunable
            As for `tune`.

        Raises
        ------
        ConfigError
            The model is not registered, or a section, a key or a range is wrong.

        Examples
        --------
        >>> SearchSpace.from_mapping({"space": {"reg": {"low": 100, "high": 2000, "log": True}}}, model="ease").base
        EASE(reg=1000.0)
        """
        tunable = get_tunable(model)
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: a search space is a mapping or a path, not {shown(values)}")
        values = {str(key): value for key, value in values.items()}
        space, config_file = values.pop("space", None), values.pop("config", None)
        if not isinstance(space, Mapping) or not space:
            raise ConfigError(f"{where}: the section space: is missing or empty; list the keys to vary there")
        if config_file is not None and not isinstance(config_file, str):
            raise ConfigError(f"{where}: config must be a file name, not {shown(config_file)}")
        parameters = {}
        for key, spec in space.items():
            try:
                parameters[str(key)] = parse_parameter(str(key), spec, tunable)
            except ConfigError as error:
                raise ConfigError(f"{where}: space: {key}: {error}") from None
        own = tunable.to_mapping(tunable.default)
        if config_file is not None:
            path = (folder or Path()) / config_file
            own = tunable.to_mapping(tunable.make_config(read_yaml(path), str(path)))
        merged, inactive = _merge(own, values, parameters, tunable, where)
        base = tunable.make_config(merged, where)
        try:
            return cls(base, parameters, inactive, tunable)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def override(self, assignments: Iterable[str]) -> Self:
        """Return the space around a base with ``section.key=value`` applied, values read as YAML."""
        given: dict[str, Any] = {}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            key = key.strip()
            if not equals or ("." not in key and key not in self.tunable.keys):
                raise ConfigError(f"cannot read {assignment!r}; write {_example(self.tunable)}")
            if key in self.parameters:
                raise ConfigError(f"{key} is varied by the study; remove it from the space to set it")
            try:
                _set(given, key, load_yaml(text))
            except YAML_ERRORS:
                raise ConfigError(f"cannot read the value in {assignment!r}; it is not YAML") from None
        merged, inactive = _merge(self._all_values(), given, self.parameters, self.tunable, "config")
        return replace(self, base=self.tunable.make_config(merged, "config"), inactive=inactive)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Sample every parameter that applies, as stored by Optuna and read by `config`."""
        return self.sample(lambda key, parameter: parameter.suggest(trial, key))

    def sample(self, draw: Callable[[str, Range | Choices], Any]) -> dict[str, Any]:
        """Return the values that `draw` returns for every parameter that applies, as stored by Optuna."""
        stored: dict[str, Any] = {}
        for key in self._ordered_keys:
            if self._is_suggested(key, stored):
                stored[key] = draw(key, self.parameters[key])
        return stored

    @cached_property
    def settings(self) -> list[dict[str, Any]] | None:
        """All settings that trials can have, as stored by Optuna; None if there are too many.

        Examples
        --------
        >>> space = {"model.embedding_dim": {"choices": [8, 16]}, "train.epochs": {"low": 1, "high": 3}}
        >>> len(SearchSpace.from_mapping({"space": space}).settings)
        6
        """
        if any(parameter.values is None for parameter in self.parameters.values()):
            return None
        found = list(islice(self._extend({}, self._ordered_keys), MAX_VALUES + 1))
        return found if len(found) <= MAX_VALUES else None

    def identify(self, stored: Mapping[str, Any]) -> str:
        """Return a string that identifies a setting."""
        return json.dumps(self.decode(stored), sort_keys=True)

    def untried(self, trials: Iterable[FrozenTrial]) -> list[dict[str, Any]] | None:
        """Return the settings that none of these trials has; None if there are too many."""
        if self.settings is None:
            return None
        tried = {self.identify(one.params) for one in trials}
        return [setting for setting in self.settings if self.identify(setting) not in tried]

    def _extend(self, stored: dict[str, Any], keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        if not keys:
            yield stored
        elif self._is_suggested(keys[0], stored):
            for value in self.parameters[keys[0]].values or ():
                yield from self._extend({**stored, keys[0]: value}, keys[1:])
        else:
            yield from self._extend(stored, keys[1:])

    @property
    def _ordered_keys(self) -> list[str]:
        """The keys in the order in which they are sampled: those that others depend on come first."""
        gates = {key for key in self.parameters if any(self._requirement(other)[0] == key for other in self.parameters)}
        return sorted(self.parameters, key=lambda key: key not in gates)

    def decode(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration values of stored values: lists for their text, numbers rounded."""
        return {key: self.parameters[key].decode(value) for key, value in stored.items()}

    def config(self, stored: Mapping[str, Any]) -> Any:
        """Return the configuration of a trial; raise `ConfigError` if the values are incompatible."""
        values = self._all_values()
        for key, value in self.decode(stored).items():
            _set(values, key, value)
        self._drop_inactive(values)
        return self.tunable.make_config(values, "this combination")

    @property
    def is_conditional(self) -> bool:
        """Whether some parameters are missing from some trials."""
        for key in self.parameters:
            gate, allowed = self._requirement(key)
            if isinstance(of := self.parameters.get(gate), Choices) and not set(of.choices) <= allowed:
                return True
        return False

    @property
    def base_params(self) -> dict[str, Any] | None:
        """The base as a trial would sample it; None if the space does not contain it."""
        if self.outside:
            return None
        return {key: self.parameters[key].encode(value) for key, value in self._base_values().items()}

    @property
    def outside(self) -> list[str]:
        """The keys whose base value is not in their range or choices."""
        return [key for key, value in self._base_values().items() if not self.parameters[key].contains(value)]

    def applies(self, key: str, config: Any) -> bool:
        """Whether a configuration has this key: some keys belong to one encoder only."""
        return _is_active(self.tunable.keys[key], self.tunable.to_mapping(config), self.tunable)

    def value(self, key: str, config: Any) -> Any:
        """Return the value of a key in a configuration that has it."""
        return _get(self.tunable.to_mapping(config), key)

    def to_mapping(self) -> dict[str, Any]:
        """Return the space as `from_mapping` reads it, in JSON types."""
        space = {key: one.to_mapping() for key, one in self.parameters.items()}
        return {**to_json(self._all_values()), "space": space}

    def _base_values(self) -> dict[str, Any]:
        """Return the values in the base of the parameters that apply to it."""
        return {key: self.value(key, self.base) for key in self.parameters if self.applies(key, self.base)}

    def _all_values(self) -> dict[str, Any]:
        """Return the values of the base together with the inactive ones."""
        values = self.tunable.to_mapping(self.base)
        self._drop_inactive(values)
        for key, value in self.inactive.items():
            _set(values, key, value)
        return values

    def _drop_inactive(self, values: dict[str, Any]) -> None:
        """Remove the keys that only trials with another encoder have."""
        for key, known in self.tunable.keys.items():
            if known.requires and known.requires[0] in self.parameters and not _is_active(known, values, self.tunable):
                _pop(values, key)

    def _requirement(self, key: str) -> tuple[str, frozenset[Any]]:
        """Return the key that decides whether this one applies, and for which values; an empty name if none does."""
        return self.tunable.keys[key].requires or ("", frozenset())

    def _is_suggested(self, key: str, stored: Mapping[str, Any]) -> bool:
        gate, allowed = self._requirement(key)
        if gate in self.parameters:
            return self.parameters[gate].decode(stored[gate]) in allowed
        return True


def parse_objectives(given: str | Sequence[str] | None, space: SearchSpace) -> tuple[Objective, ...]:
    """Parse objectives from a list or a comma-separated string; None is the validation metric of the base config.

    Raises
    ------
    ConfigError
        An objective is unknown or repeated, or the first one is not a validation metric.
    """
    if given is None:
        given = space.tunable.validation_metric(space.base)
    texts = [one.strip() for one in (given.split(",") if isinstance(given, str) else given)]
    objectives = tuple(Objective.from_string(text) for text in texts)
    if not objectives:
        raise ConfigError("no objective given; name one, such as ndcg@20")
    if len(set(objectives)) < len(objectives):
        raise ConfigError(f"objectives must differ: {', '.join(map(str, objectives))}")
    if objectives[0].metric not in space.tunable.validation_metrics:
        raise ConfigError(
            f"the first objective must be a validation metric, not {objectives[0]}; put one of "
            f"{', '.join(space.tunable.validation_metrics)} first"
        )
    return objectives


def _example(tunable: Tunable) -> str:
    """Return a hint on the notation of assignments."""
    if any("." in key for key in tunable.keys):
        return "section.key=value, as in model.num_layers=2"
    return "key=value"


def _merge(
    own: Mapping[str, Any],
    given: Mapping[str, Any],
    parameters: Mapping[str, Range | Choices],
    tunable: Tunable,
    where: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Override values section by section; return the values of the base, and those that only other trials have."""
    merged = dict(own)
    for section, values in given.items():
        both = isinstance(values, Mapping) and isinstance(merged.get(section), Mapping)
        merged[section] = {**merged[section], **values} if both else values
        if isinstance(values, Mapping):
            merged[section] = dict(merged[section])
    inactive = {}
    for key, known in tunable.keys.items():
        if known.requires is None or _get(merged, key) is _MISSING or _is_active(known, merged, tunable):
            continue
        if _has_choice(*known.requires, parameters):
            try:
                inactive[key] = known.validate(_pop(merged, key))
            except ConfigError as error:
                raise ConfigError(f"{where} is not valid: {key}: {error}") from None
        elif _get(given, key) is _MISSING:  # left over from another encoder; `Config` validates explicit values
            _pop(merged, key)
    return merged, inactive


def _is_active(known: KnownKey, values: Mapping[str, Any], tunable: Tunable) -> bool:
    """Whether a configuration with these values has the key."""
    if known.requires is None:
        return True
    gate, allowed = known.requires
    value = _get(values, gate)
    value = tunable.keys[gate].default if value is _MISSING else value
    return isinstance(value, str | int | float) and value in allowed


def _has_choice(gate: str, allowed: frozenset[Any], parameters: Mapping[str, Range | Choices]) -> bool:
    """Whether the choices of a key include one of these values."""
    choices = parameters.get(gate)
    return isinstance(choices, Choices) and not allowed.isdisjoint(choices.choices)


_MISSING: Any = object()


def _get(values: Mapping[str, Any], key: str) -> Any:
    section, dot, name = key.partition(".")
    value = values.get(section, _MISSING)
    if not dot:
        return value
    return value.get(name, _MISSING) if isinstance(value, Mapping) else _MISSING


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    section, dot, name = key.partition(".")
    if dot:
        values.setdefault(section, {})[name] = value
    else:
        values[section] = value


def _pop(values: dict[str, Any], key: str) -> Any:
    section, dot, name = key.partition(".")
    return values.get(section, {}).pop(name, None) if dot else values.pop(section, None)
