"""``gnnrec tune``: a study, its report alone, and errors on one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gnnrec import cli
from gnnrec.data import make_sample
from gnnrec.tuning import read_study
from tests.helpers.tuning import fail_fits


def call(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["tune", *(str(a) for a in arguments)])


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sample(60, 40).ratings.to_csv(tmp_path / "ratings.csv", index=False)
    search = tmp_path / "search.yaml"
    search.write_text(
        "model: {embedding_dim: 8}\ntrain: {epochs: 3, k: 10}\nspace: {model.init_scale: {low: 0.1, high: 1.0}}\n"
    )
    data = ("--dataset", tmp_path / "ratings.csv", "--protocol", "random")
    common = (*data, "--config", search, "--out", tmp_path / "out")
    quick = ("--set", "train.epochs=1", "--pruner-warmup", 2, "--time-limit", 500)
    done = call(*common, *quick, "--trials", 2)
    assert done.exit_code == 0, done.output
    assert "[1/2] trial 0: ndcg@10 0." in done.stdout
    assert "at epoch 1 of 1 epochs" in done.stdout
    result = read_study(tmp_path / "out" / "study.journal")
    assert len(result.trials) == 2
    assert result.space.base.train.epochs == 1
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
    fail_fits(monkeypatch, {1: KeyboardInterrupt()})
    stopped = call(*common, *quick, "--trials", 3)
    assert stopped.exit_code == 130
    assert "the same command goes on" in stopped.stdout
    for arguments, problem in {
        data: "--config is missing",
        (*common, "--trials", 3): "study 'study' was made with different settings (train.epochs was 1, now 3)",
        ("--report-only", "--out", tmp_path / "out", "--study", "b"): "study 'b' is not in the storage; studies there: "
        "'study'",
        ("--report-only", "--out", tmp_path / "gone"): f"storage {tmp_path / 'gone' / 'study.journal'} does not exist",
        ("--report-only", "--storage", search): f"storage {search} is not an Optuna journal",
    }.items():
        failed = call(*arguments)
        assert failed.exit_code == 1
        (line,) = failed.stderr.splitlines()
        assert line.startswith("error: ")
        assert problem in line
    assert not (tmp_path / "gone").exists()
