"""The time of a request: later ratings do not count, models that use it are told, and evaluation leaks nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import gnnrec
from gnnrec import Config, ConfigError, DataError, Dataset, NewUser, RecGraph, Split
from gnnrec.datasets import make_sample
from gnnrec.evaluation.fingerprint import Fingerprint
from gnnrec.graph import Graph, UserBatch, encode_users
from gnnrec.models import EASE
from gnnrec.models.base import Recommender
from gnnrec.nn.temporal import LONGEST, RequestTimeEncoding
from gnnrec.splitting import leave_one_out, random_split

TIMED = Config.from_mapping(
    {
        "model": {"temporal": True, "request_time_features": True, "embedding_dim": 8, "hidden_dim": 16, "dropout": 0.0},
        "train": {
            "objective": "next_item", "loss": "softmax", "cutoffs_per_user": 8, "batch_size": 128, "epochs": 8,
            "learning_rate": 0.01, "edge_dropout": 0.05, "history_dropout": 0.0, "cutoff_recency": 1.0, "patience": 8,
        },
    }
)  # fmt: skip
MINUTE, YEAR = 60, 365 * 86_400


@pytest.fixture(scope="module")
def timed() -> RecGraph:
    return gnnrec.fit(leave_one_out(make_sample(80, 40, seed=2)).with_request_times(), config=TIMED, progress=False)


@pytest.fixture(scope="module")
def graph() -> Graph:
    rows = [(1, 7, 100), (1, 8, 200), (1, 9, 300), (2, 8, 50), (3, 7, 0)]
    return Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))


# Users at a time


def test_later_ratings_do_not_count(graph: Graph) -> None:
    users = graph.users.at(torch.tensor([200, 10, 5]))
    assert users.user_index.tolist() == [0, 0, 2]  # the time of user 3's rating is unknown, so that it counts
    assert users.timestamp.tolist() == [100, 200, 0]
    assert graph.users.at(torch.tensor([0, 0, 0])).user_index.tolist() == graph.users.user_index.tolist()


def test_time_since_the_last_rating(graph: Graph) -> None:
    expected = [100.0, float("inf"), float("nan")]
    assert torch.equal(
        graph.users.at(torch.tensor([400, 10, 5])).time_since_last().nan_to_num(-1),
        torch.tensor(expected).nan_to_num(-1),
    )
    assert graph.users.time_since_last().isnan().all()
    masked = graph.users.at(torch.tensor([400, 60, 5])).time_since_last(torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]))
    assert masked[:2].tolist() == [200.0, 10.0]  # the last rating of user 1 is masked


def test_request_times_are_kept_by_slices_and_joins(graph: Graph) -> None:
    users = graph.users.at(torch.tensor([400, 60, 5]))
    assert users.slice(1, 3).request_time.tolist() == [60, 5]  # type: ignore[union-attr]
    joined = UserBatch.concatenate([graph.users.slice(0, 1), users.slice(1, 2)])
    assert joined.request_time.tolist() == [0, 60]  # type: ignore[union-attr]
    assert UserBatch.concatenate([graph.users, graph.users]).request_time is None
    hidden = users.without_profile(torch.ones(3, dtype=torch.bool))
    assert hidden.request_time.tolist() == [400, 60, 5]  # type: ignore[union-attr]


@pytest.mark.parametrize("at", [200, 200.9, "1970-01-01T00:03:20", pd.Timestamp(200, unit="s", tz="UTC")])
def test_times_are_read_as_those_of_ratings(graph: Graph, at: object) -> None:
    batch, _ = encode_users(graph, 1, at=at)
    assert batch.request_time.tolist() == [200]  # type: ignore[union-attr]
    assert batch.timestamp.tolist() == [100, 200]
    new, _ = encode_users(graph, NewUser(ratings={7: 5, 9: 4}, timestamps={7: 100, 9: 300}, at=at))
    assert new.movie_index.tolist() == [0]


@pytest.mark.parametrize("at", ["soon", -5, float("nan"), "31/31/2001", [1]])
def test_what_is_no_time_is_one_error(graph: Graph, at: object) -> None:
    with pytest.raises(
        DataError, match=r"the time of request is .*; give seconds since 1970, a datetime, or text such as"
    ):
        encode_users(graph, 1, at=at)


def test_own_times_take_precedence(graph: Graph) -> None:
    batch, _ = encode_users(graph, [1, NewUser(ratings={7: 5}, at=150)], at=250)
    assert batch.request_time.tolist() == [250, 150]  # type: ignore[union-attr]


def test_encoding_of_times(graph: Graph) -> None:

    def encoded(times: list[int]) -> Tensor:
        users = graph.users.at(torch.tensor(times))
        return RequestTimeEncoding(5)(users, torch.ones(len(users.rating)))

    same_second, unknown, none = encoded([300, 0, 7])
    assert same_second.tolist() == [1, 0, 0, 0, 0, 1, 0]
    assert unknown.tolist() == none.tolist() == [0] * 7  # user 3 rated at an unknown time
    without = encoded([50, 300, 7])
    assert without[0].tolist() == [0, 0, 0, 0, 0, 0, 1]  # no rating yet
    seconds = torch.tensor(250.0)
    place = float(seconds.log1p() / np.log1p(LONGEST) * 4)
    assert without[1, 1].item() == pytest.approx(2 - place) and without[1, 2].item() == pytest.approx(place - 1)
    assert encoded([10**11] * 3)[0].tolist() == [0, 0, 0, 0, 1, 0, 0]


# Models


def after_a_pause_the_new_movie(num_users: int = 240, seed: int = 0) -> Dataset:
    """Return users who watch an even movie within a minute and an odd one after a year, whatever they watched before."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        left = {0: list(rng.permutation(np.arange(0, 30, 2))), 1: list(rng.permutation(np.arange(1, 30, 2)))}
        now = 10**9
        for _ in range(12):
            pause = int(rng.integers(2))
            now += YEAR if pause else MINUTE
            rows.append((user, int(left[pause].pop()), now))
    return Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"]))


