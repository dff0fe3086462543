"""The leaderboard page agrees with the results files, and each of its tables has one protocol."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from gnnrec import Config
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.cli import app
from gnnrec.errors import DataError, GnnrecError
from gnnrec.registry import MODELS
from gnnrec.splitting import get_protocol

HOME = Path(__file__).resolve().parents[2]
RESULTS = HOME / "benchmarks" / "results"
HITS = ("hit_rate", "ndcg")


@pytest.fixture(scope="module")
def made() -> Any:
    """Import the script."""
    spec = importlib.util.spec_from_file_location(
        "make_leaderboard", HOME / "docs" / "_scripts" / "make_leaderboard.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with published numbers only."""
    shutil.copy(RESULTS / "published.yaml", tmp_path)
    return tmp_path


def report(
    models: dict[str, tuple[float, ...]], metrics: tuple[str, ...] = ("hit_rate", "ndcg"), **facts: Any
) -> BenchmarkReport:
    """Return a report in which every metric of a model has the same values, the first metric ten times as large."""
    rows = [
        {
            "model": model,
            "metric": metric,
            "k": 10,
            "mean": sum(values) / len(values) * (10 if metric == metrics[0] else 1),
            "std": 0.0125 if len(values) > 1 else 0.0,
            "seeds": len(values),
            "values": list(values),
            "fit_seconds": 2.25,
            "evaluate_seconds": 1.0,
            "fingerprint": "cafe0001",
            "protocol": "cafe0001 = ml-1m, leave last out; train 3 rows; history train",
        }
        for model, values in models.items()
        for metric in metrics
    ]
    command = "gnnrec benchmark --protocol next-item"
    return replace(BenchmarkReport("ml-1m", rows, command=command, threads=2, packages={"torch": "9.9"}), **facts)


