"""A study finds what its trials say, never sees test rows, survives failures and Ctrl-C, and goes on where it was."""

from __future__ import annotations

import importlib
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gnnrec import Config, ConfigError, DataError, SearchSpace, Split, StudyResult, evaluate, fit, tune
from gnnrec.cli import app
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from gnnrec.study import NumberedTPE, read_study
from gnnrec.study.report import report_text
from gnnrec.study.rows import facts_of, study_rows

trial_module = importlib.import_module("gnnrec.study.trial")
MODEL = {"embedding_dim": 8}
TRAIN = {"epochs": 3, "batch_size": 32, "k": 10}
RATE = {"train.learning_rate": {"low": 0.0005, "high": 0.05, "log": True}}
SPACE = {"model": MODEL, "train": TRAIN, "space": {**RATE, "model.embedding_dim": {"choices": [4, 8, 16]}}}
SAME = ["trial", "state", "ndcg@10", "epochs", "best_epoch", "coverage@10", *SPACE["space"]]
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def small() -> Split:
    return random_split(make_sample(60, 40, seed=2, ratings_per_user=12), (0.7, 0.2, 0.1), seed=0)


@pytest.fixture(scope="module")
def kept(small: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path]:
    """Return a study of six trials and the folder of its results, the journal among them."""
    folder = tmp_path_factory.mktemp("study")
    result = tune(
        small, SPACE, trials=6, storage=folder / "journal", study="six", out=folder, command="go", progress=False
    )
    return result, folder


def failing(monkeypatch: pytest.MonkeyPatch, errors: dict[int, BaseException]) -> None:
    """Have the fits with these numbers, from 1, raise; the others are honest."""
    numbers = iter(range(1, 1000))

    def stopped(*args: Any, **options: Any) -> Any:
        if error := errors.get(next(numbers)):
            raise error
        return fit(*args, **options)

    monkeypatch.setattr(trial_module, "fit", stopped)


# What a study finds


def test_what_is_noted_is_what_fit_does(small: Split, kept: tuple[StudyResult, Path]) -> None:
    result, _ = kept
    frame = result.trials
    assert frame["trial"].tolist() == list(range(6))
    row = frame[frame["state"] == "complete"].iloc[-1]
    rate, width = row["train.learning_rate"], row["model.embedding_dim"]
    config = result.space.base.override([f"train.learning_rate={rate}", f"model.embedding_dim={width}"])
    rows = study_rows(small, config)
    model = fit(rows, config, progress=False)
    reached = [entry["ndcg@10"] for entry in model.history]
    assert row["ndcg@10"] == max(reached)
    assert row["best_epoch"] == reached.index(max(reached)) + 1
    assert row["epochs"] == len(reached)
    wide = evaluate(model, rows.valid, ks=(10,), metrics=("coverage",), candidates=rows.candidates_for("valid"))
    assert row["coverage@10"] == wide["value"].iloc[0]


def test_the_best_is_the_best(kept: tuple[StudyResult, Path]) -> None:
    result, _ = kept
    complete = result.trials[result.trials["state"] == "complete"].set_index("trial")
    assert result.best_value == complete["ndcg@10"].max()
    best = complete["ndcg@10"].idxmax()
    assert result.front[0].trial == best
    assert result.best.train.learning_rate == complete.loc[best, "train.learning_rate"]
    # The first trial is the config as it is.
    assert result.start is not None
    assert result.start.trial == 0
    assert result.start.config == result.space.base
    assert repr(result) == f"StudyResult('six', 6 trials, best ndcg@10 {result.best_value:.4f} in trial {best})"
    with pytest.raises(FrozenInstanceError):
        result.name = "another"  # type: ignore[misc]


def test_going_on_is_like_never_having_stopped(small: Split, kept: tuple[StudyResult, Path], tmp_path: Path) -> None:
    for trials in (2, 6):
        result = tune(small, SPACE, trials=trials, storage=tmp_path / "deep" / "journal", study="two", progress=False)
        assert len(result.trials) == trials
    pd.testing.assert_frame_equal(result.trials[SAME], kept[0].trials[SAME])
    again = tune(small, SPACE, trials=6, storage=tmp_path / "deep" / "journal", study="two", progress=False)
    assert len(again.trials) == 6  # there are enough
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["journal"]  # locks are gone
    other = tune(small, SPACE, trials=2, seed=1, progress=False)
    assert other.trials["train.learning_rate"][0] == result.trials["train.learning_rate"][0]
    assert other.trials["train.learning_rate"][1] != result.trials["train.learning_rate"][1]


