"""``gnnrec search``, and ``gnnrec recommend`` with titles, histories, filters and for all users."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import NewUser, load, read_history, recommend, search
from gnnrec.data.titles import parse_title
from tests.helpers.cli import BRACKETS, call, cells, fails, succeeds


def test_search(run: Path) -> None:
    model = load(run)
    title = model.dataset.movies["title"][5]
    (name, *_), _ = parse_title(title)
    expected = search(model, name, k=3)
    rows = json.loads(succeeds("search", run, *name.upper().split(), "-k", 3, "--json"))
    assert [list(row.values()) for row in rows] == expected.values.tolist()
    assert expected["title"][0] == title
    assert cells(succeeds("search", run, BRACKETS))[0][1] == BRACKETS
    assert succeeds("search", run, "qqqq", "--csv") == "movie_id,title,score\n"
    assert "k must be an integer of at least 1" in fails("search", run, "a", "-k", 0)


def test_what_was_taken_for_a_title_is_said(run: Path) -> None:
    model = load(run)
    title = model.dataset.movies["title"][5]
    (name, *_), _ = parse_title(title)
    done = call("recommend", run, "--rating", f"{name.lower()}=4", "--json")
    assert done.exit_code == 0
    assert done.stderr == f"note: {name.lower()!r} is taken as {title!r}\n"
    expected = recommend(model, {title: 4})["movie_id"].tolist()
    assert [row["movie_id"] for row in json.loads(done.stdout)] == expected
    assert call("similar", run, name.lower()).stderr == f"note: {name.lower()!r} is taken as {title!r}\n"
    assert call("recommend", run, "--rating", title).stderr == ""


def test_history(run: Path, tmp_path: Path) -> None:
    model = load(run)
    titles = [parse_title(title) for title in model.dataset.movies["title"][3:8]]
    rows = [f'2023-01-0{n + 1},"{names[0]}",{year},x,{4 - n / 2}' for n, (names, year) in enumerate(titles)]
    text = "\n".join(["Date,Name,Year,Letterboxd URI,Rating", *rows, "2023-01-09,Nobody Made It,1999,x,1"])
    (tmp_path / "ratings.csv").write_text(text)
    done = call("recommend", run, "--history", tmp_path / "ratings.csv", "--age", 30, "--json")
    assert done.stderr.splitlines() == [
        "Letterboxd: 6 movies, 5 found, 0 ambiguous, 1 not in the catalog",
        "not in the catalog: Nobody Made It",
    ]
    user = read_history(tmp_path / "ratings.csv", model).user
    expected = recommend(model, NewUser(age=30, ratings=user.ratings, timestamps=user.timestamps))
    assert [row["movie_id"] for row in json.loads(done.stdout)] == expected["movie_id"].tolist()
    own = {**dict(user.ratings), 1: 5.0, 4: 1.0}
    times = {**dict(user.timestamps), 1: max(user.timestamps.values()), 4: max(user.timestamps.values())}
    done = call("recommend", run, "--history", tmp_path / "ratings.csv", "--rating", "1=5", "--rating", "4=1", "--json")
    expected = recommend(model, NewUser(ratings=own, timestamps=times))
    assert [row["movie_id"] for row in json.loads(done.stdout)] == expected["movie_id"].tolist()
    assert "--user is for a known user" in fails("recommend", run, "--user", 1, "--history", tmp_path / "ratings.csv")
    assert "does not exist" in fails("recommend", run, "--history", tmp_path / "none.csv")
    assert fails("recommend", run, "--netflix-profile", "Ann") == "--netflix-profile requires --history"


def test_filters(run: Path) -> None:
    model = load(run)
    genre = model.graph.genres[0]
    options = ("--genres", genre.lower(), "--years", "1950-1999", "--min-ratings", 2, "--offset", 1, "-k", 4)
    rows = json.loads(
        succeeds("recommend", run, "--user", 7, "--exclude", 2, "--exclude", BRACKETS, *options, "--json")
    )
    expected = recommend(
        model, 7, k=4, genres=genre, years=(1950, 1999), min_ratings=2, offset=1, exclude=[2, BRACKETS]
    )
    assert [row["movie_id"] for row in rows] == expected["movie_id"].tolist() and len(rows) > 0
    assert [row["rank"] for row in rows] == expected["rank"].tolist()
    assert fails("recommend", run, "--genres", "Nonsense").startswith("unknown genre 'Nonsense'; ")
    assert fails("recommend", run, "--years", "soon").startswith("years must be a year")


def test_all_users(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    model = load(run)
    assert succeeds("recommend", run, "--all-users", "-k", 3, "--out", tmp_path / "lists.parquet").startswith(
        "saved in"
    )
    found = pd.read_parquet(tmp_path / "lists.parquet")
    pd.testing.assert_frame_equal(found, recommend(model, model.dataset.users["user_id"].tolist(), k=3))
    assert len(found) == 3 * model.graph.num_users
    assert fails("recommend", run, "--all-users", "--user", 1).startswith("--all-users cannot be combined")
