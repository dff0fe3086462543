"""`ScoreBatcher`: scores concurrent requests together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from torch import Tensor

from gnnrec.graph import UserBatch
from gnnrec.models.base import Recommender

MAX_BATCH = 32
"""Maximum number of users scored at a time, so that other requests do not wait long."""


class ScoreBatcher:
    """Scores the users of all waiting requests in one call of the model.

    Most of the cost of a call does not depend on the number of users, so throughput under load is several times higher.
    There is no waiting time: a single request is scored immediately.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> model = EASE().fit(dataset)
    >>> async def ask():
    ...     batcher = ScoreBatcher()
    ...     users = [model.graph.user_batch(model.graph.user_nodes([user])) for user in (1, 2, 3)]
    ...     return await asyncio.gather(*(batcher.score(model, user) for user in users))
    >>> [tuple(scores.shape) for scores in asyncio.run(ask())]
    [(1, 40), (1, 40), (1, 40)]
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Recommender, UserBatch, asyncio.Future[Tensor]]] = []

    async def score(self, model: Recommender, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]``, the scores of the model for a batch of a few users."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Tensor] = loop.create_future()
        self._waiting.append((model, users, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)  # after the requests that have already arrived
        return await future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        model = waiting[0][0]
        same = [(users, future) for other, users, future in waiting if other is model]
        _answer(model, same)
        for other, users, future in waiting:  # the model was replaced between two requests
            if other is not model:
                _answer(other, [(users, future)])


def _answer(model: Recommender, waiting: Sequence[tuple[UserBatch, asyncio.Future[Tensor]]]) -> None:
    """Score users together; if that fails, one by one, so that only the invalid request fails."""
    try:
        batches = [users for users, _ in waiting]
        scores = model.score(batches[0] if len(batches) == 1 else UserBatch.concatenate(batches)).cpu()
    except Exception as error:
        if len(waiting) > 1:
            for one in waiting:
                _answer(model, [one])
        elif not waiting[0][1].done():
            waiting[0][1].set_exception(error)
        return
    parts = scores.split([users.num_users for users, _ in waiting])
    for (_, future), part in zip(waiting, parts, strict=True):
        if not future.done():  # the client may have disconnected
            future.set_result(part)
