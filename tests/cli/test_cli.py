"""The command line says what the library says: the same numbers, and for every mistake one line."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from gnnrec.cli.options import liked
from rich.console import Console
from typer.testing import CliRunner

from gnnrec import (
    Config,
    NewUser,
    RatingModel,
    Split,
    cli,
    evaluate,
    fit,
    fit_ratings,
    load,
    load_dataset,
    load_ratings,
    predict_rating,
    recommend,
)
from gnnrec.benchmarking import MODELS, BenchmarkReport, fit_baseline
from gnnrec.cli import app, asking
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError
from gnnrec.evaluation import Fingerprint
from gnnrec.splitting import PROTOCOLS, leave_one_out, random_split, temporal_split
from gnnrec.splitting import split as make_split

QUICK = ("--set", "model.embedding_dim=8", "--set", "train.batch_size=32", "--set", "train.epochs=2")
TINY = Config().override(QUICK[1::2])
BRACKETS = "Heat [director's cut] (1995)"


PLAIN = [name for name, steps in PROTOCOLS.items() if not steps.core and not steps.negatives]


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def succeeds(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*arguments: object) -> str:
    """Return the one line that a mistake is answered with."""
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def cells(output: str) -> list[list[str]]:
    """Return the body of the last table printed."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if line[:1] == "│"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Print as into a file, and keep whatever is written out of the working directory."""
    for module in (cli, asking):
        monkeypatch.setattr(module, "console", Console(width=160, color_system=None))
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    monkeypatch.delenv("GNNREC_DATA", raising=False)


@pytest.fixture(scope="module")
def world() -> Split:
    """Return a small world; one of its movies has a title that markup would eat."""
    made = make_sample(60, 40)
    movies = made.movies.assign(title=[BRACKETS, *made.movies["title"].iloc[1:]])
    return random_split(type(made)(made.ratings, movies, made.users, "mine"))


