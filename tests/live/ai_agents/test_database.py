"""The database of ai_agents as its roles see it: grants, retention, plans under the policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
from psycopg.rows import dict_row

from pgstead.app.retention import declared
from pgstead.model.retention import Removed
from pgstead.workflows.retention import moment_of
from pgstead.workflows.row_removal import Removal, table_of
from systems.ai_agents.models import Base
from tests.live.scratch import Scratch


@pytest.fixture
def app(scratch: Scratch) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection of the application's role whose work is undone."""
    with scratch.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def filled(scratch: Scratch) -> Iterator[Scratch]:
    """Give tenants with rows."""
    with scratch.admin("ai_agents") as admin:
        admin.execute(FILL)
        admin.execute("VACUUM ANALYZE")  # the pending list of the GIN index too
    yield scratch
    with scratch.admin("ai_agents") as admin:
        admin.execute("DELETE FROM tenant_configs WHERE tenant_id LIKE 'bulk-%'")


OF_90_DAYS = 90 * 24 * 6 - 1  # one every ten minutes, the last one is just too old

# fifty tenants with as much each: what the planner takes for the ordinary case
FILL = b"""
INSERT INTO tenant_configs (tenant_id, name, servicedesk_url, servicedesk_api_key_encrypted,
    webhook_signing_secret_encrypted)
  SELECT 'bulk-' || g, 'B', 'https://d.example.com', s, s
  FROM generate_series(0, 49) g, (SELECT 'AQEA' || repeat('A', 60)) AS x (s);
INSERT INTO ticket_history (tenant_id, ticket_id, description)
  SELECT 'bulk-' || g % 50, 'T' || g,
    CASE WHEN g % 1000 < 50 THEN 'the disk of server ' ELSE 'a printer in room ' END || g
  FROM generate_series(1, 20000) g;
INSERT INTO system_inventory (tenant_id, ip_address, hostname)
  SELECT 'bulk-' || g % 50, '10.0.0.0'::inet + g, 'h' || g FROM generate_series(1, 20000) g;
INSERT INTO enhancement_history (tenant_id, ticket_id, created_at)
  SELECT 'bulk-' || g % 50, 'T' || g, now() - g * interval '10 minutes'
  FROM generate_series(1, 30000) g;
"""


def as_tenant(connection: psycopg.Connection[Any], tenant: str) -> None:
    """Be a tenant until the transaction ends."""
    connection.execute("SELECT set_config('app.current_tenant_id', %s, true)", [tenant])


def plan(connection: psycopg.Connection[Any], query: str, *values: object) -> str:
    """Return the plan of a query."""
    rows = connection.execute(f"EXPLAIN {query}".encode(), values).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("table", ["tenant_configs", "enhancement_history"])
def test_the_application_may_not_delete_what_only_the_administrator_may(
    app: psycopg.Connection[Any], table: str
) -> None:
    as_tenant(app, "bulk-7")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(f"DELETE FROM {table}".encode())


def test_the_application_reads_how_long_rows_are_kept_and_cannot_change_it(
    app: psycopg.Connection[Any],
) -> None:
    kept = app.execute("SELECT relation, keep_for::text FROM retention_rules").fetchall()
    assert kept == [("enhancement_history", "90 days")]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("UPDATE retention_rules SET keep_for = '1 day'")


@pytest.mark.parametrize("tenant", [None, "", "bulk-3' OR true --", "nobody"])
def test_without_a_tenant_of_theirs_nobody_sees_or_finds_anything(
    filled: Scratch, app: psycopg.Connection[Any], tenant: str | None
) -> None:
    if tenant is not None:
        as_tenant(app, tenant)
    for query in (
        "SELECT count(*) FROM ticket_history",
        "SELECT count(*) FROM system_inventory",
        "SELECT count(*) FROM search_tickets('disk', 10, 0)",
    ):
        assert app.execute(query.encode()).fetchone() == (0,)


