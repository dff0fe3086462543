"""Trials: what is recorded, what is pruned, and which errors are failures."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import torch

from gnnrec import Split, StudyResult, evaluate, fit, tune
from gnnrec.evaluation import validate
from gnnrec.training.callbacks import FitState
from gnnrec.tuning import PruningCallback
from gnnrec.tuning.report import render_report
from gnnrec.tuning.tune import tuning_split
from tests.helpers.tuning import MODEL, SPACE, TRAIN, fail_fits


def test_recorded_values_are_those_of_fit(small: Split, six_trials: tuple[StudyResult, Path]) -> None:
    result, _ = six_trials
    frame = result.trials
    assert frame["trial"].tolist() == list(range(6))
    row = frame[frame["state"] == "complete"].iloc[-1]
    rate, width = row["train.learning_rate"], row["model.embedding_dim"]
    config = result.space.base.override([f"train.learning_rate={rate}", f"model.embedding_dim={width}"])
    split = tuning_split(small, result.space)
    model = fit(split, config=config, progress=False)
    reached = [entry["ndcg@10"] for entry in model.history]
    assert row["ndcg@10"] == max(reached)
    assert row["best_epoch"] == reached.index(max(reached)) + 1
    assert row["epochs"] == len(reached)
    assert row["ndcg@10"] == validate(model, split, "ndcg", 10)
    coverage = evaluate(model, split.valid, ks=(10,), metrics=("coverage",), candidates=split.candidates_for("valid"))
    assert row["coverage@10"] == coverage["value"].iloc[0]


# Pruning


def test_the_callback_reports_and_prunes() -> None:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    study = optuna.create_study(direction="maximize", pruner=pruner)

    def run(values: list[float], *, prune: bool = True) -> PruningCallback:
        trial = study.ask()
        callback = PruningCallback(trial, "ndcg@20", prune=prune)
        try:
            for epoch, value in enumerate(values, start=1):
                callback.on_epoch_end(FitState(epoch=epoch, metrics={"ndcg@20": value, "recall@20": 1.0}))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, callback.best[1])
        return callback

    good = run([0.2, 0.4, 0.4])
    assert good.best == (2, 0.4)  # the first of equals
    assert study.trials[0].intermediate_values == {1: 0.2, 2: 0.4, 3: 0.4}
    bad = run([0.1, 0.1, 0.1])
    assert bad.history == [(1, 0.1), (2, 0.1)]  # two epochs of warmup
    assert study.trials[1].state is optuna.trial.TrialState.PRUNED
    recorded = run([0.1, 0.1, 0.1], prune=False)
    assert len(recorded.history) == 3
    assert study.trials[2].intermediate_values == {}


def test_epochs_without_the_metric_are_counted_only() -> None:
    trial = optuna.create_study(direction="maximize").ask()
    callback = PruningCallback(trial, "recall@10")
    for epoch in (1, 2):
        callback.on_epoch_end(FitState(epoch=epoch, metrics={"ndcg@20": 0.5}))
    assert (callback.num_epochs, callback.history) == (2, [])


def test_bad_trials_are_pruned(small: Split) -> None:
    rates = [0.02, 0.021, 0.022, 0.023, 0.024, 0.025, 1e-9, 2e-9, 3e-9, 4e-9]
    base = {"model": {**MODEL, "init": "random"}, "train": {**TRAIN, "epochs": 4, "learning_rate": 0.02}}
    space = {"train.learning_rate": {"choices": rates}}
    result = tune(small, {**base, "space": space}, trials=10, pruner_warmup=2, progress=False)
    pruned = result.trials[result.trials["state"] == "pruned"]
    late = result.trials[result.trials["trial"] >= 5]  # the median needs completed trials
    is_bad = late["train.learning_rate"] < 1e-8
    assert is_bad.sum() >= 2
    assert (late.loc[is_bad, "state"] == "pruned").all()
    assert pruned["epochs"].between(2, 3).all()
    assert pruned["trial"].min() >= 5
    assert pruned["ndcg@10"].max() < result.best_value
    assert result.best.train.learning_rate >= 0.02


# Failures


def test_failures_are_recorded_and_the_study_continues(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    errors = {1: torch.cuda.OutOfMemoryError("CUDA out of memory."), 3: cpu, 4: MemoryError("none left")}
    fail_fits(monkeypatch, errors)
    result = tune(small, SPACE, trials=5, progress=False)
    assert result.trials["state"].tolist() == ["failed", "complete", "failed", "failed", "complete"]
    assert result.trials["reason"].fillna("").tolist() == [
        "OutOfMemoryError: CUDA out of memory.",
        "",
        f"out of memory: {cpu}",
        "MemoryError: none left",
        "",
    ]
    assert result.base_trial is None  # trial 0 failed


def test_a_loss_that_is_not_finite_is_a_failure(small: Split) -> None:
    space = {"model": MODEL, "train": TRAIN, "space": {"train.learning_rate": {"choices": [0.002, 1e30]}}}
    result = tune(small, space, trials=4, progress=False)
    failed = result.trials[result.trials["train.learning_rate"] == 1e30]
    assert len(failed)
    assert (failed["state"] == "failed").all()
    assert failed["reason"].str.contains("lower train.learning_rate").all()
    assert f"- {len(failed)} failed: FloatingPointError: " in render_report(result, {})


def test_a_refused_combination_is_a_failure(small: Split) -> None:
    spec = {"model.hidden_dim": {"choices": [0, 8]}}
    model = {**MODEL, "temporal": True, "date_features": True, "hidden_dim": 8}
    space = {"model": model, "train": TRAIN, "space": spec}
    result = tune(small, space, trials=4, progress=False)
    refused = result.trials[result.trials["model.hidden_dim"] == 0]
    assert len(refused)
    assert (refused["state"] == "failed").all()
    assert refused["reason"].str.contains("date_features needs the hidden layer").all()
    assert (result.trials.loc[result.trials["model.hidden_dim"] == 8, "state"] != "failed").all()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug"), TypeError("a bug")])
def test_bugs_are_not_hidden(small: Split, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fail_fits(monkeypatch, {1: error})
    with pytest.raises(type(error), match="a bug"):
        tune(small, SPACE, trials=3, progress=False)
