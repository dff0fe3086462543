"""Histories of new users over time: in order, with timestamps, as a frame or stored, the results are the same."""

from __future__ import annotations

import dataclasses
import datetime

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, DataError, Dataset, Graph, NewUser, RecGraph, Split, fit
from gnnrec.datasets import make_sample
from gnnrec.graph import UserBatch, encode_users
from tests.helpers.contract import assert_same, ranked

RATINGS = {10: 5.0, "Alien (1979)": 2.0, 30: 4.0}
TIMES = ["2001-03-09", "2000-12-31T23:59:59", "2001-03-09"]
SECONDS = [984_096_000, 978_307_199, 984_096_000]
BY_TIME = ([20, 10, 30], [2.0, 5.0, 4.0], [978_307_199, 984_096_000, 984_096_000])


@pytest.fixture(scope="module")
def graph() -> Graph:
    rows = pd.DataFrame({"user_id": [1, 1, 1], "movie_id": [10, 20, 30], "rating": [3, 4, 5], "timestamp": [7, 8, 9]})
    titles = ["Heat (1995)", "Alien (1979)", "Brazil (1985)"]
    return Graph.from_dataset(Dataset(rows, pd.DataFrame({"movie_id": [10, 20, 30], "title": titles})))


def history(graph: Graph, users: object) -> tuple[list[int], list[float], list[int]]:
    """Return movie ids, ratings and times as a model sees them."""
    batch, _ = encode_users(graph, users)
    return graph.ids["movie"][batch.movie_index].tolist(), batch.rating.tolist(), batch.timestamp.tolist()


