"""A server by hand with ai_agents on it, its operator, and tenants that sign in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.live.ai_agents.keys import DIGEST, OPERATOR, client_of, tenant_body
from tests.live.scratch import Scratch
from tests.live.service import AI_AGENTS, Running, migrated, serving_system


@pytest.fixture(scope="session")
def scratch() -> Iterator[Scratch]:
    """Share one migrated server among the tests of this folder."""
    with migrated(AI_AGENTS) as running:
        yield running


@pytest.fixture(scope="session")
def service(scratch: Scratch) -> Iterator[Running]:
    """Share one service."""
    with serving_system(AI_AGENTS, scratch, AI_AGENTS_OPERATOR_KEY_SHA256=DIGEST) as running:
        yield running


@pytest.fixture
def api(service: Running) -> Iterator[httpx.Client]:
    """Give a client that says nothing of who it is."""
    with httpx.Client(base_url=service.client.base_url, timeout=30) as client:
        yield client


@pytest.fixture
def operator(service: Running) -> Iterator[httpx.Client]:
    """Give a client with the operator's key."""
    with client_of(service, OPERATOR) as client:
        yield client


@pytest.fixture
def make_tenant(service: Running, operator: httpx.Client) -> Iterator[Callable[..., httpx.Client]]:
    """Make tenants, each with a client that sends their key."""
    clients: list[httpx.Client] = []

    def make(tenant_id: str = "") -> httpx.Client:
        name = tenant_id or f"t-{uuid.uuid4().hex[:12]}"
        made = operator.post("/operator/tenants", json=tenant_body(name))
        assert made.status_code == 201, made.text
        path = f"/operator/tenants/{made.json()['id']}/keys"
        key = operator.post(path, json={"name": "first"}).json()["key"]
        clients.append(client_of(service, key))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def acme(make_tenant: Callable[..., httpx.Client]) -> httpx.Client:
    """Give the client of a tenant of the test's own."""
    return make_tenant()