def test_numbers_decide_what_is_drawn() -> None:
    """Two workers with the same seed that know nothing of each other draw differently, and each the same again."""

    def ask(number: int, seed: int = 0) -> float:
        study = optuna.create_study(sampler=NumberedTPE(seed))
        for _ in range(number):
            study.ask()
        return study.ask().suggest_float("x", 0, 1)

    drawn = [ask(number) for number in range(8)]
    assert len(set(drawn)) == 8
    assert drawn == [ask(number) for number in range(8)]
    assert ask(0, seed=1) != drawn[0]


def test_test_rows_are_never_touched(small: Split, kept: tuple[StudyResult, Path]) -> None:
    unseen = small.test.iloc[::-1].reset_index(drop=True)
    without = Split(small.train, small.valid, small.test[:0], small.movies, small.users)
    known = set(map(tuple, pd.concat([small.train, small.valid])[["user_id", "movie_id"]].to_numpy()))
    free = [(u, m) for u in small.users["user_id"] for m in small.movies["movie_id"] if (u, m) not in known]
    drawn = unseen.assign(**pd.DataFrame(free[: len(unseen)], columns=["user_id", "movie_id"]))
    others = Split(small.train, small.valid, drawn, small.movies, small.users)
    assert not unseen[["user_id", "movie_id"]].equals(others.test[["user_id", "movie_id"]])
    digest = facts_of(study_rows(small, Config()))["digest"]
    for changed in (without, others):
        assert study_rows(changed, Config()).test.empty
        assert facts_of(study_rows(changed, Config()))["digest"] == digest
        found = tune(changed, SPACE, trials=3, progress=False)
        pd.testing.assert_frame_equal(found.trials[SAME], kept[0].trials[SAME].head(3))
    fewer = replace_rows(small, valid=small.valid[1:])
    assert facts_of(study_rows(fewer, Config()))["digest"] != digest


def replace_rows(split: Split, **parts: pd.DataFrame) -> Split:
    rows = {part: getattr(split, part) for part in ("train", "valid", "test")}
    return Split(**{**rows, **parts}, movies=split.movies, users=split.users, name=split.name, protocol=split.protocol)


def test_of_a_dataset_a_tenth_is_held_back(small: Split) -> None:
    dataset = make_sample(60, 40)
    result = tune(dataset, SPACE, trials=1, progress=False)
    held = random_split(dataset, (0.9, 0.1, 0.0), seed=0)
    assert (result.data["train"], result.data["valid"]) == (len(held.train), len(held.valid))
    assert result.best_value == max(entry["ndcg@10"] for entry in fit(dataset, result.best, progress=False).history)


def test_an_objective_is_what_training_watches(small: Split) -> None:
    result = tune(small, SPACE, trials=2, objectives="recall@5", progress=False)
    assert (result.best.train.metric, result.best.train.k) == ("recall", 5)
    history = fit(study_rows(small, result.best), result.best, progress=False).history
    assert result.best_value == max(entry["recall@5"] for entry in history)


def test_bad_trials_are_pruned(small: Split) -> None:
    spec = {"train.learning_rate": {"choices": [0.02, 1e-9]}}
    space = {"model": {**MODEL, "init": "random"}, "train": {**TRAIN, "epochs": 4, "learning_rate": 0.02}}
    result = tune(small, {**space, "space": spec}, trials=10, warm_epochs=2, progress=False)
    pruned = result.trials[result.trials["state"] == "pruned"]
    assert len(pruned)
    assert (pruned["train.learning_rate"] == 1e-9).all()
    assert pruned["epochs"].between(2, 3).all()
    assert pruned["trial"].min() >= 5  # the median needs some to be of
    assert pruned["ndcg@10"].max() < result.best_value
    assert result.best.train.learning_rate == 0.02