def test_a_model_that_is_told_knows_more() -> None:
    split = leave_one_out(after_a_pause_the_new_movie()).with_mask_and_history(
        mask="train+valid", history="train+valid"
    )
    told = gnnrec.fit(split.with_request_times(), config=TIMED, progress=False)
    hits = [
        told.evaluate(split, ks=[10], metrics=["hit_rate"], request_times=known)["value"][0] for known in (True, False)
    ]
    assert hits[0] > 0.85  # about ten movies of the right kind are left
    assert hits[1] < 0.7  # at chance between the kinds
    last = int(split.train.query("user_id == 0")["timestamp"].max())
    soon, late = (told.recommend(0, k=4, at=last + pause)["movie_id"] % 2 for pause in (MINUTE, YEAR))
    assert soon.tolist() == [0] * 4 and late.tolist() == [1] * 4


def test_stored_users_and_new_ones_get_the_same_list(timed: RecGraph) -> None:
    rows = timed.dataset.ratings.query("user_id == 5").sort_values("timestamp", kind="stable")
    profile = timed.dataset.users.query("user_id == 5").iloc[0]
    at = int(rows["timestamp"].max()) + 1000
    same = NewUser(
        age=profile["age"],
        gender=profile["gender"],
        occupation=profile["occupation"],
        ratings=dict(zip(rows["movie_id"], rows["rating"], strict=True)),
        timestamps=rows["timestamp"].tolist(),
        at=at,
    )
    stored, new = timed.recommend(5, at=at), timed.recommend(same)
    assert stored["movie_id"].tolist() == new["movie_id"].tolist()
    assert stored["score"].tolist() == pytest.approx(new["score"].tolist(), abs=1e-5)
    later = timed.recommend(dataclasses.replace(same, at=at + YEAR))
    assert later["score"].tolist() != new["score"].tolist()
    movie = stored["movie_id"][0]
    more = timed.add_ratings(pd.DataFrame({"user_id": [5], "movie_id": [movie], "rating": [5], "timestamp": [at]}))
    changed = more.recommend(5, at=at)
    assert movie not in changed["movie_id"].tolist() and changed["score"][0] != stored["score"][0]


