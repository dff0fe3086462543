"""`create_app`: the service as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles

import gnnrec
from gnnrec.service.api import PREFIX, add_api
from gnnrec.service.context import Context
from gnnrec.service.jobs import Jobs
from gnnrec.service.metrics import Metrics
from gnnrec.service.pages import router as pages
from gnnrec.service.pages.common import show_error
from gnnrec.service.posters import Posters
from gnnrec.service.problems import Problem, add_handlers
from gnnrec.service.security import Guard
from gnnrec.service.served import ModelHolder
from gnnrec.service.settings import ServiceSettings
from gnnrec.service.store import Store


def create_app(settings: ServiceSettings) -> FastAPI:
    """Load the run, open the database and return the application.

    Parameters
    ----------
    settings : ServiceSettings

    Raises
    ------
    DataError
        The run is missing or damaged.
    ConfigError
        The model cannot serve new users, the database cannot be opened, or the settings are not safe.
    """
    settings.check()
    torch.set_num_threads(1)  # requests are small; more threads would only contend
    store = Store(settings.db)
    store.migrate()
    holder = ModelHolder(settings.run)
    context = Context(settings, store, holder, Jobs(store, holder), Posters(settings.posters), Metrics())

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        holder.watch()
        yield
        context.jobs.close()
        holder.close()
        store.close()

    app = FastAPI(
        title="gnnrec",
        version=gnnrec.__version__,
        summary="Movie recommendations from a graph neural network",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.context = context
    add_api(app)
    app.include_router(pages)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    add_handlers(app, show_error)
    app.add_middleware(Guard, settings=settings, metrics=context.metrics)
    app.openapi = lambda: _openapi(app, settings)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI, settings: ServiceSettings) -> dict[str, Any]:
    """Return the description of the API, in which all errors are problem+json."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        if settings.token is not None:
            made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema
