"""`tune`: studies are repeatable, never read test ratings, and survive interruptions."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from gnnrec import Config, ConfigError, DataError, SearchSpace, Split, StudyResult, fit, tune
from gnnrec.datasets import make_sample
from gnnrec.errors import StorageError
from gnnrec.splitting import random_split
from gnnrec.tuning import PerTrialTPE, read_study, storage, write_report
from gnnrec.tuning.tune import describe_data, tuning_split
from tests.helpers.tuning import MODEL, RATE, REPEATABLE, SPACE, TRAIN, fail_fits, replace_rows

PLAIN = SearchSpace.from_mapping({"space": RATE})


def raising(error: BaseException) -> Callable[..., None]:
    """Return a function that raises an error."""

    def function(*_: Any, **__: Any) -> None:
        raise error

    return function


def test_continued_study_equals_uninterrupted_one(
    small: Split, six_trials: tuple[StudyResult, Path], tmp_path: Path
) -> None:
    for trials in (2, 6):
        result = tune(small, SPACE, trials=trials, storage=tmp_path / "deep" / "journal", study="two", progress=False)
        assert len(result.trials) == trials
    pd.testing.assert_frame_equal(result.trials[REPEATABLE], six_trials[0].trials[REPEATABLE])
    again = tune(small, SPACE, trials=6, storage=tmp_path / "deep" / "journal", study="two", progress=False)
    assert len(again.trials) == 6  # the study already has enough
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["journal"]  # locks are removed
    other = tune(small, SPACE, trials=2, seed=1, progress=False)
    assert other.trials["train.learning_rate"][0] == result.trials["train.learning_rate"][0]
    assert other.trials["train.learning_rate"][1] != result.trials["train.learning_rate"][1]


def test_samples_depend_on_the_trial_number() -> None:
    """Two workers with the same seed sample different values without knowing of each other."""

    def ask(number: int, seed: int = 0) -> float:
        study = optuna.create_study(sampler=PerTrialTPE(seed))
        for _ in range(number):
            study.ask()
        return study.ask().suggest_float("x", 0, 1)

    sampled = [ask(number) for number in range(8)]
    assert len(set(sampled)) == 8
    assert sampled == [ask(number) for number in range(8)]
    assert ask(0, seed=1) != sampled[0]


def test_test_rows_are_never_read(small: Split, six_trials: tuple[StudyResult, Path]) -> None:
    without = Split(small.train, small.valid, small.test[:0], small.movies, small.users)
    rated = set(map(tuple, pd.concat([small.train, small.valid])[["user_id", "movie_id"]].to_numpy()))
    free = [(u, m) for u in small.users["user_id"] for m in small.movies["movie_id"] if (u, m) not in rated]
    rows = small.test.assign(**pd.DataFrame(free[: len(small.test)], columns=["user_id", "movie_id"]))
    others = Split(small.train, small.valid, rows, small.movies, small.users)
    assert not small.test[["user_id", "movie_id"]].equals(others.test[["user_id", "movie_id"]])
    digest = describe_data(tuning_split(small, PLAIN))["digest"]
    for changed in (without, others):
        assert tuning_split(changed, PLAIN).test.empty
        assert describe_data(tuning_split(changed, PLAIN))["digest"] == digest
        result = tune(changed, SPACE, trials=3, progress=False)
        pd.testing.assert_frame_equal(result.trials[REPEATABLE], six_trials[0].trials[REPEATABLE].head(3))
    fewer = replace_rows(small, valid=small.valid[1:])
    assert describe_data(tuning_split(fewer, PLAIN))["digest"] != digest


def test_a_tenth_of_a_dataset_is_held_out() -> None:
    dataset = make_sample(60, 40)
    result = tune(dataset, SPACE, trials=1, progress=False)
    held_out = random_split(dataset, (0.9, 0.1, 0.0), seed=0)
    assert (result.data["train"], result.data["valid"]) == (len(held_out.train), len(held_out.valid))
    assert result.best_value == max(
        entry["ndcg@10"] for entry in fit(dataset, config=result.best, progress=False).history
    )


def test_epochs_are_selected_by_the_first_objective(small: Split) -> None:
    result = tune(small, SPACE, trials=2, objectives="recall@5", progress=False)
    assert (result.best.train.metric, result.best.train.k) == ("recall", 5)
    history = fit(tuning_split(small, result.space), config=result.best, progress=False).history
    assert result.best_value == max(entry["recall@5"] for entry in history)


def test_a_line_is_logged_per_trial(small: Split, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    result = tune(small, SPACE, trials=2, progress=False, log=lines.append)
    assert capsys.readouterr() == ("", "")
    assert len(lines) == 2
    row = result.trials.iloc[0]
    assert lines[0].startswith(
        f"[1/2] trial 0: ndcg@10 {row['ndcg@10']:.4f} at epoch {row['best_epoch']} of 3 epochs, "
    )
    assert lines[0].endswith(f" s; best {row['ndcg@10']:.4f} in trial 0")
    assert lines[1].endswith(f"; best {result.best_value:.4f} in trial {result.pareto_front[0].trial}")


def test_the_study_stops_if_the_first_trials_fail(small: Split, tmp_path: Path) -> None:
    space = {**SPACE, "train": {**TRAIN, "device": "cuda:77"}}
    with pytest.raises(
        ConfigError, match="the first 5 trials all failed: ConfigError: device 'cuda:77' cannot be used"
    ):
        tune(small, space, trials=50, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="the first 1 trials all failed"):
        tune(small, space, trials=1, progress=False)


def test_unusable_data_end_the_study(small: Split, tmp_path: Path) -> None:
    parts = {part: getattr(small, part).drop(columns="timestamp") for part in ("train", "valid", "test")}
    space = {"model": MODEL, "train": TRAIN, "space": {"model.temporal": {"choices": [False, True]}}}
    with pytest.raises(DataError, match=r"has no timestamps, which model\.temporal=true needs"):
        tune(replace_rows(small, **parts), space, trials=20, storage=tmp_path / "journal", progress=False)
    assert read_study(tmp_path / "journal").trials["state"].iloc[-1] == "lost"
    with pytest.raises(DataError, match="there are no validation ratings to compare trials on"):
        tune(replace_rows(small, valid=small.valid[:0]), SPACE)
    with pytest.raises(DataError, match="tune takes a Dataset or a Split, not str"):
        tune("ml-1m", SPACE)  # type: ignore[arg-type]


def test_an_interrupted_study_continues(small: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options: dict[str, Any] = {"trials": 4, "storage": tmp_path / "journal", "progress": False}
    fail_fits(monkeypatch, {3: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        tune(small, SPACE, out=tmp_path / "out", **options)
    seen = read_study(tmp_path / "journal")
    assert seen.trials["state"].tolist() == ["complete", "complete", "lost"]
    assert Config.from_yaml(tmp_path / "out" / "best.yaml") == seen.best  # the report is written on Ctrl-C
    result = tune(small, SPACE, **options)
    assert result.trials["state"].tolist() == ["complete", "complete", "lost", "complete", "complete"]


def test_another_interrupt_while_the_first_is_recorded(
    small: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"trials": 2, "storage": tmp_path / "journal", "progress": False}
    with monkeypatch.context() as patch:
        fail_fits(patch, {1: KeyboardInterrupt()})
        patch.setattr(JournalStorage, "set_trial_state_values", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):  # not Optuna's UnboundLocalError
            tune(small, SPACE, **options)
    study = storage.load_study(storage.open_storage(tmp_path / "journal"), "study")
    assert [one.state for one in study.get_trials()] == [TrialState.RUNNING]
    assert tune(small, SPACE, **options).trials["state"].tolist() == ["lost", "complete", "complete"]


@pytest.mark.parametrize("method", ["set_trial_state_values", "create_new_trial", "set_trial_user_attr"])
def test_no_space_for_a_trial(small: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str) -> None:
    options: dict[str, Any] = {"trials": 2, "storage": tmp_path / "journal", "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(JournalStorage, method, raising(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(StorageError) as caught:
            tune(small, SPACE, **options)
    problem = "journal cannot be written: no space left on device; free some or choose another folder"
    assert str(caught.value) == f"{tmp_path}/{problem}"
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    assert (tune(small, SPACE, **options).trials["state"] == "complete").sum() == 2


def test_no_space_for_the_name_of_a_worker_or_for_the_report(
    small: Split, six_trials: tuple[StudyResult, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(storage, "open_exclusive", full)
    with pytest.raises(StorageError, match="journal cannot be written: no space left on device"):
        tune(small, SPACE, storage=tmp_path / "journal", progress=False)
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StorageError, match="report cannot be written: no space left on device"):
        write_report(six_trials[0], tmp_path / "report")


def test_errors_of_a_trial_are_not_taken_for_those_of_the_storage(
    small: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for error in (AssertionError("mine"), OSError(errno.ENOENT, "No such file or directory", "elsewhere.csv")):
        fail_fits(monkeypatch, {1: error})
        with pytest.raises(type(error)) as caught:
            tune(small, SPACE, trials=1, storage=tmp_path / "journal", progress=False)
        assert caught.value is error
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"trials": 0}, "trials must be an integer of at least 1, not 0"),
        ({"time_limit": 0}, "time_limit must be a number above 0, not 0"),
        ({"pruner_warmup": -1}, "pruner_warmup must be an integer of at least 0, not -1"),
        ({"objectives": "seconds"}, "the first objective must be a validation metric, not seconds"),
        ({"storage": "redis://host"}, "unsupported database redis; use a path, or sqlite, postgresql, mysql"),
        ({"storage": "://"}, "the storage is not a valid URL"),
        ({"space": {"space": {}}}, "the section space: is missing or empty"),
    ],
)
def test_wrong_arguments(small: Split, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        tune(small, **{"space": SPACE, **options})


def test_a_study_is_not_mixed_with_another(small: Split, six_trials: tuple[StudyResult, Path]) -> None:
    _, folder = six_trials
    same: dict[str, Any] = {"trials": 6, "storage": folder / "journal", "study": "six", "progress": False}
    with pytest.raises(ConfigError, match=r"'six' was made with different settings \(train\.epochs was 3, now 4\)"):
        tune(small, {**SPACE, "train": {**TRAIN, "epochs": 4}}, **same)
    wider = {**RATE["train.learning_rate"], "high": 0.5}
    with pytest.raises(ConfigError, match=r"space\.train\.learning_rate\.high was 0\.05, now 0\.5"):
        tune(small, {**SPACE, "space": {**SPACE["space"], "train.learning_rate": wider}}, **same)
    with pytest.raises(ConfigError, match=r"data\.digest was"):
        tune(replace_rows(small, train=small.train[:-1]), SPACE, **same)
    with pytest.raises(ConfigError, match="objectives was"):
        tune(small, SPACE, objectives="ndcg@10,seconds", **same)
    # The device is no part of a study.
    assert len(tune(small, {**SPACE, "train": {**TRAIN, "device": "cpu"}}, **same).trials) == 6


# Encoder-specific hyperparameters


@pytest.mark.slow
def test_conditional_hyperparameters(small: Split, tmp_path: Path) -> None:
    space = {
        "model": MODEL,
        "train": {**TRAIN, "epochs": 1},
        "space": {
            "model.aggregation": {"choices": ["mean", "max"]},
            "model.encoder": {"choices": ["lightgcn", "graphsage"]},
            "model.user_degree_smoothing": {"low": 1.0, "high": 20.0},
            **RATE,
        },
    }
    options: dict[str, Any] = {"trials": 14, "seed": 2, "progress": False}
    result = tune(small, space, **options, out=tmp_path)
    frame = result.trials
    assert (frame["state"] != "failed").all()
    light = frame["model.encoder"] == "lightgcn"
    assert light.any()
    assert (~light).any()
    assert (frame["model.user_degree_smoothing"].notna() == light).all()
    assert (frame["model.aggregation"].notna() == ~light).all()
    assert frame["train.learning_rate"].notna().all()
    for one in result.optuna_trials:
        assert len(one.params) == 3
    # TPE takes over after ten trials; the keys of one encoder are then sampled with its own trials.
    stopped = tune(small, space, **{**options, "trials": 11}, storage=tmp_path / "journal")
    assert len(stopped.trials) == 11
    continued = tune(small, space, **options, storage=tmp_path / "journal")
    columns = [name for name in frame if name != "seconds"]
    pd.testing.assert_frame_equal(continued.trials[columns], frame[columns])
    report = (tmp_path / "report.md").read_text()
    best = result.best.model
    shown = best.aggregation if best.encoder == "graphsage" else ""
    assert f"| `model.aggregation` | mean, max |  | {shown} |" in report


@pytest.mark.parametrize("seed", range(3))
def test_no_setting_is_tried_twice(small: Split, seed: int) -> None:
    space = {"train": {"epochs": 1}, "space": {"model.embedding_dim": {"choices": [4, 8, 12, 16]}}}
    told: list[str] = []
    found = tune(small, space, trials=6, seed=seed, progress=False, log=told.append)
    assert sorted(found.trials["model.embedding_dim"]) == [4, 8, 12, 16]
    assert told[-1] == "all 4 settings of the search space were tried"


def test_no_setting_is_tried_twice_by_the_estimator(small: Split) -> None:
    """Also after the startup trials, and with parameters that some settings lack."""
    space = {
        "train": {"epochs": 1},
        "model": {"embedding_dim": 4},
        "space": {
            "model.encoder": {"choices": ["lightgcn", "graphsage"]},
            "model.aggregation": {"choices": ["mean", "max"]},
            "model.num_layers": {"low": 1, "high": 3},
            "train.learning_rate": {"low": 0.001, "high": 0.003, "step": 0.001},
        },
    }
    parsed = SearchSpace.from_mapping(space)
    assert parsed.settings is not None and len(parsed.settings) == 3 * 3 + 2 * 3 * 3
    sampler = PerTrialTPE(0, space=parsed)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(lambda trial: float(len(str(parsed.suggest(trial)))), n_trials=27)
    assert len({parsed.identify(one.params) for one in study.trials}) == 27
    study.optimize(lambda trial: float(bool(parsed.suggest(trial))), n_trials=1)  # there is nothing new left
    assert len({parsed.identify(one.params) for one in study.trials}) == 27


def test_samples_are_those_without_the_rule_unless_they_repeat() -> None:
    parsed = SearchSpace.from_mapping(
        {"space": {"model.num_layers": {"low": 1, "high": 8}, "train.batch_size": {"low": 1, "high": 1000}}}
    )
    assert parsed.settings is not None

    def sample(sampler: PerTrialTPE) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.ask()  # trial 0 is the base
        study.optimize(lambda trial: float(parsed.suggest(trial)["train.batch_size"] % 97), n_trials=20)
        return [one.params for one in study.trials[1:]]

    plain = PerTrialTPE(3)
    assert sample(PerTrialTPE(3, space=parsed)) == sample(plain)


def test_the_number_of_members_is_varied(small: Split) -> None:
    space = {"model": MODEL, "train": {**TRAIN, "epochs": 1}, "space": {"model.num_members": {"low": 1, "high": 3}}}
    result = tune(small, space, trials=3, seed=1, progress=False)
    assert result.trials["model.num_members"].nunique() > 1
    for number, value in zip(result.trials["model.num_members"], result.trials["ndcg@10"], strict=True):
        config = result.space.base.override([f"model.num_members={number}"])
        model = fit(tuning_split(small, result.space), config=config, progress=False)
        assert model.history[0]["ndcg@10"] == value
    best = result.trials.loc[result.trials["ndcg@10"].idxmax(), "model.num_members"]
    assert result.best.model.num_members == best
