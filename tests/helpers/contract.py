"""What every model must do, whatever is inside it. Run the checks over each baseline and each encoder.

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(Subject(EASE.fit))

The idea of a checkerboard that every model must complete is from the tests of `implicit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, wraps

import numpy as np
import pandas as pd
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import DataError
from gnnrec.graph import Graph, NewUser
from gnnrec.models.base import Recommender, recommend, similar_movies

TOLERANCE = 1e-5
SIDE = 20
Build = Callable[[Graph], Recommender]


@cache
def checkerboard() -> Graph:
    """User u has watched movie m where both are even or both odd, but not their own: the diagonal is withheld."""
    user, movie = np.divmod(np.arange(SIDE * SIDE), SIDE)
    watched = ((user + movie) % 2 == 0) & (user != movie)
    ratings = pd.DataFrame({"user_id": 100 + user[watched], "movie_id": 500 + movie[watched]})
    return Graph.from_dataset(Dataset(ratings, name="checkerboard"))


@cache
def sample() -> Graph:
    """Return a world with everything in it: profiles, genres, years, times, and a user and a movie without ratings."""
    world = make_sample(150, 60, seed=3)
    users = pd.concat([world.users, pd.DataFrame({"user_id": [7001]})], ignore_index=True)
    movies = pd.concat(
        [world.movies, pd.DataFrame({"movie_id": [8001], "title": ["Unwatched (1999)"], "genres": ["Drama"]})],
        ignore_index=True,
    )
    return Graph.from_dataset(Dataset(world.ratings, movies, users, "sample"))


@cache
def text_ids() -> Graph:
    """Return the checkerboard with texts for ids."""
    ratings = checkerboard().dataset.ratings
    return Graph.from_dataset(
        Dataset(
            pd.DataFrame(
                {"user_id": "u" + ratings["user_id"].astype(str), "movie_id": "m" + ratings["movie_id"].astype(str)}
            )
        )
    )


def reversed_users() -> Dataset:
    """Return the sample's data with its users from last to first."""
    data = sample().dataset
    return Dataset(data.ratings, data.movies, data.users.iloc[::-1].reset_index(drop=True), "other")


@dataclass(frozen=True)
class Subject:
    """A model under test, built when a check first needs it.

    `personal` is false for models that tell everyone the same, or that learn an order instead of who watched what: they
    cannot complete the checkerboard. `strangers` is false for models with a table of users, which must refuse new
    people clearly.
    """

    build: Build
    personal: bool = True
    strangers: bool = True

    @cached_property
    def on_checkerboard(self) -> Recommender:
        return self.build(checkerboard())

    @cached_property
    def on_sample(self) -> Recommender:
        return self.build(sample())

    @cached_property
    def on_text_ids(self) -> Recommender:
        return self.build(text_ids())

    @property
    def people(self) -> list[int]:
        """Users of the sample; 7001 has no ratings."""
        return [1, 42, 7001, 150] if self.strangers else [1, 42, 150]


def with_strangers(check: Callable[[Subject], None]) -> Callable[[Subject], None]:
    """Mark a check that models with a table of users need not pass; see `check_strangers_are_refused`."""

    @wraps(check)
    def checked(subject: Subject) -> None:
        if subject.strangers:
            check(subject)

    return checked


def check_checkerboard(subject: Subject) -> None:
    if not subject.personal:
        return
    users = list(range(100, 100 + SIDE))
    firsts = recommend(subject.on_checkerboard, users, k=1)
    assert firsts["user_id"].tolist() == users
    assert firsts["movie_id"].tolist() == list(range(500, 500 + SIDE))


@with_strangers
def check_checkerboard_for_strangers(subject: Subject) -> None:
    if not subject.personal:
        return
    evens = [500 + movie for movie in range(0, SIDE, 2)]
    found = recommend(subject.on_checkerboard, dict.fromkeys(evens[:5], 5), k=5)
    assert sorted(found["movie_id"]) == evens[5:]


def check_one_equals_batch(subject: Subject) -> None:
    model, users = subject.on_sample, subject.people
    together = ranked(model, users)
    for user in users:
        assert_same(ranked(model, user), together[together["user_id"] == user])


@with_strangers
def check_stored_equals_new(subject: Subject) -> None:
    model = subject.on_sample
    for user in (1, 42, 77, 7001):
        assert_same(ranked(model, user), ranked(model, stranger_like(model.graph, user)))


