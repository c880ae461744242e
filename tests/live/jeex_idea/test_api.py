"""The HTTP service: what it makes, shows, changes and refuses."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.live.answers import made, refused
from tests.live.scratch import Scratch

RESOURCES = ["documents", "agents/executions", "exports"]


@pytest.fixture
def user(api: httpx.Client) -> dict[str, Any]:
    """Give a person of the test's own, who asks from now on."""
    body = {"email": f"{uuid.uuid4()}@example.com", "name": "Ada"}
    person = made(api.post("/users", json=body))
    api.headers["X-User-ID"] = person["id"]
    return person


@pytest.fixture
def project(api: httpx.Client, user: dict[str, Any]) -> dict[str, Any]:
    """Give a project of the test's own."""
    return made(api.post("/projects", json={"name": "P", "created_by": user["id"]}))


def body_for(resource: str, user: dict[str, Any]) -> dict[str, Any]:
    """Return what creates a row of a resource below a project."""
    return {
        "documents": {"document_type": "plan", "content": "# x", "created_by": user["id"]},
        "agents/executions": {"agent_type": "writer"},
        "exports": {"manifest": {"files": ["a"]}},
    }[resource]


def test_a_person_is_made_read_changed_listed_and_deleted(api: httpx.Client) -> None:
    email = f"{uuid.uuid4()}@example.com"
    body = {"email": email, "name": "Ada", "profile_data": {"theme": "dark"}}
    answer = api.post("/users", json=body)
    user = made(answer)
    assert uuid.UUID(user["id"]).version == 7
    assert {k: user[k] for k in body} == body
    api.headers["X-User-ID"] = user["id"]
    assert api.get(answer.headers["location"]).json() == user
    changed = made(api.patch(f"/users/{user['id']}", json={"name": "Countess"}), 200)
    assert (changed["name"], changed["profile_data"]) == ("Countess", {"theme": "dark"})
    assert changed["updated_at"] > user["updated_at"]
    assert changed["created_at"] == user["created_at"]
    listed = api.get("/users", params={"email": email}).json()
    assert listed == {"users": [changed], "total": 1, "page": 1, "per_page": 20, "total_pages": 1}
    assert api.delete(f"/users/{user['id']}").status_code == 204
    refused(api.get(f"/users/{user['id']}"), 404)
    refused(api.delete(f"/users/{user['id']}"), 404)


def test_a_project_is_made_read_changed_and_deleted(
    api: httpx.Client, user: dict[str, Any]
) -> None:
    body = {"name": "Idea", "created_by": user["id"], "language": "pt-BR"}
    project = made(api.post("/projects", json=body))
    assert (project["status"], project["current_step"]) == ("draft", 1)
    path = f"/projects/{project['id']}"
    changed = made(api.put(path, json={"status": "in_progress", "current_step": 2}), 200)
    assert (changed["status"], changed["current_step"]) == ("in_progress", 2)
    assert api.get(path).json() == changed
    assert api.delete(path).status_code == 204
    refused(api.get(path), 404)


@pytest.mark.parametrize("resource", RESOURCES)
def test_what_belongs_to_a_project_is_made_read_listed_and_deleted(
    api: httpx.Client, user: dict[str, Any], project: dict[str, Any], resource: str
) -> None:
    path = f"/projects/{project['id']}/{resource}"
    answer = api.post(path, json=body_for(resource, user))
    row = made(answer)
    assert row["project_id"] == project["id"]
    assert answer.headers["location"] == f"{path}/{row['id']}"
    assert api.get(answer.headers["location"]).json() == row
    listed = api.get(path).json()
    assert listed["total"] == 1
    assert listed[resource.rpartition("/")[2]] == [row]
    assert api.delete(f"{path}/{row['id']}").status_code == 204
    assert api.get(path).json()["total"] == 0


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_row_of_another_project_is_as_if_it_did_not_exist(
    api: httpx.Client, user: dict[str, Any], project: dict[str, Any], resource: str
) -> None:
    row = made(api.post(f"/projects/{project['id']}/{resource}", json=body_for(resource, user)))
    other = made(api.post("/projects", json={"name": "Q", "created_by": user["id"]}))
    path = f"/projects/{other['id']}/{resource}"
    stranger = refused(api.get(f"{path}/{row['id']}"), 404)
    nobody = refused(api.get(f"{path}/{uuid.uuid4()}"), 404)
    assert stranger["detail"] == nobody["detail"]
    refused(api.delete(f"{path}/{row['id']}"), 404)
    refused(api.patch(f"{path}/{row['id']}", json={"status": "failed"}), 404) if (
        resource != "documents"
    ) else refused(api.patch(f"{path}/{row['id']}", json={"content": "y"}), 404)
    assert api.get(path).json()["total"] == 0


