"""`ListBatcher`: requests that are answered together, and how long a busy service waits for more of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.helpers.service import require_service

require_service()

import gnnrec
from gnnrec import NewUser, RecGraph
from gnnrec.models import EASE
from gnnrec.service import batching
from gnnrec.service.batching import ListBatcher
from gnnrec.service.served import ServedModel


def test_requests_at_the_same_moment_are_answered_together_and_alone_alike(start: Any, trained: RecGraph) -> None:
    app, sizes = start().app, []
    batcher, served = app.state.context.batcher, app.state.context.holder.served
    people = [NewUser(age=20 + movie, ratings={movie: 5, movie + 1: 2, 40: 4}) for movie in range(1, 11)]
    users = [*range(1, 41), *people]
    options = {"k": 5, "offset": 1}

    async def ask() -> Any:
        return await asyncio.gather(*(batcher.recommend(served, user, options) for user in users))

    with pytest.MonkeyPatch.context() as patch:
        answer = batching._answer
        patch.setattr(batching, "_answer", lambda some: (sizes.append(len(some)), answer(some)))
        together = asyncio.run(ask())
    assert sizes == [32, 18]
    for user, found in zip(users, together, strict=True):
        alone = gnnrec.recommend(trained, user, 5, offset=1)
        assert [movie.id for movie, _, _ in found] == alone["movie_id"].tolist()
        assert [rank for _, _, rank in found] == [2, 3, 4, 5, 6]
        np.testing.assert_allclose([score for _, score, _ in found], alone["score"], rtol=1e-4, atol=1e-5)


def test_requests_with_other_options_are_answered_apart(start: Any, trained: RecGraph) -> None:
    context = start().app.state.context
    genre = str(trained.graph.genres[0])
    wanted: list[dict[str, Any]] = [{"k": 3}, {"k": 2}, {"k": 3, "genres": [genre]}, {"k": 3}]

    async def ask() -> Any:
        served, batcher = context.holder.served, context.batcher
        return await asyncio.gather(*(batcher.recommend(served, 1, options) for options in wanted))

    for options, found in zip(wanted, asyncio.run(ask()), strict=True):
        assert [movie.id for movie, _, _ in found] == gnnrec.recommend(trained, 1, **options)["movie_id"].tolist()


def test_of_requests_at_the_same_moment_only_the_wrong_one_fails(start: Any, trained: RecGraph) -> None:
    context = start().app.state.context

    async def ask() -> Any:
        served, batcher = context.holder.served, context.batcher
        both = (batcher.recommend(served, user, {"k": 3}) for user in (1, NewUser(ratings={"no such movie": 5})))
        return await asyncio.gather(*both, return_exceptions=True)

    found, error = asyncio.run(ask())
    assert [movie.id for movie, _, _ in found] == gnnrec.recommend(trained, 1, 3)["movie_id"].tolist()
    assert isinstance(error, gnnrec.DataError) and "no such movie" in str(error)


@pytest.fixture(scope="module")
def served() -> ServedModel:
    return ServedModel(EASE().fit(gnnrec.load_dataset("sample", num_users=40, num_movies=30)))


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which the number of requests of each call is added."""
    found: list[int] = []
    answer = batching._answer
    monkeypatch.setattr(batching, "_answer", lambda some: (found.append(len(some)), answer(some)))
    return found


class Loop:
    """Stands for the event loop: collects what is to be called, without any time passing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def create_future(self) -> Any:
        return asyncio.Future(loop=asyncio.new_event_loop())

    def call_soon(self, function: Callable[..., None], *given: Any) -> None:
        self.calls.append((0.0, function, given))

    def call_later(self, delay: float, function: Callable[..., None], *given: Any) -> None:
        self.calls.append((delay, function, given))

    def run(self) -> float:
        """Call what is to be called next, and return after how long."""
        delay, function, given = self.calls.pop(0)
        function(*given)
        return delay


def ask(batcher: ListBatcher, served: ServedModel, number: int) -> None:
    """Begin some requests."""
    for user in range(1, number + 1):
        batcher.recommend(served, user, {"k": 3}).send(None)


def test_a_client_that_is_alone_never_waits(
    served: ServedModel, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, batcher = Loop(monkeypatch), ListBatcher()
    for _ in range(3):
        ask(batcher, served, 1)
        assert loop.run() == 0
    assert sizes == [1, 1, 1] and loop.calls == []


def test_a_busy_service_waits_until_as_many_requests_are_there_as_before(
    served: ServedModel, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, batcher = Loop(monkeypatch), ListBatcher()
    ask(batcher, served, 4)
    assert loop.run() == 0
    ask(batcher, served, 2)
    assert loop.run() == batching.WAIT  # there is one more than at first, but fewer than four
    assert sizes == [4]
    ask(batcher, served, 2)
    assert loop.run() == batching.WAIT
    assert sizes == [4, 4] and loop.calls == []


def test_a_busy_service_stops_waiting_when_none_comes(
    served: ServedModel, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, batcher = Loop(monkeypatch), ListBatcher()
    ask(batcher, served, 6)
    loop.run()
    ask(batcher, served, 3)
    assert [loop.run(), loop.run()] == [batching.WAIT, batching.WAIT]
    assert sizes == [6, 3]
    ask(batcher, served, 1)
    assert loop.run() == batching.WAIT
    ask(batcher, served, 1)
    assert loop.run() == 0  # the last one was alone
    assert sizes == [6, 3, 1, 1] and loop.calls == []


def test_more_than_fit_are_computed_one_batch_after_another(
    served: ServedModel, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MAX_BATCH", 4)
    loop, batcher = Loop(monkeypatch), ListBatcher()
    ask(batcher, served, 9)
    assert [loop.run(), loop.run(), loop.run()] == [0, 0, 0]
    assert sizes == [4, 4, 1] and loop.calls == []