@pytest.mark.parametrize(
    "timestamps",
    [
        TIMES,
        tuple(SECONDS),
        np.array(SECONDS),
        np.array(SECONDS) + 0.5,
        pd.Series(TIMES, index=[5, 6, 7]),
        (time for time in TIMES),
        dict(zip(RATINGS, TIMES, strict=True)),
        dict(zip(reversed(RATINGS), reversed(SECONDS), strict=True)),
        [pd.Timestamp(TIMES[0]), datetime.datetime.fromisoformat(TIMES[1]), datetime.date(2001, 3, 9)],
        ["2001-03-09T01:00+01:00", np.datetime64(TIMES[1]), "9 March 2001"],
        pd.to_datetime(pd.Series(TIMES), format="ISO8601"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_forms_of_timestamps(graph, timestamps):
    assert history(graph, NewUser(ratings=RATINGS, timestamps=timestamps)) == BY_TIME


def test_without_times_the_given_order_counts(graph):
    for user in (RATINGS, NewUser(ratings=RATINGS)):
        assert history(graph, user) == ([10, 20, 30], [5.0, 2.0, 4.0], [0, 0, 0])
    assert history(graph, NewUser(ratings=[30, 10])) == ([30, 10], [5.0, 5.0], [0, 0])


def test_liked_movies_with_times(graph):
    assert history(graph, NewUser(ratings=[30, 10], timestamps=[2, 1])) == ([10, 30], [5.0, 5.0], [1, 2])


def test_series_by_movie(graph):
    user = NewUser(ratings=pd.Series({10: 5.0, 20: 2.0}), timestamps=pd.Series({20: 5, 10: 6}))
    assert history(graph, user) == ([20, 10], [2.0, 5.0], [5, 6])


def test_fractions_of_seconds_only_sort(graph):
    assert history(graph, NewUser(ratings=RATINGS, timestamps=[7.9, 7.1, 7.5])) == ([20, 30, 10], [2, 4, 5], [7, 7, 7])


def test_a_frame_keeps_its_times(graph):
    rows = pd.DataFrame(
        {"user_id": ["b", "a", "b"], "movie_id": [20, 10, 10], "rating": [5, 4, 3], "timestamp": [9, 1, 8]}
    )
    dated = rows.assign(when=pd.to_datetime(rows["timestamp"], unit="s")).drop(columns="timestamp")
    for frame in (rows, rows.set_axis([4, 4, 1]), dated.rename(columns={"when": "date"})):
        batch, names = encode_users(graph, frame)
        assert names.tolist() == ["b", "a"]
        assert batch.user_index.tolist() == [0, 0, 1]
        assert graph.ids["movie"][batch.movie_index].tolist() == [10, 20, 10]
        assert (batch.rating.tolist(), batch.timestamp.tolist()) == ([3, 5, 4], [8, 9, 1])


@pytest.mark.parametrize(
    ("timestamps", "message"),
    [
        ([1, 2], "there are 2 timestamps for 3 ratings; give one per rating"),
        ([], "there are 0 timestamps for 3 ratings"),
        ({10: 1, 20: 2, 30: 3}, "movie 20 has a time but is not rated; timestamps must have the same keys as ratings"),
        ({10: 1, 30: 3}, "movie 'Alien (1979)' has no time; timestamps must have the same keys as ratings"),
        ([1, "soon", 3], "the time of 'Alien (1979)' is 'soon'; give seconds since 1970, a datetime, or text such as"),
        ([1, None, 3], "the time of 'Alien (1979)' is None; give"),
        ([1, 2, float("nan")], "the time of 30 is nan; give"),
        ([1, 2, -5], "the time of 30 is -5; give"),
        ([1, 2, 978_307_199_000], "the time of 30 is 978307199000; give seconds"),
        ([1, 2, [3]], "the time of 30 is [3]; give"),
        ("2000-12-31", "timestamps must be a mapping {movie: time} or a list of times, not '2000-12-31'"),
        (978_307_199, "timestamps must be a mapping {movie: time} or a list of times, not 978307199"),
    ],
)
def test_invalid_times(graph, timestamps, message):
    with pytest.raises(DataError) as caught:
        encode_users(graph, NewUser(ratings=RATINGS, timestamps=timestamps))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2000-01-01", "soon"], "users row 1: timestamp 'soon' is not a time; use seconds since 1970 or ISO text"),
        ([1, None], "users row 1: timestamp nan is not finite"),
        ([1, -2], "users row 1: timestamp -2 is negative"),
    ],
)
def test_invalid_times_in_a_frame(graph, times, message):
    frame = pd.DataFrame({"user_id": ["a", "b"], "movie_id": [10, 20], "timestamp": times}, index=[8, 8])
    with pytest.raises(DataError) as caught:
        encode_users(graph, frame)
    assert str(caught.value).startswith(message)


# The same user in different forms


@pytest.fixture(scope="module", params=["rank", "days and dates"])
def model(request) -> RecGraph:
    world = make_sample(100, 60, seed=3, ratings_per_user=14)
    config = Config.from_mapping(
        {
            "model": {"temporal": True, "embedding_dim": 16, "hidden_dim": 16, "rating_decays": [6]},
            "train": {
                "objective": "next_item",
                "loss": "softmax",
                "epochs": 2,
                "batch_size": 64,
                "learning_rate": 0.01,
            },
        }
    )
    if request.param == "days and dates":
        config = config.override(["model.day_decays=[2, 60]", "model.date_features=true"])
    nothing = world.ratings[:0]
    return fit(Split(world.ratings, nothing, nothing, world.movies, world.users), config=config, progress=False)


def test_the_same_history_in_every_form(model):
    data = model.graph.dataset
    for user in (1, 42, 77):
        own = data.ratings[data.ratings["user_id"] == user]
        profile = data.users[data.users["user_id"] == user].iloc[0]
        profile_values = {name: profile[name] for name in ("age", "gender", "occupation")}
        mixed = own.sample(frac=1, random_state=0)
        assert own["timestamp"].is_monotonic_increasing
        assert not mixed["timestamp"].is_monotonic_increasing
        assert own["timestamp"].is_unique

        def new_user(rows: pd.DataFrame, timestamps: object, values: dict = profile_values) -> NewUser:
            return NewUser(
                **values, ratings=dict(zip(rows["movie_id"], rows["rating"], strict=True)), timestamps=timestamps
            )

        stored = ranked(model, user)
        assert_same(ranked(model, new_user(mixed, mixed["timestamp"])), stored)
        assert_same(ranked(model, new_user(mixed, dict(zip(own["movie_id"], own["timestamp"], strict=True)))), stored)
        assert_same(ranked(model, mixed.merge(data.users, on="user_id")), stored)
        in_order, in_disorder = ranked(model, new_user(own, None)), ranked(model, new_user(mixed, None))
        if model.config.model.day_decays:  # then times matter, too
            assert not same(in_order, stored)
        else:
            assert_same(in_order, stored)
        assert not same(in_disorder, stored)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> bool:
    return np.allclose(found["score"], expected["score"], rtol=1e-3, atol=1e-3)


def test_users_together_are_the_same_as_one_by_one():
    data = make_sample(60, 40)
    weights = np.linspace(0.5, 2, len(data.ratings), dtype=np.float32)
    graph = Graph.from_dataset(Dataset(data.ratings.assign(weight=weights), data.movies, data.users))
    users = [
        NewUser(30, "F", ratings={1: 5, 2: 3}),
        {3: 4.5},
        7,
        8,
        NewUser(occupation=str(graph.occupations[1]), ratings=[4, 5], weights=[2, 1], disliked=[6]),
        NewUser(),
        NewUser(ratings={1: 5, 2: 3, 3: 2}, timestamps={1: 30, 2: 10, 3: 20}, at=20),
        9,
    ]
    together, names = encode_users(graph, users)
    assert names.tolist() == ["new user 1", "new user 2", 7, 8, "new user 5", "new user 6", "new user 7", 9]
    assert together.user_index.bincount(minlength=8)[[0, 1, 4, 5, 6]].tolist() == [2, 1, 3, 0, 2]
    one_by_one = UserBatch.concatenate([encode_users(graph, user)[0] for user in users])
    for name in (field.name for field in dataclasses.fields(UserBatch)):
        ours, theirs = getattr(together, name), getattr(one_by_one, name)
        pairs = zip(ours, theirs, strict=True) if name == "occupation" else [(ours, theirs)]
        for one, other in pairs:
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_of_several_users_the_wrong_one_is_named(graph):
    with pytest.raises(DataError, match="'Aliens'"):
        encode_users(graph, [RATINGS, {"Aliens": 3, 10: 4, 20: 2}])
    with pytest.raises(DataError, match="rating of 20 is 'bad'"):
        encode_users(graph, [RATINGS, {10: 4, 20: "bad"}])
