"""The command ``gnnrec tune``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gnnrec import load_dataset
from gnnrec.config import Config
from gnnrec.datasets import make_sample
from gnnrec.splitting import split
from gnnrec.tuning import SearchSpace, read_study, tune
from tests.helpers.cli import QUICK, call, fails, succeeds
from tests.helpers.tuning import PNG, fail_fits

SEARCH = """
model: {embedding_dim: 8}
train: {epochs: 3, k: 10}
space: {model.init_scale: {low: 0.1, high: 1.0}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ratings and a search space."""
    made = tmp_path_factory.mktemp("tune")
    make_sample(60, 40).ratings.to_csv(made / "ratings.csv", index=False)
    (made / "search.yaml").write_text(SEARCH)
    return made


def arguments(folder: Path, *more: object) -> tuple[object, ...]:
    """Return a study of two trials of one epoch."""
    words = ("tune", "--dataset", folder / "ratings.csv", "--protocol", "random", "--config", folder / "search.yaml")
    return (*words, "--set", "train.epochs=1", *more)


@pytest.fixture(scope="module")
def finished(folder: Path) -> tuple[Path, str]:
    """Return the results of a study, and what the command printed."""
    out = folder / "out"
    return out, succeeds(*arguments(folder, "--trials", 2, "--out", out))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plots, which take longer than the study."""
    monkeypatch.setattr("gnnrec.tuning.report.draw_plots", lambda result: {})


def test_study(folder: Path, finished: tuple[Path, str]) -> None:
    out, output = finished
    assert output.splitlines()[0].startswith("Split('ratings', random per user 0.8/0.1/0.1, seed 0: ")
    assert "[1/2] trial 0: ndcg@10 0." in output
    assert "at epoch 1 of 1 epochs" in output
    assert output.splitlines()[-1] == f"saved in {out}: best.yaml, report.md, trials.csv and plots"
    study = read_study(out / "study.journal")
    assert len(study.trials) == 2
    assert study.space.base.train.epochs == 1
    assert repr(study) in output
    report = (out / "report.md").read_text()
    expected = (
        "gnnrec tune --dataset ratings.csv --protocol random --config search.yaml --set train.epochs=1 --trials 2"
    )
    assert f"`{expected}`" in report
    assert str(folder) not in report
    assert any(path.read_bytes().startswith(PNG) for path in out.glob("*.png"))
    # The result is a config for `gnnrec train`.
    assert Config.from_yaml(out / "best.yaml").train.epochs == 1
    succeeds("train", "--dataset", folder / "ratings.csv", "--config", out / "best.yaml", "--out", "run")


def test_the_study_is_that_of_the_library(folder: Path, finished: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = finished
    space = SearchSpace.from_yaml(folder / "search.yaml").override(["train.epochs=1"])
    data = split(load_dataset(folder / "ratings.csv"), "random")
    expected = tune(data, space, trials=2, storage=tmp_path / "other.journal")
    columns = ["trial", "state", "ndcg@10", "model.init_scale"]
    found = read_study(out / "study.journal").trials
    pd.testing.assert_frame_equal(found[columns], expected.trials[columns])


@pytest.mark.usefixtures("no_plots")
def test_report_only(finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = finished
    fail_fits(monkeypatch, {1: AssertionError("nothing is fitted")})
    output = succeeds("tune", "--report-only", "--storage", out / "study.journal", "--out", "again")
    assert "saved in again: best.yaml, report.md" in output
    for name in ("best.yaml", "trials.csv"):
        assert (Path("again") / name).read_text() == (out / name).read_text()


@pytest.mark.usefixtures("no_plots")
def test_interrupt_and_continue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = arguments(folder, "--trials", 2, "--out", "out")
    with monkeypatch.context() as patch:
        fail_fits(patch, {2: KeyboardInterrupt()})
        stopped = call(*words)
    assert stopped.exit_code == 130
    assert "stopped; the results so far are in out, the same command continues" in stopped.stdout
    assert (Path("out") / "best.yaml").exists()
    assert "StudyResult" in succeeds(*words)
    states = read_study(Path("out") / "study.journal").trials["state"].str.lower().tolist()
    assert states.count("complete") == 2


@pytest.mark.usefixtures("no_plots")
def test_other_models(folder: Path) -> None:
    Path("ease.yaml").write_text("space: {reg: {low: 10, high: 1000, log: true}}\n")
    output = succeeds(
        "tune", "--dataset", folder / "ratings.csv", "--protocol", "random", "--model", "ease",
        "--config", "ease.yaml", "--trials", 2, "--objectives", "recall@5", "--out", "out",
    )  # fmt: skip
    assert "[2/2] trial 1: recall@5 0." in output
    assert read_study(Path("out") / "study.journal").trials["reg"].min() >= 10


@pytest.mark.usefixtures("no_plots")
def test_time_limit(folder: Path) -> None:
    succeeds(*arguments(folder, "--trials", 50, "--time-limit", 0.001, "--out", "out"))
    assert len(read_study(Path("out") / "study.journal").trials) == 1


def test_errors(folder: Path, finished: tuple[Path, str]) -> None:
    out, _ = finished
    before = (out / "report.md").read_text()
    for words, problem in {
        ("tune", "--dataset", folder / "ratings.csv"): "--config is missing: a YAML file with a search space",
        ("tune", "--report-only", "--out", out, "--study", "b"): "study 'b' is not in the storage; studies there: ",
        ("tune", "--report-only", "--out", "gone"): "study.journal",
        ("tune", "--report-only", "--storage", folder / "search.yaml"): "is not an Optuna journal",
        ("tune", "--config", "no.yaml"): "no.yaml",
        ("tune", "--config", folder / "search.yaml", "--protocol", "fair"): "unknown protocol 'fair'",
        ("tune", "--config", folder / "search.yaml", "--model", "eas"): "did you mean 'ease'?",
    }.items():
        assert problem in fails(*words)
    result = call(*arguments(folder, "--out", out, "--trials", 3, *QUICK[4:]))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: study 'study' ")
    assert "train.epochs was 1, now 2" in result.stderr
    assert (out / "report.md").read_text() == before
    assert not list(Path().iterdir())