@with_strangers
def check_frame_equals_stored(subject: Subject) -> None:
    model, ratings = subject.on_sample, sample().dataset.ratings
    rows = ratings[ratings["user_id"].isin([5, 6])].merge(sample().dataset.users, on="user_id")
    found, expected = ranked(model, rows), ranked(model, [5, 6])
    for user in (5, 6):
        assert_same(found[found["user_id"] == user], expected[expected["user_id"] == user])


def check_seen_is_left_out(subject: Subject) -> None:
    model = subject.on_sample
    ratings = model.graph.dataset.ratings
    seen = set(ratings.loc[ratings["user_id"] == 42, "movie_id"])
    everything = set(model.graph.dataset.movies["movie_id"])
    assert set(ranked(model, 42)["movie_id"]) == everything - seen
    assert set(ranked(model, 42, exclude_seen=False)["movie_id"]) == everything


@with_strangers
def check_candidates(subject: Subject) -> None:
    model = subject.on_sample
    title = model.graph.dataset.movies["title"].iloc[9]
    found = recommend(model, {1: 5, 2: 4}, k=10, candidates=[2, 3, 5, 8, title, 8001])
    assert set(found["movie_id"]) == {3, 5, 8, 10, 8001}
    assert found["rank"].tolist() == [1, 2, 3, 4, 5]
    everyone = ranked(model, {1: 5, 2: 4})
    assert found["movie_id"].tolist() == [m for m in everyone["movie_id"] if m in {3, 5, 8, 10, 8001}]


def check_deterministic(subject: Subject) -> None:
    who = [1, NewUser(age=30, ratings={3: 4}), 2] if subject.strangers else [1, 2]
    pd.testing.assert_frame_equal(ranked(subject.on_sample, who), ranked(subject.on_sample, who))


@with_strangers
def check_nothing_known(subject: Subject) -> None:
    model = subject.on_sample
    first = recommend(model, NewUser(), k=10)
    assert len(first) == 10
    assert np.isfinite(first["score"]).all()
    pd.testing.assert_frame_equal(first, recommend(model, {}, k=10))
    # Someone of the users table of whom nothing is known is the same person.
    assert_same(ranked(model, 7001), ranked(model, {}))


@with_strangers
def check_profile_only(subject: Subject) -> None:
    found = recommend(subject.on_sample, NewUser(age=25, gender="F", occupation="artist"), k=10)
    assert len(found) == 10
    assert np.isfinite(found["score"]).all()


def check_scores(subject: Subject) -> None:
    model = subject.on_sample
    nodes = model.graph.user_nodes(subject.people)
    everyone = model.graph.users if subject.strangers else model.graph.user_batch(nodes)
    scores = model.score(everyone)
    assert tuple(scores.shape) == (everyone.num_users, model.graph.num_movies)
    assert bool(scores.isfinite().all())
    found = ranked(model, [1, 2, 3])
    assert (found.groupby("user_id")["score"].diff().dropna() <= 0).all()


@with_strangers
def check_add_ratings(subject: Subject) -> None:
    model = subject.on_sample
    rows = pd.DataFrame({"user_id": 9999, "movie_id": [4, 9, 1, 7], "rating": [5.0, 4.0, 1.0, 3.0]})
    larger = model.add_ratings(rows)
    found = ranked(larger, 9999)
    assert not set(found["movie_id"]) & {4, 9, 1, 7}
    assert_same(found, ranked(larger, {4: 5.0, 9: 4.0, 1: 1.0, 7: 3.0}))
    with pytest.raises(DataError, match="9999"):
        recommend(model, 9999)


@with_strangers
def check_new_ratings_count(subject: Subject) -> None:
    if not subject.personal:
        return
    model = subject.on_checkerboard
    odds = pd.DataFrame({"user_id": 999, "movie_id": [501, 503, 505, 507]})
    found = recommend(model.add_ratings(odds), 999, k=6)["movie_id"]
    assert set(found) == {500 + movie for movie in range(1, SIDE, 2)} - {501, 503, 505, 507}


