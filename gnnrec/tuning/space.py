"""`SearchSpace`: a base configuration, the keys that a study varies, and what it optimizes."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import TypeAdapter, ValidationError

from gnnrec.config import read_yaml
from gnnrec.errors import ConfigError
from gnnrec.evaluate.evaluate import METRICS
from gnnrec.tuning.tunable import KnownKey, Tunable, TunableGNN

if TYPE_CHECKING:
    from optuna import Trial

DIGITS = 4
"""Significant digits of numbers suggested from a range, so that results can be copied by hand."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes
    ----------
    low, high : int or float
        Two integers make a range of integers.
    log : bool
        Sample on a logarithmic scale.
    step : int or float, optional
        Restrict the values to `low` plus multiples of `step`.

    Examples
    --------
    >>> width = Range(8, 64, step=8)
    >>> print(width)
    8 to 64, step 8
    >>> width.contains(24), width.contains(25)
    (True, False)
    >>> Range(0.0005, 0.01, log=True).decode(0.00412345)
    0.004123
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, trial: Trial, key: str) -> Any:
        """Sample a value in a trial, as Optuna stores it."""
        if isinstance(self.low, int):
            return trial.suggest_int(key, self.low, int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)

    def decode(self, stored: Any) -> Any:
        """Return the configuration value of a stored value."""
        return stored if isinstance(self.low, int) else min(max(float(f"{stored:.{DIGITS}g}"), self.low), self.high)

    def encode(self, value: Any) -> Any:
        """Return a configuration value as Optuna stores it."""
        return value

    def contains(self, value: Any) -> bool:
        """Whether a configuration value can be sampled."""
        if not self.low <= value <= self.high:
            return False
        return (self.step is None or _is_whole((value - self.low) / self.step)) and self.decode(value) == value

    def to_mapping(self) -> dict[str, Any]:
        """Return the range as it is written in a file."""
        step = {} if self.step is None else {"step": self.step}
        return {"low": self.low, "high": self.high, "log": self.log, **step}

    def __str__(self) -> str:
        step = f", step {self.step:g}" if self.step else ""
        return f"{self.low:g} to {self.high:g}{step}{', log scale' if self.log else ''}"


@dataclass(frozen=True)
class Choices:
    """Unordered values; lists and null are allowed.

    Attributes
    ----------
    choices : tuple

    Examples
    --------
    >>> decays = Choices(((5, 50), None))
    >>> decays.encode((5, 50)), decays.decode("[5, 50]"), decays.contains(None)
    ('[5, 50]', (5, 50), True)
    """

    choices: tuple[Any, ...]

    def suggest(self, trial: Trial, key: str) -> Any:
        """Sample a value in a trial, as Optuna stores it: lists as JSON text."""
        return trial.suggest_categorical(key, list(self._by_stored))

    def decode(self, stored: Any) -> Any:
        """Return the configuration value of a stored value."""
        return self._by_stored[stored]

    def encode(self, value: Any) -> Any:
        """Return a configuration value as Optuna stores it."""
        return _stored(value)

    def contains(self, value: Any) -> bool:
        """Whether a configuration value can be sampled."""
        return value in self.choices

    def to_mapping(self) -> dict[str, Any]:
        """Return the choices as they are written in a file."""
        return {"choices": to_json(self.choices)}

    @property
    def _by_stored(self) -> dict[Any, Any]:
        return {_stored(choice): choice for choice in self.choices}

    def __str__(self) -> str:
        return ", ".join(str(_stored(choice)) for choice in self.choices)


