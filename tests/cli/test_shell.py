"""The command ``gnnrec shell`` in a pipe, and its session."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gnnrec import load, recommend, similar_movies
from gnnrec.cli import app
from gnnrec.cli._profiles import MemoryProfiles
from gnnrec.cli._shell import HELP, Session
from tests.helpers.cli import cells


def pipe(run: Path, *lines: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["shell", str(run)], input="\n".join(lines) + "\n")
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
        run, "recomend", "rate", "open nobody", "filter genre=x", "bucket lift 1", "popular 1"
    )
    assert status == 1
    assert [line.split(";")[0] for line in problems.splitlines()][:3] == [
        "error: unknown command 'recomend'",
        "error: name a movie: its place in the last list, its id, or its title",
        "error: there is no profile 'nobody'",
    ]
    assert len(problems.splitlines()) == 5
    assert "1" in output
    assert pipe(run, "exit", "foo")[0] == 0


@pytest.fixture
def session(run: Path) -> Session:
    return Session(load(run))


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


def test_profiles_and_the_bucket_list(session: Session) -> None:
    session.run("popular 3")
    shown = ids(session)
    for line in ("add 1", "bucket add 2", "bucket add 3", "bucket add 3", "save ann", "clear", "bucket remove 1"):
        session.run(line)
    assert (session.ratings, session.bucket_list) == ({}, [shown[2]])
    session.run("open ann")
    assert (session.ratings, session.bucket_list) == ({shown[0]: 5.0}, [shown[1], shown[2]])
    session.run(f"rate id:{shown[1]} 4")  # a movie that was watched leaves the bucket list
    assert session.bucket_list == [shown[2]]
    assert session.profiles.names() == ["ann"] and isinstance(session.profiles, MemoryProfiles)


def test_help_is_complete(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.run("help")
    shown = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown[1:] == list(HELP)
    assert all(hasattr(session, f"_{name}") for name in HELP if name != "exit")
