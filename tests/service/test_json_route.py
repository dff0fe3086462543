"""`JSONRoute`: the same description, values and errors as FastAPI's own route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.service import require_service

require_service()

from fastapi import APIRouter, FastAPI, Response
from fastapi.testclient import TestClient

from gnnrec.service.api.json_route import JSONRoute
from gnnrec.service.api.schemas import RecommendInput, RecommendOutput
from gnnrec.service.context import ContextNow
from gnnrec.service.problems import add_handlers


async def echo(given: RecommendInput, context: ContextNow) -> Response:
    """Answer with what was understood."""
    return Response(json.dumps([given.model_dump(mode="json"), context]), media_type="application/json")


async def show(*_: Any) -> Response:
    raise AssertionError("errors of the API are no pages")


def make(route_class: Any) -> FastAPI:
    app = FastAPI()
    app.state.context = "the context"
    router = APIRouter()
    router.add_api_route("/echo", echo, methods=["POST"], response_model=RecommendOutput, **route_class)
    app.include_router(router, prefix="/api")
    add_handlers(app, show)
    return app


@pytest.fixture(scope="module")
def apps() -> SimpleNamespace:
    return SimpleNamespace(usual=make({}), quick=make({"route_class_override": JSONRoute}))


@pytest.fixture
def clients(apps: SimpleNamespace) -> Iterator[list[TestClient]]:
    with TestClient(apps.usual) as usual, TestClient(apps.quick) as quick:
        yield [usual, quick]


def test_the_description_is_the_same(apps: SimpleNamespace) -> None:
    assert apps.quick.openapi() == apps.usual.openapi()


def post(client: TestClient, body: bytes, kind: str | None) -> tuple[int, str, Any]:
    headers = {} if kind is None else {"content-type": kind}
    found = client.post("/api/echo", content=body, headers=headers)
    return found.status_code, found.headers["content-type"], found.json()


GOOD = [
    b'{"users": [1]}',
    b'{"users": ["1", {"ratings": [{"movie": "Heat", "rating": "4.5", "time": 7}], "age": "30", "profile": {"a": 1}}]}',
    b' {"users": [{}], "k": 3.0, "diversity": 1, "family_friendly": "true", "exclude": [1, "a"], "k": 4}',
    b'{"users": [{"ratings": [{"movie": 9223372036854775807, "rating": 1e3}], "name": "\\u00e9\\n"}], "at": 0}',
]
BAD = [
    b"",
    b"null",
    b"[]",
    b"{",
    b'"text"',
    b"\xff\xfe",
    b'{"users": []}',
    b'{"users": [1.0]}',
    b'{"users": [true]}',
    b'{"users": [null], "k": 0}',
    b'{"users": [1], "kk": 3}',
    b'{"users": [{"ratings": [{"movie": 1.5}]}]}',
    b'{"users": [{"ratings": [{"movie": 1, "rating": NaN}]}]}',
    b'{"users": [{"ratings": [{"movie": 9223372036854775808}]}]}',
    b'{"users": [{"ratings": [{"movie": 1, "rating": "five"}], "age": -1}], "unknown": "maybe"}',
    b'{"users": [{"name": "\\ud800"}]}',
]


@pytest.mark.parametrize("body", [*GOOD, *BAD], ids=lambda body: body[:60].decode("ascii", "replace"))
def test_bodies_mean_the_same(clients: list[TestClient], body: bytes) -> None:
    usual, quick = (post(client, body, "application/json") for client in clients)
    assert quick == usual
    assert usual[0] == (200 if body in GOOD else 422)


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/json; charset=utf-8", "APPLICATION/JSON", "application/hal+json"]
)
def test_types_of_bodies_mean_the_same(clients: list[TestClient], kind: str | None) -> None:
    usual, quick = (post(client, GOOD[1], kind) for client in clients)
    assert quick == usual
    assert usual[0] == (422 if kind in (None, "text/plain") else 200)


def test_good_bodies_do_not_go_the_usual_way(apps: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.requests import Request

    def fail(_: Any) -> Any:
        raise AssertionError("the body was parsed to Python values")

    monkeypatch.setattr(Request, "json", fail)
    with TestClient(apps.quick) as client:
        assert post(client, GOOD[0], "application/json")[2][1] == "the context"
