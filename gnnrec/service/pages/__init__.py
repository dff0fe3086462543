"""The web app: pages rendered on the server, which work without JavaScript; ``static/app.js`` makes them faster."""

from __future__ import annotations

from fastapi import APIRouter

from gnnrec.service.pages import model, movies, people

router = APIRouter(include_in_schema=False)
for _module in (people, movies, model):
    router.include_router(_module.router)