@pytest.fixture(scope="module")
def files(world: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of the dataset and of its split."""
    home = tmp_path_factory.mktemp("files")
    whole = pd.concat([world.train, world.valid, world.test])
    dataset = type(world.dataset)(whole, world.movies, world.users, "mine").to_folder(home / "mine")
    split = world.to_folder(home / "split")
    for table in ("movies", "users"):
        (split / f"{table}.csv").unlink()  # they come from the dataset
    return dataset, split


@pytest.fixture(scope="module")
def run(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    succeeds("train", "--dataset", files[0], "--split", files[1], "--out", folder, *QUICK)
    return folder


# train and evaluate


def test_train_on_everything(files: tuple[Path, Path], tmp_path: Path) -> None:
    output = succeeds("train", "--dataset", files[0], "--out", tmp_path / "run", *QUICK)
    assert output.startswith("columns not used: 'theme' of movies\nDataset('mine': 60 users, 40 movies, ")
    assert output.rstrip().endswith(f"saved in {tmp_path / 'run'}")
    model = load(tmp_path / "run")
    expected = fit(load_dataset(files[0]), TINY, progress=False)
    pd.testing.assert_frame_equal(recommend(model, [1, 2]), recommend(expected, [1, 2]))
    assert fails("evaluate", tmp_path / "run").endswith(
        "was trained on all ratings; give the folder of a split with --split, or a --protocol"
    )


def test_numbers_are_the_same_everywhere(run: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    output = succeeds("evaluate", run, "--json", tmp_path / "new" / "out.json")
    rows = BenchmarkReport.read(tmp_path / "new" / "out.json").results
    split = Split.from_folder(files[1], load_dataset(files[0]))
    frame = evaluate(load(run), split)
    by_hand = {(m, k): v for m, k, v in zip(frame["metric"], frame["k"], frame["value"], strict=True)}
    assert {(row["metric"], row["k"]): row["mean"] for row in rows} == by_hand
    assert {row["model"] for row in rows} == {"gnn"}
    (printed,) = cells(output)
    shown = [("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10)]
    assert printed[:7] == ["gnn", *(f"{by_hand[key]:.4f}" for key in shown)]
    # What train measured at its end and kept.
    kept = {(row["metric"], row["k"]): row["mean"] for row in load(run).report["test"]}
    assert kept == pytest.approx(by_hand, abs=1e-6)
    assert all(row["fit_seconds"] > 0 for row in load(run).report["test"])


def test_evaluate_on_another_folder_and_mask(run: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    split = Split.from_folder(files[1], load_dataset(files[0]))
    for mask, hidden in (("train", None), ("train+valid", split.valid)):
        succeeds("evaluate", run, "--split", files[1], "--mask", mask, "--json", tmp_path / "out.json")
        rows = BenchmarkReport.read(tmp_path / "out.json").results
        frame = evaluate(load(run), split, mask=hidden)
        assert [row["mean"] for row in rows] == frame["value"].tolist()


@pytest.mark.parametrize("protocol", [*PLAIN, "next-item"])
def test_protocols(protocol: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    output = succeeds("train", "--dataset", files[0], "--protocol", protocol, "--out", folder, *QUICK)
    expected = make_split(load_dataset(files[0]), protocol)
    assert repr(expected) in output
    kept = Split.from_folder(folder / "split")
    pd.testing.assert_frame_equal(kept.test, expected.test)
    again = cells(succeeds("evaluate", folder))
    assert [row[:7] for row in cells(output)] == [row[:7] for row in again]


def test_an_earlier_split_does_not_stay(files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    succeeds("train", "--dataset", files[0], "--protocol", "random", "--out", folder, *QUICK)
    succeeds("train", "--dataset", files[0], "--out", folder, *QUICK)
    assert "was trained on all ratings" in fails("evaluate", folder)


def test_config_file_then_set(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: {embedding_dim: 4}\ntrain: {epochs: 1, batch_size: 32}\n")
    arguments = ("--dataset", files[0], "--config", tmp_path / "c.yaml", "--set", "train.epochs=2")
    succeeds("train", *arguments, "--out", tmp_path / "run")
    config = load(tmp_path / "run").config
    assert (config.model.embedding_dim, config.train.epochs, config.train.batch_size) == (4, 2, 32)


def interrupt_validation(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Press Ctrl-C while the epoch `at` is validated."""
    module = importlib.import_module("gnnrec.fit")
    asked: list[int] = []

    def validate(*arguments: Any, **options: Any) -> Any:
        asked.append(1)
        if len(asked) == at:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(module, "evaluate", validate)


def test_stop_and_resume(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("train", "--dataset", files[0], "--split", files[1], *QUICK, "--set", "train.epochs=4")
    succeeds(*arguments, "--out", tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_validation(patch, at=3)
        result = call(*arguments, "--out", tmp_path / "stopped")
    assert result.exit_code == 130
    assert "stopped; the best epoch so far is in" in result.stdout
    assert "Traceback" not in result.output
    stopped = load(tmp_path / "stopped")
    assert [entry["epoch"] for entry in stopped.history] == [1, 2]
    assert len(recommend(stopped, 1)) == 10
    succeeds("evaluate", tmp_path / "stopped")  # its test rows were kept
    output = succeeds(*arguments, "--out", tmp_path / "stopped", "--resume")
    whole, resumed = load(tmp_path / "whole"), load(tmp_path / "stopped")
    assert [{**e, "seconds": 0} for e in resumed.history] == [{**e, "seconds": 0} for e in whole.history]
    assert resumed.similarity_embeddings().equal(whole.similarity_embeddings())
    assert [row[:7] for row in cells(output)] == [row[:7] for row in cells(succeeds("evaluate", tmp_path / "whole"))]


def test_a_loss_that_explodes(files: tuple[Path, Path], tmp_path: Path) -> None:
    line = fails("train", "--dataset", files[0], "--out", tmp_path / "run", *QUICK, "--set", "train.learning_rate=1e30")
    assert "lower train.learning_rate" in line
    assert load(tmp_path / "run").config.train.learning_rate == 1e30


# recommend


def test_recommend_to_a_known_user(run: Path) -> None:
    expected = recommend(load(run), 7, k=5)
    rows = cells(succeeds("recommend", run, "--user", 7, "-k", 5))
    assert [row[:3] for row in rows] == [
        [str(rank), title, f"{score:.3f}"]
        for title, score, rank in zip(expected["title"], expected["score"], expected["rank"], strict=True)
    ]


def test_recommend_to_a_new_user(run: Path) -> None:
    movies = load(run).graph.dataset.movies
    liked = movies["title"].iloc[4]
    person = NewUser(age=25, gender="F", occupation="artist", ratings={liked: 4.0, movies["movie_id"].iloc[8]: 5.0})
    expected = recommend(load(run), person, k=40)
    rows = cells(
        succeeds(
            "recommend", run, "--age", 25, "--gender", "F", "--occupation", "artist",
            "--likes", f"{liked}=4", "--likes", movies["movie_id"].iloc[8], "-k", 40,
        )
    )  # fmt: skip
    assert [row[1] for row in rows] == expected["title"].tolist()
    assert [row[2] for row in rows] == [f"{score:.3f}" for score in expected["score"]]
    assert BRACKETS in [row[1] for row in rows]


def test_recommend_to_someone_unknown(run: Path) -> None:
    rows = cells(succeeds("recommend", run, "-k", 3))
    assert [row[1] for row in rows] == recommend(load(run), NewUser(), k=3)["title"].tolist()


def test_a_title_with_brackets_as_a_reason(run: Path) -> None:
    rows = cells(succeeds("recommend", run, "--likes", BRACKETS, "-k", 39))
    reasons = {row[3] for row in rows}
    assert reasons == {BRACKETS, "—"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995)", ("Heat (1995)", 5.0)),
        ("Heat (1995)=4", ("Heat (1995)", 4.0)),
        ("E=mc2", ("E=mc2", 5.0)),
        ("E=mc2=1.5", ("E=mc2", 1.5)),
        ("12", ("12", 5.0)),
    ],
)
def test_liked(text: str, expected: tuple[str, float]) -> None:
    assert liked(text) == expected


def test_text_ids(tmp_path: Path) -> None:
    ratings = make_sample(40, 20).ratings.astype({"user_id": str})
    ratings["user_id"] = "0" + ratings["user_id"]
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    succeeds("train", "--dataset", tmp_path / "ratings.csv", "--out", tmp_path / "run", *QUICK)
    rows = cells(succeeds("recommend", tmp_path / "run", "--user", "07", "-k", 3))
    assert [row[1] for row in rows] == recommend(load(tmp_path / "run"), "07", k=3)["title"].tolist()


# rate


@pytest.fixture(scope="module")
def rated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RatingModel]:
    """Return a copy of the run that was asked for ratings once, and its rating model."""
    folder = tmp_path_factory.mktemp("rated") / "run"
    shutil.copytree(run, folder)
    assert not (folder / "rating.json").exists()
    succeeds("rate", folder, "--user", 7, "--movie", 1)
    return folder, load_ratings(folder)