def test_searching_finds_a_tenant_s_own_tickets_only(
    filled: Scratch, app: psycopg.Connection[Any]
) -> None:
    as_tenant(app, "bulk-3")
    found = app.execute(
        "SELECT DISTINCT tenant_id, total FROM ticket_history"
        " JOIN search_tickets('disk', 1000, 0) USING (id)"
    ).fetchall()
    assert found == [("bulk-3", 20)]
    # words of the index that no text can hold do not lead out of the tenant
    for words in ("\x01bulk-7", "'\x01bulk-7'", "tenant_id bulk"):
        assert app.execute(
            "SELECT count(*) FROM search_tickets(%s, 10, 0)", [words]
        ).fetchone() == (0,)


def test_searching_asks_the_index_whatever_the_policy_says(filled: Scratch) -> None:
    with filled.admin("ai_agents") as admin:
        admin.autocommit = False
        admin.execute("SET LOCAL ROLE ai_agents_owner")
        query = (
            "SELECT id FROM ticket_history WHERE search @@ (websearch_to_tsquery('english', 'disk')"
            " && quote_literal(chr(1) || 'bulk-3')::tsquery) AND tenant_id = 'bulk-3'"
        )
        assert "ix_ticket_history_search" in plan(admin, query)
        admin.rollback()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM system_inventory WHERE ip_address = '10.0.0.100'", "_tenant_ip"),
        (
            "SELECT * FROM system_inventory WHERE ip_address BETWEEN '10.0.3.0' AND '10.0.3.255'",
            "_tenant_ip",
        ),
        ("SELECT * FROM ticket_history WHERE ticket_id = 'T100'", "_tenant_ticket"),
        ("SELECT * FROM enhancement_history WHERE ticket_id = 'T100'", "_ticket"),
        (
            "SELECT * FROM enhancement_history ORDER BY created_at DESC LIMIT 20",
            "_tenant_id",
        ),
    ],
)
def test_a_query_uses_the_index_meant_for_it_under_the_policy(
    filled: Scratch, app: psycopg.Connection[Any], query: str, index: str
) -> None:
    as_tenant(app, "bulk-7")
    shown = plan(app, query)
    assert index in shown, shown
    assert "Seq Scan" not in shown


def test_a_network_is_looked_up_by_a_range_for_containment_could_not_use_the_index(
    filled: Scratch, app: psycopg.Connection[Any]
) -> None:
    as_tenant(app, "bulk-3")
    contained = plan(app, "SELECT * FROM system_inventory WHERE ip_address << '10.0.3.0/24'")
    assert "ip_address << " in contained.partition("Filter")[2]


def removed(scratch: Scratch) -> Removed:
    """Do what `pgstead retention run` does, by the login of the administrator."""
    (rule,) = declared(Base.metadata)
    done = Removed("ai_agents", rule.table)
    with scratch.connect("admin") as admin:
        admin.autocommit = True
        admin.row_factory = cast("Any", dict_row)
        connection = cast("psycopg.Connection[dict[str, Any]]", admin)
        table = table_of(connection, rule)
        assert table is not None
        done.before = moment_of(connection, rule)
        Removal(connection, table, done.before, done).run()
    return done


def test_retention_removes_what_is_older_than_the_rule_in_batches(filled: Scratch) -> None:
    found = removed(filled)
    assert (found.rows, found.left) == (30_000 - OF_90_DAYS, 0)
    assert found.batches > 3
    with filled.admin("ai_agents") as admin:
        admin.execute("UPDATE retention_rules SET keep_for = '89 days'")
        try:
            assert removed(filled).rows == 144  # a day of them
        finally:
            admin.execute("UPDATE retention_rules SET keep_for = '90 days'")
        kept = admin.execute(
            "SELECT count(*) FROM enhancement_history WHERE tenant_id LIKE 'bulk-%'"
        ).fetchone()
    assert kept == (OF_90_DAYS - 144,)
