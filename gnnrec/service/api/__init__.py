"""The JSON API under ``/api/v1``, one router per kind of resource."""

from __future__ import annotations

from fastapi import APIRouter

from gnnrec.service.api import movies, operations, profiles, recommendations
from gnnrec.service.problems import responses

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX, responses=responses(401, 403, 413, 422, 429))
for _module in (recommendations, movies, profiles, operations):
    router.include_router(_module.router)