def section(page: str, title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found


def test_the_page_is_current(made: Any) -> None:
    assert made.PAGE.read_text(encoding="utf-8") == made.page(RESULTS), "run: make leaderboard-page"


def test_every_results_file_has_a_command(made: Any) -> None:
    known = {"published.yaml", *made.TIME, *(file for one in made.SECTIONS.values() for file in one.commands)}
    known |= {*importlib.import_module("make_cold_start").COMMANDS, "study-ml1m"}  # beside it, so it is on the path
    known.add("graph-ablation.json")  # make_graph.py shows its commands
    known |= {f"{name}-ml100k-ease.json" for name in ("groups", "reranking")}  # make_reranking.py shows their commands
    assert {path.name for path in RESULTS.iterdir()} <= known


def test_a_section(made: Any, results: Path) -> None:
    report({"gnn (a)": (0.02, 0.04), "ease": (0.035,)}).write(results / "next-item.json")
    slow = {"skipped": {"als": "needs implicit"}, "time_limit": 60.0, "threads": 1}
    report({"sasrec": (0.01,)}, **slow).write(results / "next-item-peers.json")
    text = section(made.page(results), "Next item")
    protocol = "```text\ncafe0001 = ml-1m, leave one out\ntrain 3 rows\nhistory train\n```"
    assert f":::{{dropdown}} Protocol cafe0001\n{protocol}\n:::" in text
    assert text.count("```console\ngnnrec benchmark --protocol next-item\n```") == 2
    assert "results were measured with 2 threads, torch 9.9." in made.page(results)
    assert "2 threads" not in text
    assert "\n1 thread, torch 9.9.\n" in text
    assert "**Skipped: als.** needs implicit" in text
    assert "Not measured yet" not in text
    assert (
        "| model | HR@10 | NDCG@10 | fits | fit s |\n| --- | --- | --- | --- | --- |\n"
        "| ease | **0.3500** | **0.0350** | 1 | 2.2 |\n"
        "| gnn (a) | 0.3000 ± 0.0125 | 0.0300 ± 0.0125 | 2 | 2.2 |\n"
        "| sasrec | 0.1000 | 0.0100 | 1 | 2.2 |\n"
    ) in text
    assert "not converged" not in text
    timed = section(made.page(results), "Next item, told when")
    (row,) = [line for line in timed.splitlines() if line.startswith("| HSTU |")]
    assert "| 0.3097 | 0.1720 | yes | no: " in row
    assert row.endswith("facebookresearch/generative-recommenders | read in the source |")
    (row,) = [line for line in text.splitlines() if line.startswith("| gSASRec |")]
    assert "| 0.3003 | 0.1726 | no | nearly: " in row


@pytest.mark.parametrize(("time_limit", "is_marked"), [(2.25, True), (2.0, True), (2.5, False), (None, False)])
def test_models_that_a_time_limit_stopped_are_marked(
    time_limit: float | None, is_marked: bool, made: Any, results: Path
) -> None:
    report({"gnn (a)": (0.02, 0.04)}).write(results / "next-item.json")
    report({"sasrec": (0.01,)}, time_limit=time_limit).write(results / "next-item-peers.json")
    text = section(made.page(results), "Next item")
    assert ("not converged" in text) is is_marked
    name = f"sasrec *(stopped after {time_limit:g} s, not converged)*" if is_marked else "sasrec"
    assert f"| {name} | 0.1000 | 0.0100 |" in text
    assert "| gnn (a) | **0.3000" in text, "without a limit"


@pytest.mark.parametrize(("best", "is_marked"), [([4, 5], True), ([4, 3], False)])
def test_models_whose_last_epoch_was_the_best_are_marked(
    best: list[int], is_marked: bool, made: Any, results: Path
) -> None:
    found = report({"gnn (a)": (0.02, 0.04), "mf": (0.01, 0.01)})
    rows = [{**row, "epochs": [5, 5], "best_epochs": best} for row in found.results]
    replace(found, results=rows).write(results / "next-item.json")
    text = section(made.page(results), "Next item")
    name = "mf *(stopped after 5 epochs, not converged)*" if is_marked else "mf"
    assert f"| {name} | 0.1000 ± 0.0125 | 0.0100" in text
    assert "| gnn (a) | **0.3000" in text, "without a mark"


@pytest.mark.parametrize(("threads", "shown"), [(1, "1.2"), (2, "2.2")])
def test_seconds_of_one_thread_are_those_of_the_processor(threads: int, shown: str, made: Any, results: Path) -> None:
    found = report({"ease": (0.01,)}, threads=threads)
    rows = [{**row, "fit_cpu_seconds": 1.25} for row in found.results]
    replace(found, results=rows).write(results / "next-item.json")
    assert f"| ease | **0.1000** | **0.0100** | 1 | {shown} |" in section(made.page(results), "Next item")


def test_missing_results_are_named(made: Any, results: Path) -> None:
    page = made.page(results)
    for one in made.SECTIONS.values():
        for command in one.commands.values():
            assert f"Not measured yet: `{command}`" in section(page, one.title)
    assert "Not measured yet: `python benchmarks/time_to_quality.py" in section(page, "Time to quality")
    assert "| fit s |" not in page


def test_lower_is_better(made: Any, results: Path) -> None:
    found = report({"biases": (0.9,), "gnnrec": (0.8,)}, ("mae", "rmse"))
    rows = [{**row, "k": None} for row in found.results]
    replace(found, results=rows).write(results / "rating.json")
    text = section(made.page(results), "Rating prediction")
    assert "| model | RMSE | MAE | fits | fit s |" in text
    assert text.index("| gnn | **0.8000** | **8.0000** |") < text.index("| biases | 0.9000 | 9.0000 |")


def test_mixed_protocols_are_refused(made: Any, results: Path) -> None:
    first, other = report({"gnn": (0.1,)}), report({"mf": (0.2,)})
    first.write(results / "next-item.json")
    rows = [{**row, "fingerprint": "beef0002", "protocol": "beef0002 = ml-1m, other"} for row in other.results]
    replace(other, results=rows).write(results / "next-item-peers.json")
    with pytest.raises(GnnrecError, match=r"Next item: one table cannot mix protocols: cafe0001 = .*beef0002 = ml-1m"):
        made.page(results)
    # Two sections may differ, of course.
    (results / "next-item-peers.json").rename(results / "next-item-99.json")
    assert "beef0002 = ml-1m, other" in section(made.page(results), "Next item among 99 sampled negatives")


@pytest.mark.parametrize(
    ("models", "metrics", "message"),
    [
        ({"gnn": (0.2,)}, HITS, r"Next item: gnn \(default settings\) is in more than one file of results"),
        ({"mf": (0.2,)}, ("recall", "ndcg"), "Next item: not measured: mf hit_rate@10"),
    ],
)
def test_reports_that_do_not_fit(models: Any, metrics: Any, message: str, made: Any, results: Path) -> None:
    report({"gnn": (0.1,)}).write(results / "next-item.json")
    report(models, metrics).write(results / "next-item-peers.json")
    with pytest.raises(GnnrecError, match=message):
        made.page(results)


def test_not_a_result(made: Any, results: Path) -> None:
    (results / "m1.json").write_text("[]")
    with pytest.raises(DataError, match=r"m1\.json: not a benchmark report"):
        made.page(results)
    (results / "m1.json").unlink()
    (results / "published.yaml").write_text("m2: []\n")
    with pytest.raises(GnnrecError, match=r"published\.yaml names an unknown section: m2"):
        made.page(results)


@pytest.mark.parametrize(
    ("ratio", "bound", "line"),
    [
        (12.34, False, "To the same quality, LightGCN takes **12.3 times** as long."),
        (12.34, True, "LightGCN did not reach 0.24 within 60 s, so there is no time to compare."),
        (None, False, "The graph neural network did not reach the target."),
    ],
)
def test_time_to_quality(ratio: float | None, bound: bool, line: str, made: Any, results: Path) -> None:
    runs = [
        {"model": "gnnrec", "seconds": 5.25, "best": 0.25, "trained_seconds": 20.4, "epochs": 9},
        {"model": "LightGCN, batch 64", "seconds": None, "best": 0.2, "trained_seconds": 60.0, "epochs": 3},
    ]
    facts = {"command": "python benchmarks/x.py", "protocol": "cafe = a; b", "target": 0.24, "time_limit": 60.0}
    facts |= {"threads": 2, "packages": {"torch": "9.9"}, "runs": runs, "ratio": ratio, "ratio_is_a_bound": bound}
    (results / "time.json").write_text(json.dumps(facts))
    text = section(made.page(results), "Time to quality")
    assert "```text\ncafe = a\nb\n```" in text
    assert "```console\npython benchmarks/x.py\n```\n\n2 threads, torch 9.9.\n" in text
    assert "| model | s to 0.24 | best | epochs | s total |" in text
    assert "| gnn (ml1m) | 5.2 | 0.2500 | 9 | 20 |\n| LightGCN, batch 64 | not reached | 0.2000 | 3 | 60 |" in text
    assert text.endswith(f"{line}\n")


def test_published_numbers_are_complete(made: Any) -> None:
    found = made.yaml.safe_load((RESULTS / "published.yaml").read_text(encoding="utf-8"))
    for name, entries in found.items():
        for entry in entries:
            numbers = entry.keys() - {"model", "told", "same", "why", "source", "checked"}
            assert numbers
            assert numbers <= set(made.SECTIONS[name].columns), entry["model"]
            assert all(isinstance(entry[key], str) for key in numbers), "a number would lose its last zeros"
            assert entry["told"] in ("yes", "no"), entry["model"]
            assert entry["same"] in ("yes", "nearly", "no")
            assert entry["checked"] in made.CHECKED


def test_commands_can_be_run(made: Any) -> None:
    """Every option, model, protocol and config that a command names is there."""
    known = {option for one in get_command(app).commands["benchmark"].params for option in one.opts}  # type: ignore
    commands = [command for one in made.SECTIONS.values() for command in one.commands.values()]
    for command in [*commands, *made.TIME.values()]:
        program, first, *rest = command.split()
        if program == "python":
            text = (HOME / first).read_text(encoding="utf-8")
            assert all(f'"{word}"' in text for word in [*rest, "--json"] if word.startswith("--"))
            continue
        options = dict(zip(rest[::2], rest[1::2], strict=True))
        assert (program, first) == ("gnnrec", "benchmark")
        assert options.keys() <= known
        assert set(options.get("--models", "gnn").split(",")) <= set(MODELS.names())
        get_protocol(options.get("--protocol", "random"))
        for one, value in zip(rest[::2], rest[1::2], strict=True):
            if one == "--config":
                Config.from_yaml(value)


def test_commands_are_run_with_this_python(made: Any, tmp_path: Path) -> None:
    words = made.argv("gnnrec benchmark --split Movielens1M_m1 --seeds 3", tmp_path / "m1", tmp_path / "x.json")
    assert words == [
        sys.executable, "-m", "gnnrec.cli", "benchmark", "--split", str(tmp_path / "m1"), "--seeds", "3",
        "--out", str(tmp_path / "x.json"),
    ]  # fmt: skip
    assert made.argv("python benchmarks/x.py", tmp_path, tmp_path) == [
        sys.executable, "benchmarks/x.py", "--json", str(tmp_path),
    ]  # fmt: skip


def test_run(made: Any, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands write results, ``--keep`` skips existing ones, and failures are named."""
    monkeypatch.setattr(made, "RESULTS", results)
    monkeypatch.setattr(made, "PAGE", results / "leaderboard.md")
    monkeypatch.setattr(made, "argv", lambda command, folder, out: command_of(out))

    def command_of(out: Path) -> list[str]:
        fails = "raise SystemExit(1)" if out.name == "recbole-peers.json" else f"open({str(out)!r}, 'w').write(text)"
        text = Path(results / "made.json").read_text()
        return [sys.executable, "-c", f"text = {text!r}; {fails}"]

    report({"gnn": (0.1,)}, ("recall", "ndcg")).write(results / "made.json")
    monkeypatch.setattr(sys, "argv", ["make_leaderboard.py", "--run", "recbole"])
    with pytest.raises(SystemExit, match=r"error: measuring failed: recbole-peers\.json"):
        made.main()
    written = (results / "leaderboard.md").read_text()
    assert "| gnn (default settings) | **1.0000** | **0.1000** |" in section(written, "RecBole's protocol")
    assert capsys.readouterr().out.startswith("recbole.json: gnnrec benchmark --dataset ml-1m --protocol recbole")
    monkeypatch.setattr(sys, "argv", ["make_leaderboard.py", "--run", "recbole", "--keep"])
    with pytest.raises(SystemExit):
        made.main()
    assert capsys.readouterr().out.startswith("recbole-peers.json: ")
    monkeypatch.setattr(sys, "argv", ["make_leaderboard.py", "--run", "recbowl"])
    with pytest.raises(SystemExit, match="error: unknown section recbowl; choose from m1, recbole, "):
        made.main()
