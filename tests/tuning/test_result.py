"""`StudyResult`: the best trial, the base trial and the Pareto front."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnrec import ConfigError, SearchSpace, StudyResult
from gnnrec.tuning import read_study
from tests.helpers.tuning import RATE


def test_the_best_and_the_base_trial(six_trials: tuple[StudyResult, Path]) -> None:
    result, _ = six_trials
    complete = result.trials[result.trials["state"] == "complete"].set_index("trial")
    assert result.best_value == complete["ndcg@10"].max()
    best = complete["ndcg@10"].idxmax()
    assert result.pareto_front[0].trial == best
    assert result.best.train.learning_rate == complete.loc[best, "train.learning_rate"]
    assert result.base_trial is not None
    assert result.base_trial.trial == 0
    assert result.base_trial.config == result.space.base
    assert repr(result) == f"StudyResult('six', 6 trials, best ndcg@10 {result.best_value:.4f} in trial {best})"
    with pytest.raises(FrozenInstanceError):
        result.name = "another"  # type: ignore[misc]


def test_reading_a_study(six_trials: tuple[StudyResult, Path], tmp_path: Path) -> None:
    result, folder = six_trials
    read = read_study(folder / "journal", "six")
    assert read.trials.equals(result.trials)
    assert read.space == result.space
    assert read.storage == "Optuna journal"
    with pytest.raises(ConfigError, match="study 'b' is not in the storage; studies there: 'six'"):
        read_study(folder / "journal", "b")
    with pytest.raises(ConfigError, match=r"storage .*gone does not exist"):
        read_study(tmp_path / "gone")


def brute_force_front(values: Any) -> set[int]:
    """Return the rows that no other row dominates."""
    return {
        i for i, own in enumerate(values)
        if not any((other >= own).all() and (other > own).any() for other in values)
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_equals_brute_force(values: list[tuple[int, int]]) -> None:
    space = SearchSpace.from_mapping({"space": RATE})
    rate: dict[str, optuna.distributions.BaseDistribution] = {
        "train.learning_rate": optuna.distributions.FloatDistribution(0.0005, 0.05, log=True)
    }
    trials = []
    for number, (quality, seconds) in enumerate(values):
        one = optuna.create_trial(params={"train.learning_rate": 0.01}, distributions=rate, values=[quality, seconds])
        one.number = number
        trials.append(one)
    result = StudyResult("x", ("ndcg@10", "seconds"), space, {}, tuple(trials))
    signed = torch.tensor(values) * torch.tensor([1, -1])
    assert {one.trial for one in result.pareto_front} == brute_force_front(signed.numpy())
    qualities = [one.values["ndcg@10"] for one in result.pareto_front]
    assert qualities == sorted(qualities, reverse=True)
