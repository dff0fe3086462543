"""`SearchSpace`: a config, and which of its settings a study may vary, from one YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gnnrec.config import Config, read_yaml
from gnnrec.errors import ConfigError
from gnnrec.study.settings import Choices, Range, setting

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class SearchSpace:
    """What a study looks for.

    Attributes
    ----------
    base : Config
        What holds for every trial.
    settings : mapping of str to Range or Choices
        What is varied, by ``section.key``.

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
    >>> print(space.settings["train.learning_rate"])
    0.0005 to 0.01, logarithmic
    >>> space.config({"train.learning_rate": 0.00412345, "model.embedding_dim": 64}).train.learning_rate
    0.004123
    """

    base: Config
    settings: Mapping[str, Range | Choices]

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a YAML file.

        ``space:`` has the settings that vary. What holds for all trials is a ``config:``, a file named relative to this
        one, or the sections ``model:`` and ``train:`` themselves; of both, the sections win.

        Raises
        ------
        ConfigError
            With file and key, for everything that is wrong.
        """
        return cls.from_mapping(read_yaml(path), str(path), Path(path).parent)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "search space", folder: Path | None = None) -> Self:
        """Check a nested mapping as of a file; `folder` is where ``config`` is looked for."""
        values = dict(values)
        spoken, named = values.pop("space", None), values.pop("config", None)
        if not isinstance(spoken, Mapping) or not spoken:
            raise ConfigError(f"{where} has no space: of settings to vary; see docs/how-to/tune.md")
        if named is not None and not isinstance(named, str):
            raise ConfigError(f"{where}: config must name a file, not {named!r}")
        base = Config() if named is None else Config.from_yaml((folder or Path()) / named)
        for section, own in base.model_dump().items():
            if isinstance(given := values.get(section), Mapping):
                values[section] = {**own, **given}
            elif section not in values:
                values[section] = own
        settings = {}
        for key, spec in spoken.items():
            try:
                settings[str(key)] = setting(str(key), spec)
            except ConfigError as error:
                raise ConfigError(f"{where}: space: {key}: {error}") from None
        return cls(Config.from_mapping(values, where), settings)

    def override(self, assignments: Iterable[str]) -> Self:
        """Return the space around a config with ``section.key=value`` applied."""
        assignments = list(assignments)
        for key in (one.partition("=")[0].strip() for one in assignments):
            if key in self.settings:
                raise ConfigError(f"{key} is what the study varies; take it out of the space to fix it")
        return replace(self, base=self.base.override(assignments))

    def draw(self, trial: Trial) -> dict[str, Any]:
        """Ask a trial for a value of every setting, in Optuna's own terms; `config` understands them."""
        return {key: one.draw(trial, key) for key, one in self.settings.items()}

    def decoded(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that drawn ones stand for: a list for its text, numbers rounded."""
        return {key: self.settings[key].decoded(value) for key, value in drawn.items()}

    def config(self, drawn: Mapping[str, Any]) -> Config:
        """Return the config of a trial; a `ConfigError` where the values do not go together."""
        values = self.base.model_dump()
        for key, value in self.decoded(drawn).items():
            section, _, name = key.partition(".")
            values[section][name] = value
        return Config.from_mapping(values, "this combination")

    @property
    def start(self) -> dict[str, Any] | None:
        """What a trial would draw to get the base itself; None where the space does not hold it."""
        if self.left_out:
            return None
        return {key: one.encoded(self.value(key)) for key, one in self.settings.items()}

    @property
    def left_out(self) -> list[str]:
        """The settings whose value in the base is not among those that are tried."""
        return [key for key, one in self.settings.items() if not one.holds(self.value(key))]

    def value(self, key: str) -> Any:
        """Return what a setting is in the base."""
        section, _, name = key.partition(".")
        return getattr(getattr(self.base, section), name)

    def as_mapping(self) -> dict[str, Any]:
        """Return all of it as `from_mapping` reads it, in terms of JSON."""
        spoken = {key: one.as_mapping() for key, one in self.settings.items()}
        return {**self.base.model_dump(mode="json"), "space": spoken}
