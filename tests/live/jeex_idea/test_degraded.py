"""The service while its database is down: what it still answers, to whom, and that it says so."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.live.scratch import Scratch
from tests.live.service import Running, down, serving
from tests.waiting import until


@pytest.fixture(scope="module")
def fresh(scratch: Scratch) -> Iterator[Running]:
    """Share one service: what it remembers is of other people each time."""
    with serving(scratch) as running:
        yield running


@pytest.fixture(autouse=True)
def up(fresh: Running) -> None:
    """Begin when the service has found its database again."""
    until(lambda: fresh.client.get("/health/ready").status_code == 200, "it is back")


def project(api: httpx.Client) -> str:
    """Add a project, and be its owner from now on; return its path."""
    person = {"email": f"{uuid.uuid4()}@example.com", "name": "A"}
    user = api.post("/users", json=person).json()
    api.headers["X-User-ID"] = user["id"]
    made = api.post("/projects", json={"name": "P", "created_by": user["id"]}).json()
    return f"/projects/{made['id']}"


def test_a_marked_read_is_answered_from_the_last_good_one_and_says_so(
    fresh: Running, scratch: Scratch
) -> None:
    api = fresh.client
    path = project(api)
    live = api.get(path)
    assert "freshness" not in live.json()
    assert "x-degraded" not in live.headers
    with down(scratch):
        for _ in range(10):  # before and after the breaker has opened
            told = api.get(path)
            assert told.status_code == 200
            body = told.json()
            freshness = body.pop("freshness")
            assert body == live.json()
            assert freshness["degraded"] is True
            assert freshness["age_seconds"] > 0
            assert freshness["as_of"].endswith("+00:00")
            assert told.headers["x-degraded"] == "true"
            assert int(told.headers["age"]) <= freshness["age_seconds"]
            assert told.headers["etag"] == live.headers["etag"]
            assert told.headers["cache-control"] == "no-store"
    until(lambda: "x-degraded" not in api.get(path).headers, "it is read from the database")
    assert api.get(path).json() == live.json()


def test_nobody_gets_what_somebody_else_has_read(fresh: Running, scratch: Scratch) -> None:
    api = fresh.client
    path = project(api)
    others = ("Authorization", "X-API-Key", "Cookie", "X-Forwarded-User", "X-Forwarded-Host")
    for header in others:
        assert api.get(path, headers={header: "mine"}).status_code == 200
    assert api.get(path, headers={"X-User-ID": str(uuid.uuid4())}).status_code == 404
    with down(scratch):
        for header in others:
            assert api.get(path, headers={header: "mine"}).status_code == 200
            assert api.get(path, headers={header: "theirs"}).status_code == 503
            assert api.get(path).status_code == 503
        for somebody in (str(uuid.uuid4()), api.headers["X-User-ID"].upper()):
            assert api.get(path, headers={"X-User-ID": somebody}).status_code == 503
    until(lambda: api.get("/health/ready").status_code == 200, "the database is back")


def test_the_rest_is_refused_with_a_time_to_come_back(fresh: Running, scratch: Scratch) -> None:
    api = fresh.client
    path = project(api)
    api.get("/users")  # personal: not marked
    with down(scratch):
        for _ in range(10):
            for told in (
                api.get("/users"),
                api.get(f"/projects/{uuid.uuid4()}"),
                api.patch(path, json={"name": "Q"}),
                api.delete(path),
            ):
                assert told.status_code == 503
                assert int(told.headers["retry-after"]) >= 1
                assert told.headers["content-type"] == "application/problem+json"
        assert api.get("/users").json()["type"] == "urn:pgstead:problem:breaker-open"


def test_what_was_deleted_is_not_answered_any_more(fresh: Running, scratch: Scratch) -> None:
    api = fresh.client
    path = project(api)
    api.get(path)
    api.get(f"{path}/documents")
    assert api.delete(path).status_code == 204
    with down(scratch):
        assert api.get(path).status_code == 503
        assert api.get(f"{path}/documents").status_code == 503


def test_the_document_says_which_reads_may_be_degraded(fresh: Running) -> None:
    paths = fresh.client.get("/openapi.json").json()["paths"]
    marked = {
        path
        for path, methods in paths.items()
        if "X-Degraded" in methods.get("get", {}).get("description", "")
    }
    assert "/projects/{project_id}" in marked
    assert "/projects/{project_id}/documents/latest" in marked
    assert not any(path.startswith("/users") for path in marked)
