"""`python examples/compare_peers.py` on a small world, with what needs no other package."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from gnnrec import Split, load_dataset
from gnnrec.baselines import EASE
from gnnrec.baselines.peers import PEERS
from gnnrec.data import make_sample
from gnnrec.evaluate import evaluate
from gnnrec.graph import Graph

SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "compare_peers.py"
QUICK = ("--dataset", "small", "--limit-seconds", "0.01", "--set", "train.epochs=1")


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return a function that runs the script beside a small dataset and returns the file it writes."""
    monkeypatch.chdir(tmp_path)
    world = make_sample(90, 60)
    (tmp_path / "small").mkdir()
    for table in ("ratings", "movies", "users"):
        getattr(world, table).to_csv(tmp_path / "small" / f"{table}.csv", index=False)

    def run(*arguments: str) -> dict:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *QUICK, *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return json.loads((tmp_path / "peers.json").read_text())

    return run


def test_everybody_on_the_same_rows(script, capsys):
    names = ["gnn", "ease", *(name for name, peer in PEERS.items() if peer.needs is None)]
    report = script("--protocol", "chronological", "--models", ",".join(reversed(names)))
    rows = report["results"]
    assert [*dict.fromkeys(row["model"] for row in rows)] == ["gnn", *reversed(names[1:])], "gnnrec's own first"
    assert len({row["fingerprint"] for row in rows}) == 1
    assert all(row["fit_seconds"] > 0 and row["seeds"] == 1 for row in rows)
    assert report["left_out"] == {}
    split = Split.by_protocol("chronological", load_dataset("small"))
    own = {row["k"]: row["mean"] for row in rows if (row["model"], row["metric"]) == ("ease", "ndcg")}
    candidates = [
        evaluate(EASE.fit(Graph.from_dataset(split.dataset), reg=reg), split, metrics=["ndcg"])["value"].tolist()
        for reg in (200.0, 1000.0, 5000.0)
    ]
    assert [pytest.approx(found) for found in candidates].count([own[10], own[20]]) == 1
    printed = capsys.readouterr().out
    assert all(f"│ {name} " in printed for name in names)
    assert "written to peers.json" in printed


def test_who_cannot_take_part_is_named(script, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    report = script("--protocol", "held-out-users", "--models", "popularity,als,mf")
    assert {row["model"] for row in report["results"]} == {"popularity"}
    assert "als needs the package implicit" in report["left_out"]["als"]
    assert "mf learns a vector for each person and has none for user" in report["left_out"]["mf"]
    printed = capsys.readouterr().out
    assert printed.count("LEFT OUT: als") == printed.count("LEFT OUT: mf") == 2, "at once, and below the table"


def test_several_seeds(script):
    report = script("--models", "ease,biasedmf", "--seeds", "3")
    rows = {(row["model"], row["metric"], row["k"]): row for row in report["results"]}
    assert rows["ease", "ndcg", 10]["seeds"] == 1
    row = rows["biasedmf", "ndcg", 10]
    assert row["seeds"] == len(row["values"]) == 3
    assert row["mean"] == pytest.approx(sum(row["values"]) / 3)
    assert row["std"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "gnn,gru4rec"), "error: unknown model 'gru4rec'; there are gnn, ease, "),
        (("--models", ","), "error: no model is named"),
        (("--seeds", "0"), "error: at least one seed is needed, not 0"),
        (("--limit-seconds", "0", "--models", "mf"), "error: limit_seconds must be above 0, not 0.0"),
        (("--protocol", "next-song"), "error: .*next-song"),
    ],
)
def test_errors_are_one_line(script, arguments, message):
    with pytest.raises(SystemExit, match=message) as stop:
        script(*arguments)
    assert "\n" not in str(stop.value)
