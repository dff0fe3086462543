"""What every model must do, whatever its algorithm. Run the checks over each model:

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(Subject(EASE(reg=10)))

The idea of a checkerboard that every model must complete is from the tests of `implicit`.
"""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import ConfigError, DataError, Dataset, EarlyStopping, Graph, NewUser, Recommender, Split
from gnnrec.datasets import make_sample
from gnnrec.models import BaseEstimator
from gnnrec.training.callbacks import Callback, FitState

TOLERANCE = 1e-5
SIDE = 20
FEW = 2
COLUMNS = ["user_id", "movie_id", "title", "score", "rank"]


@cache
def checkerboard() -> Graph:
    """Return a graph in which user u rated movie m if both are even or both odd, but u != m: the diagonal is withheld."""
    user, movie = np.divmod(np.arange(SIDE * SIDE), SIDE)
    rated = ((user + movie) % 2 == 0) & (user != movie)
    ratings = pd.DataFrame({"user_id": 100 + user[rated], "movie_id": 500 + movie[rated]})
    return Graph.from_dataset(Dataset(ratings, name="checkerboard"))


@cache
def sample() -> Graph:
    """Return the sample: profiles, genres, years and timestamps; user 7001 and movie 8001 have no ratings."""
    generated = make_sample(150, 60, seed=3)
    users = pd.concat([generated.users, pd.DataFrame({"user_id": [7001]})], ignore_index=True)
    movies = pd.concat(
        [generated.movies, pd.DataFrame({"movie_id": [8001], "title": ["Unrated (1999)"], "genres": ["Drama"]})],
        ignore_index=True,
    )
    return Graph.from_dataset(Dataset(generated.ratings, movies, users, "sample"))


@cache
def text_ids() -> Graph:
    """Return the checkerboard with strings as ids."""
    ratings = checkerboard().dataset.ratings
    ids = {"user_id": "u" + ratings["user_id"].astype(str), "movie_id": "m" + ratings["movie_id"].astype(str)}
    return Graph.from_dataset(Dataset(pd.DataFrame(ids)))


def training_split(data: Dataset, timestamps: bool = False) -> Split:
    """Return a split in which all ratings are training ratings, so that every epoch is run."""
    ratings = data.ratings
    if timestamps and "timestamp" not in ratings:
        ratings = ratings.assign(timestamp=range(len(ratings)))
    return Split(ratings, ratings[:0], ratings[:0], data.movies, data.users, data.name)


@dataclass(frozen=True)
class Subject:
    """A model under test; it is fitted when a check first needs it.

    Parameters
    ----------
    estimator : BaseEstimator
    personal : bool
        False for models that recommend the same to all users, or that learn an order of movies: they cannot complete
        the checkerboard.
    timestamps : bool
        Whether the model needs timestamps.
    """

    estimator: BaseEstimator
    personal: bool = True
    timestamps: bool = False

    @property
    def new_users(self) -> bool:
        """Whether the model can score users without training ratings."""
        return self.estimator.serves_new_users

    def fit(self, graph: Graph, estimator: BaseEstimator | None = None, **options: Any) -> Recommender:
        split = training_split(graph.dataset, self.timestamps)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "no validation ratings")
            return (estimator or self.estimator).fit(split, **options).with_graph(graph)

    @cached_property
    def on_checkerboard(self) -> Recommender:
        return self.fit(checkerboard())

    @cached_property
    def on_sample(self) -> Recommender:
        """What is checked of it does not depend on its quality, so that it is trained for a few epochs only."""
        return self.fit(sample(), callbacks=[StopAfter(FEW)])

    @property
    def users(self) -> list[int]:
        """Users of the sample; 7001 has no ratings."""
        return [1, 42, 7001, 150] if self.new_users else [1, 42, 150]


Check = Callable[[Subject], None]


def if_new_users(check: Check) -> Check:
    """Mark a check that does not apply to models with an embedding per user; see `check_new_users_are_refused`."""

    @wraps(check)
    def checked(subject: Subject) -> None:
        if subject.new_users:
            check(subject)

    return checked


# Fitting