def test_rate_for_a_known_user(rated: tuple[Path, RatingModel]) -> None:
    folder, model = rated
    assert (folder / "split").is_dir(), "the rest of the run is kept"
    again = fit_ratings(load(folder), progress=False)
    assert model.head.movies.equal(again.head.movies), "the settings are the defaults"
    expected = predict_rating(model, 7).sort_values("rating", ascending=False, kind="stable")
    rows = [["7", title, f"{stars:.2f}"] for title, stars in zip(expected["title"], expected["rating"], strict=True)]
    assert cells(succeeds("rate", folder, "--user", 7, "-k", 40)) == rows
    assert BRACKETS in [row[1] for row in rows]
    assert cells(succeeds("rate", folder, "--user", 7)) == rows[:10]


def test_rate_for_a_new_user(rated: tuple[Path, RatingModel]) -> None:
    folder, model = rated
    titles = model.graph.dataset.movies["title"]
    person = NewUser(age=25, gender="F", occupation="artist", ratings={titles[4]: 1.0, titles[8]: 5.0})
    who = ("--age", 25, "--gender", "F", "--occupation", "artist", "--likes", f"{titles[4]}=1", "--likes", titles[8])
    movies = [*titles[9:20], BRACKETS]
    asked = [word for title in movies for word in ("--movie", title)]
    expected = predict_rating(model, person, movies).sort_values("rating", ascending=False, kind="stable")
    rows = cells(succeeds("rate", folder, *who, *asked))
    assert [row[0] for row in rows] == ["new user"] * 12, "all that are named"
    assert [row[1:] for row in rows] == [
        [title, f"{stars:.2f}"] for title, stars in zip(expected["title"], expected["rating"], strict=True)
    ]
    assert cells(succeeds("rate", folder, *who, *asked, "-k", 3)) == rows[:3]


def test_rate_without_ratings(tmp_path: Path) -> None:
    make_sample(40, 20).ratings.drop(columns="rating").to_csv(tmp_path / "ratings.csv", index=False)
    succeeds("train", "--dataset", tmp_path / "ratings.csv", "--out", tmp_path / "run", *QUICK)
    assert "no column rating" in fails("rate", tmp_path / "run", "--user", 1)


# a newcomer with twenty lines


@pytest.fixture
def twenty_lines(tmp_path: Path) -> Path:
    rows = [f"{u},{10 + (u + m) % 7},{1 + u * m % 5}" for u in range(1, 5) for m in range(1, 6)]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ratings.csv").write_text("\n".join(["userId,movieId,rating", *rows]) + "\n")
    return tmp_path / "mine"


def test_twenty_lines_are_enough(twenty_lines: Path, tmp_path: Path) -> None:
    output = succeeds("train", "--dataset", twenty_lines, "--out", tmp_path / "run")
    assert "Dataset('mine': 4 users, 7 movies, 20 ratings)" in output
    unseen = cells(succeeds("recommend", tmp_path / "run", "--user", 1))
    assert sorted(row[1] for row in unseen) == ["10", "11"]
    assert len(cells(succeeds("recommend", tmp_path / "run", "--likes", "12"))) == 6