def check_add_movies(subject: Subject) -> None:
    model = subject.on_sample
    new = pd.DataFrame({"movie_id": [9001, 9002], "title": ["A (1990)", "B (2000)"], "genres": ["Comedy", ""]})
    larger = model.add_movies(new)
    found = ranked(larger, subject.people[:3])
    assert {9001, 9002} <= set(found["movie_id"])
    assert np.isfinite(found["score"]).all()
    assert recommend(larger, 1, candidates=["A (1990)"])["movie_id"].tolist() == [9001]
    assert larger.similarity_embeddings().shape[0] == larger.graph.num_movies
    # What was there before keeps its place.
    old = found[~found["movie_id"].isin(new["movie_id"])]
    assert_same(old[old["user_id"] == 1], ranked(model, 1))
    assert model.graph.num_movies + 2 == larger.graph.num_movies


def check_similar_movies(subject: Subject) -> None:
    found = similar_movies(subject.on_sample, 8001, k=5)
    assert len(found) == 5
    assert found["similarity"].between(-1 - TOLERANCE, 1 + TOLERANCE).all()
    assert 8001 not in set(found["movie_id"])
    if subject.personal:
        evens = similar_movies(subject.on_checkerboard, 500, k=SIDE // 2 - 1)["movie_id"]
        assert set(evens) == {500 + movie for movie in range(2, SIDE, 2)}


def check_text_ids(subject: Subject) -> None:
    second = {"m500": 5, "m502": 4} if subject.strangers else "u105"
    found = recommend(subject.on_text_ids, ["u104", second], k=3)
    assert found["user_id"].tolist() == ["u104"] * 3 + ["new user 2" if subject.strangers else "u105"] * 3
    assert found["movie_id"].map(lambda movie: isinstance(movie, str) and movie.startswith("m")).all()
    if subject.personal:
        assert found["movie_id"].iloc[0] == "m504"


def check_strangers_are_refused(subject: Subject) -> None:
    """A model that knows only the people it was trained on says so, in one line, whoever else is in the list."""
    if subject.strangers:
        return
    model = subject.on_sample
    for stranger, named in ({1: 5}, "someone new"), (NewUser(age=30), "someone new"), (7001, "user 7001"):
        for who in (stranger, [1, stranger]):
            with pytest.raises(DataError, match=f"{model.name} learns a vector for each person .* {named}") as error:
                recommend(model, who)
            assert "\n" not in str(error.value)
    rows = pd.DataFrame({"user_id": [9999, 9999, 7001], "movie_id": [4, 9, 4], "rating": 5.0})
    larger = model.add_ratings(rows)
    for user in (9999, 7001):  # ratings are not training
        with pytest.raises(DataError, match=f"user {user}"):
            recommend(larger, user)
    assert_same(ranked(larger, 42), ranked(model, 42))
    with pytest.raises(DataError, match="was trained on other users"):
        model.with_graph(Graph.from_dataset(reversed_users()))


def check_named(subject: Subject) -> None:
    assert subject.on_sample.name
    assert subject.on_sample.graph is sample()


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
"""Every check above; each takes a `Subject`."""


def check_recommender(build: Build, *, personal: bool = True) -> None:
    """Run every check over the model that `build` makes of a graph."""
    subject = Subject(build, personal)
    for check in CHECKS:
        check(subject)


def ranked(model: Recommender, who: object, **options: object) -> pd.DataFrame:
    """Return the recommendations from the first to the last movie."""
    return recommend(model, who, k=model.graph.num_movies, **options)  # type: ignore[arg-type]


def stranger_like(graph: Graph, user_id: object) -> NewUser:
    """Return a stored user as someone new with the same profile and the same ratings, oldest first."""
    users, ratings = graph.dataset.users, graph.dataset.ratings
    profile = users[users["user_id"] == user_id].iloc[0]
    own = ratings[ratings["user_id"] == user_id].sort_values("timestamp", kind="stable")
    known = {c: None if pd.isna(profile[c]) else profile[c] for c in ("age", "gender", "occupation")}
    return NewUser(ratings=dict(zip(own["movie_id"], own["rating"], strict=True)), **known)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare full rankings: the same movies and scores; only movies of nearly the same score may swap places."""
    ours, theirs = (frame.set_index("movie_id")["score"] for frame in (found, expected))
    assert set(ours.index) == set(theirs.index)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(ours.to_numpy(), theirs[ours.index].to_numpy(), rtol=TOLERANCE, atol=TOLERANCE)
