"""`Range` and `Choices`: what one setting may be, checked against the setting's own rules."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError

from gnnrec.config import Config
from gnnrec.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial

FIXED = {
    "train.metric": "it is what the trials are compared by; see objectives",
    "train.k": "it is what the trials are compared by; see objectives",
    "train.seed": "the winner would be the luckiest seed",
    "train.device": "it is no part of the model",
}
"""Settings that a study must not vary, and why."""
DIGITS = 4
"""Numbers that are drawn from a range are rounded to so many significant digits, so that people can copy them."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes
    ----------
    low, high : int or float
        Whole numbers make a range of whole numbers where the setting is one.
    log : bool
        Draw the logarithm evenly, for settings where factors matter.
    step : int or float, optional
        Only `low` and whole steps above it.

    Examples
    --------
    >>> width = Range(8, 64, step=8)
    >>> print(width)
    8 to 64, by 8
    >>> width.holds(24), width.holds(25)
    (True, False)
    >>> Range(0.0005, 0.01, log=True).decoded(0.00412345)
    0.004123
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def draw(self, trial: Trial, key: str) -> Any:
        """Ask a trial for a value, in Optuna's own terms."""
        if isinstance(self.low, int):
            return trial.suggest_int(key, self.low, int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)

    def decoded(self, value: Any) -> Any:
        """Return the value that a drawn one stands for."""
        return value if isinstance(self.low, int) else min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def encoded(self, value: Any) -> Any:
        """Return what would have to be drawn for a value that it holds."""
        return value

    def holds(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        if not self.low <= value <= self.high:
            return False
        return (self.step is None or _whole((value - self.low) / self.step)) and self.decoded(value) == value

    def as_mapping(self) -> dict[str, Any]:
        """Return it as it is written in a file."""
        step = {} if self.step is None else {"step": self.step}
        return {"low": self.low, "high": self.high, "log": self.log, **step}

    def __str__(self) -> str:
        by = f", by {self.step:g}" if self.step else ""
        return f"{self.low:g} to {self.high:g}{by}{', logarithmic' if self.log else ''}"


@dataclass(frozen=True)
class Choices:
    """Some values, in no order; also lists and null.

    Examples
    --------
    >>> decays = Choices(((5, 50), None))
    >>> decays.encoded((5, 50)), decays.decoded("[5, 50]"), decays.holds(None)
    ('[5, 50]', (5, 50), True)
    """

    choices: tuple[Any, ...]

    def draw(self, trial: Trial, key: str) -> Any:
        """Ask a trial for a value; what Optuna cannot keep goes by a text."""
        return trial.suggest_categorical(key, list(self._names))

    def decoded(self, value: Any) -> Any:
        """Return the value that a drawn one stands for."""
        return self._names[value]

    def encoded(self, value: Any) -> Any:
        """Return what would have to be drawn for a value that it holds."""
        return _name(value)

    def holds(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        return value in self.choices

    def as_mapping(self) -> dict[str, Any]:
        """Return it as it is written in a file."""
        return {"choices": json.loads(json.dumps(self.choices))}

    @property
    def _names(self) -> dict[Any, Any]:
        return {_name(choice): choice for choice in self.choices}

    def __str__(self) -> str:
        return ", ".join(str(_name(choice)) for choice in self.choices)


def setting(key: str, values: Any) -> Range | Choices:
    """Check what a file says of one setting.

    Raises
    ------
    ConfigError
        There is no such setting or it must not vary, the values are not a range or choices, or the setting would refuse
        one of them.
    """
    section, _, name = key.partition(".")
    sections = {which: type(getattr(Config(), which)).model_fields for which in Config.model_fields}
    if name not in sections.get(section, {}):
        raise ConfigError("there is no such setting; write section.key, as in train.learning_rate")
    if key in FIXED:
        raise ConfigError(f"a study cannot vary it: {FIXED[key]}")
    field = sections[section][name]
    rule: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    if not isinstance(values, Mapping):
        raise ConfigError(f"write {{low: ..., high: ...}} or {{choices: [...]}}, not {values!r}")
    known = {"choices"} if "choices" in values else {one.name for one in fields(Range)}
    if unknown := [str(one) for one in values if one not in known]:
        raise ConfigError(f"there is no {', '.join(unknown)} beside {', '.join(sorted(known))}")
    if "choices" in values:
        return _choices(values["choices"], rule)
    return _range(values, rule, {int: int, float: float}.get(field.annotation))


def _choices(values: Any, rule: TypeAdapter[Any]) -> Choices:
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise ConfigError(f"choices must be a list of at least two values, not {values!r}")
    checked = tuple(_checked(value, rule) for value in values)
    names = [_name(value) for value in checked]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ConfigError(f"{twice[0]!r} is among the choices twice")
    return Choices(checked)


def _range(values: Mapping[str, Any], rule: TypeAdapter[Any], kind: type[int] | type[float] | None) -> Range:
    if kind is None:
        raise ConfigError("it is no number, so it has no range; give choices")
    if missing := [end for end in ("low", "high") if end not in values]:
        raise ConfigError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    low, high = (_checked(values[end], rule) for end in ("low", "high"))
    log, step = values.get("log", False), values.get("step")
    if not isinstance(log, bool):
        raise ConfigError(f"log must be true or false, not {log!r}")
    if not math.isfinite(low) or not math.isfinite(high):
        raise ConfigError("a range needs two finite ends")
    if low >= high:
        raise ConfigError(f"low {low:g} is not below high {high:g}")
    if log and low <= 0:
        raise ConfigError(f"a logarithmic range must begin above 0, not at {low:g}")
    if step is None:
        return Range(low, high, log)
    if log:
        raise ConfigError("log and step exclude each other")
    step = _checked(step, TypeAdapter(kind))
    if not 0 < step < math.inf or not _whole((high - low) / step):
        raise ConfigError(f"from low {low:g} to high {high:g} there are no whole steps of {step:g}")
    return Range(low, high, log, step)


def _checked(value: Any, rule: TypeAdapter[Any]) -> Any:
    try:
        return rule.validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{value!r} is refused: {error.errors()[0]['msg']}") from None


def _name(value: Any) -> Any:
    """Return what Optuna keeps of a choice: numbers, texts and null as they are, lists as a text."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=1e-6)
