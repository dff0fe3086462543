"""A benchmark adds nothing to fitting and evaluating: its numbers are theirs."""

from __future__ import annotations

import importlib.metadata
import io
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console

from gnnrec import Config, Split, evaluate, fit
from gnnrec.benchmarking import (
    FAST,
    MODELS,
    BenchmarkReport,
    aggregate_seeds,
    benchmark,
    compare,
    fit_baseline,
    results_table,
    timed,
    valid_quality,
)
from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import Fingerprint
from gnnrec.graph import Graph
from gnnrec.models import BASELINES, EASE, GRIDS, PEERS, Watch, fit_peer
from gnnrec.splitting import random_split
from gnnrec.splitting import split as make_split

module = importlib.import_module("gnnrec.benchmark")
TINY = Config().override(["model.embedding_dim=8", "train.epochs=2", "train.batch_size=32", "train.seed=5"])
KEYS = ["model", "metric", "k", "mean", "std", "seeds", "values", "fit_seconds", "evaluate_seconds"]
KEYS += ["fingerprint", "protocol"]


@pytest.fixture(scope="module")
def small() -> Split:
    return random_split(make_sample(60, 40))


@pytest.fixture(scope="module")
def results(small: Split) -> list[dict[str, Any]]:
    return benchmark(small, TINY, seeds=2, progress=False).results


def value(results: list[dict[str, Any]], model: str, metric: str, k: int) -> float:
    (row,) = [r for r in results if (r["model"], r["metric"], r["k"]) == (model, metric, k)]
    return row["mean"]


def as_dict(frame: pd.DataFrame) -> dict[tuple[str, int], float]:
    return {(m, k): v for m, k, v in zip(frame["metric"], frame["k"], frame["value"], strict=True)}


def test_every_model_and_metric_once(results: list[dict[str, Any]]) -> None:
    assert list(dict.fromkeys(row["model"] for row in results)) == ["gnn", "ease", "itemknn", "popularity"]
    assert set(MODELS) == {"gnn", *BASELINES, *PEERS}
    assert set(FAST) <= set(MODELS)
    assert all(list(row) == KEYS for row in results)
    metrics = ["recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage", "novelty", "diversity"]
    assert [(r["metric"], r["k"]) for r in results if r["model"] == "ease"] == [
        (m, k) for m in metrics for k in (10, 20)
    ]
    assert all(row["fit_seconds"] > 0 and row["evaluate_seconds"] > 0 for row in results)


def ease_by_hand(split: Split) -> EASE:
    """The EASE that is best on the valid rows."""
    graph, quality = Graph.from_dataset(split.dataset), {}
    for settings in GRIDS["ease"]:
        model = EASE.fit(graph, **settings)
        found = evaluate(model, split.valid, ks=[20], metrics=["ndcg"], candidates=split.catalogue)
        quality[found["value"].iloc[0]] = model
    assert len(quality) > 1
    return quality[max(quality)]


def test_without_valid_rows_baselines_keep_their_defaults(small: Split) -> None:
    bare = Split(small.train, small.valid[:0], small.test, small.movies, small.users)
    chosen = fit_baseline("ease", bare)
    torch.testing.assert_close(chosen.similarity_embeddings(), EASE.fit(chosen.graph).similarity_embeddings())


def test_baselines_are_as_if_fitted_by_hand(small: Split, results: list[dict[str, Any]]) -> None:
    by_hand = as_dict(evaluate(ease_by_hand(small), small))
    rows = [row for row in results if row["model"] == "ease"]
    assert {(row["metric"], row["k"]): row["mean"] for row in rows} == by_hand
    assert {(row["std"], row["seeds"]) for row in rows} == {(0.0, 1)}


def test_the_network_is_fitted_once_per_seed(small: Split, results: list[dict[str, Any]]) -> None:
    runs = [as_dict(evaluate(fit(small, TINY.override([f"train.seed={s}"]), progress=False), small)) for s in (5, 6)]
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
    # What is hidden makes room: everybody's test movies move up or stay.
    assert value(both["train+valid"], "ease", "recall", 10) > value(both["train"], "ease", "recall", 10)