def check_other_data(subject: Subject) -> None:
    for data in (sample(), sample().dataset.ratings, None):
        with pytest.raises(DataError, match=f"fit takes a Dataset or a Split, not {type(data).__name__}"):
            subject.estimator.fit(data)  # type: ignore[arg-type]


def check_hyperparameters(subject: Subject) -> None:
    estimator = subject.estimator
    with pytest.raises(ConfigError, match="no_such: there is no such key"):
        type(estimator)(no_such=1)
    with pytest.raises(ConfigError, match="there is no such key"):
        gnnrec.fit(sample().dataset, type(estimator), no_such=1)
    for name in type(estimator).model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(estimator, name, getattr(estimator, name))
    assert type(estimator).from_settings(subject.on_sample.hyperparameters) == estimator
    assert subject.on_sample.name == estimator.name != ""
    assert "61 movies" in repr(subject.on_sample)


def check_resume(subject: Subject) -> None:
    message = "resume needs the run_dir" if subject.estimator.name == "gnn" else "cannot be resumed"
    with pytest.raises(ConfigError, match=message):
        subject.estimator.fit(sample().dataset, resume=True)


def check_seed(subject: Subject) -> None:
    """The same seed gives the same model, from a dataset or a split; the global random state is left alone."""
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    if subject.estimator.name == "gnn":  # of a dataset it holds validation ratings back
        again = subject.fit(sample(), callbacks=[StopAfter(FEW)])
    else:
        again = subject.estimator.fit(sample().dataset, callbacks=[StopAfter(FEW)])
        assert again.dataset is sample().dataset
    assert torch.equal(torch.random.get_rng_state(), state)
    users = known_users(subject)
    assert torch.equal(again.score(users), subject.on_sample.score(users))
    seed = subject.estimator.random_seed
    other = subject.estimator.with_seed(17)
    if seed is None:
        assert other is subject.estimator
    else:
        assert other.random_seed == 17
        different = subject.fit(sample(), other, callbacks=[StopAfter(FEW)])
        assert not torch.equal(different.score(users), again.score(users))


