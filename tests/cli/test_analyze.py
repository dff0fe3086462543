"""The command ``gnnrec analyze``."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import analyze, load_dataset
from gnnrec.explore import Finding
from tests.helpers.cli import call, cells, fails, succeeds
from tests.helpers.http_server import image_bytes

PICTURE = image_bytes("PNG")


def test_report() -> None:
    Path("mine").mkdir()
    Path("mine/ratings.csv").write_text("user_id,movie_id\nann,heat\nann,alien\nbob,heat\n")
    lines = succeeds("analyze", "--dataset", "mine").splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["statistic", "value"], ["users", "2"], ["movies", "2"], ["ratings", "3"], ["density", "75%"],
    ]  # fmt: skip
    assert "skipped days: the ratings of mine have no column timestamp" in lines
    assert lines[-1] == f"open {Path('analysis/mine/report.html')}"
    assert json.loads(Path("analysis/mine/analysis.json").read_text())["overview"]["ratings"] == 3


def test_values_are_those_of_the_library(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = analyze(load_dataset(dataset))
    expected = [{"statistic": str(name), "value": str(value)} for name, value in found.statistics()]
    words = ("analyze", "--dataset", dataset, "--out", tmp_path / "report")
    output = succeeds(*words)
    assert cells(output)[: len(expected)] == [list(row.values()) for row in expected]
    assert [line for line in output.splitlines() if line.startswith("skipped ")] == [
        f"skipped {name}: {reason}" for name, reason in found.left_out.items()
    ]
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"report.html", "report.md", "analysis.json", "ratings.png"} <= files
    monkeypatch.setattr(Finding, "png", lambda self, *args, **options: PICTURE)
    assert json.loads(succeeds(*words, "--json")) == expected
    (tmp_path / "by.csv").write_text(succeeds(*words, "--csv"))
    assert pd.read_csv(tmp_path / "by.csv", dtype=str).to_dict("records") == expected


def test_filters_and_posters(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "posters").mkdir()
    for movie_id in (1, 2, 3):
        (tmp_path / "posters" / f"{movie_id}.jpg").write_bytes(b"\xff\xd8\xff")
    words = ("analyze", "--dataset", f"{dataset}:min_rating=4", "--posters", tmp_path / "posters", "--out", "report")
    rows = {row["statistic"]: row["value"] for row in json.loads(succeeds(*words, "--json"))}
    kept = load_dataset(dataset).filtered(min_rating=4)
    assert (rows["users"], rows["ratings"]) == (str(kept.num_users), f"{kept.num_ratings:,}")
    (missing,) = [
        one for one in json.loads(Path("report/analysis.json").read_text())["findings"] if one["name"] == "missing"
    ]
    (row,) = [row for row in missing["rows"] if row[1] == "poster"]
    num_found = kept.movies["movie_id"].isin([1, 2, 3]).sum()
    assert row[2:4] == [num_found, kept.num_movies - num_found]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "{folder}/no"], "does not exist; a dataset is a folder"),
        (["--dataset", "sample", "--out", "{folder}"], "is not a report of gnnrec analyze; choose another folder"),
        (["--dataset", "sample", "--posters", "{folder}"], "contains 0 images, but no poster of any movie"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    assert message in fails("analyze", *[word.format(folder=tmp_path) for word in words])
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert not list(Path().iterdir())


def test_an_earlier_report_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Finding, "png", lambda self, *args, **options: PICTURE)
    for users in (30, 40):
        assert call("analyze", "--dataset", f"sample:num_users={users}", "--out", "report").exit_code == 0
    assert json.loads(Path("report/analysis.json").read_text())["overview"]["users"] == 40