def test_other_list_lengths(small: Split) -> None:
    rows = benchmark(small, models=["popularity"], ks=[1, 3], progress=False).results
    assert {row["k"] for row in rows} == {1, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["gnn", "svd++"]}, r"unknown model 'svd\+\+'; there are gnn, "),
        ({"mask": "test"}, "mask must be one of train, train\\+valid, not 'test'"),
        ({"history": "valid"}, "history must be one of train, train\\+valid, not 'valid'"),
        ({"seeds": 0}, "at least one seed is needed, not 0"),
        ({"models": []}, "no model is named; there are gnn, "),
        ({"config": {}}, "config is empty; name at least one"),
        ({"limit_seconds": 0}, "limit_seconds must be above 0, not 0"),
        ({"out": "."}, r"\. is a folder; name a file"),
    ],
)
def test_wrong_arguments(small: Split, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        benchmark(small, **options)


def test_what_has_no_value_has_no_row() -> None:
    # No genres: no diversity. Nobody timed the fit: no seconds.
    split = random_split(Dataset(make_sample(60, 40).ratings, name="bare"))
    rows = compare({"ease": EASE.fit(Graph.from_dataset(split.dataset))}, split, ks=[10])
    assert "diversity" not in {row["metric"] for row in rows}
    assert {row["fit_seconds"] for row in rows} == {None}
    assert "nan" not in printed(results_table(rows, "bare"))


def test_compare_takes_the_seconds_it_is_told(small: Split) -> None:
    ease = EASE.fit(Graph.from_dataset(small.dataset))
    assert {row["fit_seconds"] for row in compare({"x": ease}, small, fit_seconds={"x": 1.5})} == {1.5}


def printed(grid: Any) -> str:
    console = Console(width=160, file=io.StringIO(), color_system=None)
    console.print(grid)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_table_shows_the_numbers(results: list[dict[str, Any]]) -> None:
    lines = printed(results_table(results, "the [best] of all")).splitlines()
    assert lines[0].strip() == "the [best] of all"
    assert [line.split("│")[1].strip() for line in lines if line.startswith("│")] == list(FAST)
    gnn = next(line for line in lines if line.startswith("│ gnn"))
    ease = next(line for line in lines if line.startswith("│ ease"))
    row = next(r for r in results if (r["model"], r["metric"], r["k"]) == ("gnn", "ndcg", 10))
    assert f"{row['mean']:.4f} ± {row['std']:.4f}" in gnn
    assert f"{value(results, 'ease', 'recall', 20):.4f}" in ease
    assert "±" not in ease


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


def test_a_baseline_that_draws_is_fitted_once_per_seed(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def drawn(graph: Graph, *, reg: float = 1.0, seed: int = 0) -> EASE:
        seeds.append(seed)
        return EASE.fit(graph, reg=100.0 * (seed + 1))

    monkeypatch.setitem(BASELINES, "drawn", drawn)
    monkeypatch.setattr(module, "MODELS", (*MODELS, "drawn"))
    rows = benchmark(small, TINY, models=["drawn"], seeds=2, progress=False).results
    assert seeds == [5, 6]  # the config's seed is the first
    assert {(row["seeds"], len(row["values"])) for row in rows} == {(2, 2)}
    assert any(row["std"] > 0 for row in rows)


def test_a_peer_is_as_if_fitted_by_hand(small: Split) -> None:
    rows = benchmark(small, TINY, models=["mf"], seeds=2, limit_seconds=1e-6, progress=False).results
    graph, watch = Graph.from_dataset(small.dataset), Watch(valid_quality(small), limit_seconds=1e-6)
    by_hand = [as_dict(evaluate(fit_peer("mf", graph, seed=seed, watch=watch), small)) for seed in (5, 6)]
    for row in rows:
        assert row["values"] == pytest.approx([run[row["metric"], row["k"]] for run in by_hand], abs=1e-6)
    assert any(row["std"] > 0 for row in rows)
    # One that draws nothing runs once.
    assert {row["seeds"] for row in benchmark(small, models=["slim"], progress=False).results} == {1}


def test_models_are_chosen_by_the_valid_rows(small: Split) -> None:
    quality, model = valid_quality(small), ease_by_hand(small)
    assert quality is not None
    found = evaluate(model, small.valid, ks=[20], metrics=["ndcg"], candidates=small.catalogue)
    assert quality(model) == pytest.approx(found["value"].iloc[0])
    assert valid_quality(Split(small.train, small.valid[:0], small.test)) is None


def test_several_networks(small: Split) -> None:
    wide = TINY.override(["model.embedding_dim=16"])
    report = benchmark(small, {"narrow": TINY, "wide": wide}, models=["gnn", "ease"], seeds=1, progress=False)
    assert [*dict.fromkeys(row["model"] for row in report.results)] == ["gnn (narrow)", "gnn (wide)", "ease"]
    alone = benchmark(small, wide, models=["gnn"], seeds=1, progress=False)
    assert [row["mean"] for row in report.results if row["model"] == "gnn (wide)"] == pytest.approx(
        [row["mean"] for row in alone.results], abs=1e-6
    )
    assert {name: found["model"]["embedding_dim"] for name, found in report.settings.items()} == {
        "gnn (narrow)": 8, "gnn (wide)": 16,
    }  # fmt: skip
    assert Config.from_mapping(report.settings["gnn (wide)"]) == wide


def test_who_cannot_take_part_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = Split.held_out_users(make_sample(60, 40))
    reason = "mf learns a vector for each person and has none for user"
    with pytest.warns(UserWarning, match=f"mf is left out: {reason}"):
        report = benchmark(split, models=["mf", "popularity"], limit_seconds=1e-6, progress=False)
    assert {row["model"] for row in report.results} == {"popularity"}
    assert report.left_out["mf"].startswith(reason)
    benchmark(split, models=["mf", "popularity"], limit_seconds=1e-6, out=tmp_path / "x.json")
    assert capsys.readouterr().out.startswith(f"LEFT OUT mf: {reason}")
    assert BenchmarkReport.read(tmp_path / "x.json").left_out == report.left_out
    with pytest.raises(DataError, match=reason), pytest.warns(UserWarning, match="left out"):
        benchmark(split, models=["mf"], limit_seconds=1e-6, out=tmp_path / "none.json", progress=False)
    assert not (tmp_path / "none.json").exists()


def test_a_run_that_dies_keeps_what_it_has(small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setitem(BASELINES, "itemknn", killed)
    with pytest.raises(KeyboardInterrupt):
        benchmark(small, models=["ease", "itemknn"], out=tmp_path / "new" / "x.json", progress=False)
    kept = BenchmarkReport.read(tmp_path / "new" / "x.json")
    expected = benchmark(small, models=["ease"], progress=False)
    assert [row["mean"] for row in kept.results] == [row["mean"] for row in expected.results]


def test_a_report_comes_back_from_its_file(small: Split, results: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = {"gnn": TINY.model_dump(mode="json")}
    report = BenchmarkReport(
        "sample", results, {"als": "no [package]"}, settings, 1.5, "gnnrec benchmark --dataset sample"
    )
    report.write(tmp_path / "x.json")
    assert BenchmarkReport.read(tmp_path / "x.json") == report
    assert report.threads == torch.get_num_threads()
    assert report.packages["torch"] == importlib.metadata.version("torch")
    text = (tmp_path / "x.json").read_text()
    assert text.count(report.results[0]["protocol"]) == 1, "told once, not in each of many rows"
    assert len([line for line in text.splitlines() if line.startswith('  {"model"')]) == len(results)


@pytest.mark.parametrize("text", ["[]", "{", '{"results": []}', '{"protocols": {}, "results": [{"fingerprint": "x"}]}'])
def test_what_is_no_report(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json: this is no report of a benchmark"):
        BenchmarkReport.read(tmp_path / "x.json")


def test_over_seeds() -> None:
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
    fingerprint = Fingerprint.of(small)
    assert {(row["fingerprint"], row["protocol"]) for row in results} == {(fingerprint.digest, str(fingerprint))}
    lines = printed(results_table(results, "t"))
    assert f"{fingerprint.digest} = sample, random per user 0.8/0.1/0.1, seed 0" in lines
    assert f"test {fingerprint.parts['test']}" in lines
    assert "history train" in lines
    assert "recall / n" in lines


def test_a_table_of_two_protocols_is_refused(small: Split, results: list[dict[str, Any]]) -> None:
    ease = {"ease": ease_by_hand(small)}
    for other in ({"mask": "train+valid"}, {"history": "train+valid"}):
        rows = compare(ease, small, **other)
        with pytest.raises(ConfigError, match=f"results of different protocols.*{rows[0]['fingerprint']} = sample"):
            results_table([*results, *rows], "mixed")
    old = [{key: v for key, v in row.items() if key not in ("fingerprint", "protocol")} for row in results]
    with pytest.raises(ConfigError, match="a protocol that was not recorded"):
        results_table([*results, *old], "mixed")
    results_table([*results, *compare(ease, small)], "the same")
    assert "= sample" not in printed(results_table(old, "what an older version wrote"))


def test_timed() -> None:
    result, seconds = timed(lambda: 7)
    assert result == 7
    assert seconds >= 0


def test_unseen_movies_are_chosen_on_valid_movies_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among held-out movies, settings and epochs are chosen by ranking the movies for validation among each other."""
    split = make_split(make_sample(80, 120), "cold-movies", fold=1)
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=50.0)
    expected = evaluate(model, split.valid, ks=[20], metrics=["ndcg"], candidates=split.valid["movie_id"].unique())
    quality = valid_quality(split)
    assert quality is not None
    assert quality(model) == pytest.approx(expected["value"].item())
    trained = fit(split, Config().override(["train.epochs=1", "model.embedding_dim=4"]), progress=False)
    expected = evaluate(
        trained, split.valid, ks=[trained.config.train.k], metrics=[trained.config.train.metric],
        candidates=split.candidates_for("valid"),
    )  # fmt: skip
    (seen,) = (value for key, value in trained.history[0].items() if "@" in key)
    assert seen == pytest.approx(expected["value"].item(), abs=1e-6)
