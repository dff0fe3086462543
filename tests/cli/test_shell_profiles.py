"""Profiles of ``gnnrec shell``: kept in the database of the service, and the same there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("alembic", reason="needs alembic: pip install 'gnnrec[serve]'")

from gnnrec import Dataset, Recommender, load
from gnnrec.cli._profiles import Profiles
from gnnrec.cli._shell import Session
from gnnrec.datasets import make_sample
from gnnrec.models import Popularity
from gnnrec.service import listing
from gnnrec.service.records import Entry
from gnnrec.service.served import ServedModel
from gnnrec.service.store import Store
from tests.cli.test_shell import ids, pipe


@pytest.fixture(scope="module")
def model(run: Path) -> Recommender:
    return load(run)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'people.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url)
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def session(model: Recommender, url: str) -> Iterator[Session]:
    made = Session(model, Profiles(model, url))
    yield made
    made.profiles.close()


def do(session: Session, *lines: str) -> None:
    for line in lines:
        assert session.run(line)
    assert not session.has_failed


def test_a_profile_is_kept_between_sessions(run: Path) -> None:
    status, output, problems = pipe(run, "popular 3", "rate 2 4", "add 1", "bucket add 3", "save Ann", "profiles")
    assert (status, problems) == (0, "")
    assert output.splitlines()[-2:] == ["saved Ann: 2 in the history, 1 on the bucket list", "Ann"]
    assert sorted(path.name for path in Path().iterdir()) == ["gnnrec.db", "gnnrec.db.lock"]
    status, again, problems = pipe(run, "open ann", "show", "bucket", "remove 1")
    assert again.splitlines()[0] == "Ann: 2 in the history, 1 on the bucket list"
    titles = [line.split("  ")[1] for line in output.splitlines()[1:4]]
    assert [line.split("  ")[1] for line in again.splitlines() if line[:1].isdecimal()] == [
        titles[1],
        titles[0],
        titles[2],
    ]
    assert (status, problems) == (0, "the changes to Ann were not saved\n")


def test_the_database_is_that_of_the_service(session: Session, store: Store, model: Recommender) -> None:
    served = ServedModel(model)
    movies = served.movies
    graph = model.graph
    ann = store.create_profile("Ann", 30, str(graph.genders[0]), str(graph.occupations[0]))
    store.rate(ann.id, [Entry(str(movie.id), movie.title, 100 - place, 4.5) for place, movie in enumerate(movies[:4])])
    store.rate(ann.id, [Entry("a movie of another run", "Lost (1900)", 5, 3)])
    store.add_to_bucket_list(ann.id, Entry(str(movies[5].id), movies[5].title, 7))
    before = listing.for_profile(served, ann, store.ratings(ann.id), [])[1]
    store.hide(ann.id, Entry(str(before[0][0].id), before[0][0].title, 8))

    do(session, "open ANN")
    assert list(session.ratings) == [movie.id for movie in movies[3::-1]], "oldest first"
    assert session.bucket_list == [movies[5].id]
    do(session, "recommend 8")
    of_app = listing.for_profile(served, ann, store.ratings(ann.id), store.hidden(ann.id), k=8)[1]
    assert ids(session) == [movie.id for movie, _, _ in of_app]
    assert before[0][0].id not in ids(session)

    do(session, f"rate id:{movies[5].id} 2", f"remove id:{movies[0].id}", "save")
    stored = {entry.movie_id: entry.stars for entry in store.ratings(ann.id)}
    assert stored == {
        "a movie of another run": 3,
        **{str(movie.id): 4.5 for movie in movies[1:4]},
        str(movies[5].id): 2,
    }
    assert store.bucket_list(ann.id) == [] and store.profile(ann.id) == ann
    assert [entry.movie_id for entry in store.ratings(ann.id)][-1] == str(movies[5].id)


def test_what_others_changed_meanwhile_stays(session: Session, store: Store) -> None:
    do(session, "popular 6")
    shown = ids(session)
    do(session, "rate 1 5", "rate 2 4", "bucket add 3", "save Ann", "rate 4 1", "remove 1")
    assert session.opened is not None
    ann = session.opened.id
    store.rate(ann, [Entry(str(shown[4]), "Five", 100, 5)])
    store.add_to_bucket_list(ann, Entry(str(shown[5]), "Six", 100))
    do(session, "save")
    assert {entry.movie_id for entry in store.ratings(ann)} == {str(shown[place]) for place in (1, 3, 4)}
    assert {entry.movie_id for entry in store.bucket_list(ann)} == {str(shown[2]), str(shown[5])}


def test_order_of_ratings_in_one_second(session: Session) -> None:
    do(session, "popular 8")
    shown = ids(session)
    do(session, *[f"rate {place} 3" for place in (8, 2, 5, 1, 7)], *[f"bucket add {place}" for place in (6, 3, 4)])
    do(session, "save Ann", "clear", "save Bob", "open ann")
    assert list(session.ratings) == [shown[place - 1] for place in (8, 2, 5, 1, 7)]
    assert session.bucket_list == [shown[place - 1] for place in (6, 3, 4)]


@pytest.mark.parametrize("values", [(1, 2, 3, 4, 5), (0.5, 2.5, 5), (1, 2, 6, 10), (10, 50, 100), (-1, 1)], ids=str)
def test_ratings_come_back_on_the_scale_of_the_data(values: tuple[float, ...], url: str) -> None:
    made = make_sample(60, 40)
    ratings = made.ratings.assign(rating=[float(values[place % len(values)]) for place in range(len(made.ratings))])
    model = Popularity().fit(Dataset(ratings, made.movies, made.users, "mine"))
    session = Session(model, Profiles(model, url))
    do(session, "popular 10", *[f"rate {place + 1} {value}" for place, value in enumerate(values)])
    before = list(session.ratings.values())
    do(session, "save Ann", "clear", "save Bob", "open Ann")
    half_a_star = (max(values) - min(values)) / 9 / 2
    assert before == list(values)
    assert list(session.ratings.values()) == pytest.approx(before, abs=half_a_star + 1e-6)
    session.profiles.close()


def test_another_profile_is_not_overwritten(session: Session, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    bob = store.create_profile("Bob")
    do(session, "popular 2", "add 1")
    for line, problem in (
        ("save BOB", "there is a profile 'Bob', which was not opened"),
        ("save a\0b", "control characters are not allowed"),
        ("save " + "x" * 10_000, "has at most 100 characters"),
        ("open x'; DROP TABLE profiles; --", "there is no profile"),
    ):
        session.run(line)
        assert problem in capsys.readouterr().err
    assert store.ratings(bob.id) == [] and session.opened is None
    session.has_failed = False
    do(session, "save <b>Robert'); DROP TABLE profiles;--", "open bob")
    assert [profile.name for profile in store.profiles()] == ["<b>Robert'); DROP TABLE profiles;--", "Bob"]


def test_a_profile_that_was_renamed_or_deleted(
    session: Session, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    do(session, "popular 2", "add 1", "save Ann")
    assert session.opened is not None
    store.update_profile(session.opened.id, name="Anna")
    do(session, "add 2", "save")
    assert session.opened.name == "Anna" and len(store.ratings(session.opened.id)) == 2
    store.delete_profile(session.opened.id)
    session.run("save")
    assert "it may have been deleted" in capsys.readouterr().err
    session.has_failed = False
    do(session, "save Anna")
    assert [profile.name for profile in store.profiles()] == ["Anna"] and len(store.ratings(session.opened.id)) == 2


def test_changes_are_not_dropped_without_a_question(
    model: Recommender, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(model, Profiles(model, url), is_interactive=True)
    do(session, "popular 2", "add 1", "save Ann", "clear", "save Bob", "open Ann", "remove 1")
    for command in ("exit", "open Bob", "exit"):
        assert session.run(command) and not session.ratings
        assert "Ann has unsaved changes" in capsys.readouterr().err
    do(session, "show")
    assert session.run("exit"), "asked again after another command"
    assert not session.run("exit")
    session.profiles.close()


def test_a_database_that_cannot_be_used(run: Path, session: Session, url: str) -> None:
    do(session, "popular 1", "add 1", "save Ann")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TABLE ratings")
    assert session.run("open Ann") and session.has_failed
    for database in ("mysql://somewhere", "no url", "sqlite:////proc/none/x.db"):
        status, output, problems = pipe(run, "popular 1", database=database)
        assert (status, output) == (1, "") and problems.startswith("error: ") and problems.count("\n") == 1
