"""The OpenAPI description: complete, and true for requests made up from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.service import require_service

require_service()

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings

from gnnrec.service.app import create_app
from gnnrec.service.settings import ServiceSettings

EXAMPLES = 12
"""Requests for each operation."""


def operations() -> list[str]:
    """Return ``METHOD path`` of everything but what starts a training."""
    methods = {
        "/recommend": ["POST"],
        "/recommend/group": ["POST"],
        "/explain": ["POST"],
        "/movies": ["GET"],
        "/movies/{movie_id}": ["GET"],
        "/movies/{movie_id}/similar": ["GET"],
        "/profiles": ["GET", "POST"],
        "/profiles/{profile_id}": ["GET", "PATCH", "DELETE"],
        "/profiles/{profile_id}/ratings": ["GET", "PUT"],
        "/profiles/{profile_id}/ratings/{movie_id}": ["DELETE"],
        "/profiles/{profile_id}/history": ["POST"],
        "/profiles/{profile_id}/bucket-list": ["GET", "POST"],
        "/profiles/{profile_id}/bucket-list/{movie_id}": ["DELETE"],
        "/profiles/{profile_id}/hidden": ["GET", "POST"],
        "/profiles/{profile_id}/hidden/{movie_id}": ["DELETE"],
        "/profiles/{profile_id}/recommendations": ["GET"],
        "/health": ["GET"],
        "/ready": ["GET"],
        "/metrics": ["GET"],
        "/retrain/{job_id}": ["GET"],
    }
    return [f"{method} /api/v1{path}" for path, all_ in methods.items() for method in all_]


def test_description(client: TestClient) -> None:
    found = client.get("/api/v1/openapi.json").json()
    described = {f"{m.upper()} {path}" for path, methods in found["paths"].items() for m in methods}
    assert described == {*operations(), "POST /api/v1/retrain"}
    for path, methods in found["paths"].items():
        for operation in methods.values():
            assert operation["summary"] and operation["description"], path
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in str(found)


@pytest.fixture(scope="module")
def schema(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("made-up")
    made = ServiceSettings(run=saved, db=f"sqlite:///{folder / 'a.db'}", hosts=("*",), rate_limit=0)
    app = create_app(made)
    store = app.state.context.store
    for name in ("Ann", "Bob"):
        store.create_profile(name)
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)


@pytest.mark.slow
@pytest.mark.parametrize("operation", operations())
def test_made_up_requests(schema: Any, operation: str) -> None:
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    method, path = operation.split()
    strategy = schema[path][method].as_strategy()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def check(case: Any) -> None:
        # A text that no movie or genre has is of the right type and still refused, which one check takes for a mistake.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()