@pytest.mark.parametrize("resource", RESOURCES)
def test_nothing_belongs_to_a_project_that_does_not_exist(
    api: httpx.Client, user: dict[str, Any], resource: str
) -> None:
    path = f"/projects/{uuid.uuid4()}/{resource}"
    refused(api.post(path, json=body_for(resource, user)), 404)
    refused(api.get(path), 404)


def test_a_document_is_numbered_changed_and_found_as_the_latest(
    api: httpx.Client, user: dict[str, Any], project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}/documents"
    body = body_for("documents", user)
    versions = [made(api.post(path, json={**body, "content": c})) for c in "abc"]
    assert [v["version"] for v in versions] == [1, 2, 3]
    other = made(api.post(path, json={**body, "document_type": "about"}))
    assert other["version"] == 1
    latest = api.get(f"{path}/latest", params={"document_type": "plan"})
    assert latest.json() == versions[2]
    assert latest.headers["etag"]
    refused(api.get(f"{path}/latest", params={"document_type": "none"}), 404)
    refused(api.get(f"{path}/latest"), 422)
    listed = api.get(path, params={"document_type": "plan"}).json()["documents"]
    assert [d["version"] for d in listed] == [3, 2, 1]
    one = f"{path}/{versions[0]['id']}"
    changed = made(api.patch(one, json={"metadata": {"words": 2}}), 200)
    assert (changed["metadata"], changed["content"]) == ({"words": 2}, "a")


def test_a_run_that_ends_gets_its_moment_and_keeps_the_request_s_id(
    api: httpx.Client, project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}/agents/executions"
    identity = str(uuid.uuid4())
    run = made(
        api.post(path, json={"agent_type": "writer"}, headers={"X-Correlation-ID": identity})
    )
    assert run["correlation_id"] == identity
    assert (run["status"], run["completed_at"]) == ("pending", None)
    one = f"{path}/{run['id']}"
    running = made(api.patch(one, json={"status": "running"}), 200)
    assert running["completed_at"] is None
    ended = made(api.patch(one, json={"status": "failed", "error_message": "no"}), 200)
    assert ended["completed_at"] is not None
    again = made(api.patch(one, json={"status": "completed"}), 200)
    assert again["completed_at"] == ended["completed_at"]
    found = api.get(path, params={"correlation_id": identity, "status": "completed"}).json()
    assert [e["id"] for e in found["executions"]] == [run["id"]]


def test_a_list_comes_in_pages_whose_order_is_stable(
    api: httpx.Client, user: dict[str, Any]
) -> None:
    ids = [
        made(api.post("/projects", json={"name": f"P{n}", "created_by": user["id"]}))["id"]
        for n in range(7)
    ]
    pages = [
        api.get("/projects", params={"user_id": user["id"], "per_page": 3, "page": page}).json()
        for page in (1, 2, 3, 4)
    ]
    assert [p["id"] for page in pages for p in page["projects"]] == ids[::-1]
    assert [(p["total"], p["total_pages"]) for p in pages] == [(7, 3)] * 4
    api.patch(f"/projects/{ids[0]}", json={"status": "archived"})
    api.patch(f"/projects/{ids[3]}", json={"status": "archived"})
    both = {"user_id": user["id"], "status": "archived"}
    found = api.get("/projects", params=both).json()["projects"]
    assert [p["id"] for p in found] == [ids[3], ids[0]]
    german = api.get("/projects", params={"user_id": user["id"], "language": "de"}).json()
    assert german["total"] == 0


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"per_page": 101}, {"per_page": 0}, {"page": "x"}, {"page": 10**9}]
)
def test_a_page_that_cannot_be_is_refused(api: httpx.Client, query: dict[str, Any]) -> None:
    assert refused(api.get("/users", params=query), 422)["errors"]


