"""`Context`: dependencies of every request.

The functions are asynchronous because FastAPI would run others in a thread, which takes longer than they do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from gnnrec.service.batching import ListBatcher
from gnnrec.service.jobs import Jobs
from gnnrec.service.metrics import Metrics
from gnnrec.service.posters import Posters
from gnnrec.service.served import ModelHolder, ServedModel
from gnnrec.service.settings import ServiceSettings
from gnnrec.service.store import Store


@dataclass(frozen=True)
class Context:
    """The parts of a running service."""

    settings: ServiceSettings
    store: Store
    holder: ModelHolder
    jobs: Jobs
    posters: Posters
    metrics: Metrics = field(default_factory=Metrics)
    batcher: ListBatcher = field(default_factory=ListBatcher)


async def get_context(request: Request) -> Context:
    """Return the parts of the running service."""
    context: Context = request.app.state.context
    return context


async def get_served(request: Request) -> ServedModel:
    """Return the model for this request, which stays the same even if another one is loaded in the meantime."""
    return (await get_context(request)).holder.served


async def get_store(request: Request) -> Store:
    """Return the database."""
    return (await get_context(request)).store


ContextNow = Annotated[Context, Depends(get_context)]
Served = Annotated[ServedModel, Depends(get_served)]
Database = Annotated[Store, Depends(get_store)]
