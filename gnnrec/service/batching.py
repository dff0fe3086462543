"""`ListBatcher`: computes the lists of concurrent requests together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gnnrec.service import listing
from gnnrec.service.served import ServedModel

MAX_BATCH = 32
"""Maximum number of users at a time, so that other requests do not wait long."""
WAIT = 0.001
"""Seconds without another request after which a busy service stops waiting for more."""


@dataclass(frozen=True, eq=False)
class _Request:
    served: ServedModel
    user: Any
    options: Mapping[str, Any]
    future: asyncio.Future[listing.Ranked]


class ListBatcher:
    """Computes the lists of all waiting requests with the same options in one call of the model.

    Most of the cost of a call does not depend on the number of users, so throughput under load is several times higher.
    If the last call was for several requests, the next one waits until there are as many again, or none comes within
    `WAIT`: clients that were just answered ask again at about the same time, and would otherwise take turns in small
    groups. A client that is alone never waits.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> async def ask():
    ...     batcher = ListBatcher()
    ...     return await asyncio.gather(*(batcher.recommend(served, user, {"k": 4}) for user in (1, 2, 3)))
    >>> [len(found) for found in asyncio.run(ask())]
    [4, 4, 4]
    """

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._last_size = 0

    async def recommend(self, served: ServedModel, user: Any, options: Mapping[str, Any]) -> listing.Ranked:
        """Return the list of a user; `options` are those of `listing.recommend`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[listing.Ranked] = loop.create_future()
        self._waiting.append(_Request(served, user, options, future))
        if len(self._waiting) == 1:
            if self._last_size > 1:
                loop.call_later(WAIT, self._flush_if_quiet, 1)
            else:
                loop.call_soon(self._flush)  # after the requests that have already arrived
        return await future

    def _flush_if_quiet(self, before: int) -> None:
        """Compute the lists, unless there are more requests than before, but not yet as many as last time."""
        number = len(self._waiting)
        if before < number < self._last_size:
            asyncio.get_running_loop().call_later(WAIT, self._flush_if_quiet, number)
        else:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._last_size = len(waiting)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        while waiting:
            first = waiting[0]
            same = [one for one in waiting if one.served is first.served and one.options == first.options]
            waiting = [one for one in waiting if one not in same]
            _answer(same)


def _answer(requests: Sequence[_Request]) -> None:
    """Answer requests together; if that fails, one by one, so that only the invalid request fails."""
    try:
        lists = listing.recommend_many(requests[0].served, [one.user for one in requests], **requests[0].options)
    except Exception as error:
        if len(requests) > 1:
            for one in requests:
                _answer([one])
        elif not requests[0].future.done():
            requests[0].future.set_exception(error)
        return
    for one, found in zip(requests, lists, strict=True):
        if not one.future.done():  # the client may have disconnected
            one.future.set_result(found)
