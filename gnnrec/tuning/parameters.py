"""`Range` and `Choices`: the values that a study tries for one key, and their notation in files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from gnnrec._checks import did_you_mean, shown
from gnnrec.config import explain_value
from gnnrec.errors import ConfigError
from gnnrec.tuning.tunable import KnownKey, Tunable

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

MAX_VALUES = 10_000
"""A search space with more values of a key, or more settings, than this is treated as infinite."""
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

    @property
    def distribution(self) -> BaseDistribution:
        """The range in Optuna's terms."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int):
            return IntDistribution(self.low, int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    @property
    def values(self) -> list[Any] | None:
        """All values as Optuna stores them; None for numbers without a step, or if there are too many."""
        if isinstance(self.low, int):
            values = range(self.low, int(self.high) + 1, int(self.step or 1))
            return list(values) if len(values) <= MAX_VALUES else None
        if self.step is None or (self.high - self.low) / self.step > MAX_VALUES:
            return None
        return [min(self.low + i * self.step, self.high) for i in range(round((self.high - self.low) / self.step) + 1)]

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
        """Return the range in the notation of a file."""
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

    @property
    def distribution(self) -> BaseDistribution:
        """The choices in Optuna's terms."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    @property
    def values(self) -> list[Any]:
        """All values as Optuna stores them."""
        return list(self._by_stored)

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
        """Return the choices in the notation of a file."""
        return {"choices": to_json(self.choices)}

    @property
    def _by_stored(self) -> dict[Any, Any]:
        return {_stored(choice): choice for choice in self.choices}

    def __str__(self) -> str:
        return ", ".join(str(_stored(choice)) for choice in self.choices)


def parse_parameter(key: str, spec: Any, tunable: Tunable) -> Range | Choices:
    """Validate the range or the choices of one key.

    Raises
    ------
    ConfigError
        The key is unknown or must not vary, the specification is neither a range nor choices, or the key does not allow
        one of its values.
    """
    if key not in tunable.keys:
        raise ConfigError(f"unknown key{did_you_mean(key, tunable.keys) or f'; {example_keys(tunable)}'}")
    if key in tunable.fixed:
        raise ConfigError(f"a study cannot vary it: {tunable.fixed[key]}")
    if not isinstance(spec, Mapping):
        raise ConfigError(f"write {{low: ..., high: ...}} or {{choices: [...]}}, not {shown(spec)}")
    known = {"choices"} if "choices" in spec else {one.name for one in fields(Range)}
    if unknown := [str(one) for one in spec if one not in known]:
        raise ConfigError(f"unknown {', '.join(unknown)}; allowed here: {', '.join(sorted(known))}")
    if "choices" in spec:
        return _parse_choices(spec["choices"], tunable.keys[key])
    return _parse_range(spec, tunable.keys[key])


def example_keys(tunable: Tunable) -> str:
    """Return a hint on the notation of keys: ``section.key``, or the names of a model without sections."""
    if any("." in key for key in tunable.keys):
        return "write section.key, as in model.num_layers"
    return f"choose one of {', '.join(tunable.keys)}" if tunable.keys else f"{tunable.name} has no hyperparameters"


def to_json(value: Any) -> Any:
    """Return a value in JSON types: tuples become lists."""
    return json.loads(json.dumps(value))


def _parse_choices(values: Any, known: KnownKey) -> Choices:
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise ConfigError(f"choices must be a list of at least two values, not {shown(values)}")
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
        raise ConfigError(f"log must be true or false, not {shown(log)}")
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
        raise ConfigError(f"step {explain_value(error.errors()[0])}") from None
    if not 0 < step < math.inf or not _is_whole((high - low) / step):
        raise ConfigError(f"step {step:g} does not divide the range from {low:g} to {high:g}")
    return Range(low, high, log, step)


def _stored(value: Any) -> Any:
    """Return a choice as Optuna stores it: numbers, strings and null unchanged, lists as JSON text."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _is_whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=1e-6)
