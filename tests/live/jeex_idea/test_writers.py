"""Writers at the same time, and transactions that fail at their very end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.live.scratch import Scratch
from tests.live.service import Running


@pytest.fixture
def project(api: httpx.Client) -> dict[str, Any]:
    """Give a project of the test's own."""
    body = {"email": f"{uuid.uuid4()}@example.com", "name": "Ada"}
    user = api.post("/users", json=body).json()
    api.headers["X-User-ID"] = user["id"]
    return api.post("/projects", json={"name": "P", "created_by": user["id"]}).json()


def together(api: httpx.Client, requests: list[dict[str, Any]]) -> list[httpx.Response]:
    """Send requests at the same time, as the person who asks through a client."""

    async def send() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        given = {"base_url": api.base_url, "headers": api.headers}
        async with httpx.AsyncClient(**given, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(client.request(**r) for r in requests))

    return asyncio.run(send())


def test_fifty_writers_of_a_document_get_consecutive_numbers(
    service: Running, api: httpx.Client, project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}/documents"
    body = {"document_type": "plan", "content": "x", "created_by": project["created_by"]}
    answers = together(api, [{"method": "POST", "url": path, "json": body}] * 50)
    assert {a.status_code for a in answers} == {201}
    assert sorted(a.json()["version"] for a in answers) == list(range(1, 51))
    assert api.get(path).json()["total"] == 50


def test_of_writers_that_read_the_same_version_exactly_one_wins(
    service: Running, api: httpx.Client, project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}"
    etag = api.get(path).headers["etag"]
    answers = together(
        api,
        [
            {
                "method": "PATCH",
                "url": path,
                "json": {"name": f"N{n}"},
                "headers": {"If-Match": etag},
            }
            for n in range(20)
        ],
    )
    codes = sorted(a.status_code for a in answers)
    assert codes[0] == 200
    assert set(codes[1:]) <= {409, 412}
    winner = next(a for a in answers if a.status_code == 200)
    now = api.get(path)
    assert now.json()["name"] == winner.json()["name"]
    assert now.headers["etag"] == winner.headers["etag"] != etag


def test_without_if_match_no_write_between_reading_and_writing_is_lost(
    service: Running, api: httpx.Client, project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}"
    requests = [{"method": "PATCH", "url": path, "json": {"name": f"N{n}"}} for n in range(20)]
    answers = together(api, requests)
    assert {a.status_code for a in answers} <= {200, 409}
    won = {a.json()["name"] for a in answers if a.status_code == 200}
    assert api.get(path).json()["name"] in won
    for lost in (a for a in answers if a.status_code == 409):
        assert lost.json()["type"] == "urn:pgstead:problem:lost-update"


@pytest.mark.parametrize("tag", ['"0"', '"nonsense"', "W/x", '"', "0", '"ffffffffffffffffff"'])
def test_a_tag_that_is_not_the_row_s_own_is_refused(
    api: httpx.Client, project: dict[str, Any], tag: str
) -> None:
    path = f"/projects/{project['id']}"
    for answer in (
        api.patch(path, json={"name": "x"}, headers={"If-Match": tag}),
        api.delete(path, headers={"If-Match": tag}),
    ):
        assert answer.status_code == 412
    assert api.get(path).json() == project


def test_a_star_matches_whatever_is_there(api: httpx.Client, project: dict[str, Any]) -> None:
    path = f"/projects/{project['id']}"
    answer = api.patch(path, json={"name": "x"}, headers={"If-Match": "*"})
    assert answer.status_code == 200


def test_deleting_and_changing_at_once_ends_in_no_server_error(
    api: httpx.Client, project: dict[str, Any]
) -> None:
    path = f"/projects/{project['id']}"
    change = {"method": "PATCH", "url": path, "json": {"name": "x"}}
    answers = together(api, [change, {"method": "DELETE", "url": path}] * 5)
    assert {a.status_code for a in answers} <= {200, 204, 404, 409}


@contextmanager
def at_commit(scratch: Scratch, body: str) -> Iterator[None]:
    """Let the database do something at COMMIT, when a person of the name `at commit` was made."""
    with scratch.admin("jeex_idea") as admin:
        admin.execute(
            f"""
            CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN {body}; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON users
              DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
              WHEN (NEW.name = 'at commit') EXECUTE FUNCTION at_commit();
            GRANT EXECUTE ON FUNCTION at_commit() TO PUBLIC
            """.encode()
        )
        try:
            yield
        finally:
            admin.execute("DROP TRIGGER at_commit ON users; DROP FUNCTION at_commit()")