class StopAfter(Callback):
    """Stops after some epochs and records what it sees."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.seen = epochs, []  # type: ignore[var-annotated]

    def on_epoch_end(self, state: FitState) -> None:
        self.seen.append((state.model, state.epoch, np.isfinite(state.loss)))
        if state.epoch == self.epochs:
            state.stop()


def check_callbacks(subject: Subject) -> None:
    callback = StopAfter(2)
    model = subject.fit(sample(), callbacks=[callback, EarlyStopping(50)])
    name = subject.estimator.name
    epochs = [1, 2] if subject.estimator.trains_in_epochs else []
    assert callback.seen == [(name, epoch, True) for epoch in epochs]
    assert model.score(known_users(subject)).isfinite().all()
    with pytest.raises(ConfigError, match="callbacks must be a list of Callback objects"):
        subject.estimator.fit(sample().dataset, callbacks=[print])  # type: ignore[list-item]


# Recommendations


def check_checkerboard(subject: Subject) -> None:
    if not subject.personal:
        return
    users = list(range(100, 100 + SIDE))
    first = subject.on_checkerboard.recommend(users, k=1)
    assert first["user_id"].tolist() == users
    assert first["movie_id"].tolist() == list(range(500, 500 + SIDE))


@if_new_users
def check_checkerboard_for_new_users(subject: Subject) -> None:
    if not subject.personal:
        return
    even = [500 + movie for movie in range(0, SIDE, 2)]
    found = subject.on_checkerboard.recommend(dict.fromkeys(even[:5], 5), k=5)
    assert sorted(found["movie_id"]) == even[5:]


def check_columns(subject: Subject) -> None:
    model = subject.on_sample
    for users in (42, [42], [1, 42]):
        found = model.recommend(users, k=3)
        assert found.columns.tolist() == COLUMNS
        assert found["user_id"].tolist() == [user for user in np.atleast_1d(users) for _ in range(3)]
        assert found["rank"].tolist() == [1, 2, 3] * np.size(users)
    titles = model.dataset.movies.set_index("movie_id")["title"]
    assert found["title"].tolist() == titles[found["movie_id"]].tolist()
    pd.testing.assert_frame_equal(gnnrec.recommend(model, [1, 42], k=3), found)
    if subject.new_users:
        assert model.recommend(NewUser(), k=1)["user_id"].tolist() == ["new user"]
        named = model.recommend([NewUser(name="ann"), {1: 5}], k=1)
        assert named["user_id"].tolist() == ["ann", "new user 2"]


def check_one_equals_batch(subject: Subject) -> None:
    model, users = subject.on_sample, subject.users
    together = ranked(model, users)
    for user in users:
        assert_same(ranked(model, user), together[together["user_id"] == user])


@if_new_users
def check_known_equals_new(subject: Subject) -> None:
    model = subject.on_sample
    for user in (1, 42, 77, 7001):
        assert_same(ranked(model, user), ranked(model, as_new_user(model.graph, user)))


@if_new_users
def check_frame_equals_known(subject: Subject) -> None:
    model, ratings = subject.on_sample, sample().dataset.ratings
    rows = ratings[ratings["user_id"].isin([5, 6])].merge(sample().dataset.users, on="user_id")
    found, expected = ranked(model, rows), ranked(model, [5, 6])
    for user in (5, 6):
        assert_same(found[found["user_id"] == user], expected[expected["user_id"] == user])


def check_seen_movies_are_excluded(subject: Subject) -> None:
    model = subject.on_sample
    ratings = model.dataset.ratings
    seen = set(ratings.loc[ratings["user_id"] == 42, "movie_id"])
    everything = set(model.dataset.movies["movie_id"])
    assert set(ranked(model, 42)["movie_id"]) == everything - seen
    assert set(ranked(model, 42, exclude_seen=False)["movie_id"]) == everything


@if_new_users
def check_candidates(subject: Subject) -> None:
    model = subject.on_sample
    title = model.dataset.movies["title"].iloc[9]
    found = model.recommend({1: 5, 2: 4}, k=10, candidates=[2, 3, 5, 8, title, 8001])
    assert set(found["movie_id"]) == {3, 5, 8, 10, 8001}
    assert found["rank"].tolist() == [1, 2, 3, 4, 5]
    everything = ranked(model, {1: 5, 2: 4})
    assert found["movie_id"].tolist() == [m for m in everything["movie_id"] if m in {3, 5, 8, 10, 8001}]


def check_reranking(subject: Subject) -> None:
    model, movies = subject.on_sample, sample().dataset.movies
    plain = model.recommend(subject.users, 8)
    same = model.recommend(subject.users, 8, diversity=0, novelty=0.0, calibration=0, like=[], unlike=None)
    pd.testing.assert_frame_equal(plain, same, check_exact=True)
    unlike, like = movies["movie_id"].tolist()[:2]
    for options in (
        {"diversity": 0.5},
        {"novelty": 0.5},
        {"calibration": 0.5},
        {"max_per_genre": 2},
        {"like": like, "unlike": [unlike]},
    ):
        found = model.recommend(subject.users, 8, **options)  # type: ignore[arg-type]
        assert found.columns.tolist() == COLUMNS
        assert not found.duplicated(["user_id", "movie_id"]).any()
        scores = ranked(model, subject.users).set_index(["user_id", "movie_id"])["score"]
        pairs = pd.MultiIndex.from_frame(found[["user_id", "movie_id"]])
        assert found["score"].tolist() == scores[pairs].tolist(), "scores are those of the model, of unseen movies"
        if "max_per_genre" in options:
            genres = found.merge(movies)["genres"].str.split("|")
            listed = pd.DataFrame({"user_id": found["user_id"], "genre": genres}).explode("genre")
            assert listed.value_counts().max() <= 2
        if "like" in options:
            assert not found["movie_id"].isin([like, unlike]).any()


def check_groups(subject: Subject) -> None:
    model, users = subject.on_sample, subject.users[:2]
    members = [*users, as_new_user(sample(), 150)] if subject.new_users else users
    seen = sample().dataset.ratings
    seen = seen.loc[seen["user_id"].isin([*users, *([150] if subject.new_users else [])]), "movie_id"]
    for strategy in ("average", "least_misery", "most_pleasure", "fair"):
        found = gnnrec.recommend_group(model, members, 6, strategy=strategy)
        assert found.columns.tolist()[:6] == ["movie_id", "title", "score", "rank", "suits 1", "suits 42"]
        assert found["rank"].tolist() == [1, 2, 3, 4, 5, 6]
        assert not set(found["movie_id"]) & set(seen)
        assert found.iloc[:, 4:].stack().between(0, 1).all()
    alone, group = model.recommend(users[0], 6), gnnrec.recommend_group(model, users[0], 6)
    assert group["movie_id"].tolist() == alone["movie_id"].tolist()


def check_repeated_calls(subject: Subject) -> None:
    users = [1, NewUser(age=30, ratings={3: 4}), 2] if subject.new_users else [1, 2]
    pd.testing.assert_frame_equal(ranked(subject.on_sample, users), ranked(subject.on_sample, users))


@if_new_users
def check_empty_new_user(subject: Subject) -> None:
    model = subject.on_sample
    first = model.recommend(NewUser(), k=10)
    assert len(first) == 10
    assert np.isfinite(first["score"]).all()
    pd.testing.assert_frame_equal(first, model.recommend({}, k=10))
    # As for a known user without ratings and profile.
    assert_same(ranked(model, 7001), ranked(model, {}))


@if_new_users
def check_profile_only(subject: Subject) -> None:
    found = subject.on_sample.recommend(NewUser(age=25, gender="F", occupation="artist"), k=10)
    assert len(found) == 10
    assert np.isfinite(found["score"]).all()


def check_new_users_are_refused(subject: Subject) -> None:
    """A model with an embedding per user refuses all other users in one clear line."""
    if subject.new_users:
        return
    model = subject.on_sample
    for user, named in ({1: 5}, "a new user"), (NewUser(age=30), "a new user"), (7001, "user 7001"):
        for users in (user, [1, user]):
            with pytest.raises(DataError, match=f"{model.name} learns an embedding per user .* {named}") as error:
                model.recommend(users)
            assert "\n" not in str(error.value)
    rows = pd.DataFrame({"user_id": [9999, 9999, 7001], "movie_id": [4, 9, 4], "rating": 5.0})
    larger = model.add_ratings(rows)
    for user in (9999, 7001):  # adding ratings is not training
        with pytest.raises(DataError, match=f"user {user}"):
            larger.recommend(user)
    assert_same(ranked(larger, 42), ranked(model, 42))
    data = sample().dataset
    reversed_users = Dataset(data.ratings, data.movies, data.users.iloc[::-1].reset_index(drop=True), "other")
    with pytest.raises(DataError, match="was trained on other users"):
        model.with_graph(Graph.from_dataset(reversed_users))


def check_scores(subject: Subject) -> None:
    model, users = subject.on_sample, known_users(subject)
    scores = model.score(users)
    assert scores.dtype == torch.float32
    assert tuple(scores.shape) == (users.num_users, model.graph.num_movies)
    assert bool(scores.isfinite().all())
    found = ranked(model, [1, 2, 3])
    assert (found.groupby("user_id")["score"].diff().dropna() <= 0).all()


# Adding ratings and movies


@if_new_users
def check_add_ratings(subject: Subject) -> None:
    model = subject.on_sample
    rows = pd.DataFrame({"user_id": 9999, "movie_id": [4, 9, 1, 7], "rating": [5.0, 4.0, 1.0, 3.0]})
    larger = model.add_ratings(rows)
    found = ranked(larger, 9999)
    assert not set(found["movie_id"]) & {4, 9, 1, 7}
    assert_same(found, ranked(larger, {4: 5.0, 9: 4.0, 1: 1.0, 7: 3.0}))
    with pytest.raises(DataError, match="9999"):
        model.recommend(9999)


@if_new_users
def check_new_ratings_count(subject: Subject) -> None:
    if not subject.personal:
        return
    rows = pd.DataFrame({"user_id": 999, "movie_id": [501, 503, 505, 507]})
    found = subject.on_checkerboard.add_ratings(rows).recommend(999, k=6)["movie_id"]
    assert set(found) == {500 + movie for movie in range(1, SIDE, 2)} - {501, 503, 505, 507}


def check_changed_ratings(subject: Subject) -> None:
    """After ratings were replaced and removed, lists are those of a graph that is built from the final ratings."""
    model = subject.on_sample
    rated = model.dataset.ratings.query("user_id == 42")["movie_id"].tolist()
    again = pd.DataFrame({"user_id": [42, 1], "movie_id": [rated[0], 8001], "rating": [1.0, 2.0]})
    if model.graph.has_times:
        again["timestamp"] = 2_000_000_000
    changed = model.add_ratings(again, update=True).remove_ratings(42, rated[1:3])
    data = changed.dataset
    whole = Dataset(data.ratings, data.movies, data.users, data.name, features=data.features)
    built = model.with_graph(Graph.from_dataset(whole, changed.graph.vocabularies))
    assert whole.num_ratings == model.dataset.num_ratings + len(again) - 1 - 2
    for user in (1, 42, 150):
        assert_same(ranked(changed, user), ranked(built, user))


def check_removed_user(subject: Subject) -> None:
    """Without a user, the others keep their lists; also in a run that is saved and loaded."""
    model = subject.on_sample
    before = model.recommend([1, 150], k=5)
    fewer = model.remove_user(42)
    with tempfile.TemporaryDirectory() as folder:
        loaded = gnnrec.load(fewer.save(Path(folder) / "run"))
    with pytest.raises(DataError, match="user 42 is not in the graph"):
        loaded.recommend(42)
    pd.testing.assert_frame_equal(model.recommend([1, 150], k=5), before)
    expected = model
    if subject.new_users and fewer.name != "lightfm":  # the others know users by their rows, and only by them
        data = fewer.dataset
        whole = Dataset(data.ratings, data.movies, data.users, data.name, features=data.features)
        expected = model.with_graph(Graph.from_dataset(whole, fewer.graph.vocabularies))
    for user in (1, 150):
        assert_same(ranked(fewer, user), ranked(expected, user))
        assert_same(ranked(loaded, user), ranked(fewer, user))


def check_add_movies(subject: Subject) -> None:
    model = subject.on_sample
    new = pd.DataFrame({"movie_id": [9001, 9002], "title": ["A (1990)", "B (2000)"], "genres": ["Comedy", ""]})
    larger = model.add_movies(new)
    found = ranked(larger, subject.users[:3])
    assert {9001, 9002} <= set(found["movie_id"])
    assert np.isfinite(found["score"]).all()
    assert larger.recommend(1, candidates=["A (1990)"])["movie_id"].tolist() == [9001]
    assert larger.similarity_embeddings().shape[0] == larger.graph.num_movies
    # The scores of the other movies do not change.
    old = found[~found["movie_id"].isin(new["movie_id"])]
    assert_same(old[old["user_id"] == 1], ranked(model, 1))
    assert model.graph.num_movies + 2 == larger.graph.num_movies


def check_similar_movies(subject: Subject) -> None:
    found = subject.on_sample.similar_movies(8001, k=5)
    assert found.columns.tolist() == ["movie_id", "title", "similarity", "rank"]
    assert len(found) == 5
    assert found["similarity"].between(-1 - TOLERANCE, 1 + TOLERANCE).all()
    assert 8001 not in set(found["movie_id"])
    if subject.personal:
        even = subject.on_checkerboard.similar_movies(500, k=SIDE // 2 - 1)["movie_id"]
        assert set(even) == {500 + movie for movie in range(2, SIDE, 2)}


def check_text_ids(subject: Subject) -> None:
    """Ids may be strings; a model that has seen the same ratings with numbers as ids recommends the same."""
    named, numbered = (subject.fit(graph, callbacks=[StopAfter(FEW)]) for graph in (text_ids(), checkerboard()))
    second = {"m500": 5, "m502": 4} if subject.new_users else "u105"
    found = named.recommend(["u104", second], k=3)
    assert found["user_id"].tolist() == ["u104"] * 3 + ["new user 2" if subject.new_users else "u105"] * 3
    expected = numbered.recommend([104, {500: 5, 502: 4} if subject.new_users else 105], k=3)
    assert found["movie_id"].tolist() == ("m" + expected["movie_id"].astype(str)).tolist()
    assert found["score"].tolist() == expected["score"].tolist()


# Evaluation, saving


def check_evaluate(subject: Subject) -> None:
    model = subject.on_sample
    test = model.recommend([1, 42, 150], k=2)[["user_id", "movie_id"]]  # unseen movies at ranks 1 and 2
    found = model.evaluate(test, ks=[2], metrics=["recall", "mrr"])
    assert found["value"].tolist() == [1.0, 1.0]
    pd.testing.assert_frame_equal(found, gnnrec.evaluate(model, test, ks=[2], metrics=["recall", "mrr"]))


def check_saved_and_loaded(subject: Subject) -> None:
    model = subject.on_sample.with_report(note="before")
    movies = pd.DataFrame({"movie_id": [9001], "title": ["A (1990)"], "genres": ["Comedy"]})
    ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [9001, 8001], "rating": [5.0, 2.0]})
    for saved in (model, model.add_movies(movies).add_ratings(ratings)):
        with tempfile.TemporaryDirectory() as folder:
            loaded = gnnrec.load(saved.save(Path(folder) / "run"))
        assert type(loaded) is type(saved)
        assert loaded.name == saved.name
        assert loaded.hyperparameters == saved.hyperparameters
        assert loaded.report == saved.report == {"note": "before"}
        assert loaded.history == saved.history
        users = known_users(subject, saved.graph)
        assert torch.equal(loaded.score(known_users(subject, loaded.graph)), saved.score(users))
        assert torch.equal(loaded.similarity_embeddings(), saved.similarity_embeddings())
        pd.testing.assert_frame_equal(ranked(loaded, subject.users), ranked(saved, subject.users))
        assert loaded.to("cpu").name == saved.name


def check_immutable(subject: Subject) -> None:
    model = subject.on_sample
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.graph = checkerboard()  # type: ignore[misc]
    assert model.with_report(note="x").report == {"note": "x"}
    assert model.report == {}
    before = model.score(known_users(subject))
    with torch.inference_mode():  # a caller's changes do not reach the model
        model.score(known_users(subject))[:] = 0.0
    model.add_ratings(pd.DataFrame({"user_id": [1], "movie_id": [8001], "rating": [1.0]}))
    assert torch.equal(model.score(known_users(subject)), before)


CHECKS: list[Check] = [value for name, value in list(globals().items()) if name.startswith("check_")]
"""All checks above."""


def run_checks(subject: Subject) -> None:
    """Run all checks over one model."""
    for check in CHECKS:
        check(subject)


def known_users(subject: Subject, graph: Graph | None = None) -> Any:
    """Return the users of the sample that the model can score."""
    graph = graph or sample()
    return graph.users if subject.new_users else graph.user_batch(graph.user_nodes(subject.users))


def ranked(model: Recommender, users: Any, **options: Any) -> pd.DataFrame:
    """Return the recommendations from the first to the last movie."""
    return model.recommend(users, k=model.graph.num_movies, **options)


def as_new_user(graph: Graph, user_id: object) -> NewUser:
    """Return a known user as a new user with the same profile and ratings, oldest first."""
    users, ratings = graph.dataset.users, graph.dataset.ratings
    profile = users[users["user_id"] == user_id].iloc[0]
    own = ratings[ratings["user_id"] == user_id].sort_values("timestamp", kind="stable")
    known = {c: None if pd.isna(profile[c]) else profile[c] for c in ("age", "gender", "occupation")}
    return NewUser(ratings=dict(zip(own["movie_id"], own["rating"], strict=True)), **known)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare full rankings: the same movies and scores; only movies with nearly equal scores may swap ranks."""
    ours, theirs = (frame.set_index("movie_id")["score"] for frame in (found, expected))
    assert set(ours.index) == set(theirs.index)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(ours.to_numpy(), theirs[ours.index].to_numpy(), rtol=TOLERANCE, atol=TOLERANCE)
