"""The command ``gnnrec train``: the model it saves is the one that the library fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gnnrec import Split, fit, load, load_dataset, recommend, split
from gnnrec.evaluation import Validation
from gnnrec.models import gnn_training
from gnnrec.typing import Scorer
from tests.helpers.cli import QUICK, TINY, call, cells, fails, succeeds

PLAIN = [
    "random", "temporal", "global-time", "leave-one-out", "next-item", "cold-users", "cold-movies",
    "cold-movies-by-time", "cold-both",
]  # fmt: skip


def test_all_ratings(dataset: Path, tmp_path: Path) -> None:
    result = call("train", "--dataset", dataset, "--out", tmp_path / "run", *QUICK)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Dataset('mine': 60 users, 40 movies, ")
    assert lines[1:] == [f"saved in {tmp_path / 'run'}"]
    assert result.stderr.startswith("columns not used: 'theme' of movies\n")
    model = load(tmp_path / "run")
    assert "settings chosen from the data: " in result.stderr
    expected = fit(load_dataset(dataset), overrides=QUICK[1::2], progress=False)
    pd.testing.assert_frame_equal(recommend(model, [1, 2]), recommend(expected, [1, 2]))
    assert (tmp_path / "run" / "training.png").read_bytes().startswith(b"\x89PNG")


def test_filtered_ratings(dataset: Path, tmp_path: Path) -> None:
    succeeds("train", "--dataset", f"{dataset}:min_rating=4,k_core=2", "--out", tmp_path / "run", *QUICK)
    expected = load_dataset(dataset).filtered(4, 2)
    pd.testing.assert_frame_equal(load(tmp_path / "run").dataset.ratings, expected.ratings)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PLAIN)
def test_protocols(protocol: str, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    output = succeeds("train", "--dataset", dataset, "--protocol", protocol, "--out", folder, *QUICK)
    expected = split(load_dataset(dataset), protocol)
    assert repr(expected) in output
    pd.testing.assert_frame_equal(Split.from_folder(folder / "split").test, expected.test)
    measured = {(row["metric"], row["k"]): row["mean"] for row in load(folder).report["test"]}
    (printed,) = cells(output)
    assert printed[:3] == ["gnn", f"{measured['recall', 10]:.4f}", f"{measured['ndcg', 10]:.4f}"]


def test_an_earlier_split_is_removed(dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    succeeds("train", "--dataset", dataset, "--protocol", "random", "--out", folder, *QUICK)
    assert (folder / "split").is_dir()
    succeeds("train", "--dataset", dataset, "--out", folder, *QUICK)
    assert "was trained on all ratings; give test ratings" in fails("evaluate", folder)


def test_config_file_then_set(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: {embedding_dim: 4}\ntrain: {epochs: 1, batch_size: 32}\n")
    arguments = ("--dataset", dataset, "--config", tmp_path / "c.yaml", "--set", "train.epochs=2")
    succeeds("train", *arguments, "--out", tmp_path / "run")
    config = load(tmp_path / "run").config
    assert (config.model.embedding_dim, config.train.epochs, config.train.batch_size) == (4, 2, 32)


def test_config_by_name(dataset: Path, tmp_path: Path) -> None:
    succeeds("train", "--dataset", dataset, "--config", "ml1m-fast", *QUICK, "--out", tmp_path / "run")
    model = load(tmp_path / "run").config.model
    assert (model.embedding_dim, model.hidden_dim) == (8, TINY.from_yaml("ml1m-fast").model.hidden_dim)
    assert fails("train", "--dataset", dataset, "--config", "ml1m-fats").endswith("did you mean 'ml1m-fast'?")


def test_other_models(dataset: Path, split_folder: Path, tmp_path: Path) -> None:
    words = ("train", "--dataset", dataset, "--split", split_folder, "--model", "ease", "--out", tmp_path / "run")
    output = succeeds(*words, "--set", "reg=50")
    model = load(tmp_path / "run")
    expected = fit(Split.from_folder(split_folder, load_dataset(dataset)), "ease", reg=50.0)
    assert model.hyperparameters == expected.hyperparameters
    pd.testing.assert_frame_equal(recommend(model, [1, 2]), recommend(expected, [1, 2]))
    assert cells(output)[0][0] == "ease"
    assert not (tmp_path / "run" / "training.png").exists()
    assert fails(*words, "--set", "rg=50") == "EASE: rg: there is no such key; did you mean 'reg'?"
    assert "only the graph neural network can" in fails_after_data(*words, "--resume")
    assert "--config is for the graph neural network" in fails(*words, "--config", "ml1m")


def test_time_limit(dataset: Path, tmp_path: Path) -> None:
    words = ("--dataset", dataset, "--out", tmp_path / "run", *QUICK, "--set", "train.epochs=50")
    succeeds("train", *words, "--time-limit", "1e-9")
    assert [entry["epoch"] for entry in load(tmp_path / "run").history] == [1]


def interrupt_validation(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Press Ctrl-C while epoch `at` is validated."""
    calls: list[int] = []
    validate = Validation.__call__

    def interrupted(self: Validation, model: Scorer) -> float:
        calls.append(1)
        if len(calls) == at + 1:  # the first is before the first epoch
            raise KeyboardInterrupt
        return validate(self, model)

    monkeypatch.setattr(Validation, "__call__", interrupted)


