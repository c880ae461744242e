"""The secrets of ai_agents and specgen, by their real services: never answered, found nowhere."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from psycopg import sql

from pgstead.prove import traces
from tests.live.ai_agents.keys import DIGEST, OPERATOR, client_of, tenant_body
from tests.live.answers import made, refused
from tests.live.encryption.searching import everywhere, make_talkative, needles
from tests.live.scratch import Scratch
from tests.live.service import (
    AI_AGENTS,
    SPECGEN,
    Running,
    System,
    down,
    migrated,
    refused_for_now,
    serving_system,
)


@dataclass
class Ear:
    """Hears every answer that a client gets."""

    said: list[str] = field(default_factory=list[str])

    def listen(self, client: httpx.Client) -> None:
        client.event_hooks["response"].append(self.hear)

    def hear(self, answer: httpx.Response) -> None:
        answer.read()
        self.said.append(f"{answer.headers} {answer.text}")

    def heard(self, plain: dict[str, bytes]) -> list[str]:
        """Return the names of what was said of these."""
        forms = {name: traces.forms(p) for name, p in plain.items()}
        return traces.in_bytes("\n".join(self.said).encode(), forms)


def bird() -> str:
    return f"canary-{secrets.token_hex(16)}"


@contextmanager
def talkative(system: System, **environment: str) -> Iterator[tuple[Scratch, Running]]:
    """Give a service on a server that logs all it can."""
    with migrated(system) as scratch:
        make_talkative(scratch)
        with serving_system(system, scratch, **environment) as service:
            yield scratch, service


def get_all(client: httpx.Client, prefix: str, **values: str) -> int:
    """Read all that a document lets one read below a prefix; return how much that was."""
    document = client.get("/openapi.json").json()
    count = 0
    for path, methods in document["paths"].items():
        if "get" in methods and path.startswith(prefix):
            known = re.sub(r"{(\w+)}", lambda m: values.get(m[1], str(uuid.uuid4())), path)
            count += client.get(known).is_success
    return count


def add_a_check(scratch: Scratch, table: str, column: str) -> None:
    """Let the server refuse a row with a complaint that shows all of it."""
    change = sql.SQL("ALTER TABLE {} ADD CONSTRAINT no_boom CHECK ({} <> 'boom') NOT VALID")
    with scratch.admin(scratch.database) as admin:
        admin.execute(change.format(sql.Identifier(table), sql.Identifier(column)))


def change_a_tenant(own: httpx.Client, operator: httpx.Client, plain: list[str], id_: str) -> None:
    """Change secrets, in ways that work and in ways that do not."""
    path = f"/operator/tenants/{id_}"
    for client, where in ((own, "/tenant"), (operator, path)):
        new = {"servicedesk_api_key": plain[1], "webhook_signing_secret": plain[2]}
        made(client.patch(where, json=new), 200)
        for body in (
            {"servicedesk_api_key": plain[3] + "x" * 5000},
            {"servicedesk_api_key": {"nested": plain[3]}},
            {"servicedesk_api_key": [plain[3]]},
            {"servicedesk_api_key": plain[3] + "\0"},
            {"servicedesk_api_kex": plain[3]},
            {"servicedesk_api_key": plain[3], "servicedesk_url": plain[3]},
            {"servicedesk_api_key_encrypted": plain[3]},
        ):
            refused(client.patch(where, json=body), 422)
        broken = '{"servicedesk_api_key": "%s"' % plain[3]  # noqa: UP031 - braces
        headers = {"Content-Type": "application/json"}
        refused(client.patch(where, content=broken, headers=headers), 422)
        stale = {"If-Match": '"1"'}
        refused(client.patch(where, json={"servicedesk_api_key": plain[3]}, headers=stale), 412)
        complaint = refused(client.patch(where, json={"name": "boom", **new}), 422)
        assert complaint["constraint"] == "no_boom"


def test_the_secrets_of_ai_agents_come_back_by_no_route_and_lie_nowhere() -> None:
    ear, plain = Ear(), [bird() for _ in range(4)]
    with talkative(AI_AGENTS, AI_AGENTS_OPERATOR_KEY_SHA256=DIGEST) as (scratch, service):
        add_a_check(scratch, "tenant_configs", "name")
        given = {"servicedesk_api_key": plain[0], "webhook_signing_secret": plain[0]}
        body = {**tenant_body("acme"), **given}
        with client_of(service, OPERATOR) as operator:
            ear.listen(operator)
            id_ = made(operator.post("/operator/tenants", json=body))["id"]
            refused(operator.post("/operator/tenants", json=body), 409)
            path = f"/operator/tenants/{id_}/keys"
            key = made(operator.post(path, json={"name": "k"}))["key"]
            ear.said.pop()  # the one answer that shows a key
            with client_of(service, key) as own:
                ear.listen(own)
                change_a_tenant(own, operator, plain, id_)
                assert get_all(own, "/") > 4
                assert get_all(operator, "/operator", id=id_) > 3
                made(own.get("/tenant"), 200)
                with down(scratch):
                    assert own.get("/tenant").headers["x-degraded"] == "true"
                    refused_for_now(own.patch("/tenant", json={"servicedesk_api_key": plain[3]}))
        known = needles(*plain, key.rpartition(".")[2], OPERATOR.rpartition(".")[2])
        assert ear.heard(known) == []
        assert everywhere(scratch, known) == []


def test_the_secrets_of_specgen_come_back_by_no_route_and_lie_nowhere() -> None:
    ear, passwords = Ear(), [bird() for _ in range(3)]
    with talkative(SPECGEN) as (scratch, service):
        add_a_check(scratch, "users", "full_name")
        client = service.client
        ear.listen(client)
        who = {"email": f"{uuid.uuid4().hex}@example.com", "password": passwords[0]}
        made(client.post("/users", json=who))
        refused(client.post("/users", json=who), 409)
        for more in ({"password": passwords[1] * 10}, {"full_name": "x" * 999}, {"odd": 1}):
            refused(client.post("/users", json={**who, **more}), 422)
        boom = {**who, "email": "b@example.com", "full_name": "boom"}
        assert refused(client.post("/users", json=boom), 422)["constraint"] == "no_boom"
        refused(client.post("/sessions", json={**who, "password": passwords[1]}), 401)
        refused(client.post("/sessions", json={**who, "password": [passwords[1]]}), 422)
        token = made(client.post("/sessions", json=who))["token"]
        ear.said.pop()  # the one answer that shows a token
        client.headers["Authorization"] = f"Bearer {token}"
        secret = made(client.post("/users/me/second-factor"))["secret"]
        ear.said.pop()  # the one answer that shows the secret
        for body in ({"code": "000000"}, {"code": secret}, {"code": [secret]}, {"cod": secret}):
            assert client.post("/users/me/second-factor/confirm", json=body).is_client_error
        change = {"password": passwords[0], "new_password": passwords[2]}
        refused(client.post("/users/me/password", json={**change, "new_password": "x"}), 422)
        assert client.post("/users/me/password", json=change).status_code == 204
        made(client.patch("/users/me", json={"full_name": "Ada"}), 200)
        refused(client.patch("/users/me", json={"two_factor_secret": secret}), 422)
        refused(client.patch("/users/me", json={"full_name": "boom"}), 422)
        assert get_all(client, "/") > 3
        known = needles(*passwords, secret, token.rpartition(".")[2])
        assert ear.heard(known) == []
        assert everywhere(scratch, known) == []
