"""The report folder: its files agree with the study, and a second report replaces the first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gnnrec import Config, ConfigError, Split, StudyResult, tune
from gnnrec.tuning import write_report
from gnnrec.tuning.report import render_report
from tests.helpers.tuning import PNG, SPACE
from tests.tuning.test_result import brute_force_front


def test_the_report_folder(six_trials: tuple[StudyResult, Path]) -> None:
    result, folder = six_trials
    assert Config.from_yaml(folder / "best.yaml") == result.best
    assert Config.from_yaml(folder / "base.yaml") == result.space.base
    trial, value = result.pareto_front[0].trial, result.best_value
    assert (folder / "best.yaml").read_text().splitlines()[0] == (
        f"# Study six, trial {trial}: ndcg@10 {value:.4f} on the validation ratings of sample."
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "trials.csv").drop(columns="reason"),
        result.trials.drop(columns="reason"),
        check_dtype=False,
    )
    report = (folder / "report.md").read_text()
    for name in ("history", "curves", "importances", "slice", "parallel"):
        assert (folder / f"{name}.png").read_bytes().startswith(PNG)
        assert f"\n\n![{name}]({name}.png)\n\n" in report
    assert result.data["digest"] in report
    assert "\n- Command: `go`\n" in report
    assert f"**Best ndcg@10: {value:.4f}**, trial {trial} (`best.yaml`)." in report
    assert result.base_trial is not None
    gain = value - result.base_trial.values["ndcg@10"]
    assert f"{gain:+.4f}" in report or gain == 0
    assert "| `train.learning_rate` | 0.0005 to 0.05, log scale | 0.002 |" in report
    assert "| `model.embedding_dim` | 4, 8, 16 | 8 |" in report
    assert "\n\n\n" not in report
    assert report.endswith("```\n")


def test_paragraphs_of_the_report(six_trials: tuple[StudyResult, Path]) -> None:
    result, _ = six_trials
    report = render_report(result, {})
    assert "Command" not in report
    assert "\n\nThere are no plots: they need at least two completed trials.\n\n## Measure the winner" in report
    assert "\n\n\n" not in report
    headings = [line for line in report.splitlines() if line.startswith("#")]
    assert headings == ["# Study six", "## Hyperparameters", "## Trials", "## Measure the winner"]


def test_several_objectives(small: Split, tmp_path: Path) -> None:
    result = tune(small, SPACE, trials=5, objectives="ndcg@10,coverage@5,seconds", out=tmp_path, progress=False)
    assert (result.trials["state"] == "complete").all()  # never pruned
    front = {one.trial: one for one in result.pareto_front}
    assert set(front) == brute_force_front(result.trials[["ndcg@10", "coverage@5", "seconds"]].to_numpy() * [1, 1, -1])
    assert result.pareto_front[0].values["ndcg@10"] == result.trials["ndcg@10"].max()
    written = {path.name: Config.from_yaml(path) for path in (tmp_path / "pareto").iterdir()}
    assert written == {f"trial-{number:03d}.yaml": one.config for number, one in front.items()}
    assert Config.from_yaml(tmp_path / "best.yaml") == result.best
    report = (tmp_path / "report.md").read_text()
    assert "Objective: ndcg@10 and coverage@5 and seconds" in report
    assert "\n\n## Pareto front\n\n" in report
    assert (tmp_path / "pareto.png").read_bytes().startswith(PNG)
    # A later report leaves nothing of this one.
    tune(small, SPACE, trials=1, out=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.yaml", "best.yaml", "report.md", "trials.csv"]


def test_the_folder_must_not_be_a_file(six_trials: tuple[StudyResult, Path], tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine\n")
    with pytest.raises(ConfigError, match="report is a file; choose a folder for the report"):
        write_report(six_trials[0], tmp_path / "report")
    assert (tmp_path / "report").read_text() == "mine\n"
