"""`python benchmarks/time_to_quality.py` on a small dataset: what is timed, and what is reported."""

from __future__ import annotations

import json
import runpy
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from gnnrec import Split, benchmark
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.datasets import make_sample
from gnnrec.evaluation import Fingerprint
from gnnrec.models import LightGCNReference
from gnnrec.splitting import random_split

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "time_to_quality.py"
QUICK = ("--set", "train.epochs=3", "--set", "train.batch_size=32", "--set", "model.embedding_dim=16")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    split = random_split(make_sample(80, 60))
    split.dataset.to_folder(tmp_path / "small")
    return split.to_folder(tmp_path / "split")


def run(monkeypatch, folder, *arguments):
    words = [str(SCRIPT), "--dataset", "small", "--split", str(folder), *QUICK, "--json", "out/x.json", *arguments]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return json.loads(Path("out/x.json").read_text())


def test_both_reach_it(folder, monkeypatch, capsys):
    clock = count()
    monkeypatch.setattr(time, "process_time", lambda: next(clock))  # read at the start and after each epoch
    target = 0.4
    found = run(monkeypatch, folder, "--target", str(target), "--batch-sizes", "200", "2000")
    ours, small, large = found["runs"]
    assert [one["model"] for one in found["runs"]] == ["gnnrec", "LightGCN, batch 200", "LightGCN, batch 2000"]
    assert len(ours["curve"]) == 3
    for one in found["runs"]:
        seconds, values = zip(*one["curve"], strict=True)
        assert list(seconds) == list(range(1, len(seconds) + 1))
        first = next(i for i, value in enumerate(values) if value >= target)
        assert one["seconds"] == seconds[first]
        assert one["best"] == max(values)
        assert (one["trained_seconds"], one["epochs"]) == (seconds[-1], len(values))
    for one in (small, large):
        values = [value for _, value in one["curve"]]
        assert len(values) > values.index(max(values)) + 1, "trained on until early stopping"
    assert found["ratio"] == min(small["seconds"], large["seconds"]) / ours["seconds"]
    assert not found["ratio_is_a_bound"]
    assert found["protocol"].startswith(f"{Fingerprint.from_split(Split.from_folder(folder)).digest} = small, ")
    typed = "python benchmarks/time_to_quality.py --dataset small --split split --target 0.4 --batch-sizes 200 2000"
    assert found["command"] == " ".join([typed, *QUICK])
    printed = capsys.readouterr().out
    assert f"LightGCN takes {found['ratio']:.1f} times as long as gnnrec" in printed


def test_a_report_of_lightgcn(folder, monkeypatch):
    found = run(monkeypatch, folder, "--batch-sizes", "500", "--report", "out/report.json")
    report = BenchmarkReport.read("out/report.json")
    split = Split.from_folder(folder)
    expected = benchmark(split, models=[LightGCNReference(batch_size=500)], seeds=1)
    values = {(row["model"], row["metric"], row["k"]): row["values"] for row in report.results}
    assert values == {(row["model"], row["metric"], row["k"]): row["values"] for row in expected.results}
    assert report.results[0]["epochs"] == [found["runs"][1]["epochs"]]
    assert report.command == found["command"]


def test_out_of_time(folder, monkeypatch, capsys):
    found = run(monkeypatch, folder, "--target", "0.999", "--batch-sizes", "64", "--time-limit", "0.01")
    ours, theirs = found["runs"]
    assert (ours["seconds"], theirs["seconds"], found["ratio"]) == (None, None, None)
    assert theirs["trained_seconds"] > 0.01
    printed = capsys.readouterr().out
    assert f"LightGCN, batch 64 did not reach 0.999; best {theirs['best']:.4f} in " in printed
    assert "gnnrec did not reach 0.999; there is no ratio" in printed


def test_a_lower_bound(folder, monkeypatch, capsys):
    """LightGCN is stopped after its first epoch, where gnnrec is good enough already."""
    limit = ("--batch-sizes", "100000", "--time-limit", "1e-9")
    reachable = run(monkeypatch, folder, "--target", "0.999", *limit)
    ours, theirs = (one["best"] for one in reachable["runs"])
    assert theirs < ours
    found = run(monkeypatch, folder, "--target", str((ours + theirs) / 2), *limit)
    assert found["ratio_is_a_bound"]
    assert found["ratio"] == found["runs"][1]["trained_seconds"] / found["runs"][0]["seconds"]
    assert f"LightGCN takes at least {found['ratio']:.1f} times as long" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "24"), "error: --target is an NDCG, between 0 and 1, not 24.0"),
        (("--time-limit", "0"), "error: --time-limit must be above 0, not 0.0"),
        (("--batch-sizes", "0"), "error: LightGCNReference: batch_size: must be at least 1"),
        (("--batch-sizes", "8", "9", "--report", "y.json"), "error: --report is for one batch size"),
        (("--split", "nowhere"), "error: nowhere is not a folder"),
    ],
)
def test_errors_are_one_line(folder, monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message) as stop:
        run(monkeypatch, folder, *arguments)
    assert "\n" not in str(stop.value)
    assert not Path("out/x.json").exists()
