"""`Objective`: what a study makes large, or small, on the validation rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gnnrec.config import Config, TrainConfig
from gnnrec.errors import ConfigError
from gnnrec.evaluation.evaluate import METRICS

WATCHED: tuple[str, ...] = get_args(TrainConfig.model_fields["metric"].annotation)
"""Metrics that training can be judged by after every epoch."""


@dataclass(frozen=True)
class Objective:
    """One thing that is wanted.

    Attributes
    ----------
    metric : str
        One of those of `evaluate`, or ``seconds``, which a fit takes.
    k : int
        Length of the lists; 0 for ``seconds``.

    Examples
    --------
    >>> objective = Objective.read("ndcg@20")
    >>> objective.metric, objective.k, objective.direction
    ('ndcg', 20, 'maximize')
    >>> Objective.read("seconds").direction
    'minimize'
    """

    metric: str
    k: int = 0

    @classmethod
    def read(cls, text: str) -> Objective:
        """Read ``metric@k`` or ``seconds``."""
        if text == "seconds":
            return cls("seconds")
        if (found := re.fullmatch(r"(\w+)@([1-9]\d*)", text)) and found[1] in METRICS:
            return cls(found[1], int(found[2]))
        raise ConfigError(
            f"objective {text!r} is not seconds and not metric@k, such as ndcg@20; metrics are {', '.join(METRICS)}"
        )

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which way is better, in Optuna's words."""
        return "minimize" if self.metric == "seconds" else "maximize"

    def __str__(self) -> str:
        return f"{self.metric}@{self.k}" if self.k else self.metric


def read_objectives(given: str | Sequence[str] | None, config: Config) -> tuple[Objective, ...]:
    """Return what is wanted: of a list, or a text with commas, or else what the config watches.

    Raises
    ------
    ConfigError
        An objective is unknown or there twice, or the first is nothing that training can watch.
    """
    if given is None:
        given = f"{config.train.metric}@{config.train.k}"
    texts = [one.strip() for one in (given.split(",") if isinstance(given, str) else given)]
    found = tuple(Objective.read(text) for text in texts)
    if not found:
        raise ConfigError("there is no objective; name one, such as ndcg@20")
    if len(set(found)) < len(found):
        raise ConfigError(f"an objective is there twice: {', '.join(map(str, found))}")
    if found[0].metric not in WATCHED:
        raise ConfigError(
            f"the first objective must be one that training can watch ({', '.join(WATCHED)}), not {found[0]}"
        )
    return found
