"""The HTTP service of ai_agents: what tenants make, see and change, and what they may not."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pgstead.app import tokens
from tests.live.ai_agents.keys import OPERATOR, client_of, tenant_body
from tests.live.answers import made, refused
from tests.live.service import Running

ENHANCEMENT = {"ticket_id": "T-1", "context_gathered": {"similar": ["T-0"]}}
TICKET = {"ticket_id": "T-1", "description": "The disk of the mail server is full"}
SYSTEM = {"ip_address": "10.2.3.4", "hostname": "mail-1"}
BODIES = {"enhancements": ENHANCEMENT, "tickets": TICKET, "systems": SYSTEM}
CHANGES: dict[str, dict[str, Any]] = {
    "enhancements": {"status": "completed", "llm_output": "Free some space"},
    "tickets": {"resolution": "Rotated the logs", "tags": ["disk"]},
    "systems": {"location": "Rack 7"},
}


@pytest.mark.parametrize("resource", sorted(BODIES))
def test_a_row_is_made_read_changed_and_listed(acme: httpx.Client, resource: str) -> None:
    answer = acme.post(f"/{resource}", json=BODIES[resource])
    row = made(answer)
    assert uuid.UUID(row["id"]).version == 7
    assert {k: row[k] for k in BODIES[resource]} == BODIES[resource]
    path = f"/{resource}/{row['id']}"
    read = acme.get(path)
    assert read.json() == row
    changed = made(
        acme.patch(path, json=CHANGES[resource], headers={"If-Match": read.headers["etag"]}), 200
    )
    assert {k: changed[k] for k in CHANGES[resource]} == CHANGES[resource]
    assert changed["updated_at"] > row["updated_at"]
    listed = acme.get(f"/{resource}").json()
    assert (listed["total"], listed[resource]) == (1, [changed])
    stale = acme.patch(path, json=CHANGES[resource], headers={"If-Match": read.headers["etag"]})
    refused(stale, 412)


@pytest.mark.parametrize("resource", ["systems", "tickets"])
def test_a_row_is_deleted(acme: httpx.Client, resource: str) -> None:
    row = made(acme.post(f"/{resource}", json=BODIES[resource]))
    assert acme.delete(f"/{resource}/{row['id']}").status_code == 204
    refused(acme.get(f"/{resource}/{row['id']}"), 404)


def test_deleting_an_enhancement_is_the_operator_s(
    acme: httpx.Client, operator: httpx.Client
) -> None:
    row = made(acme.post("/enhancements", json=ENHANCEMENT))
    refused(acme.delete(f"/enhancements/{row['id']}"), 403)
    assert operator.delete(f"/operator/enhancements/{row['id']}").status_code == 204
    refused(acme.get(f"/enhancements/{row['id']}"), 404)


def test_deleting_a_tenant_is_the_operator_s_and_takes_everything_along(
    acme: httpx.Client, operator: httpx.Client
) -> None:
    made(acme.post("/tickets", json=TICKET))
    refused(acme.delete("/tenant"), 403)
    key = acme.get("/tenant").json()["id"]
    assert operator.delete(f"/operator/tenants/{key}").status_code == 204
    refused(acme.get("/tickets"), 401)


@pytest.mark.parametrize("resource", sorted(BODIES))
def test_rows_of_another_tenant_are_as_if_they_did_not_exist(
    acme: httpx.Client, make_tenant: Callable[..., httpx.Client], resource: str
) -> None:
    globex = make_tenant()
    row = made(acme.post(f"/{resource}", json=BODIES[resource]))
    path = f"/{resource}/{row['id']}"
    stranger, nobody = globex.get(path), globex.get(f"/{resource}/{uuid.uuid4()}")
    assert refused(stranger, 404)["detail"] == refused(nobody, 404)["detail"]
    refused(globex.patch(path, json=CHANGES[resource]), 404)
    refused(globex.delete(path), 404)
    assert globex.get(f"/{resource}").json()["total"] == 0
    # the same key of their own is no conflict: nothing tells that the other has it
    made(globex.post(f"/{resource}", json=BODIES[resource]))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Tenant-ID": "acme"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer acme"},
        {"Authorization": "Bearer aia.acme."},
        {"Authorization": f"Bearer aia.acme.{'x' * 43}"},
        {"Authorization": f"Bearer aia.{'a' * 200}.{'x' * 43}"},
        {"Authorization": f"Bearer {tokens.new('aia', 'acme').text}"},
        {"Authorization": f"Bearer {OPERATOR}"},
    ],
)
def test_nobody_is_a_tenant_without_a_key_of_theirs(
    api: httpx.Client, headers: dict[str, str]
) -> None:
    answer = api.get("/tickets", headers=headers)
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_of_one_tenant_with_the_name_of_another_opens_nothing(
    service: Running, acme: httpx.Client, make_tenant: Callable[..., httpx.Client]
) -> None:
    globex = make_tenant()
    other = globex.get("/tenant").json()["tenant_id"]
    secret = acme.headers["authorization"].rpartition(".")[2]
    with client_of(service, f"aia.{other}.{secret}") as forged:
        refused(forged.get("/tickets"), 401)


def test_a_tenant_named_in_header_query_or_body_changes_nothing(
    acme: httpx.Client, make_tenant: Callable[..., httpx.Client]
) -> None:
    own = acme.get("/tenant").json()["tenant_id"]
    other = make_tenant().get("/tenant").json()["tenant_id"]
    row = made(acme.post("/tickets", json=TICKET, headers={"X-Tenant-ID": other}))
    assert row["tenant_id"] == own
    refused(acme.post("/tickets", json={**TICKET, "tenant_id": other}), 422)
    refused(acme.get("/tickets", params={"tenant_id": other}), 422)


def test_keys_are_made_revoked_and_shown_once(service: Running, acme: httpx.Client) -> None:
    key = made(acme.post("/keys", json={"name": "importer"}))
    with client_of(service, key["key"]) as importer:
        made(importer.get("/tickets"), 200)
        secret = key["key"].rpartition(".")[2]
        assert secret not in acme.get("/keys").text
        assert "hash" not in acme.get("/keys").text
        made(acme.patch(f"/keys/{key['id']}", json={"revoked_at": "2020-01-01T00:00:00Z"}), 200)
        refused(importer.get("/tickets"), 401)
    late = made(acme.post("/keys", json={"name": "l", "expires_at": "2020-01-01T00:00:00Z"}))
    with client_of(service, late["key"]) as expired:
        refused(expired.get("/tickets"), 401)


def test_a_closed_tenant_s_keys_open_nothing(acme: httpx.Client, operator: httpx.Client) -> None:
    key = acme.get("/tenant").json()["id"]
    made(operator.patch(f"/operator/tenants/{key}", json={"is_active": False}), 200)
    refused(acme.get("/tickets"), 401)
    refused(acme.patch("/tenant", json={"name": "B"}), 401)


def test_a_tenant_changes_their_own_configuration_but_not_whose_it_is(acme: httpx.Client) -> None:
    read = acme.get("/tenant")
    changed = made(
        acme.patch(
            "/tenant",
            json={"name": "Acme", "servicedesk_api_key": "another"},
            headers={"If-Match": read.headers["etag"]},
        ),
        200,
    )
    assert changed["name"] == "Acme"
    refused(acme.patch("/tenant", json={"is_active": False}), 422)
    refused(acme.patch("/tenant", json={"tenant_id": "other"}), 422)


def test_secrets_of_a_tenant_are_never_in_an_answer(
    acme: httpx.Client, operator: httpx.Client
) -> None:
    for answer in (acme.get("/tenant"), operator.get("/operator/tenants")):
        assert "canary" not in answer.text
        assert "encrypted" not in answer.text
        assert "api_key" not in answer.text


def test_a_violated_constraint_is_named(acme: httpx.Client, operator: httpx.Client) -> None:
    made(acme.post("/tickets", json=TICKET))
    problem = refused(acme.post("/tickets", json=TICKET), 409)
    assert problem["constraint"] == "ix_ticket_history_tenant_ticket"
    taken = acme.get("/tenant").json()["tenant_id"]
    problem = refused(operator.post("/operator/tenants", json=tenant_body(taken)), 409)
    assert problem["constraint"] == "ix_tenant_configs_tenant_id"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/enhancements", {}),
        ("/enhancements", {"ticket_id": "T", "status": "done"}),
        ("/enhancements", {"ticket_id": "T", "processing_time_ms": -1}),
        ("/enhancements", {"ticket_id": "T\x00"}),
        ("/tickets", {"ticket_id": "T", "description": "x" * 100_001}),
        ("/tickets", {"ticket_id": "T", "description": "x", "priority": "urgent"}),
        ("/systems", {"ip_address": "10.0.0.0/8", "hostname": "h"}),
        ("/systems", {"ip_address": "10.0.0", "hostname": "h"}),
        ("/systems", {"ip_address": "10.0.0.1", "hostname": " "}),
    ],
)
def test_what_is_not_valid_is_refused(acme: httpx.Client, path: str, body: dict[str, Any]) -> None:
    assert refused(acme.post(path, json=body), 422)["errors"]


def test_tickets_are_found_by_their_words_best_first(
    acme: httpx.Client, make_tenant: Callable[..., httpx.Client]
) -> None:
    for number, text in enumerate(
        ("The disk is full", "A disk fails; another disk is slow", "The printer is out of paper")
    ):
        made(acme.post("/tickets", json={"ticket_id": f"T-{number}", "description": text}))
    other = make_tenant()
    made(other.post("/tickets", json={"ticket_id": "X", "description": "disk disk disk"}))

    def found(words: str, **more: Any) -> list[str]:
        answer = made(acme.get("/tickets/search", params={"q": words, **more}), 200)
        return [hit["ticket_id"] for hit in answer["tickets"]]

    assert found("disks") == ["T-1", "T-0"]
    assert found("disk -slow") == ["T-0"]
    assert found('"out of paper" or full') in (["T-2", "T-0"], ["T-0", "T-2"])
    assert found("the") == []
    assert found("' & ! ( \\ :* <->") == []
    assert found("disk", per_page=1, page=2) == ["T-0"]
    refused(acme.get("/tickets/search"), 422)
    assert other.get("/tickets/search", params={"q": "printer"}).json()["total"] == 0


def test_systems_are_found_by_address_and_by_network(acme: httpx.Client) -> None:
    for address in ("10.2.3.4", "10.2.3.5", "10.3.0.1", "2001:db8::1"):
        made(acme.post("/systems", json={"ip_address": address, "hostname": f"h-{address}"}))

    def found(path: str, **params: str) -> set[str]:
        answer = made(acme.get(path, params=params), 200)
        return {system["ip_address"] for system in answer["systems"]}

    assert found("/systems", ip_address="10.2.3.4") == {"10.2.3.4"}
    assert found("/systems", ip_address="2001:0db8:0::1") == {"2001:db8::1"}
    assert found("/systems/in", network="10.2.0.0/16") == {"10.2.3.4", "10.2.3.5"}
    assert found("/systems/in", network="2001:db8::/32") == {"2001:db8::1"}
    assert found("/systems/in", network="0.0.0.0/0") == {"10.2.3.4", "10.2.3.5", "10.3.0.1"}
    refused(acme.get("/systems/in", params={"network": "10.2.3.4/8"}), 422)


def test_retention_is_data_that_the_operator_changes(
    acme: httpx.Client, operator: httpx.Client
) -> None:
    rules = {r["relation"]: r for r in operator.get("/operator/retention").json()}
    assert rules["enhancement_history"]["keep_days"] == 90
    path = "/operator/retention/enhancement_history"
    assert made(operator.patch(path, json={"keep_days": 30}), 200)["keep_days"] == 30
    made(operator.patch(path, json={"keep_days": 90}), 200)
    refused(operator.patch("/operator/retention/nothing", json={"keep_days": 1}), 404)
    refused(acme.get("/operator/retention"), 401)


@pytest.mark.parametrize("path", ["/operator/tenants", "/operator/retention"])
def test_what_is_the_operator_s_is_refused_to_all_others(
    api: httpx.Client, acme: httpx.Client, service: Running, path: str
) -> None:
    refused(api.get(path), 401)
    refused(acme.get(path), 401)
    with client_of(service, tokens.new("aiaop", "test").text) as forged:
        refused(forged.get(path), 401)


def test_health_and_the_openapi_document_are_open_to_everybody(api: httpx.Client) -> None:
    ready = made(api.get("/health/ready"), 200)
    assert ready["database"] == "connected"
    document = api.get("/openapi.json").json()
    assert document["paths"]["/tickets"]["get"]["security"] == [{"key": []}]
    assert api.get("/docs").status_code == 200
