"""Making a study, or joining one that is there and about the same."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from gnnrec.errors import ConfigError
from gnnrec.study.objectives import Objective
from gnnrec.study.space import SearchSpace
from gnnrec.study.storage import Storage

FACTS = "gnnrec"
"""Under this name a study keeps what it is about."""
PATIENCE = 10.0
"""Seconds that a study which is just being made by another worker is given to say what it is about."""


def join(
    opened: Storage,
    name: str,
    facts: dict[str, Any],
    objectives: tuple[Objective, ...],
    space: SearchSpace,
    sampler: BaseSampler,
    pruner: BasePruner,
) -> optuna.Study:
    """Make the study, or join the one that is there; only who makes it puts the config itself in front."""
    try:
        study = optuna.create_study(
            study_name=name,
            storage=opened.optuna,
            sampler=sampler,
            pruner=pruner,
            directions=[objective.direction for objective in objectives],
        )
    except optuna.exceptions.DuplicatedStudyError:
        study = load_study(opened, name, sampler, pruner)
        _check_same(study, facts)
        return study
    if space.start is not None:
        study.enqueue_trial(space.start)
    study.set_user_attr(FACTS, facts)
    return study


def _check_same(study: optuna.Study, facts: dict[str, Any]) -> None:
    """Refuse to mix trials of different data, settings or objectives."""
    theirs, ours = (dict(_flat(one)) for one in (study.user_attrs[FACTS], facts))
    free = "space.train.device"
    differ = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key) and key != free]
    if differ:
        told = "; ".join(
            f"{key.removeprefix('space.')} was {theirs.get(key)}, now {ours.get(key)}" for key in differ[:4]
        )
        more = f"; and {len(differ) - 4} more" if len(differ) > 4 else ""
        raise ConfigError(
            f"study {study.study_name!r} is about something else ({told}{more}); give the new one another name"
        )


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in values.items():
        found += _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else [(f"{before}{key}", value)]
    return found


def load_study(
    opened: Storage, name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> optuna.Study:
    """Return a study that `tune` has made; one that another worker is just making is waited for."""
    try:
        study = optuna.load_study(study_name=name, storage=opened.optuna, sampler=sampler, pruner=pruner)
    except KeyError:
        others = ", ".join(map(repr, optuna.get_all_study_names(opened.optuna))) or "none"
        raise ConfigError(f"there is no study {name!r} in the storage; there are: {others}") from None
    until = time.monotonic() + PATIENCE
    while FACTS not in study.user_attrs:
        if time.monotonic() > until:
            raise ConfigError(f"study {name!r} was not made by gnnrec; give yours another name")
        time.sleep(0.1)
    return study