@dataclass(frozen=True)
class Objective:
    """A quantity that a study optimizes, measured on the validation rows.

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
        if (match := re.fullmatch(r"(\w+)@([1-9]\d*)", text)) and match[1] in METRICS:
            return cls(match[1], int(match[2]))
        raise ConfigError(
            f"unknown objective {text!r}; use seconds or metric@k, such as ndcg@20, with one of {', '.join(METRICS)}"
        )

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """The direction of optimization, as Optuna calls it."""
        return "minimize" if self.metric == "seconds" else "maximize"

    def __str__(self) -> str:
        return f"{self.metric}@{self.k}" if self.k else self.metric


@dataclass(frozen=True)
class SearchSpace:
    """What a study varies, and around which configuration.

    A key that exists for some encoders only is suggested only in trials with such an encoder.

    Attributes
    ----------
    base : Config
        The configuration of everything that is not varied.
    parameters : mapping of str to Range or Choices
        What is varied, by ``section.key``.
    inactive : mapping of str to object
        Fixed values of keys that `base` does not have but trials with another encoder do.
    tunable : Tunable
        The model; the graph network by default.

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
            if key in self.tunable.keys and not self._is_possible(key):
                gate, allowed = self._requirement(key)
                raise ConfigError(
                    f"space: {key}: it applies only with {gate} {' or '.join(sorted(map(str, allowed)))}, which is "
                    "neither in the configuration nor among the choices"
                )

    @classmethod
    def from_yaml(cls, path: str | Path, tunable: Tunable | None = None) -> Self:
        """Read a YAML file.

        ``space:`` lists the keys that are varied. The base is a file named by ``config:``, relative to this one, or the
        sections ``model:`` and ``train:`` themselves. If both are given, the sections override the file.

        Raises
        ------
        ConfigError
            Anything is wrong; the message names file and key.
        """
        return cls.from_mapping(read_yaml(path), str(path), Path(path).parent, tunable)

    @classmethod
    def from_mapping(
        cls,
        values: Mapping[str, Any],
        where: str = "search space",
        folder: Path | None = None,
        tunable: Tunable | None = None,
    ) -> Self:
        """Validate a nested mapping laid out like the YAML file.

        Parameters
        ----------
        values : mapping
        where : str
            Start of error messages.
        folder : Path, optional
            Where a relative ``config:`` is looked up; the working directory by default.
        tunable : Tunable, optional
            The model; the graph network by default.

        Raises
        ------
        ConfigError
            A section, a key or a range is wrong.
        """
        tunable = TunableGNN() if tunable is None else tunable
        values = dict(values)
        space, config_file = values.pop("space", None), values.pop("config", None)
        if not isinstance(space, Mapping) or not space:
            raise ConfigError(f"{where}: the section space: is missing or empty; list the keys to vary there")
        if config_file is not None and not isinstance(config_file, str):
            raise ConfigError(f"{where}: config must be a file name, not {config_file!r}")
        parameters = {}
        for key, spec in space.items():
            try:
                parameters[str(key)] = parse_parameter(str(key), spec, tunable)
            except ConfigError as error:
                raise ConfigError(f"{where}: space: {key}: {error}") from None
        own: dict[str, Any] = {}
        if config_file is not None:
            path = (folder or Path()) / config_file
            own = tunable.to_mapping(tunable.make_config(read_yaml(path), str(path)))
        merged, inactive = _merge(own, values, parameters, tunable)
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
                raise ConfigError(f"cannot read {assignment!r}; write section.key=value, as in model.num_layers=2")
            if key in self.parameters:
                raise ConfigError(f"{key} is varied by the study; remove it from the space to set it")
            try:
                _set(given, key, yaml.safe_load(text))
            except yaml.YAMLError:
                raise ConfigError(f"cannot read the value in {assignment!r}; it is not YAML") from None
        merged, inactive = _merge(self._all_values(), given, self.parameters, self.tunable)
        return replace(self, base=self.tunable.make_config(merged, "config"), inactive=inactive)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Sample every parameter that applies, in the terms that Optuna stores and `config` reads."""
        stored: dict[str, Any] = {}
        gates = {key for key in self.parameters if any(self._requirement(other)[0] == key for other in self.parameters)}
        for key in sorted(self.parameters, key=lambda key: key not in gates):
            if self._applies(key, stored):
                stored[key] = self.parameters[key].suggest(trial, key)
        return stored

    def decode(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration values of stored values: lists for their text, numbers rounded."""
        return {key: self.parameters[key].decode(value) for key, value in stored.items()}

    def config(self, stored: Mapping[str, Any]) -> Any:
        """Return the configuration of a trial; a `ConfigError` if the values are not allowed together."""
        values = self._all_values()
        for key, value in self.decode(stored).items():
            _set(values, key, value)
        for key, known in self.tunable.keys.items():
            if known.requires and known.requires[0] in self.parameters and not _is_active(known, values, self.tunable):
                _pop(values, key)
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
        return {key: one.encode(self.base_value(key)) for key, one in self.parameters.items() if self._in_base(key)}

    @property
    def outside(self) -> list[str]:
        """The keys whose base value is not in their range or choices."""
        inside = {key: one.contains(self.base_value(key)) for key, one in self.parameters.items() if self._in_base(key)}
        return [key for key, contained in inside.items() if not contained]

    def base_value(self, key: str) -> Any:
        """Return the value of a key in the base; None if the base does not have the key."""
        return self.value(self.base, key)

    def value(self, config: Any, key: str) -> Any:
        """Return the value of a key in a configuration; None if the configuration does not have the key."""
        values = self.tunable.to_mapping(config)
        known = self.tunable.keys.get(key)
        value = _get(values, key) if known is None or _is_active(known, values, self.tunable) else _MISSING
        return None if value is _MISSING else value

    def to_mapping(self) -> dict[str, Any]:
        """Return the space as `from_mapping` reads it, in JSON types."""
        space = {key: one.to_mapping() for key, one in self.parameters.items()}
        return {**to_json(self._all_values()), "space": space}

    def _all_values(self) -> dict[str, Any]:
        """Return the base, without keys that it has but trials like it do not, and the inactive values."""
        values = self.tunable.to_mapping(self.base)
        for key, known in self.tunable.keys.items():
            if known.requires and known.requires[0] in self.parameters and not _is_active(known, values, self.tunable):
                _pop(values, key)
        for key, value in self.inactive.items():
            _set(values, key, value)
        return values

    def _requirement(self, key: str) -> tuple[str, frozenset[Any]]:
        """Return the key that decides whether this one applies, and for which values; an empty name for none."""
        known = self.tunable.keys.get(key)
        return known.requires if known and known.requires else ("", frozenset())

    def _is_possible(self, key: str) -> bool:
        gate, allowed = self._requirement(key)
        return not gate or _is_possible(gate, allowed, self.parameters) or self._in_base(key)

    def _in_base(self, key: str) -> bool:
        known = self.tunable.keys.get(key)
        return known is None or _is_active(known, self.tunable.to_mapping(self.base), self.tunable)

    def _applies(self, key: str, stored: Mapping[str, Any]) -> bool:
        gate, allowed = self._requirement(key)
        if gate in self.parameters:
            return self.parameters[gate].decode(stored[gate]) in allowed
        return self._in_base(key)


