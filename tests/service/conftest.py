"""A run, and services around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gnnrec import RecGraph

if TYPE_CHECKING:  # without the packages of the service, its test modules are skipped
    from fastapi.testclient import TestClient


@pytest.fixture(scope="session")
def saved(trained: RecGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run; tests must not change it."""
    return trained.save(tmp_path_factory.mktemp("served") / "run")


@pytest.fixture
def start(saved: Path, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Return a function that starts a service on a database of its own."""
    from fastapi.testclient import TestClient

    from gnnrec.service.app import create_app
    from gnnrec.service.settings import ServiceSettings

    clients = []

    def make(**settings: Any) -> TestClient:
        given = {"run": saved, "db": f"sqlite:///{tmp_path / 'people.db'}", **settings}
        client = TestClient(create_app(ServiceSettings(**given)), base_url="http://localhost")
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start: Callable[..., TestClient]) -> TestClient:
    """Return a client of a service without anything in its database."""
    return start()


@pytest.fixture
def ann(client: TestClient) -> int:
    """Return the id of a profile."""
    made = client.post("/api/v1/profiles", json={"name": "Ann"})
    assert made.status_code == 201
    return int(made.json()["id"])
