"""`python examples/train_ml1m.py` as users run it: in a shell, in any folder, with or without the data."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import NewUser, Split, evaluate, load, recommend
from gnnrec.datasets import find_dataset, make_sample

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "train_ml1m.py"
QUICK = ("--set", "train.epochs=2", "--set", "model.embedding_dim=16")
OCCUPATIONS = (0, 2, 12, 13, 17, 20)  # by the codes of ML-1M; 2 is the artist of the new user


def run(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script where nothing can be downloaded and nothing was downloaded before."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GNNREC_")}
    environment |= nowhere_to_download(cwd) | {"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def run_here(cwd: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the script in this process, where all is loaded already."""
    monkeypatch.chdir(cwd)
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    for key, value in nowhere_to_download(cwd).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def stopped_with(cwd: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Return what the script exits with, which Python prints, with status 1."""
    with pytest.raises(SystemExit) as stop:
        run_here(cwd, monkeypatch, *arguments)
    assert isinstance(stop.value.code, str)
    assert "\n" not in stop.value.code
    return stop.value.code


def nowhere_to_download(cwd: Path) -> dict[str, str]:
    """Return an environment whose server cannot be reached and whose download cache is empty."""
    return {"GNNREC_BASE_URL": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(cwd / "cache"), "NO_PROXY": "127.0.0.1"}


def check_run(folder: Path, name: str, output: str) -> None:
    """Check the run folder against the library, and that what was printed is what was saved."""
    files = {path.name for path in folder.iterdir()}
    assert files >= {"config.yaml", "weights.safetensors", "metrics.json", "training.png", "run.json", "split"}
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]
    assert json.loads((folder / "run.json").read_text())["dataset"] == name
    assert json.loads((folder / "nodes.json").read_text())["name"] == name
    assert json.loads((folder / "split" / "split.json").read_text())["name"] == name
    metrics = json.loads((folder / "metrics.json").read_text(), parse_constant=lambda text: pytest.fail(text))
    assert metrics["report"]["dataset"] == name
    assert [entry["epoch"] for entry in metrics["history"]] == list(range(1, len(metrics["history"]) + 1))

    model, split = load(folder), Split.from_folder(folder / "split")
    rows = pd.DataFrame(metrics["report"]["test"])
    assert rows["model"].unique().tolist() == ["gnnrec", "ease", "itemknn", "popularity"]
    own = rows[rows["model"] == "gnnrec"]
    assert own["mean"].tolist() == pytest.approx(evaluate(model, split)["value"].tolist(), abs=1e-5)
    table = {row[0]: row for row in cells(output)}
    for model_name in rows["model"].unique():
        mean = rows.set_index(["model", "metric", "k"]).loc[(model_name, "ndcg", 10), "mean"]
        assert table[model_name][2] == f"{mean:.4f}"
    listed = [row[1] for row in cells(output) if row[0].isdecimal()]
    assert len(listed) == 10
    titles = output.split("who likes ")[1].split("\n")[0].split("; ")
    assert len(titles) == 5
    user = NewUser(age=29, gender="F", occupation="artist", ratings=dict.fromkeys(titles, 5))
    assert recommend(model, user, k=10)["title"].tolist() == listed
    assert not re.search("[\u2500-\u257f\x1b]", output), "a pipe gets neither lines nor colors"
    assert max(map(len, output.splitlines())) > 100, "nothing is wrapped"


def cells(output: str) -> list[list[str]]:
    """Return the rows of all tables: lines of several columns, with two or more spaces in between."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in output.splitlines()]
    return [row for row in rows if len(row) > 1]


@pytest.mark.slow
def test_without_the_data_it_is_the_sample_and_says_so(tmp_path: Path) -> None:
    found = run(tmp_path, *QUICK, "--set", "model.num_members=1")
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    notice, after = found.stdout.split("Graph of ", 1)
    assert "MovieLens-1M is not on this machine and could not be downloaded" in notice
    assert "http://127.0.0.1:9/ml-1m.zip cannot be fetched" in notice
    assert "Continuing with the GENERATED SAMPLE" in notice
    assert after.startswith("sample")
    assert "ml-1m" not in after.casefold()
    assert "Test ratings of sample" in after
    assert "Ten movies from sample for a new user" in after
    assert "The run on sample is saved in runs/sample (training curve: runs/sample/training.png)" in after
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sample"]
    check_run(tmp_path / "runs" / "sample", "sample", after)


def test_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    message = stopped_with(tmp_path, monkeypatch, "--no-sample")
    assert message.startswith("error: http://127.0.0.1:9/ml-1m.zip cannot be fetched: ")
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "runs").exists()