def parse_parameter(key: str, spec: Any, tunable: Tunable) -> Range | Choices:
    """Validate the range or the choices of one key.

    Raises
    ------
    ConfigError
        The key is unknown or must not vary, the specification is neither a range nor choices, or the key does not allow
        one of its values.
    """
    if key not in tunable.keys:
        close = difflib.get_close_matches(key, tunable.keys, n=1)
        raise ConfigError(f"unknown key{f'; did you mean {close[0]}?' if close else ', write section.key'}")
    if key in tunable.fixed:
        raise ConfigError(f"a study cannot vary it: {tunable.fixed[key]}")
    if not isinstance(spec, Mapping):
        raise ConfigError(f"write {{low: ..., high: ...}} or {{choices: [...]}}, not {spec!r}")
    known = {"choices"} if "choices" in spec else {one.name for one in fields(Range)}
    if unknown := [str(one) for one in spec if one not in known]:
        raise ConfigError(f"unknown {', '.join(unknown)}; allowed here: {', '.join(sorted(known))}")
    if "choices" in spec:
        return _parse_choices(spec["choices"], tunable.keys[key])
    return _parse_range(spec, tunable.keys[key])


def parse_objectives(given: str | Sequence[str] | None, space: SearchSpace) -> tuple[Objective, ...]:
    """Parse objectives from a list or a text with commas; None is what the base configuration watches.

    Raises
    ------
    ConfigError
        An objective is unknown or repeated, or training cannot watch the first one.
    """
    if given is None:
        given = space.tunable.watched(space.base)
    texts = [one.strip() for one in (given.split(",") if isinstance(given, str) else given)]
    objectives = tuple(Objective.from_string(text) for text in texts)
    if not objectives:
        raise ConfigError("no objective given; name one, such as ndcg@20")
    if len(set(objectives)) < len(objectives):
        raise ConfigError(f"objectives must differ: {', '.join(map(str, objectives))}")
    if objectives[0].metric not in space.tunable.watched_metrics:
        raise ConfigError(
            f"training cannot watch the first objective {objectives[0]}; put one of "
            f"{', '.join(space.tunable.watched_metrics)} first"
        )
    return objectives


