"""The command ``gnnrec shell`` in a pipe, and its session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gnnrec import fit, load, recommend, similar_movies
from gnnrec.cli import app
from gnnrec.cli._profiles import Profiles
from gnnrec.cli._shell import HELP, Session
from gnnrec.datasets import make_sample
from tests.helpers.cli import cells


def pipe(run: Path, *lines: str, database: str | None = None) -> tuple[int, str, str]:
    options = [] if database is None else ["--db", database]
    result = CliRunner().invoke(app, ["shell", str(run), *options], input="\n".join(lines) + "\n")
    return result.exit_code, result.stdout, result.stderr


def test_a_session(run: Path) -> None:
    model = load(run)
    movies = model.graph.dataset.movies
    first, second = movies["title"].tolist()[:2]
    history = dict(zip(movies["movie_id"].tolist()[:2], (5, 2), strict=True))
    status, output, problems = pipe(
        run, f"add id:{movies['movie_id'][0]}", f"rate {second} 2", "# no command", "recommend 3"
    )
    assert status == 0, problems
    assert output.splitlines()[:2] == [f"{first}: 5", f"{second}: 2"]
    assert [row[1] for row in cells(output)[-3:]] == recommend(model, history, 3)["title"].tolist()


def test_errors_go_on_and_are_counted(run: Path) -> None:
    status, output, problems = pipe(
        run, "recomend", "rate", "filter genre=x", "bucket lift 1", "rate seven", "popular 1"
    )
    assert status == 1
    assert [line.split(";")[0] for line in problems.splitlines()] == [
        "error: unknown command 'recomend'",
        "error: give a movie and its rating, as in: rate Heat (1995) 4",
        "error: cannot read 'genre=x'",
        "error: unknown action 'lift' for bucket",
        "error: give a movie and its rating, as in: rate seven 4",
    ]
    assert "1" in output
    assert pipe(run, "exit", "foo")[0] == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("recommend 0", "give a number of movies from 1 to 200"),
        ("recommend 99999999999999999999", "give a number of movies from 1 to 200"),
        ("popular x", "give a number of movies from 1 to 200"),
        ("more", "there is no list yet"),
        ("search", "search for what?"),
        ("add", "which movie?"),
        ("add zzzzqqqq", "unknown movie 'zzzzqqqq'"),
        ("similar", "which movie?"),
        ("explain id:1", "your history is empty"),
        ("remove id:1", "is not in your history"),
        ("bucket remove id:1", "is not on your bucket list"),
        ("rate id:1 nan", "give a movie and its rating"),
        ("rate id:1 13", "ratings are between 1 and 5, not 13"),
        ("filter years=x", "years must be a year"),
        ("filter min_ratings=x", "min_ratings must be a number"),
        ("filter diversity=2", "diversity must be"),
        ('filter genres="Drama', "a quotation mark is missing"),
        ("help foo", "unknown command 'foo'"),
        ("save", "the profile needs a name"),
        ("open", "which profile?"),
    ],
)
def test_bad_input_is_one_line(session: Session, capsys: pytest.CaptureFixture[str], line: str, problem: str) -> None:
    assert session.run(line) and session.has_failed
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.startswith(f"error: {problem}") or problem in shown.err
    assert len(shown.err.splitlines()) == 1


def test_lines_that_do_nothing(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("", "   ", "\t\n", "# a comment"):
        assert session.run(line)
    assert capsys.readouterr() == ("", "")
    assert not session.run("  EXIT  ") and not session.run("quit")


@pytest.mark.parametrize("form", ["{} 3.5", "{} 3,5", "{}=3.5", "{} = 3.5", '"{}" 3.5', "  {}   3.5 "])
def test_ways_to_write_a_rating(session: Session, form: str) -> None:
    movie, title = next(iter(session.titles.items()))
    session.run(f"rate {form.format(title)}")
    assert session.ratings == {movie: 3.5}


def test_an_empty_list_leaves_the_numbers_of_the_last_one(session: Session) -> None:
    session.run("popular 3")
    shown = ids(session)
    session.run("search zzzzqqqq")
    session.run("add 2")
    assert list(session.ratings) == [shown[1]]


@pytest.fixture
def session(run: Path) -> Session:
    model = load(run)
    return Session(model, Profiles(model, "sqlite://"))


def ids(session: Session) -> list[int]:
    return session._listed


def test_places_refer_to_the_last_list(session: Session) -> None:
    session.run("popular 5")
    shown = ids(session)
    session.run("rate 2 4")
    session.run("similar 3")
    assert ids(session) == similar_movies(session.model, shown[2])["movie_id"].tolist()
    session.run("rate 1 3.5")
    assert session.ratings == {shown[1]: 4, ids(session)[0]: 3.5}
    session.run("remove 1")
    session.run("remove 1")
    assert not session.ratings and not session.has_failed


def test_pages_and_filters(session: Session) -> None:
    session.run("popular 1")
    session.run("add 1")
    session.run("recommend 4")
    first = ids(session)
    session.run("more")
    both = recommend(session.model, dict(session.ratings), 8)["movie_id"].tolist()
    assert first + ids(session) == both
    session.run("filter diversity=0.5 min_ratings=3")
    session.run("recommend 4")
    found = recommend(session.model, dict(session.ratings), 4, diversity=0.5, min_ratings=3)
    assert ids(session) == found["movie_id"].tolist()
    session.run("filter diversity=2")
    assert session.has_failed
    assert session.filters == {"diversity": 0.5, "min_ratings": 3}
    session.run("filter off")
    assert session.filters == {}


def test_the_bucket_list(session: Session) -> None:
    session.run("popular 3")
    shown = ids(session)
    for line in ("bucket add 2", "bucket add 3", "bucket add 3", "bucket", "bucket remove 1"):
        session.run(line)
    assert session.bucket_list == [shown[2]]
    session.run(f"rate id:{shown[2]} 4")  # a movie that was watched leaves the list
    assert session.bucket_list == [] and not session.has_failed


def test_a_pipe_without_the_packages_of_the_service(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)
    status, output, problems = pipe(run, "popular 2", "add 1", "save ann", "recommend 2")
    assert status == 1
    assert problems == (
        "error: profiles are kept in the database of gnnrec serve, which needs the package alembic: pip install "
        "'gnnrec[serve]'\n"
    )
    assert len(cells(output)) >= 4
    assert list(Path().iterdir()) == []


def test_help_is_complete(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.run("help")
    shown = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown[1:] == list(HELP)
    assert all(hasattr(session, f"_{name}") for name in HELP if name != "exit")
    session.run("help rate")
    assert capsys.readouterr().out.split() == ["rate", "MOVIE", "STARS", *HELP["rate"][1].split()]


def test_a_model_without_new_users(tmp_path: Path) -> None:
    fit(make_sample(60, 40), "mf", epochs=1, progress=False).save(tmp_path / "run")
    status, output, problems = pipe(tmp_path / "run", "popular")
    assert (status, output) == (1, "")
    assert problems.startswith("error: the model 'mf' can only score the users it was trained on")
