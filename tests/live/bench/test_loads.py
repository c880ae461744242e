"""The load of each system: its requests are answered, and nothing of it is left."""

from __future__ import annotations

import importlib

import httpx
import pytest
from psycopg import sql

from tests.live.scratch import Scratch
from tests.live.service import SYSTEMS, System, migrated, serving_system

pytestmark = pytest.mark.soak  # a server and its migrations for each


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_what_a_load_asks_for_is_answered_and_removed(system: System) -> None:
    load = importlib.import_module(f"systems.{system.name}.load")
    with migrated(system) as scratch, serving_system(system, scratch) as service:
        before = rows(scratch, system)
        url = f"http://127.0.0.1:{service.port}"
        with load.requests(url, scratch.connection) as requests:
            assert len(requests) >= 4
            assert rows(scratch, system) != before
            for request in requests:
                answer = httpx.request(
                    request.method, url + request.path, headers=dict(request.headers),
                    content=request.body,
                )  # fmt: skip
                assert answer.status_code == request.status, (request.what, answer.text)
                assert "Bearer" not in repr(request)
        after = rows(scratch, system)
    # what is written down of what people did stays, as it does for everybody
    assert {t: n for t, n in after.items() if "audit" not in t} == {
        t: n for t, n in before.items() if "audit" not in t
    }


def rows(scratch: Scratch, system: System) -> dict[str, int]:
    """Return how many rows each table has."""
    with scratch.admin(system.name) as admin:
        names = admin.execute(
            "SELECT schemaname::text, tablename::text FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        found: dict[str, int] = {}
        for schema, table in names:
            counted = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
            row = admin.execute(counted).fetchone()
            assert row is not None
            found[f"{schema}.{table}"] = row[0]
        return found