@pytest.mark.parametrize("command", ["train", "benchmark"])
def test_twenty_lines_are_too_few_to_test_on(command: str, twenty_lines: Path, tmp_path: Path) -> None:
    options = ("--protocol", "random", "--out", tmp_path / "run") if command == "train" else ()
    line = fails(command, "--dataset", twenty_lines, *options)
    assert line.startswith("random per user 0.8/0.1/0.1, seed 0 leaves no test rows: people with few ratings")
    assert not (tmp_path / "run").exists()  # said before the work, not after


def test_metrics_without_a_value_are_left_out(twenty_lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    output = succeeds("train", "--dataset", twenty_lines, "--protocol", "held-out-movies", "--out", tmp_path / "run")
    assert "nan" not in output
    succeeds("evaluate", tmp_path / "run", "--json", out)
    rows = json.loads(out.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))["results"]
    assert "diversity" not in {row["metric"] for row in rows}
    assert {row["fit_seconds"] for row in rows} == {None}


# benchmark


def test_benchmark(files: tuple[Path, Path], tmp_path: Path) -> None:
    dataset, split = files
    common = ("benchmark", "--dataset", dataset, "--split", split, *QUICK, "--seeds", 2)
    output = succeeds(*common, "--json", tmp_path / "a.json")
    rows = BenchmarkReport.read(tmp_path / "a.json").results
    keys = ["model", "metric", "k", "mean", "std", "seeds", "values", "fit_seconds", "evaluate_seconds"]
    assert all(list(row) == [*keys, "fingerprint", "protocol"] for row in rows)
    assert {row["metric"] for row in rows} >= {"recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage"}
    assert {row["k"] for row in rows} == {10, 20}
    assert {(row["model"], row["seeds"]) for row in rows} == {
        ("gnn", 2), ("ease", 1), ("itemknn", 1), ("popularity", 1),
    }  # fmt: skip
    parts = Split.from_folder(split, load_dataset(dataset))
    frame = evaluate(fit_baseline("ease", parts), parts)
    assert {row["fingerprint"] for row in rows} == {frame.attrs["fingerprint"]}
    assert frame.attrs["fingerprint"] in output
    assert [row["mean"] for row in rows if row["model"] == "ease"] == frame["value"].tolist()
    recall = {(row["model"], row["k"]): row for row in rows if row["metric"] == "recall"}
    table = {row[0]: row for row in cells(output)}
    gnn = recall["gnn", 10]
    assert table["gnn"][1] == f"{gnn['mean']:.4f} ± {gnn['std']:.4f}"
    assert table["ease"][3] == f"{recall['ease', 20]['mean']:.4f}"
    report = BenchmarkReport.read(tmp_path / "a.json")
    # Where the files lie is not told.
    assert report.command == " ".join(["gnnrec benchmark --dataset mine --split split --seeds 2", *QUICK])
    assert Config.from_mapping(report.settings["gnn"]) == TINY


