"""A benchmark adds nothing to fitting and evaluating: its numbers are theirs."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import Field
from torch import Tensor

from gnnrec import Config, Recommender, Split, evaluate, fit, register_model
from gnnrec.benchmarking import (
    BenchmarkReport,
    aggregate_seeds,
    benchmark,
    compare,
    fit_best,
    results_table,
    timed,
)
from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import Fingerprint
from gnnrec.graph import Graph
from gnnrec.models import EASE, MF, Estimator, ItemKNN
from gnnrec.models.estimator import get_estimator, validation_of
from gnnrec.models.popularity import PopularityModel
from gnnrec.registry import FAST_MODELS, MODELS
from gnnrec.splitting import cold_users_split, random_split
from gnnrec.splitting import split as make_split
from gnnrec.training.callbacks import TimeLimit
from gnnrec.training.loop import FitRun
from tests.helpers.registries import restored_registries

TINY = Config().override(["model.embedding_dim=8", "train.epochs=2", "train.batch_size=32", "train.seed=5"])
KEYS = ["model", "metric", "k", "mean", "std", "seeds", "values", "fit_seconds", "evaluate_seconds"]
KEYS += ["fingerprint", "protocol", "fit_cpu_seconds"]


@pytest.fixture(scope="module")
def small() -> Split:
    return random_split(make_sample(60, 40))


@pytest.fixture(scope="module")
def results(small: Split) -> list[dict[str, Any]]:
    return benchmark(small, config=TINY, seeds=2, progress=False).results


def value(results: list[dict[str, Any]], model: str, metric: str, k: int) -> float:
    (row,) = [r for r in results if (r["model"], r["metric"], r["k"]) == (model, metric, k)]
    return float(row["mean"])


def as_dict(frame: pd.DataFrame) -> dict[tuple[str, int], float]:
    return {(m, k): v for m, k, v in zip(frame["metric"], frame["k"], frame["value"], strict=True)}


def test_every_model_and_metric_once(results: list[dict[str, Any]]) -> None:
    assert list(dict.fromkeys(row["model"] for row in results)) == ["gnn", "ease", "itemknn", "popularity"]
    assert set(FAST_MODELS) <= set(MODELS.names())
    of_epochs = ["epochs", "best_epochs"]
    assert all(list(row) == [*KEYS, *(of_epochs if row["model"] == "gnn" else [])] for row in results)
    metrics = ["recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage", "novelty", "diversity"]
    assert [(r["metric"], r["k"]) for r in results if r["model"] == "ease"] == [
        (m, k) for m in metrics for k in (10, 20)
    ]
    assert all(min(row["fit_seconds"], row["fit_cpu_seconds"], row["evaluate_seconds"]) > 0 for row in results)


def test_epochs_are_recorded(small: Split) -> None:
    estimator = MF(epochs=30, learning_rate=0.05, embedding_dim=4)
    rows = benchmark(small, models=[estimator], seeds=2, ks=[10], metrics=["ndcg", "recall"], progress=False).results
    histories = [estimator.with_seed(seed).fit(small).history for seed in (0, 1)]
    assert len({len(history) for history in histories}) == 2, "early stopping ends them at different epochs"
    best = [max(history, key=lambda record: record["ndcg@20"])["epoch"] for history in histories]
    for row in rows:
        assert (row["epochs"], row["best_epochs"]) == ([len(history) for history in histories], best)


def ease_by_hand(split: Split) -> Recommender:
    """Return the EASE of the grid that is best on the validation ratings."""
    scores = {}
    for hyperparameters in MODELS.metadata("ease")["grid"]:
        model = EASE(**hyperparameters).fit(split)
        found = evaluate(model, split.valid, ks=[20], metrics=["ndcg"], candidates=split.candidates_for("valid"))
        scores[found["value"].iloc[0]] = model
    assert len(scores) > 1
    return scores[max(scores)]


@pytest.mark.parametrize("model", [EASE(), ItemKNN()], ids=lambda model: model.name)
def test_without_validation_ratings_defaults_are_used(small: Split, model: Estimator) -> None:
    bare = replace(small, valid=small.valid[:0])
    assert fit_best(model.name, bare).hyperparameters == model.model_dump()
    assert get_estimator(model.name, **MODELS.metadata(model.name)["grid"][0]) != model, "the grid starts elsewhere"


def test_hyperparameters_are_selected_as_by_hand(small: Split, results: list[dict[str, Any]]) -> None:
    by_hand = as_dict(evaluate(ease_by_hand(small), small))
    rows = [row for row in results if row["model"] == "ease"]
    assert {(row["metric"], row["k"]): row["mean"] for row in rows} == by_hand
    assert {(row["std"], row["seeds"]) for row in rows} == {(0.0, 1)}


def test_the_network_is_fitted_once_per_seed(small: Split, results: list[dict[str, Any]]) -> None:
    runs = [
        as_dict(evaluate(fit(small, config=TINY.override([f"train.seed={s}"]), progress=False), small)) for s in (5, 6)
    ]
    rows = [row for row in results if row["model"] == "gnn"]
    assert {row["seeds"] for row in rows} == {2}
    assert any(row["std"] > 0 for row in rows)
    for row in rows:
        own = [run[row["metric"], row["k"]] for run in runs]
        assert row["values"] == pytest.approx(own, abs=1e-6)
        assert row["mean"] == pytest.approx(mean(own), abs=1e-6)
        assert row["std"] == pytest.approx(stdev(own), abs=1e-6)


def test_mask(small: Split) -> None:
    both = {m: benchmark(small, models=["ease"], mask=m, progress=False).results for m in ("train", "train+valid")}
    by_hand = as_dict(evaluate(ease_by_hand(small), small, mask=small.valid))
    assert {(row["metric"], row["k"]): row["mean"] for row in both["train+valid"]} == by_hand
    # Masked movies make room: test movies move up or stay.
    assert value(both["train+valid"], "ease", "recall", 10) > value(both["train"], "ease", "recall", 10)


def test_other_list_lengths(small: Split) -> None:
    rows = benchmark(small, models=["popularity"], ks=[1, 3], progress=False).results
    assert {row["k"] for row in rows} == {1, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["gnn", "svd++"]}, r"unknown model 'svd\+\+'; choose one of gnn, "),
        ({"mask": "test"}, "mask must be one of train, train\\+valid, not 'test'"),
        ({"history": "valid"}, "history must be one of train, train\\+valid, not 'valid'"),
        ({"seeds": 0}, "seeds must be an integer of at least 1, not 0"),
        ({"models": []}, "no model is given; choose from gnn, "),
        ({"config": {}}, "config is empty; give at least one"),
        ({"time_limit": 0}, "time_limit must be a number above 0, not 0"),
        ({"out": "."}, r"\. is a folder; pass the path of a file"),
    ],
)
def test_wrong_arguments(small: Split, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        benchmark(small, **options)


def test_undefined_metrics_have_no_row() -> None:
    # Diversity needs genres, and the fit was not timed.
    split = random_split(Dataset(make_sample(60, 40).ratings, name="bare"))
    rows = compare({"ease": EASE().fit(split)}, split, ks=[10])
    assert "diversity" not in {row["metric"] for row in rows}
    assert {row["fit_seconds"] for row in rows} == {None}
    assert results_table(rows)["fit s"].tolist() == [""]
    with pytest.raises(DataError, match="none of the metrics is defined on these test ratings"):
        benchmark(split, models=["ease"], metrics=["diversity"], log=lambda line: None, progress=False)


def test_compare_records_given_seconds(small: Split) -> None:
    ease = EASE().fit(small)
    assert {row["fit_seconds"] for row in compare({"x": ease}, small, fit_seconds={"x": 1.5})} == {1.5}


def test_table_shows_the_numbers(results: list[dict[str, Any]]) -> None:
    table = results_table(results).set_index("model")
    assert table.index.tolist() == list(FAST_MODELS)
    assert table.columns.tolist() == [
        "recall@10", "ndcg@10", "recall@20", "ndcg@20", "hit rate@10", "coverage@10", "fit s", "eval s",
    ]  # fmt: skip
    row = next(r for r in results if (r["model"], r["metric"], r["k"]) == ("gnn", "ndcg", 10))
    assert table.loc["gnn", "ndcg@10"] == f"{row['mean']:.4f} ± {row['std']:.4f}"
    assert table.loc["ease", "recall@20"] == f"{value(results, 'ease', 'recall', 20):.4f}"


def test_history_is_one_argument(small: Split) -> None:
    rows = benchmark(small, models=["ease"], history="train+valid", progress=False).results
    frame = evaluate(ease_by_hand(small), small, history=small.valid)
    assert {(row["metric"], row["k"]): row["mean"] for row in rows} == as_dict(frame)
    # The split can say so itself.
    own = benchmark(replace(small, history="train+valid"), models=["ease"], progress=False).results
    assert [row["mean"] for row in own] == [row["mean"] for row in rows]
    assert {row["fingerprint"] for row in own} == {row["fingerprint"] for row in rows}
    assert value(rows, "ease", "recall", 10) > value(
        benchmark(small, models=["ease"], progress=False).results, "ease", "recall", 10
    )


@pytest.fixture
def fitted_seeds() -> Iterator[list[int]]:
    """Register a seeded model ``seeded``, and return the seeds that it is fitted with."""
    seeds: list[int] = []
    with restored_registries():

        @register_model("seeded")
        class Seeded(Estimator):
            """Scores movies at random."""

            seed: int = Field(0, ge=0)

            def fit_graph(self, graph: Graph, run: FitRun) -> Recommender:
                seeds.append(self.seed)
                scores = torch.rand(graph.num_movies, generator=torch.Generator().manual_seed(self.seed))
                return PopularityModel(graph, scores, self)  # type: ignore[arg-type]

            def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> Recommender:
                raise NotImplementedError

        yield seeds


def test_a_seeded_model_is_fitted_once_per_seed(small: Split, fitted_seeds: list[int]) -> None:
    rows = benchmark(small, config=TINY, models=["seeded"], seeds=2, progress=False).results
    assert fitted_seeds == [5, 6]  # the config's seed is the first
    assert {(row["seeds"], len(row["values"])) for row in rows} == {(2, 2)}
    assert any(row["std"] > 0 for row in rows)


def test_estimators_are_fitted_as_they_are(small: Split, fitted_seeds: list[int]) -> None:
    models = [EASE(reg=1.0), MODELS.get("seeded")(seed=7), EASE(reg=9.0), "ease", "ease"]
    report = benchmark(small, config=TINY, models=models, seeds=2, progress=False)
    assert fitted_seeds == [7, 8]  # an estimator has a seed of its own
    assert [*dict.fromkeys(row["model"] for row in report.results)] == ["ease", "seeded", "ease 2", "ease 3"]
    assert report.settings == {"ease": {"reg": 1.0}, "seeded": {"seed": 7}, "ease 2": {"reg": 9.0}}
    for name, model in {"ease": EASE(reg=1.0), "ease 2": EASE(reg=9.0)}.items():
        own = {(row["metric"], row["k"]): row["mean"] for row in report.results if row["model"] == name}
        assert own == as_dict(evaluate(model.fit(small), small))


def test_a_model_of_epochs_is_as_if_fitted_by_hand(small: Split) -> None:
    rows = benchmark(small, config=TINY, models=["mf"], seeds=2, time_limit=1e-6, progress=False).results
    fitted = [MF(seed=seed).fit(small, callbacks=[TimeLimit(1e-6)]) for seed in (5, 6)]
    assert [len(model.history) for model in fitted] == [1, 1]
    by_hand = [as_dict(evaluate(model, small)) for model in fitted]
    for row in rows:
        assert row["values"] == pytest.approx([run[row["metric"], row["k"]] for run in by_hand], abs=1e-6)
    assert any(row["std"] > 0 for row in rows)
    # Models without randomness are fitted once.
    assert {row["seeds"] for row in benchmark(small, models=["slim"], progress=False).results} == {1}


def test_models_are_selected_on_the_validation_ratings(small: Split) -> None:
    validate, model = validation_of(small), ease_by_hand(small)
    assert validate is not None
    found = evaluate(model, small.valid, ks=[20], metrics=["ndcg"], candidates=small.candidates_for("valid"))
    assert validate(model) == pytest.approx(found["value"].iloc[0])
    assert validation_of(replace(small, valid=small.valid[:0])) is None
    assert validation_of(small.dataset) is None


def test_several_networks(small: Split) -> None:
    wide = TINY.override(["model.embedding_dim=16"])
    both = {"narrow": TINY, "wide": wide}
    report = benchmark(small, config=both, models=["gnn", "ease"], seeds=1, progress=False)
    assert [*dict.fromkeys(row["model"] for row in report.results)] == ["gnn (narrow)", "gnn (wide)", "ease"]
    alone = benchmark(small, config=wide, models=["gnn"], seeds=1, progress=False)
    assert [row["mean"] for row in report.results if row["model"] == "gnn (wide)"] == pytest.approx(
        [row["mean"] for row in alone.results], abs=1e-6
    )
    assert {name: found["model"]["embedding_dim"] for name, found in report.settings.items()} == {
        "gnn (narrow)": 8, "gnn (wide)": 16,
    }  # fmt: skip
    assert Config.from_mapping(report.settings["gnn (wide)"]) == wide


def test_models_that_cannot_take_part_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = cold_users_split(make_sample(60, 40), seed=0)
    reason = "mf learns an embedding per user and has none for user"
    with pytest.warns(UserWarning, match=f"mf is skipped: {reason}"):
        report = benchmark(split, models=["mf", "popularity"], time_limit=1e-6, progress=False)
    assert {row["model"] for row in report.results} == {"popularity"}
    assert report.skipped["mf"].startswith(reason)
    lines: list[str] = []
    benchmark(split, models=["mf", "popularity"], time_limit=1e-6, out=tmp_path / "x.json", log=lines.append)
    assert lines[0].startswith(f"SKIPPED mf: {reason}")
    assert lines[1].startswith("popularity: ndcg@10 ")
    assert BenchmarkReport.read(tmp_path / "x.json").skipped == report.skipped
    with pytest.raises(DataError, match=reason), pytest.warns(UserWarning, match="is skipped"):
        benchmark(split, models=["mf"], time_limit=1e-6, out=tmp_path / "none.json", progress=False)
    assert not (tmp_path / "none.json").exists()
    with caplog.at_level(logging.INFO, "gnnrec.benchmarking"), pytest.warns(UserWarning, match="is skipped"):
        benchmark(split, models=["mf", "popularity"], time_limit=1e-6, progress=False)
    assert caplog.messages[0] == lines[0], "without a log it is the logger"


def test_an_interrupted_benchmark_keeps_finished_models(
    small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(ItemKNN, "weights", killed)
    with pytest.raises(KeyboardInterrupt):
        benchmark(small, models=["ease", "itemknn"], out=tmp_path / "new" / "x.json", progress=False)
    kept = BenchmarkReport.read(tmp_path / "new" / "x.json")
    expected = benchmark(small, models=["ease"], progress=False)
    assert [row["mean"] for row in kept.results] == [row["mean"] for row in expected.results]


def test_a_report_is_read_as_written(small: Split, results: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = {"gnn": TINY.model_dump(mode="json")}
    report = BenchmarkReport(
        "sample", results, {"als": "no [package]"}, settings, 1.5, "gnnrec benchmark --dataset sample"
    )
    report.write(tmp_path / "x.json")
    assert BenchmarkReport.read(tmp_path / "x.json") == report
    assert report.threads == torch.get_num_threads()
    assert report.packages["torch"] == importlib.metadata.version("torch")
    text = (tmp_path / "x.json").read_text()
    assert text.count(report.results[0]["protocol"]) == 1, "once, not in every row"
    assert len([line for line in text.splitlines() if line.startswith('  {"model"')]) == len(results)


@pytest.mark.parametrize("text", ["[]", "{", '{"results": []}', '{"protocols": {}, "results": [{"fingerprint": "x"}]}'])
def test_not_a_report(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json: not a benchmark report"):
        BenchmarkReport.read(tmp_path / "x.json")


def test_aggregate_seeds() -> None:
    common = {"model": "m", "k": 10, "fingerprint": "f", "protocol": "p", "evaluate_seconds": 1.0}
    runs = [
        {**common, "metric": metric, "mean": value, "fit_seconds": seconds}
        for seconds, values in ((2.0, (0.1, 0.5)), (4.0, (0.3, 0.5)))
        for metric, value in zip(("ndcg", "recall"), values, strict=True)
    ]
    ndcg, recall = aggregate_seeds(runs)
    assert (ndcg["metric"], ndcg["values"], ndcg["seeds"]) == ("ndcg", [0.1, 0.3], 2)
    assert (ndcg["mean"], ndcg["std"]) == (pytest.approx(0.2), pytest.approx(0.02**0.5))
    assert (recall["metric"], recall["mean"], recall["std"], recall["fit_seconds"]) == ("recall", 0.5, 0.0, 3.0)


def test_every_row_has_the_fingerprint_of_its_protocol(small: Split, results: list[dict[str, Any]]) -> None:
    fingerprint = Fingerprint.from_split(small)
    assert {(row["fingerprint"], row["protocol"]) for row in results} == {(fingerprint.digest, str(fingerprint))}
    protocol = results[0]["protocol"]
    assert f"{fingerprint.digest} = sample, random per user 0.8/0.1/0.1, seed 0" in protocol
    assert f"test {fingerprint.parts['test']}" in protocol
    assert "history train" in protocol
    assert "recall / n" in protocol


def test_a_table_of_two_protocols_is_refused(small: Split, results: list[dict[str, Any]]) -> None:
    ease = {"ease": ease_by_hand(small)}
    for other in ({"mask": "train+valid"}, {"history": "train+valid"}):
        rows = compare(ease, small, **other)
        with pytest.raises(ConfigError, match=f"results of different protocols.*{rows[0]['fingerprint']} = sample"):
            results_table([*results, *rows])
    old = [{key: v for key, v in row.items() if key not in ("fingerprint", "protocol")} for row in results]
    with pytest.raises(ConfigError, match="a protocol that was not recorded"):
        results_table([*results, *old])
    assert len(results_table([*results, *compare({"other": ease["ease"]}, small)])) == len(FAST_MODELS) + 1
    assert len(results_table(old)) == len(FAST_MODELS)


def test_timed() -> None:
    result, seconds = timed(lambda: 7)
    assert result == 7
    assert seconds >= 0


def test_models_for_cold_movies_are_selected_on_cold_movies() -> None:
    """The movies held out for validation are ranked among each other, for hyperparameters and for epochs."""
    split = make_split(make_sample(80, 120), "cold-movies", fold=1)
    model = EASE(reg=50.0).fit(split)
    expected = evaluate(model, split.valid, ks=[20], metrics=["ndcg"], candidates=split.valid["movie_id"].unique())
    validate = validation_of(split)
    assert validate is not None
    assert validate(model) == pytest.approx(expected["value"].item())
    config = Config().override(["train.epochs=1", "model.embedding_dim=4"])
    trained = fit(split, config=config, progress=False)
    expected = evaluate(
        trained, split.valid, ks=[config.train.k], metrics=[config.train.metric],
        candidates=split.candidates_for("valid"),
    )  # fmt: skip
    (recorded,) = (value for key, value in trained.history[0].items() if "@" in key)
    assert recorded == pytest.approx(expected["value"].item(), abs=1e-6)
