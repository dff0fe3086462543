"""The service tells models that use it the time of the request: `at` in the API, now by default."""

from __future__ import annotations

import pytest

from tests.helpers.service import require_service

require_service()

import gnnrec
from gnnrec import NewUser, RecGraph
from gnnrec.datasets import make_sample
from gnnrec.service import listing
from gnnrec.service.groups import recommend as recommend_group
from gnnrec.service.records import Entry, Profile
from gnnrec.service.served import ServedModel
from gnnrec.splitting import leave_one_out
from tests.test_request_time import TIMED, YEAR


@pytest.fixture(scope="module")
def timed() -> RecGraph:
    split = leave_one_out(make_sample(80, 40, seed=2)).with_request_times()
    return gnnrec.fit(split, config=TIMED.override(["train.epochs=2"]), progress=False)


def test_lists_are_those_of_the_library(timed: RecGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    served = ServedModel(timed)
    last = int(timed.dataset.ratings["timestamp"].max())
    user = NewUser(ratings={1: 5, 2: 4}, timestamps={1: last - 20, 2: last})
    lists = []
    for at in (last, last + YEAR):
        monkeypatch.setattr("time.time", lambda at=at: at)
        for given in (5, user):
            now = listing.recommend(served, given, 5)
            assert now == listing.recommend(served, listing.as_of(served, given, at), 5)
            expected = timed.recommend(given, 5, at=at)
            assert [movie.id for movie, _, _ in now] == expected["movie_id"].tolist()
            assert [score for _, score, _ in now] == pytest.approx(expected["score"].tolist(), abs=1e-5)
            lists.append([score for _, score, _ in now])
    assert lists[0] != lists[2] and lists[1] != lists[3]


def test_profiles_and_groups_ask_at_a_time(timed: RecGraph) -> None:
    served = ServedModel(timed)
    last = int(timed.dataset.ratings["timestamp"].max())
    history = [Entry("1", "", last, 5.0), Entry("2", "", last + 50, 4.0)]
    for at in (last + 10, last + YEAR):
        user, found = listing.for_profile(served, Profile(1, "ann", None, None, None, 0), history, [], at=at)
        known = {1: 5.0} if at < last + 50 else {1: 5.0, 2: 4.0}
        assert dict(user.ratings) == known  # type: ignore[call-overload]
        same = NewUser(ratings=known, timestamps={1: last, 2: last + 50} if len(known) == 2 else {1: last}, at=at)
        assert [movie.id for movie, _, _ in found] == timed.recommend(same)["movie_id"].tolist()
        group = recommend_group(served, [same, 5], 3, at=at)
        assert [one.movie.id for one in group] == gnnrec.recommend_group(timed, [same, 5], 3, at=at)[
            "movie_id"
        ].tolist()