# Several objectives


def test_several_objectives(small: Split, tmp_path: Path) -> None:
    result = tune(small, SPACE, trials=5, objectives="ndcg@10,coverage@5,seconds", out=tmp_path, progress=False)
    assert (result.trials["state"] == "complete").all()  # several are never pruned by
    front = {one.trial: one for one in result.front}
    assert set(front) == brute_front(result.trials[["ndcg@10", "coverage@5", "seconds"]].to_numpy() * [1, 1, -1])
    assert result.front[0].values["ndcg@10"] == result.trials["ndcg@10"].max()
    written = {path.name: Config.from_yaml(path) for path in (tmp_path / "pareto").iterdir()}
    assert written == {f"trial-{number:03d}.yaml": one.config for number, one in front.items()}
    assert Config.from_yaml(tmp_path / "best.yaml") == result.best
    report = (tmp_path / "report.md").read_text()
    assert "Objective: ndcg@10 and coverage@5 and seconds" in report
    assert "## Pareto front" in report
    assert (tmp_path / "pareto.png").read_bytes().startswith(PNG)
    # A later report leaves nothing of this one that it does not say itself.
    tune(small, SPACE, trials=1, out=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.yaml", "best.yaml", "report.md", "trials.csv"]


def brute_front(values: Any) -> set[int]:
    """Return the rows that no other row is at least as good as everywhere, and better somewhere."""
    return {
        i for i, own in enumerate(values)
        if not any((other >= own).all() and (other > own).any() for other in values)
    }  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_is_the_brute_one(values: list[tuple[int, int]]) -> None:
    space = SearchSpace.from_mapping({"space": RATE})
    rate = {"train.learning_rate": optuna.distributions.FloatDistribution(0.0005, 0.05, log=True)}
    frozen = []
    for number, (good, seconds) in enumerate(values):
        one = optuna.create_trial(params={"train.learning_rate": 0.01}, distributions=rate, values=[good, seconds])
        one.number = number
        frozen.append(one)
    result = StudyResult("x", ("ndcg@10", "seconds"), space, {}, tuple(frozen))
    signed = torch.tensor(values) * torch.tensor([1, -1])
    assert {one.trial for one in result.front} == brute_front(signed.numpy())
    assert [one.values["ndcg@10"] for one in result.front] == sorted(
        (one.values["ndcg@10"] for one in result.front), reverse=True
    )


# What goes wrong


def test_a_trial_that_fails_is_noted_and_the_study_goes_on(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    errors = {1: torch.cuda.OutOfMemoryError("CUDA out of memory."), 3: cpu, 4: MemoryError("none left")}
    failing(monkeypatch, errors)
    result = tune(small, SPACE, trials=5, progress=False)
    assert result.trials["state"].tolist() == ["failed", "complete", "failed", "failed", "complete"]
    assert result.trials["reason"].fillna("").tolist() == [
        "OutOfMemoryError: CUDA out of memory.",
        "",
        f"out of memory: {cpu}",
        "MemoryError: none left",
        "",
    ]
    assert result.start is None  # it was trial 0


def test_a_loss_that_is_no_number_is_noted(small: Split) -> None:
    space = {"model": MODEL, "train": TRAIN, "space": {"train.learning_rate": {"choices": [0.002, 1e30]}}}
    result = tune(small, space, trials=4, progress=False)
    failed = result.trials[result.trials["train.learning_rate"] == 1e30]
    assert len(failed)
    assert (failed["state"] == "failed").all()
    assert failed["reason"].str.contains("lower train.learning_rate").all()
    assert f"- {len(failed)} failed: FloatingPointError: " in report_text(result, {})


def test_a_combination_that_is_refused_is_noted(small: Split) -> None:
    spec = {"model.hidden_dim": {"choices": [0, 8]}}
    space = {"model": {**MODEL, "temporal": True, "date_features": True, "hidden_dim": 8}, "train": TRAIN, "space": spec}
    result = tune(small, space, trials=4, progress=False)
    refused = result.trials[result.trials["model.hidden_dim"] == 0]
    assert len(refused)
    assert (refused["state"] == "failed").all()
    assert refused["reason"].str.contains("date_features is for the hidden layer").all()
    assert (result.trials.loc[result.trials["model.hidden_dim"] == 8, "state"] != "failed").all()


def test_if_all_fail_it_stops(small: Split, tmp_path: Path) -> None:
    space = {**SPACE, "train": {**TRAIN, "device": "cuda:77"}}
    with pytest.raises(
        ConfigError, match="the first 5 trials all failed: ConfigError: device 'cuda:77' cannot be used"
    ):
        tune(small, space, trials=50, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="the first 1 trials all failed"):
        tune(small, space, trials=1, progress=False)


def test_data_that_cannot_be_used_end_the_study(small: Split, tmp_path: Path) -> None:
    plain = replace_rows(
        small, **{part: getattr(small, part).drop(columns="timestamp") for part in ("train", "valid", "test")}
    )
    space = {"model": MODEL, "train": TRAIN, "space": {"model.temporal": {"choices": [False, True]}}}
    with pytest.raises(DataError, match=r"has no timestamps, which model\.time=true needs"):
        tune(plain, space, trials=20, storage=tmp_path / "journal", progress=False)
    assert read_study(tmp_path / "journal").trials["state"].iloc[-1] == "lost"
    with pytest.raises(DataError, match="there are no valid rows"):
        tune(replace_rows(small, valid=small.valid[:0]), SPACE)
    with pytest.raises(DataError, match="tune takes a Dataset or a Split, not str"):
        tune("ml-1m", SPACE)  # type: ignore[arg-type]


def test_an_error_of_ours_is_not_hidden(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (RuntimeError("a bug"), ValueError("a bug"), TypeError("a bug")):
        failing(monkeypatch, {1: error})
        with pytest.raises(type(error), match="a bug"):
            tune(small, SPACE, trials=3, progress=False)


def test_ctrl_c_and_on(small: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options: dict[str, Any] = {"trials": 4, "storage": tmp_path / "journal", "progress": False}
    failing(monkeypatch, {3: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        tune(small, SPACE, out=tmp_path / "out", **options)
    seen = read_study(tmp_path / "journal")
    assert seen.trials["state"].tolist() == ["complete", "complete", "lost"]
    assert Config.from_yaml(tmp_path / "out" / "best.yaml") == seen.best  # what there was is there
    result = tune(small, SPACE, **options)
    assert result.trials["state"].tolist() == ["complete", "complete", "lost", "complete", "complete"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"trials": 0}, "at least one trial is needed, not 0"),
        ({"timeout": 0}, "timeout must be above 0 seconds, not 0"),
        ({"warm_epochs": -1}, "warm_epochs cannot be -1"),
        ({"objectives": "seconds"}, "the first objective must be one that training can watch"),
        ({"storage": "redis://host"}, "there is no redis storage; use a path, or sqlite, postgresql, mysql"),
        ({"storage": "://"}, "the storage is no URL"),
        ({"space": {"space": {}}}, "has no space: of settings to vary"),
    ],
)
def test_arguments_that_cannot_be(small: Split, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        tune(small, **{"space": SPACE, **options})


# The command


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["tune", *(str(a) for a in arguments)])


def test_the_folder_of_a_study(kept: tuple[StudyResult, Path]) -> None:
    result, folder = kept
    assert Config.from_yaml(folder / "best.yaml") == result.best
    assert Config.from_yaml(folder / "before.yaml") == result.space.base
    first = (folder / "best.yaml").read_text().splitlines()[0]
    assert (
        first
        == f"# Study six, trial {result.front[0].trial}: ndcg@10 {result.best_value:.4f} on the valid rows of sample."
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "trials.csv").drop(columns="reason"),
        result.trials.drop(columns="reason"),
        check_dtype=False,
    )
    report = (folder / "report.md").read_text()
    for name in ("history", "curves", "importances", "slice", "parallel"):
        assert (folder / f"{name}.png").read_bytes().startswith(PNG)
        assert f"![{name}]({name}.png)" in report
    assert result.data["digest"] in report
    assert "- Command: `go`" in report
    assert f"**Best ndcg@10: {result.best_value:.4f}**" in report
    assert result.start is not None
    gain = result.best_value - result.start.values["ndcg@10"]
    assert f"{gain:+.4f}" in report or gain == 0
    tried = "| `train.learning_rate` | 0.0005 to 0.05, logarithmic | 0.002 |"
    assert tried in report
    assert "| `model.embedding_dim` | 4, 8, 16 | 8 |" in report


def test_another_study_may_not_be_mixed_in(small: Split, kept: tuple[StudyResult, Path]) -> None:
    _, folder = kept
    same: dict[str, Any] = {"trials": 6, "storage": folder / "journal", "study": "six", "progress": False}
    with pytest.raises(ConfigError, match=r"study 'six' is about something else \(train\.epochs was 3, now 4\)"):
        tune(small, {**SPACE, "train": {**TRAIN, "epochs": 4}}, **same)
    with pytest.raises(ConfigError, match=r"space\.train\.learning_rate\.high was 0\.05, now 0\.5"):
        tune(
            small,
            {**SPACE, "space": {**SPACE["space"], "train.learning_rate": {**RATE["train.learning_rate"], "high": 0.5}}},
            **same,
        )
    with pytest.raises(ConfigError, match=r"data\.digest was"):
        tune(replace_rows(small, train=small.train[:-1]), SPACE, **same)
    with pytest.raises(ConfigError, match="objectives was"):
        tune(small, SPACE, objectives="ndcg@10,seconds", **same)
    # On another device it is the same study.
    assert len(tune(small, {**SPACE, "train": {**TRAIN, "device": "cpu"}}, **same).trials) == 6


def test_the_command(tmp_path: Path, kept: tuple[StudyResult, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    make_sample(60, 40).ratings.to_csv(tmp_path / "ratings.csv", index=False)
    search = tmp_path / "search.yaml"
    search.write_text(
        "model: {embedding_dim: 8}\ntrain: {epochs: 3, k: 10}\nspace: {model.init_scale: {low: 0.1, high: 1.0}}\n"
    )
    common = (
        "--dataset",
        tmp_path / "ratings.csv",
        "--protocol",
        "random",
        "--config",
        search,
        "--out",
        tmp_path / "out",
    )
    quick = ("--set", "train.epochs=1", "--trials", 2)
    done = call(*common, *quick)
    assert done.exit_code == 0, done.output
    assert "[1/2] trial 0: ndcg@10 0." in done.stdout
    assert "at epoch 1 of 1 epochs" in done.stdout
    found = read_study(tmp_path / "out" / "study.journal")
    assert len(found.trials) == 2
    assert found.space.base.train.epochs == 1
    report = (tmp_path / "out" / "report.md").read_text()
    assert (
        "Command: `gnnrec tune --dataset ratings.csv --protocol random --config search.yaml --set train.epochs=1"
        in report
    )
    assert str(tmp_path) not in report
    # The report alone, of the same study, into another folder.
    again = call("--report-only", "--storage", tmp_path / "out" / "study.journal", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    for name in ("best.yaml", "trials.csv"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "out" / name).read_text()
    failing(monkeypatch, {1: KeyboardInterrupt()})
    stopped = call(*common, *quick, "--trials", 3)
    assert stopped.exit_code == 130
    assert "the same command goes on" in stopped.stdout
    for arguments, problem in {
        common[:4]: "--config is missing",
        (
            *common,
            "--study",
            "study",
            "--trials",
            3,
        ): "study 'study' is about something else (train.epochs was 1, now 3)",
        (
            "--report-only",
            "--out",
            tmp_path / "out",
            "--study",
            "b",
        ): "there is no study 'b' in the storage; there are: 'study'",
        ("--report-only", "--out", tmp_path / "gone"): f"there is no storage {tmp_path / 'gone' / 'study.journal'}",
        ("--report-only", "--storage", search): f"{search} is not a journal of Optuna's",
    }.items():
        failed = call(*arguments)
        assert failed.exit_code == 1
        (line,) = failed.stderr.splitlines()
        assert line.startswith("error: ")
        assert problem in line
    assert not (tmp_path / "gone").exists()
