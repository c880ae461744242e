"""Health: true when things are well, and above all when they are not."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx
import pytest

from tests.live.freezing import frozen
from tests.live.scratch import Scratch
from tests.live.service import Running, down, serving
from tests.waiting import until

PATHS = ("/health", "/health/ready", "/health/startup", "/health/db")


def hanging(scratch: Scratch) -> AbstractContextManager[None]:
    """Let the server hang."""
    assert scratch.process is not None
    return frozen(scratch.process.pid)


def test_every_health_path_answers_200_when_all_is_well(api: httpx.Client) -> None:
    for path in (*PATHS, "/health/live"):
        answer = api.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"


def test_ready_says_that_the_database_is_connected(api: httpx.Client) -> None:
    told = api.get("/health/ready").json()
    assert (told["status"], told["database"]) == ("ready", "connected")
    assert told["revisions"] == told["built_for"] != []


def test_the_database_is_told_in_numbers(api: httpx.Client, scratch: Scratch) -> None:
    told = api.get("/health/db").json()
    assert (told["status"], told["database"], told["error"]) == ("healthy", "postgresql", None)
    assert told["pool_size"] == 5
    assert told["available_connections"] == 15
    assert told["overflow_connections"] == 0
    assert 1 <= told["connections"] <= told["max_connections"] == 120
    assert 0 < told["latency_ms"] < 1000
    assert told["role"] == "primary"
    with scratch.admin() as admin:
        row = admin.execute("SHOW server_version").fetchone()
    assert (told["version"],) == row


def test_what_cannot_be_known_is_null_with_its_reason(api: httpx.Client) -> None:
    told = api.get("/health/db").json()
    for name in ("replication", "backup_age_seconds"):
        assert told[name] is None
        assert told["reasons"][name]


@pytest.mark.parametrize("path", [*PATHS, "/health/live"])
def test_a_stranger_is_told_the_status_alone(api: httpx.Client, path: str) -> None:
    # uvicorn believes this header from loopback: that is where a reverse proxy stands
    answer = api.get(path, headers={"X-Forwarded-For": "203.0.113.7"})
    assert answer.status_code == 200
    assert list(answer.json()) == ["status"]


def test_without_its_database_it_is_alive_and_not_healthy_and_recovers(scratch: Scratch) -> None:
    with serving(scratch) as running:
        api = running.client
        api.headers["X-User-ID"] = str(uuid.uuid4())
        with down(scratch):
            assert api.get("/health/live").status_code == 200
            for path in ("/health", "/health/ready", "/health/db"):
                answer = api.get(path)
                assert answer.status_code == 503, path
                assert answer.json()["error"]
                assert answer.headers["retry-after"]
            assert api.get("/health").json()["status"] == "unhealthy"
            assert api.get("/health/ready").json()["database"] == "disconnected"
            told = api.get("/health/db").json()
            assert (told["version"], told["latency_ms"], told["connections"]) == (None,) * 3
            answer = api.get("/users")
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
        until(lambda: api.get("/health/ready").status_code == 200, "it is ready again")
        assert api.get("/users").status_code == 200


def test_it_starts_without_its_database_says_so_and_waits(scratch: Scratch) -> None:
    with down(scratch):
        scratch_down = serving(scratch)
        running = scratch_down.__enter__()
        api = running.client
        assert api.get("/health/startup").status_code == 503
        assert api.get("/health/startup").json()["status"] == "starting"
        assert "not ready: no connection to jeex_idea" in running.log.read_text()
    try:
        until(lambda: api.get("/health/startup").status_code == 200, "it has started")
        with down(scratch):
            assert api.get("/health/startup").status_code == 200  # once is enough
    finally:
        scratch_down.__exit__(None, None, None)


def test_a_database_that_hangs_is_told_within_a_second(scratch: Scratch) -> None:
    with serving(scratch) as running:
        api = running.client
        assert api.get("/health/ready").status_code == 200
        with hanging(scratch):
            for path in ("/health", "/health/ready", "/health/db"):
                assert soonest(api, path, 503, "not answered") < 1
            assert soonest(api, "/health/live", 200) < 0.5
        until(lambda: api.get("/health/ready").status_code == 200, "it answers again")


def soonest(api: httpx.Client, path: str, status: int, error: str = "") -> float:
    """Ask three times, and return the seconds of the fastest answer.

    Who waits for what hangs does so each time; a machine that is busy does not.
    """
    took: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        answer = api.get(path)
        took.append(time.monotonic() - began)
        assert answer.status_code == status
        assert error in answer.text
    return min(took)


def test_many_who_ask_at_once_cost_one_probe(service: Running, scratch: Scratch) -> None:
    with hanging(scratch), ThreadPoolExecutor(20) as pool:
        url = f"http://127.0.0.1:{service.port}/health/db"
        answers = list(pool.map(lambda _: httpx.get(url, timeout=10), range(20)))
    assert {a.status_code for a in answers} == {503}
    # one connection of the pool, not twenty
    assert max(a.json()["connections_in_use"] for a in answers) <= 1
    until(lambda: service.client.get("/health").status_code == 200, "it answers again")


def test_another_revision_is_not_ready_and_says_the_way_out(
    api: httpx.Client, scratch: Scratch
) -> None:
    with scratch.admin("jeex_idea") as admin:
        admin.execute("UPDATE alembic_version SET version_num = version_num || 'x'")
        try:
            answer = api.get("/health/ready")
            healthy = api.get("/health")
        finally:
            admin.execute("UPDATE alembic_version SET version_num = rtrim(version_num, 'x')")
    assert answer.status_code == 503
    assert answer.json()["database"] == "connected"
    assert "alembic upgrade head" in answer.json()["error"]
    assert healthy.status_code == 200  # the database is well; this application does not fit it
    assert api.get("/health/ready").status_code == 200


def test_an_empty_database_is_not_ready(api: httpx.Client, scratch: Scratch) -> None:
    with scratch.admin("jeex_idea") as admin:
        admin.execute("ALTER TABLE alembic_version RENAME TO hidden")
        try:
            answer = api.get("/health/ready")
        finally:
            admin.execute("ALTER TABLE hidden RENAME TO alembic_version")
    assert answer.status_code == 503
    assert "no revision" in answer.json()["error"]


def test_a_role_that_became_too_strong_is_not_ready(api: httpx.Client, scratch: Scratch) -> None:
    with scratch.admin() as admin:
        admin.execute("ALTER ROLE jeex_idea_app CREATEROLE")
        try:
            assert api.get("/health/ready").status_code == 503
        finally:
            admin.execute("ALTER ROLE jeex_idea_app NOCREATEROLE")
    assert api.get("/health/ready").status_code == 200


def test_a_pool_in_full_use_is_told(scratch: Scratch) -> None:
    figures = {
        "JEEX_DATABASE_POOL_SIZE": "1",
        "JEEX_DATABASE_MAX_OVERFLOW": "0",
        "JEEX_DATABASE_POOL_TIMEOUT": "0.3",
    }
    with serving(scratch, **figures) as running, ThreadPoolExecutor(2) as pool:
        url = f"http://127.0.0.1:{running.port}"
        asking = {"X-User-ID": str(uuid.uuid4())}
        assert httpx.get(f"{url}/users", headers=asking, timeout=60).status_code == 200
        with scratch.admin("jeex_idea") as admin, admin.transaction():
            admin.execute("LOCK TABLE users")
            blocked = pool.submit(httpx.get, f"{url}/users", headers=asking, timeout=30)
            # not by its health, which asks for the same single connection
            waiting = "SELECT 1 FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted"
            until(lambda: admin.execute(waiting).fetchall(), "in use")
            answer = httpx.get(f"{url}/users?email=a", headers=asking, timeout=60)
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:pgstead:problem:pool-exhausted"
            told = httpx.get(f"{url}/health/db", timeout=60).json()
            assert (told["connections_in_use"], told["available_connections"]) == (1, 0)
            assert "no connection of the pool" in told["error"]
        assert blocked.result().status_code == 200