def test_tables_have_lines_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show = runpy.run_path(str(SCRIPT), run_name="made")["show"]
    table = pd.DataFrame({"rank": ["1", "10"], "title": ["[REC] (2007)", "M (1931)"], "score": ["0.5", "0.25"]})
    show(table, "Two movies")
    assert capsys.readouterr().out == (
        "Two movies\nrank  title         score\n   1  [REC] (2007)    0.5\n  10  M (1931)       0.25\n"
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show(table, "Two movies")
    assert "│    1 │ [REC] (2007) │   0.5 │" in capsys.readouterr().out


@pytest.fixture
def like_ml_1m(tmp_path: Path) -> Path:
    """Write a small dataset in the format of MovieLens-1M, with the five titles that the script looks up."""
    sample = make_sample(120, 60)
    titles = sample.movies["title"].tolist()
    titles[:5] = [
        "Toy Story (1995)",
        "Princess Bride, The (1987)",
        "Groundhog Day (1993)",
        "Shakespeare in Love (1998)",
        "Sense and Sensibility (1995)",
    ]
    folder = tmp_path / "mirror" / "ml-1m"
    folder.mkdir(parents=True)
    movies = zip(sample.movies["movie_id"], titles, sample.movies["genres"], strict=True)
    users = sample.users[["user_id", "gender", "age", "occupation"]].itertuples(index=False)
    ratings = sample.ratings.itertuples(index=False)
    lines = {
        "movies.dat": [f"{m}::{title}::{genres}" for m, title, genres in movies],
        "users.dat": [f"{u}::{g}::{a:.0f}::{OCCUPATIONS[u % 6]}::00000" for u, g, a, _ in users],
        "ratings.dat": [f"{u}::{m}::{r:.0f}::{t}" for u, m, r, t in ratings],
    }
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="latin-1")
    return folder


@pytest.mark.slow
def test_data_dir(
    like_ml_1m: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data-dir", like_ml_1m.parent, "--out", "out/here", "--no-sample", *QUICK)
    run_here(tmp_path, monkeypatch, *words)
    output = capsys.readouterr().out
    assert "sample" not in output.casefold()
    assert output.startswith("Graph of ml-1m\n")
    assert "The run on ml-1m is saved in out/here" in output
    check_run(tmp_path / "out" / "here", "ml-1m", output)


def test_broken_data_is_one_line(like_ml_1m: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (like_ml_1m / "ratings.dat").write_text("1::2::five::978300760\n")
    message = stopped_with(tmp_path, monkeypatch, "--data-dir", like_ml_1m)
    assert message.startswith(f"error: {like_ml_1m / 'ratings.dat'}:1: ")


@pytest.mark.slow
@pytest.mark.real_data
def test_real(tmp_path: Path) -> None:
    if not os.environ.get("GNNREC_DATA"):
        pytest.skip("needs the real MovieLens-1M: set GNNREC_DATA to the folder that holds ml-1m/")
    folder = find_dataset("ml-1m", os.environ["GNNREC_DATA"])
    if folder is None:
        pytest.skip("GNNREC_DATA does not hold ml-1m")
    quick = ("train.epochs=1", "model.num_members=1", "model.ease_dim=64")
    found = run(tmp_path, "--data-dir", folder, *(word for setting in quick for word in ("--set", setting)))
    assert found.returncode == 0, found.stderr
    graph = {row[0]: row[1] for row in cells(found.stdout) if len(row) == 2}
    assert (graph["user"], graph["movie"], graph["genre"], graph["occupation"]) == ("6,040", "3,883", "18", "21")
    check_run(tmp_path / "runs" / "ml1m", "ml-1m", found.stdout)
    rows = pd.DataFrame(json.loads((tmp_path / "runs" / "ml1m" / "metrics.json").read_text())["report"]["test"])
    ndcg = rows[(rows["metric"] == "ndcg") & (rows["k"] == 10)].set_index("model")["mean"]
    assert ndcg["ease"] == ndcg.drop("gnnrec").max()
    assert ndcg["gnnrec"] > 1.5 * ndcg["popularity"]
