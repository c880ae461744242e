"""A tenant's reads while the database is down: their own, as long as their key is good."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.live.ai_agents.keys import DIGEST, OPERATOR, client_of, tenant_body
from tests.live.answers import made, refused
from tests.live.scratch import Scratch
from tests.live.service import (
    AI_AGENTS,
    Running,
    down,
    refused_for_now,
    serving_system,
    told_again,
)
from tests.waiting import until


@pytest.fixture(scope="module")
def fresh(scratch: Scratch) -> Iterator[Running]:
    """Share one service: what it remembers is of other tenants each time."""
    with serving_system(AI_AGENTS, scratch, AI_AGENTS_OPERATOR_KEY_SHA256=DIGEST) as running:
        yield running


class Tenant:
    """A tenant with keys."""

    def __init__(self, service: Running, name: str, stack: ExitStack) -> None:
        self.service = service
        self.stack = stack
        with client_of(service, OPERATOR) as operator:
            self.id = made(operator.post("/operator/tenants", json=tenant_body(name)))["id"]
            path = f"/operator/tenants/{self.id}/keys"
            key = made(operator.post(path, json={"name": "first"}))["key"]
        self.client = stack.enter_context(client_of(service, key))
        body = {"ticket_id": "1", "description": f"disk of {name}"}
        self.ticket = f"/tickets/{made(self.client.post('/tickets', json=body))['id']}"

    def key(self, **more: str) -> tuple[str, httpx.Client]:
        """Make a further key; return its path and a client that sends it."""
        key = made(self.client.post("/keys", json={"name": "k", **more}))
        client = self.stack.enter_context(client_of(self.service, key["key"]))
        return f"/keys/{key['id']}", client


@pytest.fixture
def tenant(fresh: Running) -> Iterator[Callable[[], Tenant]]:
    """Make tenants."""
    with ExitStack() as stack:
        yield lambda: Tenant(fresh, f"t-{uuid.uuid4().hex[:12]}", stack)


@pytest.fixture
def acme(tenant: Callable[[], Tenant]) -> Tenant:
    """Give a tenant."""
    return tenant()


@pytest.fixture(autouse=True)
def up(fresh: Running) -> None:
    """Begin when the service has found its database again."""
    until(lambda: fresh.client.get("/health/ready").status_code == 200, "it is back")


def test_each_tenant_gets_what_they_have_read_and_nobody_else_s(
    fresh: Running, scratch: Scratch, acme: Tenant, tenant: Callable[[], Tenant]
) -> None:
    globex = tenant()
    _, second = acme.key()
    live = {each: each.client.get("/tickets").json() for each in (acme, globex)}
    assert live[acme]["tickets"] != live[globex]["tickets"]
    acme.client.get(acme.ticket)
    acme.client.get("/tickets/search", params={"q": "disk"})
    refused(globex.client.get(acme.ticket), 404)
    with down(scratch):
        for _ in range(4):  # before and after the breaker has opened
            for each in (acme, globex):
                assert told_again(each.client.get("/tickets")) == live[each]
            told_again(acme.client.get(acme.ticket))
            told_again(acme.client.get("/tickets/search", params={"q": "disk"}))
            refused_for_now(globex.client.get(acme.ticket))
            refused_for_now(globex.client.get("/tickets/search", params={"q": "disk"}))
            # the same tenant by another key has to be proved first, and nobody can prove it
            refused_for_now(second.get("/tickets"))
            refused(fresh.client.get("/tickets"), 401)
            # what is marked as nothing: keys tell who may come in
            refused_for_now(acme.client.get("/keys"))
    until(lambda: "x-degraded" not in acme.client.get("/tickets").headers, "it is back")


def test_a_key_that_ends_through_the_service_gets_nothing_any_more(
    fresh: Running, scratch: Scratch, tenant: Callable[[], Tenant]
) -> None:
    asked: dict[str, httpx.Client] = {}
    now = dt.datetime.now(dt.UTC).isoformat()
    for how in ("revoked", "deleted", "expired", "its tenant is closed"):
        acme = tenant()
        path, client = acme.key()
        made(client.get("/tickets"), 200)
        if how == "deleted":
            assert acme.client.delete(path).status_code == 204
        elif how == "its tenant is closed":
            with client_of(fresh, OPERATOR) as operator:
                body = {"is_active": False}
                made(operator.patch(f"/operator/tenants/{acme.id}", json=body), 200)
        else:
            body = {"revoked_at" if how == "revoked" else "expires_at": now}
            made(acme.client.patch(path, json=body), 200)
        asked[how] = client
    with down(scratch):
        told = {how: client.get("/tickets").status_code for how, client in asked.items()}
    assert told == dict.fromkeys(asked, 503)


def read_with_a_key_that_ends_soon(tenant: Tenant) -> httpx.Client:
    """Read before its end; where that came first, make one that lives longer."""
    for seconds in (4, 16, 64):
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        _, client = tenant.key(expires_at=end.isoformat())
        answer = client.get("/tickets")
        if answer.status_code == 200 or dt.datetime.now(dt.UTC) < end:
            break
    made(answer, 200)
    return client


def test_a_key_s_own_end_is_its_answers_end_also_while_nobody_can_be_asked(
    scratch: Scratch, acme: Tenant
) -> None:
    client = read_with_a_key_that_ends_soon(acme)
    made(acme.client.get("/tickets"), 200)
    with down(scratch):
        until(lambda: client.get("/tickets").status_code == 503, "the key's end")
        told_again(acme.client.get("/tickets"))


def test_a_key_that_ended_elsewhere_gets_what_it_had_got_until_it_is_refused_once(
    scratch: Scratch, acme: Tenant
) -> None:
    """Written past the service, as another process of it would."""
    clients = [acme.key()[1] for _ in range(2)]
    for client in clients:
        assert client.get("/tickets").status_code == 200
        assert client.get("/systems").status_code == 200
    with scratch.admin("ai_agents") as admin:
        admin.execute("UPDATE tenant_api_keys SET revoked_at = now() - interval '1 s'")
    knows, asks_nothing = clients
    refused(knows.get("/tickets"), 401)
    with down(scratch):
        refused_for_now(knows.get("/tickets"))
        refused_for_now(knows.get("/systems"))
        told_again(asks_nothing.get("/tickets"))
        refused_for_now(asks_nothing.get(acme.ticket))