def test_stop_and_resume(dataset: Path, split_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("train", "--dataset", dataset, "--split", split_folder, *QUICK, "--set", "train.epochs=4")
    whole_output = succeeds(*arguments, "--out", tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_validation(patch, at=3)
        result = call(*arguments, "--out", tmp_path / "stopped")
    assert result.exit_code == 130
    assert f"stopped; the best epoch so far is in {tmp_path / 'stopped'}, --resume continues" in result.stdout
    stopped = load(tmp_path / "stopped")
    assert [entry["epoch"] for entry in stopped.history] == [1, 2]
    assert len(recommend(stopped, 1)) == 10
    assert (tmp_path / "stopped" / "training.png").exists()
    succeeds("evaluate", tmp_path / "stopped")  # its test ratings were kept
    output = succeeds(*arguments, "--out", tmp_path / "stopped", "--resume")
    whole, resumed = load(tmp_path / "whole"), load(tmp_path / "stopped")
    assert [{**e, "seconds": 0} for e in resumed.history] == [{**e, "seconds": 0} for e in whole.history]
    assert resumed.similarity_embeddings().equal(whole.similarity_embeddings())
    assert cells(output)[0][:7] == cells(whole_output)[0][:7]


def test_stop_before_anything_is_saved(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gnn_training.GNN, "fit", interrupted)
    result = call("train", "--dataset", dataset, "--protocol", "random", "--out", tmp_path / "run", *QUICK)
    assert result.exit_code == 130
    assert not (tmp_path / "run").exists()


def test_a_loss_that_diverges(dataset: Path, tmp_path: Path) -> None:
    words = ("--dataset", dataset, "--out", tmp_path / "run", *QUICK, "--set", "train.learning_rate=1e30")
    result = call("train", *words)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "lower train.learning_rate" in result.stderr.splitlines()[-1]
    assert load(tmp_path / "run").config.train.learning_rate == 1e30


def test_text_ids(tmp_path: Path, world: Split) -> None:
    ratings = world.train.astype({"user_id": str})
    ratings["user_id"] = "0" + ratings["user_id"]
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    succeeds("train", "--dataset", tmp_path / "ratings.csv", "--out", tmp_path / "run", *QUICK)
    rows = json.loads(succeeds("recommend", tmp_path / "run", "--user", "07", "-k", 3, "--json"))
    expected = recommend(load(tmp_path / "run"), "07", k=3)
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist()
    assert {row["user_id"] for row in rows} == {"07"}


def test_twenty_ratings_are_enough(twenty_ratings: Path, tmp_path: Path) -> None:
    output = succeeds("train", "--dataset", twenty_ratings, "--out", tmp_path / "run", "--set", "train.epochs=10")
    assert "Dataset('mine': 4 users, 7 movies, 20 ratings)" in output
    unseen = json.loads(succeeds("recommend", tmp_path / "run", "--user", 1, "--json"))
    assert sorted(row["title"] for row in unseen) == ["10", "11"]
    assert len(json.loads(succeeds("recommend", tmp_path / "run", "--rating", "12", "--json"))) == 6


@pytest.mark.parametrize("command", ["train", "benchmark"])
def test_too_few_ratings_to_test_on(command: str, twenty_ratings: Path, tmp_path: Path) -> None:
    options = ("--protocol", "random", "--out", tmp_path / "run") if command == "train" else ()
    line = fails_after_data(command, "--dataset", twenty_ratings, *options)
    assert line.startswith("random per user 0.8/0.1/0.1, seed 0 leaves no test ratings: users with few ratings")
    assert not (tmp_path / "run").exists()


def fails_after_data(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 1
    return str(result.stderr.splitlines()[-1].removeprefix("error: "))


def test_unused_columns_are_reported(tmp_path: Path) -> None:
    """A typo in a header would go unnoticed otherwise."""
    (tmp_path / "ratings.csv").write_text("User,Movie,Stars,Watched On\nann,1,5,2024-05-01\nbob,2,4,2024-05-02\n")
    (tmp_path / "users.csv").write_text("User,Age,Town\nann,30,Rome\nbob,40,Bonn\n")
    result = call("analyze", "--dataset", tmp_path, "--out", tmp_path / "a")
    assert result.stderr == (
        "renamed in ratings.csv: User -> user_id, Movie -> movie_id, Stars -> rating\n"
        "renamed in users.csv: User -> user_id\n"
        "columns not used: 'Watched On' of ratings; 'Town' of users\n"
    )
    assert fails_after_data("train", "--dataset", tmp_path, "--protocol", "temporal").startswith(
        f"{tmp_path.name} has no tim"
    )
    (tmp_path / "ratings.csv").write_text("User,Movie\nann,1\nbob,2\n")
    (tmp_path / "users.csv").unlink()
    assert "not used" not in call("analyze", "--dataset", tmp_path, "--out", tmp_path / "b").stderr


def test_options_of_files(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("who;film;stars\nann;1;4,5\nann;1;3,5\nbob;2;2,0\nbob\n")
    options = (
        "--columns",
        "who=user_id",
        "--duplicates",
        "last",
        "--errors",
        "skip",
        "--rejected",
        tmp_path / "no.csv",
    )
    result = call("analyze", "--dataset", tmp_path / "shop.csv", "--out", tmp_path / "a", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == [
        "read: shop.csv (semicolons, decimal commas)",
        "renamed in shop.csv: who -> user_id, film -> movie_id, stars -> rating",
        "left out: 1 row that repeats a user and movie, by duplicates='last' (shop.csv:2)",
        "left out: 1 row with errors (shop.csv:5: expected 3 fields, found 1)",
    ]
    assert (tmp_path / "no.csv").read_text().splitlines()[
        1
    ] == f'{tmp_path / "shop.csv"},5,"expected 3 fields, found 1",bob'
    message = fails_after_data("analyze", "--dataset", tmp_path / "shop.csv", "--columns", "who")
    assert message == "cannot read --columns 'who'; write FILE_COLUMN=NAME, as in asin=movie_id"
    assert fails_after_data("analyze", "--dataset", "ml-1m", "--sep", ";").startswith("unknown option sep of dataset")