def to_json(value: Any) -> Any:
    """Return a value in JSON types: tuples become lists."""
    return json.loads(json.dumps(value))


def _merge(
    own: Mapping[str, Any], given: Mapping[str, Any], parameters: Mapping[str, Range | Choices], tunable: Tunable
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Override values section by section; return those of the base, and apart those that only other trials have."""
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
        if _is_possible(*known.requires, parameters):
            inactive[key] = known.validate(_pop(merged, key))
        elif _get(given, key) is _MISSING:  # left over from another encoder; what is given is for the config to judge
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


def _is_possible(gate: str, allowed: frozenset[Any], parameters: Mapping[str, Range | Choices]) -> bool:
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


def _parse_choices(values: Any, known: KnownKey) -> Choices:
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise ConfigError(f"choices must be a list of at least two values, not {values!r}")
    checked = tuple(known.validate(value) for value in values)
    stored = [_stored(value) for value in checked]
    if repeated := [one for i, one in enumerate(stored) if one in stored[:i]]:
        raise ConfigError(f"{repeated[0]!r} is repeated among the choices")
    return Choices(checked)


def _parse_range(spec: Mapping[str, Any], known: KnownKey) -> Range:
    if known.number is None:
        raise ConfigError("not a number, so it cannot have a range; use choices")
    if missing := [end for end in ("low", "high") if end not in spec]:
        raise ConfigError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    low, high = (known.validate(spec[end]) for end in ("low", "high"))
    log, step = spec.get("log", False), spec.get("step")
    if not isinstance(log, bool):
        raise ConfigError(f"log must be true or false, not {log!r}")
    if not math.isfinite(low) or not math.isfinite(high):
        raise ConfigError("low and high must be finite")
    if low >= high:
        raise ConfigError(f"low {low:g} is not below high {high:g}")
    if log and low <= 0:
        raise ConfigError(f"a range on a log scale must start above 0, not at {low:g}")
    if step is None:
        return Range(low, high, log)
    if log:
        raise ConfigError("log and step exclude each other")
    try:
        step = TypeAdapter(known.number).validate_python(step)
    except ValidationError as error:
        raise ConfigError(f"step {step!r} is not allowed: {error.errors()[0]['msg']}") from None
    if not 0 < step < math.inf or not _is_whole((high - low) / step):
        raise ConfigError(f"step {step:g} does not divide the range from {low:g} to {high:g}")
    return Range(low, high, log, step)


def _stored(value: Any) -> Any:
    """Return a choice as Optuna stores it: numbers, texts and null as they are, lists as JSON text."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _is_whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=1e-6)
