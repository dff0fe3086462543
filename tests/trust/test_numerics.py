"""Some extreme settings and data, and NaN at every door; the long form tries all, and pairs of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

pytest.importorskip("resource")
from benchmarks.trust import numerics
from benchmarks.trust.sandbox import Trial, WrongAnswerError, judge, run_trials

EXTREME = {
    "gnn, learning rate 1e9 = sample",
    "gnn, one dimension = sample",
    "gnn, a batch larger than the data = sample",
    "gnn = one user, one movie",
    "gnn = all ratings equal",
    "gnn = movies without ratings",
    "ease, tiny = sample",
    "mf, learning rate 1e9 = sample",
    "biases = huge ratings",
    "biased mf = all ratings zero",
}


def run(trials: list[Trial]) -> dict[str, Any]:
    numerics.prepare()
    return run_trials(lambda number: trials[number], range(len(trials))).report()


@pytest.mark.slow
def test_a_right_result_or_a_clear_stop() -> None:
    trials = [trial for trial in numerics.listed() if trial.label in EXTREME]
    assert {trial.label for trial in trials} == EXTREME
    found = run(trials)
    assert found["failures"] == []
    assert found["survived"] == len(EXTREME)


@pytest.mark.slow
def test_nan_is_noticed_at_every_door() -> None:
    trials = [numerics.nan_trial(door, who, float("nan")) for door in numerics.DOORS for who in ("weights", "scores")]
    found = run(trials)
    assert found["failures"] == []
    assert found["survived"] == 2 * len(numerics.DOORS) == 18


def test_what_the_harness_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = pd.DataFrame({"score": [float("nan")]})
    monkeypatch.setitem(numerics.DOORS, "recommend", lambda model, folder: answer)
    outcome = judge(numerics.nan_trial("recommend", "scores", float("nan")).call)
    assert outcome["kind"] == "wrong" and "does not notice it" in outcome["detail"]
    with pytest.raises(WrongAnswerError, match="is not finite"):
        numerics.check(False, "a score is not finite")