def test_the_request_is_now_unless_a_time_is_given(timed: RecGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(timed.dataset.ratings["timestamp"].max()) + 77
    monkeypatch.setattr("time.time", lambda: now + 0.5)
    pd.testing.assert_frame_equal(timed.recommend([1, {3: 5}]), timed.recommend([1, {3: 5}], at=now))
    assert torch.equal(timed.user_embeddings([1]), timed.embed(timed.encode_users([1], at=now)[0]))
    monkeypatch.setattr("time.time", lambda: now + YEAR)
    assert timed.recommend(1, at=now)["score"].tolist() != timed.recommend(1)["score"].tolist()


def test_other_models_only_leave_out_later_ratings() -> None:
    model = EASE(reg=10).fit(make_sample(60, 40))
    rows = model.dataset.ratings.query("user_id == 3").sort_values("timestamp", kind="stable")
    middle = int(rows["timestamp"].iloc[len(rows) // 2])
    early = rows[rows["timestamp"] <= middle]
    expected = model.recommend(dict(zip(early["movie_id"], early["rating"], strict=True)), k=5)
    found = model.recommend(3, k=5, at=middle)
    assert found["movie_id"].tolist() == expected["movie_id"].tolist()
    assert model.recommend(3, k=5, at="2100-01-01").equals(model.recommend(3, k=5))
    assert not model.uses_request_time
    reasons = gnnrec.explain(model, 3, found["movie_id"], at=middle)
    assert set(reasons["because"]) <= set(model.dataset.movies.set_index("movie_id")["title"].loc[early["movie_id"]])


def test_a_saved_run_uses_it_again(timed: RecGraph, tmp_path: Path) -> None:
    loaded = gnnrec.load(timed.save(tmp_path / "run"))
    assert loaded.uses_request_time
    assert loaded.recommend([1, 2], at=10**9).equals(timed.recommend([1, 2], at=10**9))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.objective=masked_edges", "request_time_features needs train.objective: next_item"),
        ("model.temporal=false", "request_time_features needs temporal: true and a hidden_dim above 0"),
        ("model.hidden_dim=0", "request_time_features needs temporal: true and a hidden_dim above 0"),
    ],
)
def test_settings_that_never_see_a_request(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TIMED.override([override])


# Evaluation


class Witness(Recommender):
    """A model that keeps what it is shown."""

    def __init__(self, graph: Graph, seen: list[UserBatch]) -> None:
        self.graph, self.seen = graph, seen

    @property
    def name(self) -> str:
        return "witness"

    def score(self, users: UserBatch) -> Tensor:
        self.seen.append(users)
        return torch.zeros(users.num_users, users.num_movies)

    def with_graph(self, graph: Graph) -> Witness:
        return Witness(graph, self.seen)

    def similarity_embeddings(self) -> Tensor:
        return torch.zeros(self.graph.num_movies, 1)

    def state(self) -> dict[str, Tensor]:
        return {}


@pytest.mark.parametrize("part", ["test", "valid"])
@pytest.mark.parametrize("splitter", [leave_one_out, random_split])
def test_no_test_movie_and_no_later_rating_is_seen(splitter: object, part: str) -> None:
    split: Split = splitter(make_sample(80, 40, seed=2)).with_request_times()  # type: ignore[operator]
    witness = Witness(Graph.from_dataset(split.dataset), [])
    if part == "test":
        gnnrec.evaluate(
            witness, split.with_mask_and_history(mask="train+valid", history="train+valid"), metrics=["recall"]
        )
    else:
        gnnrec.evaluation.validate(witness, split)
    rows = getattr(split, part)
    held_out = set(zip(rows["user_id"], rows["movie_id"], strict=True))
    first = rows.groupby("user_id")["timestamp"].min()
    users = np.concatenate([batch.node_id.numpy() for batch in witness.seen])
    assert len(users) == len(first) > 40
    for batch in witness.seen:
        ids = witness.graph.ids["user"][batch.node_id.numpy()]
        assert batch.request_time.tolist() == first.loc[ids].tolist()  # type: ignore[union-attr]
        assert (batch.timestamp <= batch.request_time[batch.user_index]).all()  # type: ignore[index]
        pairs = zip(ids[batch.user_index.numpy()], witness.graph.ids["movie"][batch.movie_index.numpy()], strict=True)
        assert not held_out & set(pairs)


def test_scores_do_not_depend_on_what_is_held_out(timed: RecGraph) -> None:
    """Only the times of the held-out ratings are told: with other movies in them, the lists are the same."""
    split = leave_one_out(make_sample(80, 40, seed=2))
    known = split.train.groupby("user_id")["movie_id"].agg(set)
    others = [next(m for m in range(40, 0, -1) if m not in known[u] and m != own)
              for u, own in zip(split.test["user_id"], split.test["movie_id"], strict=True)]  # fmt: skip
    seen: list[list[Tensor]] = []
    for test in (split.test, split.test.assign(movie_id=others)):
        scores: list[Tensor] = []

        class Recorded(type(timed)):  # type: ignore[misc]
            def score(self, users: UserBatch, scores: list[Tensor] = scores) -> Tensor:
                scores.append(super().score(users))
                return scores[-1]

        fields = {field.name: getattr(timed, field.name) for field in dataclasses.fields(timed)}
        Recorded(**fields).evaluate(test, ks=[5], metrics=["recall"], request_times=True)
        seen.append(scores)
    assert all(torch.equal(*pair) for pair in zip(*seen, strict=True))


def test_protocol_says_whether_models_are_told(tmp_path: Path) -> None:
    data = make_sample(60, 40)
    told, not_told = gnnrec.split(data, "next-item-timed"), gnnrec.split(data, "next-item")
    assert told.request_times and not not_told.request_times
    assert gnnrec.split(data, "next-item:request_times=true").request_times
    one, other = Fingerprint.from_split(told), Fingerprint.from_split(not_told)
    assert one.digest != other.digest and "told the request times" in str(one) and "told" not in str(other)
    moved = told.with_request_times()
    object.__setattr__(moved, "test", told.test.assign(timestamp=told.test["timestamp"] + 1))
    assert Fingerprint.from_split(moved).digest != one.digest
    assert Fingerprint.from_split(told.with_request_times(False)).digest == other.digest
    model = EASE().fit(told)
    assert model.evaluate(told).attrs["fingerprint"] == one.digest
    assert model.evaluate(told, request_times=False).attrs["fingerprint"] == other.digest
    assert Split.from_folder(told.to_folder(tmp_path / "told")).request_times
    assert not Split.from_folder(not_told.to_folder(tmp_path / "not")).request_times
    assert "request_times" not in json.loads((tmp_path / "not" / "split.json").read_text())


def test_times_must_be_there() -> None:
    split = leave_one_out(make_sample(60, 40))
    bare = {part: getattr(split, part).drop(columns="timestamp") for part in ("train", "valid", "test")}
    with pytest.raises(ConfigError, match="request_times needs timestamps"):
        Split(**bare, request_times=True)
    with pytest.raises(ConfigError, match="request_times must be true or false, not 'yes'"):
        split.with_request_times("yes")  # type: ignore[arg-type]
    model = EASE().fit(split)
    with pytest.raises(DataError, match="the test ratings have no column 'timestamp'"):
        model.evaluate(bare["test"], request_times=True)