def test_a_violated_constraint_is_named_with_its_column_and_what_to_do(
    api: httpx.Client, user: dict[str, Any]
) -> None:
    problem = refused(api.post("/users", json={"email": user["email"], "name": "B"}), 409)
    assert problem["constraint"] == "users_email_key"
    assert (problem["table"], problem["columns"]) == ("users", ["email"])
    assert problem["sqlstate"] == "23505"
    assert problem["hint"]
    assert user["email"] not in str(problem)
    problem = refused(api.post("/users", json={"email": "no address", "name": "B"}), 422)
    assert problem["constraint"] == "users_email_check"
    assert problem["columns"] == ["email"]
    nobody = str(uuid.uuid4())
    answer = api.post(
        "/projects", json={"name": "P", "created_by": nobody}, headers={"X-User-ID": nobody}
    )
    problem = refused(answer, 422)
    assert problem["constraint"] == "projects_created_by_fkey"
    assert problem["columns"] == ["created_by"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_for_projects_that_does_not_say_who_asks_is_refused(
    api: httpx.Client, user: dict[str, Any], method: str
) -> None:
    del api.headers["X-User-ID"]
    body = {"name": "P", "created_by": user["id"]}
    problem = refused(api.request(method, "/projects", json=body), 401)
    assert "X-User-ID" in problem["hint"]


def test_a_project_of_somebody_else_is_as_if_it_did_not_exist(
    api: httpx.Client, user: dict[str, Any], project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}"
    documents = f"{path}/documents"
    document = made(api.post(documents, json=body_for("documents", user)))
    other = made(api.post("/users", json={"email": f"{uuid.uuid4()}@example.com", "name": "Eve"}))
    api.headers["X-User-ID"] = other["id"]
    assert api.get("/projects").json()["total"] == 0
    for method in ("GET", "DELETE"):
        refused(api.request(method, path), 404)
        refused(api.request(method, f"{documents}/{document['id']}"), 404)
    refused(api.patch(path, json={"name": "mine"}), 404)
    for resource in RESOURCES:
        refused(api.post(f"{path}/{resource}", json=body_for(resource, other)), 404)
    problem = refused(api.post("/projects", json={"name": "P", "created_by": user["id"]}), 403)
    assert "foreign-row" in problem["type"]


def test_an_owner_of_projects_cannot_be_deleted(
    api: httpx.Client, user: dict[str, Any], project: dict[str, Any]
) -> None:
    problem = refused(api.delete(f"/users/{user['id']}"), 409)
    assert problem["constraint"] == "projects_created_by_fkey"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users", {}),
        ("/users", {"email": "a@example.com", "name": ""}),
        ("/users", {"email": "a@example.com", "name": "   "}),
        ("/users", {"email": "a@example.com", "name": "x" * 256}),
        ("/users", {"email": "a@example.com", "name": "A", "is_admin": True}),
        ("/users", {"email": "a@example.com", "name": "a\x00b"}),
        ("/users", {"email": "a@example.com", "name": "A", "profile_data": {"a": [{"\x00": 1}]}}),
        ("/users", {"email": "a@example.com", "name": "A", "profile_data": [1]}),
        ("/projects", {"name": "P", "created_by": "x"}),
        ("/projects", {"name": "P", "created_by": str(uuid.uuid4()), "language": "english"}),
        ("/projects", {"name": "P", "created_by": str(uuid.uuid4()), "current_step": 5}),
        ("/projects", {"name": "P", "created_by": str(uuid.uuid4()), "status": "gone"}),
    ],
)
def test_what_is_not_valid_is_refused_before_the_database_sees_it(
    api: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    problem = refused(api.post(path, json=body), 422)
    assert problem["errors"]
    assert "input" not in str(problem["errors"][0].keys())


@pytest.mark.parametrize(
    "content",
    [
        b'{"email":"e@example.com","name":"A","profile_data":{"a":"\\ud800"}}',
        b'{"email":"e@example.com","name":"\\ud800"}',
        b'{"email":"e@example.com","name":"A","profile_data":{"a":NaN}}',
        b'{"email":"e@example.com","name":"A","profile_data":{"a":1e999}}',
        b"{",
        b"\xff\xfe",
        b"",
        b"[]",
    ],
)
def test_what_json_cannot_carry_is_no_server_error(api: httpx.Client, content: bytes) -> None:
    answer = api.post("/users", content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize("change", [{}, {"name": None}, {"language": "de"}, {"id": "x"}])
def test_a_change_that_cannot_be_is_refused(
    api: httpx.Client, project: dict[str, Any], change: dict[str, Any]
) -> None:
    refused(api.patch(f"/projects/{project['id']}", json=change), 422)


def test_text_of_every_kind_comes_back_as_it_was_sent(
    api: httpx.Client, user: dict[str, Any], project: dict[str, Any]
) -> None:
    text = "'; DROP TABLE users; -- %s %(x)s {} \\ \" \n\t ümläut 漢字 🐘 \u202e"
    body = {**body_for("documents", user), "content": text, "metadata": {text: [text, 1.5, None]}}
    row = made(api.post(f"/projects/{project['id']}/documents", json=body))
    again = api.get(f"/projects/{project['id']}/documents/{row['id']}").json()
    assert (again["content"], again["metadata"]) == (text, body["metadata"])


def test_the_caller_s_correlation_id_comes_back_and_a_bad_one_is_replaced(
    api: httpx.Client,
) -> None:
    answer = api.get("/users", headers={"X-Correlation-ID": "req-1.a_B"})
    assert answer.headers["x-correlation-id"] == "req-1.a_B"
    bad = "x" * 129
    answer = api.get("/users", headers={"X-Correlation-ID": bad})
    assert uuid.UUID(answer.headers["x-correlation-id"]).version == 4


def test_moments_are_told_in_utc_with_their_offset(
    api: httpx.Client, project: dict[str, Any]
) -> None:
    for name in ("created_at", "updated_at"):
        assert project[name].endswith(("Z", "+00:00"))
    assert api.get("/health").json()["timestamp"].endswith("+00:00")


def test_the_openapi_document_names_every_route_and_the_form_of_errors(
    api: httpx.Client,
) -> None:
    document = api.get("/openapi.json").json()
    for path in (
        "/users/{user_id}",
        "/projects/{project_id}",
        "/projects/{project_id}/documents/latest",
        "/projects/{project_id}/agents/executions/{execution_id}",
        "/projects/{project_id}/exports/{export_id}",
        "/health/ready",
    ):
        assert path in document["paths"]
    assert document["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status"]
    conflict = document["paths"]["/users"]["post"]["responses"]["409"]
    assert "application/problem+json" in conflict["content"]
    assert api.get("/docs").status_code == 200
    identities = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("path", ["/users/x", "/projects/1/documents", "/users/%00"])
def test_a_key_that_is_none_is_refused(api: httpx.Client, path: str) -> None:
    refused(api.get(path), 422)


def test_an_unknown_path_and_a_wrong_method_are_problems_too(api: httpx.Client) -> None:
    refused(api.get("/nowhere"), 404)
    refused(api.delete("/users"), 405)


def test_the_service_works_as_the_least_privileged_role(
    api: httpx.Client, scratch: Scratch
) -> None:
    with scratch.admin() as admin:
        found = admin.execute(
            "SELECT DISTINCT usename, application_name FROM pg_stat_activity a"
            " JOIN pg_stat_ssl s USING (pid) WHERE datname = 'jeex_idea' AND s.version = 'TLSv1.3'"
            " AND application_name = 'jeex_idea api'"
        ).fetchall()
    assert found == [("jeex_idea_app", "jeex_idea api")]