def test_benchmark_of_peers(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    common = (
        "benchmark",
        "--dataset",
        files[0],
        "--protocol",
        "held-out-users",
        "--seeds",
        1,
        "--limit-seconds",
        0.001,
    )
    output = succeeds(*common, "--models", "popularity,als,mf,average", "--json", tmp_path / "x.json")
    report = BenchmarkReport.read(tmp_path / "x.json")
    assert [*dict.fromkeys(row["model"] for row in report.results)] == ["popularity", "average"]
    assert [row[0] for row in cells(output)] == ["popularity", "average"]
    assert report.limit_seconds == 0.001
    for name, reason in {"als": "needs the package implicit", "mf": "learns a vector for each person"}.items():
        assert output.count(f"LEFT OUT {name}: {name} {reason}") == 2, "at once, and below the table"
        assert f"{name} {reason}" in report.left_out[name]
    assert "needs the package implicit" in fails(*common, "--models", "als").splitlines()[-1]


def test_all_models(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def stop(*arguments: Any, models: Any, **options: Any) -> None:
        asked.extend(models)
        raise ConfigError("enough")

    monkeypatch.setattr(cli, "run_benchmark", stop)
    assert fails("benchmark", "--dataset", files[0], "--models", "all") == "enough"
    assert tuple(asked) == MODELS


def test_benchmark_of_several_networks(files: tuple[Path, Path], tmp_path: Path) -> None:
    for name, dim in (("small", 4), ("large", 8)):
        (tmp_path / f"{name}.yaml").write_text(f"model: {{embedding_dim: {dim}}}\ntrain: {{batch_size: 32}}\n")
    common = ("benchmark", "--dataset", files[0], "--models", "gnn", "--seeds", 1, "--set", "train.epochs=1")
    both = ("--config", tmp_path / "small.yaml", "--config", tmp_path / "large.yaml")
    output = succeeds(*common, *both, "--json", tmp_path / "x.json")
    assert [row[0] for row in cells(output)] == ["gnn (small)", "gnn (large)"]
    report = BenchmarkReport.read(tmp_path / "x.json")
    assert report.command.endswith("--config small.yaml --config large.yaml --set train.epochs=1")
    settings = {name: found["model"]["embedding_dim"] for name, found in report.settings.items()}
    assert settings == {"gnn (small)": 4, "gnn (large)": 8}
    assert {found["train"]["epochs"] for found in report.settings.values()} == {1}
    assert [row[0] for row in cells(succeeds(*common, *both[:2]))] == ["gnn"], "one needs no name"
    (tmp_path / "other").mkdir()
    twin = (tmp_path / "small.yaml").rename(tmp_path / "other" / "large.yaml")
    assert "two --config files have the same name" in fails(*common, "--config", twin, *both[2:])


def test_seed_of_what_is_drawn(files: tuple[Path, Path], tmp_path: Path) -> None:
    whole, common = load_dataset(files[0]), ("benchmark", "--dataset", files[0], "--models", "popularity")
    for seed, options_, expected in (
        (0, (), random_split(whole)),
        (3, ("--seed", 3), random_split(whole, seed=3)),
        (3, ("--seed", 3, "--protocol", "next-item", "--negatives", 5),
         make_split(whole, "next-item").with_negatives(5, seed=3)),
        (3, ("--seed", 3, "--split", files[1], "--negatives", 5),
         Split.from_folder(files[1], whole).with_negatives(5, seed=3)),
    ):  # fmt: skip
        output = succeeds(*common, *options_, "--json", tmp_path / "x.json")
        assert f"seed {seed}" in output
        assert BenchmarkReport.read(tmp_path / "x.json").protocols.keys() == {Fingerprint.of(expected).digest}


def test_benchmark_mask(files: tuple[Path, Path], tmp_path: Path) -> None:
    means = {}
    for mask in ("train", "train+valid"):
        arguments = (
            "--split",
            files[1],
            "--models",
            " ease ,popularity",
            "--mask",
            mask,
            "--json",
            tmp_path / "x.json",
        )
        assert f"masked {mask} " in succeeds("benchmark", "--dataset", files[0], *arguments)
        rows = BenchmarkReport.read(tmp_path / "x.json").results
        means[mask] = {(row["model"], row["metric"], row["k"]): row["mean"] for row in rows}
    assert {key[0] for key in means["train"]} == {"ease", "popularity"}
    for model in ("ease", "popularity"):
        assert means["train+valid"][model, "recall", 10] > means["train"][model, "recall", 10]


def test_benchmark_config_and_set(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: {embedding_dim: 4}\ntrain: {epochs: 9, batch_size: 32}\n")
    arguments = ("--config", tmp_path / "c.yaml", "--set", "train.epochs=1", "--seeds", 1, "--models", "gnn")
    succeeds("benchmark", "--dataset", files[0], "--split", files[1], *arguments, "--json", tmp_path / "x.json")
    rows = BenchmarkReport.read(tmp_path / "x.json").results
    config = Config().override(["model.embedding_dim=4", "train.epochs=1", "train.batch_size=32"])
    split = Split.from_folder(files[1], load_dataset(files[0]))
    frame = evaluate(fit(split, config, progress=False), split)
    assert [row["mean"] for row in rows] == pytest.approx(frame["value"].tolist(), abs=1e-6)


def test_benchmark_without_a_split(files: tuple[Path, Path]) -> None:
    expected = random_split(load_dataset(files[0]))
    assert repr(expected) in succeeds("benchmark", "--dataset", files[0], "--models", "popularity")


def test_benchmark_protocol(files: tuple[Path, Path], tmp_path: Path) -> None:
    common = ("benchmark", "--dataset", files[0], "--models", "popularity", "--json", tmp_path / "x.json")
    whole = load_dataset(files[0])
    cases = {
        (): random_split(whole),
        ("--protocol", "recbole"): make_split(whole, "recbole"),
        ("--protocol", "chronological", "--min-rating", 3, "--core", 5): temporal_split(whole.filtered(3, 5)),
        ("--protocol", "leave-one-out", "--history", "train+valid"): replace(
            leave_one_out(whole), history="train+valid"
        ),
        ("--protocol", "next-item", "--negatives", 5): make_split(whole, "next-item").with_negatives(5),
        ("--split", files[1], "--mask", "train+valid"): replace(Split.from_folder(files[1], whole), mask="train+valid"),
    }
    seen = set()
    for options_, split in cases.items():
        output = succeeds(*common, *options_)
        assert repr(split) in output
        rows = BenchmarkReport.read(tmp_path / "x.json").results
        fingerprint = Fingerprint.of(split)
        assert {(row["fingerprint"], row["protocol"]) for row in rows} == {(fingerprint.digest, str(fingerprint))}
        assert f"{fingerprint.digest} = mine" in output
        seen.add(fingerprint.digest)
    assert len(seen) == len(cases)


def test_benchmark_of_unseen_movies(files: tuple[Path, Path], tmp_path: Path) -> None:
    common = ("benchmark", "--dataset", files[0], "--models", "ridge,popularity", "--json", tmp_path / "x.json")
    for protocol, asked in (
        ("cold-movies", {"fold": 1}),
        ("cold-movies", {"fold": 1, "candidates": "all"}),
        ("cold-users", {"fold": 1, "support": 3}),
    ):
        options_ = [word for name, value in asked.items() for word in (f"--{name}", value)]
        output = succeeds(*common, "--protocol", protocol, *options_)
        split = make_split(load_dataset(files[0]), protocol, **asked)
        assert repr(split) in output
        assert BenchmarkReport.read(tmp_path / "x.json").protocols.keys() == {Fingerprint.of(split).digest}
    assert "'random' has no fold to choose" in fails("benchmark", "--dataset", files[0], "--fold", 1)
    assert "--fold: of a --protocol only" in fails("train", "--dataset", files[0], "--fold", 1)


def test_negatives_of_a_file(run: Path, world: Split, tmp_path: Path) -> None:
    drawn = world.with_negatives(4, seed=3).negatives
    drawn.to_csv(tmp_path / "n.csv", index=False)
    succeeds("evaluate", run, "--negatives", tmp_path / "n.csv", "--json", tmp_path / "x.json")
    rows = BenchmarkReport.read(tmp_path / "x.json").results
    frame = evaluate(load(run), world, negatives=drawn)
    assert [row["mean"] for row in rows] == frame["value"].tolist()
    assert {row["fingerprint"] for row in rows} == {frame.attrs["fingerprint"]}


def test_what_a_run_was_trained_for_stays_with_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    folder, whole = tmp_path / "run", load_dataset(files[0])
    arguments = ("--dataset", files[0], "--protocol", "next-item", "--negatives", 5)
    succeeds("train", *arguments, "--out", folder, *QUICK)
    expected = make_split(whole, "next-item").with_negatives(5)
    frame = evaluate(load(folder), expected)
    trained = load(folder).report["test"]
    # Neither the split kept in the run nor the protocol asked for by name is another one.
    for again in ((), arguments):
        succeeds("evaluate", folder, *again, "--json", tmp_path / "x.json")
        rows = BenchmarkReport.read(tmp_path / "x.json").results
        assert {row["fingerprint"] for row in (*trained, *rows)} == {Fingerprint.of(expected).digest}
        assert [row["mean"] for row in rows] == frame["value"].tolist()


def test_train_on_filtered_ratings(files: tuple[Path, Path], tmp_path: Path) -> None:
    succeeds("train", "--dataset", files[0], "--min-rating", 4, "--out", tmp_path / "run", *QUICK)
    expected = load_dataset(files[0]).filtered(4)
    pd.testing.assert_frame_equal(load(tmp_path / "run").graph.dataset.ratings, expected.ratings)


# download


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder with one small set on this machine."""
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    home = tmp_path / "server"
    home.mkdir()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("ml-latest-small/ratings.csv", "userId,movieId,rating,timestamp\n1,10,4.5,1000\n")
    (home / "ml-latest-small.zip").write_bytes(buffer.getvalue())
    (home / "ml-latest-small.zip.md5").write_text(hashlib.md5(buffer.getvalue()).hexdigest())
    (home / "ml-1m.zip").write_bytes(b"not the real one")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(home))

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        monkeypatch.setenv("GNNREC_BASE_URL", url)
        yield url
        running.shutdown()
        thread.join()


def test_download(server: str, tmp_path: Path) -> None:
    output = succeeds("download", "ml-latest-small", "--to", tmp_path / "data")
    folder = tmp_path / "data" / "ml-latest-small"
    assert output == f"ml-latest-small is in {folder}\n"
    assert load_dataset(folder).ratings.iloc[0].tolist() == [1, 10, 4.5, 1000]


def test_download_errors(server: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert "ml-1m.zip does not have the checksum" in fails_in_download("ml-1m", "--to", data)
    assert "the server answers 404" in fails_in_download("ml-100k", "--to", data)
    assert "'ml-7m' is no MovieLens set; known are ml-100k, ml-1m" in fails("download", "ml-7m")
    assert list(data.iterdir()) == []


def fails_in_download(*arguments: object) -> str:
    """Return the last line on standard error; the progress bar is before it."""
    result = call("download", *arguments)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return result.stderr.splitlines()[-1].removeprefix("error: ")


# mistakes


def test_mistakes_in_the_data(tmp_path: Path) -> None:
    bad = tmp_path / "ratings.csv"
    bad.write_text("user_id,movie_id,rating\n1,10,5\n1,20,good\n")
    assert fails("train", "--dataset", bad).startswith(f"{bad}:3: ")
    bad.write_text("")
    assert str(bad) in fails("train", "--dataset", tmp_path)
    assert "'nosuch' is neither a known name (sample, ml-100k" in fails("train", "--dataset", "nosuch")
    assert "has no timestamps" in fails("train", "--dataset", no_times(tmp_path), "--protocol", "leave-one-out")


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    """A slip in a header would go unseen otherwise."""
    (tmp_path / "ratings.csv").write_text("User,Movie,Stars,Watched On\nann,1,5,2024-05-01\nbob,2,4,2024-05-02\n")
    (tmp_path / "users.csv").write_text("User,Age,Town\nann,30,Rome\nbob,40,Bonn\n")
    told = "columns not used: 'Watched On' of ratings; 'Town' of users"
    assert succeeds("analyze", "--dataset", tmp_path, "--out", tmp_path / "a").splitlines()[0] == told
    assert fails("train", "--dataset", tmp_path, "--protocol", "chronological").startswith(
        f"{tmp_path.name} has no tim"
    )
    (tmp_path / "ratings.csv").write_text("User,Movie\nann,1\nbob,2\n")
    (tmp_path / "users.csv").unlink()
    assert "not used" not in succeeds("analyze", "--dataset", tmp_path, "--out", tmp_path / "b")


def no_times(folder: Path) -> Path:
    path = folder / "plain.csv"
    path.write_text("user_id,movie_id\n1,10\n1,20\n1,30\n")
    return path


def test_mistakes_in_the_config(tmp_path: Path) -> None:
    yaml = tmp_path / "c.yaml"
    sample = ("train", "--dataset", "sample", "--config", yaml)
    assert fails(*sample) == f"there is no config file {yaml}"
    yaml.write_text("model: [1\n x: {")
    assert fails(*sample).startswith(f"{yaml} is not YAML: ")
    yaml.write_text("- 1\n- 2\n")
    assert fails(*sample) == f"{yaml} must hold keys and values, not list"
    yaml.write_text("model: {num_layers: 0}\ntrain: {epoch: 3}\n")
    assert fails(*sample) == (
        f"{yaml} is not valid: model.num_layers: Input should be greater than or equal to 1 (got 0); "
        "train.epoch: there is no such key; did you mean train.epochs?"
    )
    yaml.write_text("")
    assert "write section.key=value" in fails(*sample, "--set", "epochs")
    assert "train.loss: Input should be" in fails(*sample, "--set", "train.loss=[hinge]")


Mistake = Callable[[Path, tuple[Path, Path]], tuple[object, ...]]
MISTAKES: dict[str, tuple[Mistake, str]] = {
    "both": (lambda run, f: ("train", "--split", "x", "--protocol", "random"), "give --split or --protocol, not both"),
    "protocol": (
        lambda run, f: ("train", "--protocol", "fair"),
        "there is no protocol 'fair'; there are random, recb",
    ),
    "both again": (
        lambda run, f: ("evaluate", run, "--split", f[1], "--protocol", "random"),
        "give --split or --protocol, not both",
    ),
    "filtered split": (
        lambda run, f: ("benchmark", "--dataset", f[0], "--split", f[1], "--core", "5"),
        "the rows of --split are divided already",
    ),
    "mask of nothing": (
        lambda run, f: ("train", "--dataset", f[0], "--mask", "train"),
        "--mask, --history and --negatives are about test rows; give --split or --protocol, too",
    ),
    "history": (
        lambda run, f: ("benchmark", "--dataset", f[0], "--protocol", "random", "--history", "test"),
        "history must be one of train, train+valid, not 'test'",
    ),
    "negatives": (
        lambda run, f: ("benchmark", "--dataset", f[0], "--negatives", "40"),
        "negatives cannot be drawn; ask for fewer",
    ),
    "no negatives": (
        lambda run, f: ("benchmark", "--dataset", f[0], "--negatives", "nowhere.csv"),
        "nowhere.csv is not a file; negatives are a number, or a file",
    ),
    "nothing drawn": (
        lambda run, f: ("benchmark", "--dataset", f[0], "--protocol", "chronological", "--seed", "1"),
        "--seed is of what a --protocol or --negatives draw, and nothing is drawn here",
    ),
    "nothing divided": (lambda run, f: ("train", "--dataset", f[0], "--seed", "1"), "nothing is drawn here"),
    "limit": (lambda run, f: ("benchmark", "--dataset", f[0], "--limit-seconds", "0"), "limit_seconds must be above 0"),
    "no models": (lambda run, f: ("benchmark", "--dataset", f[0], "--models", ","), "no model is named"),
    "benchmark folder": (lambda run, f: ("benchmark", "--dataset", f[0], "--json", f[0]), "is a folder; name a file"),
    "core": (lambda run, f: ("train", "--dataset", f[0], "--core", "99"), "no rating of mine is left after 99-core"),
    "already trained on": (
        lambda run, f: ("evaluate", run, "--dataset", f[0], "--protocol", "chronological"),
        "in the history or the mask already",
    ),
    "not a run": (lambda run, f: ("train", "--dataset", f[0], "--out", f[0]), "exists and is not a saved run; choose"),
    "no checkpoint": (lambda run, f: ("train", "--dataset", f[0], "--out", "new", "--resume"), "nothing to resume"),
    "other config": (
        lambda run, f: ("train", "--dataset", f[0], "--split", f[1], "--out", run, "--resume", "--set", "train.seed=9"),
        "was made with another config or other data",
    ),
    "below a file": (
        lambda run, f: ("train", "--dataset", f[0], "--out", f[0] / "ratings.csv" / "run", *QUICK),
        "ratings.csv",
    ),
    "no run": (lambda run, f: ("evaluate", "nowhere"), "nowhere is not a saved run: it has no run.json"),
    "no split": (lambda run, f: ("evaluate", run, "--split", "nowhere"), "nowhere is not a folder"),
    "bad split": (lambda run, f: ("evaluate", run, "--split", f[0]), "lacks train.csv, valid.csv, test.csv"),
    "mask": (lambda run, f: ("evaluate", run, "--mask", "all"), "mask must be one of train, train+valid, not 'all'"),
    "json folder": (lambda run, f: ("evaluate", run, "--json", f[0]), "Is a directory"),
    "unknown user": (lambda run, f: ("recommend", run, "--user", "999"), "user 999 is not in the graph"),
    "text user": (lambda run, f: ("recommend", run, "--user", "bob"), "user 'bob' is not in the graph"),
    "both kinds": (lambda run, f: ("recommend", run, "--user", "1", "--age", "3"), "--user is a known person;"),
    "gender": (lambda run, f: ("recommend", run, "--gender", "X"), "gender 'X' is not known"),
    "occupation": (lambda run, f: ("recommend", run, "--occupation", "artis"), "for example: artist"),
    "age": (lambda run, f: ("recommend", run, "--age", "-4"), "age -4.0 is not an age in years"),
    "k": (lambda run, f: ("recommend", run, "-k", "0"), "k must be a whole number of at least 1, not 0"),
    "rated k": (lambda run, f: ("rate", run, "-k", "0"), "k must be a whole number of at least 1, not 0"),
    "rated user": (lambda run, f: ("rate", run, "--user", "999"), "user 999 is not in the graph"),
    "rated by both": (lambda run, f: ("rate", run, "--user", "1", "--likes", "1"), "--user is a known person;"),
    "rated movie": (lambda run, f: ("rate", run, "--movie", "No Such Film"), "movie 'No Such Film' is not known"),
    "rated run": (lambda run, f: ("rate", "nowhere"), "nowhere is not a saved run: it has no run.json"),
    "rating": (lambda run, f: ("recommend", run, "--likes", "1=inf"), "give a finite number"),
    "title": (
        lambda run, f: ("recommend", run, "--likes", "Heat [directors cut] (1995)"),
        f"movie 'Heat [directors cut] (1995)' is not known; did you mean {BRACKETS!r}",
    ),
    "unlike any": (lambda run, f: ("recommend", run, "--likes", "[red]zzzz[/red]"), "movie '[red]zzzz[/red]' is not"),
    "model": (lambda run, f: ("benchmark", "--dataset", f[0], "--models", "gnn,magic"), "unknown model 'magic'; there"),
    "seeds": (lambda run, f: ("benchmark", "--dataset", f[0], "--seeds", "0"), "at least one seed is needed, not 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, run: Path, files: tuple[Path, Path]) -> None:
    arguments, expected = MISTAKES[name]
    before = sorted(path.name for path in run.parent.rglob("*"))
    assert expected in fails(*arguments(run, files))
    assert sorted(path.name for path in run.parent.rglob("*")) == before


@pytest.mark.parametrize("command", ["", "download", "train", "evaluate", "recommend", "rate", "benchmark"])
def test_help(command: str) -> None:
    output = succeeds(*command.split(), "--help")
    assert "Usage" in output
    assert "[bold" not in output
