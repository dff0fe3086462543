"""The JSON API under ``/api/v1``, one router per kind of resource."""

from __future__ import annotations

from fastapi import FastAPI

from gnnrec.service.api import movies, operations, profiles, recommendations
from gnnrec.service.problems import responses

PREFIX = "/api/v1"


def add_api(app: FastAPI) -> None:
    """Add the routes of the API; each router directly, because every level of nesting takes time in each request."""
    for module in (recommendations, movies, profiles, operations):
        app.include_router(module.router, prefix=PREFIX, responses=responses(401, 403, 413, 422, 429))