def there(scratch: Scratch, email: str) -> bool:
    """Say whether a person is there."""
    with scratch.connect("admin") as admin:
        rows = admin.execute("SELECT FROM users WHERE email = %s", [email])
        return rows.rowcount == 1


def test_what_fails_at_commit_fails_the_request(api: httpx.Client, scratch: Scratch) -> None:
    raising = (
        "RAISE EXCEPTION 'late' USING ERRCODE = 'check_violation', CONSTRAINT = 'late_check',"
        " TABLE = 'users'"
    )
    email = f"{uuid.uuid4()}@example.com"
    with at_commit(scratch, raising):
        answer = api.post("/users", json={"email": email, "name": "at commit"})
    assert answer.status_code == 422
    assert answer.json()["constraint"] == "late_check"
    assert not there(scratch, email)


def test_a_serialization_failure_at_commit_is_told_as_such(
    api: httpx.Client, scratch: Scratch
) -> None:
    email = f"{uuid.uuid4()}@example.com"
    with at_commit(scratch, "RAISE EXCEPTION 'late' USING ERRCODE = '40001'"):
        answer = api.post("/users", json={"email": email, "name": "at commit"})
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert not there(scratch, email)


def test_a_connection_lost_at_commit_is_asked_about_and_told_as_what_it_was(
    api: httpx.Client, scratch: Scratch
) -> None:
    email = f"{uuid.uuid4()}@example.com"
    with at_commit(scratch, "PERFORM pg_terminate_backend(pg_backend_pid())"):
        answer = api.post("/users", json={"email": email, "name": "at commit"})
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:pgstead:problem:not-committed"
    assert not there(scratch, email)
    assert api.get("/users", params={"email": email}).status_code == 200  # the pool is well


def test_a_connection_killed_while_idle_costs_no_request(
    api: httpx.Client, scratch: Scratch
) -> None:
    assert api.get("/users").status_code == 200
    with scratch.admin() as admin:
        killed = admin.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE usename = 'jeex_idea_app'"
        ).fetchone()
    assert killed is not None
    assert killed[0] >= 1
    assert api.get("/users").status_code == 200


def test_what_nobody_foresaw_is_a_problem_with_its_correlation_id(
    api: httpx.Client, scratch: Scratch
) -> None:
    with at_commit(scratch, "RAISE EXCEPTION 'x' USING ERRCODE = 'P0001'"):
        answer = api.post("/users", json={"email": "late@example.com", "name": "at commit"})
    assert answer.status_code == 500
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]
    assert "RAISE" not in answer.text


def test_no_value_of_a_refused_row_is_logged(service: Running, scratch: Scratch) -> None:
    secret = f"canary{uuid.uuid4().hex}"
    api = service.client
    api.post("/users", json={"email": f"{secret}@example.com", "name": "A"})
    api.post("/users", json={"email": f"{secret}@example.com", "name": "A"})
    api.post("/users", json={"email": secret, "name": secret})
    with at_commit(scratch, "RAISE EXCEPTION '%', NEW.email USING DETAIL = NEW.email"):
        api.post("/users", json={"email": f"x{secret}@example.com", "name": "at commit"})
    log = service.log.read_text()
    assert "SQLSTATE P0001" in log
    assert secret not in log


def test_a_schema_that_is_not_there_is_told_with_the_way_out(
    api: httpx.Client, scratch: Scratch
) -> None:
    with scratch.admin("jeex_idea") as admin:
        admin.execute("ALTER TABLE exports RENAME TO exports_hidden")
        try:
            answer = api.get(f"/projects/{uuid.uuid4()}/exports/{uuid.uuid4()}")
        finally:
            admin.execute("ALTER TABLE exports_hidden RENAME TO exports")
    assert answer.status_code == 503
    assert "alembic upgrade head" in answer.json()["hint"]


def test_a_role_without_the_right_is_answered_403(api: httpx.Client, scratch: Scratch) -> None:
    with scratch.admin("jeex_idea") as admin:
        admin.execute("REVOKE SELECT ON users FROM jeex_idea_app")
        try:
            answer = api.get("/users")
        finally:
            admin.execute("GRANT SELECT ON users TO jeex_idea_app")
    assert answer.status_code == 403
