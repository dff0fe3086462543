"""A small dataset with a split in files, and a run trained on it, for all tests of commands."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gnnrec import Dataset, Split
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from tests.helpers.cli import BRACKETS, QUICK, succeeds


@pytest.fixture(autouse=True)
def empty_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    monkeypatch.delenv("GNNREC_DATA", raising=False)


@pytest.fixture(scope="session")
def world() -> Split:
    """Return a small split; one of its movies has a title that markup would change."""
    made = make_sample(60, 40)
    movies = made.movies.assign(title=[BRACKETS, *made.movies["title"].iloc[1:]])
    return random_split(Dataset(made.ratings, movies, made.users, "mine"))


@pytest.fixture(scope="session")
def dataset(world: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the dataset."""
    ratings = pd.concat([world.train, world.valid, world.test])
    return Dataset(ratings, world.movies, world.users, "mine").to_folder(tmp_path_factory.mktemp("files") / "mine")


@pytest.fixture(scope="session")
def split_folder(world: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the split, without movies and users, which come from the dataset."""
    folder = world.to_folder(tmp_path_factory.mktemp("splits") / "split")
    for table in ("movies", "users"):
        (folder / f"{table}.csv").unlink()
    return folder


@pytest.fixture(scope="session")
def run(dataset: Path, split_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run trained on the split; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    succeeds("train", "--dataset", dataset, "--split", split_folder, "--out", folder, *QUICK)
    return folder


@pytest.fixture
def twenty_ratings(tmp_path: Path) -> Path:
    """Return the folder of a dataset of four users and twenty ratings."""
    rows = [f"{u},{10 + (u + m) % 7},{1 + u * m % 5}" for u in range(1, 5) for m in range(1, 6)]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ratings.csv").write_text("\n".join(["userId,movieId,rating", *rows]) + "\n")
    return tmp_path / "mine"
