"""Workspaces of specgen: who belongs sees them, and what a role lets them do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.live.answers import made, refused
from tests.live.specgen.people import CHANGES, RESOURCES, Somebody, contents


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_row_is_made_read_changed_listed_and_deleted(ada: Somebody, resource: str) -> None:
    body = contents(ada)[resource]
    row = ada.make(resource, **body)
    assert uuid.UUID(row["id"]).version == 7
    assert {k: row[k] for k in body} == body
    path = ada.path(f"{resource}/{row['id']}")
    assert ada.client.get(path).json() == row
    listed = ada.client.get(ada.path(resource), params={"per_page": 100}).json()
    assert row in listed[resource.replace("-", "_")]
    if resource in CHANGES:
        changed = made(ada.client.patch(path, json=CHANGES[resource]), 200)
        assert {k: changed[k] for k in CHANGES[resource]} == CHANGES[resource]
    if resource == "audit-logs":
        refused(ada.client.delete(path), 405)
        return
    assert ada.client.delete(path).status_code == 204
    refused(ada.client.get(path), 404)


@pytest.mark.parametrize("resource", RESOURCES)
def test_rows_of_a_workspace_are_as_if_they_did_not_exist_for_strangers(
    ada: Somebody, make_person: Callable[[], Somebody], resource: str
) -> None:
    eve = make_person()
    body = contents(ada)[resource]
    row = ada.make(resource, **body)
    refused(eve.client.get(ada.path(resource)), 404)
    refused(eve.client.post(ada.path(resource), json=body), 404)
    eve.make_workspace()
    # through a workspace of her own: neither seen, nor changed, nor pointed at
    refused(eve.client.get(eve.path(f"{resource}/{row['id']}")), 404)
    if resource not in ("projects", "templates"):
        refused(eve.client.post(eve.path(resource), json=body), 422)


def test_a_stranger_s_workspace_is_as_if_it_did_not_exist(
    ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    eve = make_person()
    path = f"/workspaces/{ada.workspace['id']}"
    nobody = refused(eve.client.get(f"/workspaces/{uuid.uuid4()}"), 404)
    assert refused(eve.client.get(path), 404)["detail"] == nobody["detail"]
    refused(eve.client.patch(path, json={"name": "Mine"}), 404)
    refused(eve.client.delete(path), 404)
    assert eve.client.get("/workspaces").json()["total"] == 0


@pytest.mark.parametrize(
    ("role", "may_write", "may_manage"),
    [("viewer", False, False), ("editor", True, False), ("admin", True, True)],
)
def test_what_a_member_may_do_depends_on_their_role(
    ada: Somebody,
    make_person: Callable[[], Somebody],
    role: str,
    may_write: bool,
    may_manage: bool,
) -> None:
    ben = make_person()
    project = ada.make("projects", name="P", project_type="greenfield")
    ada.invite(ben, role)
    path = ben.path(f"projects/{project['id']}")
    assert ben.client.get(path).json() == project
    answers = [
        ben.client.patch(path, json={"name": "Q"}),
        ben.client.post(ben.path("templates"), json={"name": "T"}),
    ]
    expected = [200, 201] if may_write else [403, 403]
    assert [a.status_code for a in answers] == expected
    own = f"/workspaces/{ada.workspace['id']}"
    changed = ben.client.patch(own, json={"name": "Ours"})
    assert changed.status_code == (200 if may_manage else 403)
    refused(ben.client.delete(own), 403)
    refused(ben.client.post(ben.path("members"), json={"user_id": ben.id}), 403)


def test_a_member_leaves_and_the_owner_stays(
    ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    ben = make_person()
    member = ada.invite(ben, "editor")
    members = ada.client.get(ada.path("members")).json()["members"]
    assert {m["user_id"] for m in members} == {ada.id, ben.id}
    own = next(m for m in members if m["user_id"] == ada.id)
    refused(ada.client.delete(ada.path(f"members/{own['id']}")), 409)
    assert ben.client.delete(ben.path(f"members/{member['id']}")).status_code == 204
    refused(ben.client.get(ben.path("projects")), 404)


def test_a_member_who_was_switched_off_is_a_stranger(
    ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    ben = make_person()
    member = ada.invite(ben, "editor")
    made(ada.client.patch(ada.path(f"members/{member['id']}"), json={"is_active": False}), 200)
    refused(ben.client.get(ben.path("projects")), 404)


def test_nobody_promotes_themselves(ada: Somebody, make_person: Callable[[], Somebody]) -> None:
    ben = make_person()
    member = ada.invite(ben, "viewer")
    refused(ben.client.patch(ben.path(f"members/{member['id']}"), json={"role": "owner"}), 403)


@pytest.mark.parametrize(
    ("resource", "parent", "field"),
    [
        ("conversation-turns", "decision_id", "turn_number"),
        ("artifact-versions", "artifact_id", "version"),
    ],
)
def test_numbers_of_writers_at_once_are_consecutive(
    ada: Somebody, resource: str, parent: str, field: str
) -> None:
    body = contents(ada)[resource]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: ada.make(resource, **body), range(16)))
    assert sorted(row[field] for row in rows) == list(range(1, 17))
    if resource == "artifact-versions":
        artifact = ada.client.get(ada.path(f"artifacts/{body[parent]}")).json()
        assert artifact["version"] == 16


def violations(ada: Somebody) -> list[tuple[str, dict[str, Any], int, str]]:
    """Return what violates constraints: resource, body, status, constraint."""
    have = contents(ada)
    ada.make("branches", **have["branches"])
    ada.make("decision-dependencies", **have["decision-dependencies"])
    dependency = have["decision-dependencies"]
    project = have["branches"]["project_id"]
    nobody = str(uuid.uuid4())
    return [
        ("branches", have["branches"], 409, "branches_workspace_id_project_id_name_key"),
        (
            "decision-dependencies",
            dependency,
            409,
            "decision_dependencies_source_target_type_key",
        ),
        (
            "decision-dependencies",
            {**dependency, "target_decision_id": dependency["source_decision_id"]},
            422,
            "decision_dependencies_target_decision_id_check",
        ),
        (
            "decisions",
            {"project_id": nobody, "question_text": "?"},
            422,
            "decisions_workspace_id_project_id_fkey",
        ),
        (
            "decisions",
            {"project_id": project, "question_text": "?", "status": "answered"},
            422,
            "decisions_answer_text_check",
        ),
        (
            "comments",
            {
                **have["comments"],
                "artifact_id": have["artifact-versions"]["artifact_id"],
            },
            422,
            "comments_about_one_check",
        ),
    ]


def test_a_violated_constraint_is_named(ada: Somebody) -> None:
    for resource, body, status, constraint in violations(ada):
        problem = refused(ada.client.post(ada.path(resource), json=body), status)
        assert problem["constraint"] == constraint


def test_a_slug_that_is_taken_or_none_is_refused(
    ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    eve = make_person()
    body = {"name": "W", "slug": ada.workspace["slug"]}
    assert refused(eve.client.post("/workspaces", json=body), 409)["constraint"] == (
        "workspaces_slug_key"
    )
    refused(eve.client.post("/workspaces", json={"name": "W", "slug": "No Slug"}), 422)


def test_a_lost_update_is_found(ada: Somebody) -> None:
    answer = ada.client.post(ada.path("templates"), json={"name": "T"})
    path = ada.path(f"templates/{answer.json()['id']}")
    tag = {"If-Match": answer.headers["etag"]}
    made(ada.client.patch(path, json={"name": "U"}, headers=tag), 200)
    refused(ada.client.patch(path, json={"name": "V"}, headers=tag), 412)
    refused(ada.client.delete(path, headers=tag), 412)


def test_the_openapi_document_has_every_table(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    for resource in RESOURCES:
        assert f"/workspaces/{{workspace_id}}/{resource}/{{id}}" in document["paths"]
    identities = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(set(identities)) == len(identities)
