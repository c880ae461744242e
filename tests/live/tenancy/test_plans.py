"""Plans under row-level security: the index that a query is meant to use is the one it uses."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.live.scratch import Scratch
from tests.live.tenancy import models
from tests.live.tenancy.lab import USER, Lab, act

OWNERS = 100
ROWS = 20_000
MANY = 200_000


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def explained(app: psycopg.Connection[Any], query: str) -> list[dict[str, Any]]:
    """Return the nodes of a query's plan."""
    row = app.execute(f"EXPLAIN (FORMAT json) {query}".encode()).fetchone()
    assert row is not None
    told = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(nodes(told[0]["Plan"]))


def person(number: int) -> uuid.UUID:
    """Return one of the owners."""
    return uuid.UUID(int=(7 << 76) | number)


def fill_jeex(scratch: Scratch, rows: int) -> None:
    """Insert rows of many owners, all in one project of five each."""
    of_a_project = rows // (OWNERS * 5)
    person_sql = "('00000000-0000-7000-0000-' || lpad(to_hex({}), 12, '0'))::uuid"
    with scratch.admin("jeex_idea") as admin:
        for statement in (
            "TRUNCATE users CASCADE",
            (
                f"INSERT INTO users (id, email, name) SELECT {person_sql.format('g')},"
                f" 'p' || g || '@example.com', 'P' FROM generate_series(1, {OWNERS}) g"
            ),
            (
                "INSERT INTO projects (created_by, name) SELECT u.id, 'P' FROM users u,"
                " generate_series(1, 5)"
            ),
            (
                "INSERT INTO document_versions (project_id, document_type, version, content,"
                " created_by) SELECT p.id, 'plan', v, 'x', p.created_by FROM projects p,"
                f" generate_series(1, {of_a_project}) v"
            ),
            (
                "INSERT INTO agent_executions (project_id, agent_type, correlation_id, status,"
                " started_at) SELECT p.id, 'a', uuid_v7(), 'completed', now() - n * interval '1 s'"
                f" FROM projects p, generate_series(1, {of_a_project}) n"
            ),
            (
                "INSERT INTO exports (project_id) SELECT p.id FROM projects p,"
                f" generate_series(1, {of_a_project}) n"
            ),
            "ANALYZE",
        ):
            admin.execute(statement.encode())


QUERIES = {
    "SELECT * FROM projects WHERE id = '{p}'": {"projects_pkey", "idx_projects_user_status"},
    "SELECT count(*) FROM projects": {"idx_projects_user_status"},
    "SELECT * FROM projects WHERE status = 'draft' ORDER BY updated_at DESC LIMIT 20": {
        "idx_projects_user_status"
    },
    "SELECT * FROM document_versions WHERE id = '{d}'": {"document_versions_pkey"},
    "SELECT * FROM document_versions WHERE project_id = '{p}' ORDER BY version DESC LIMIT 20": {
        "idx_documents_project_version"
    },
    "SELECT * FROM document_versions WHERE project_id = '{p}' AND document_type = 'plan'"
    " ORDER BY version DESC LIMIT 1": {
        "idx_documents_unique_version",
        "idx_documents_project_version",
    },
    "SELECT * FROM agent_executions WHERE project_id = '{p}' ORDER BY started_at DESC LIMIT 20": {
        "idx_executions_project"
    },
    "SELECT * FROM agent_executions WHERE correlation_id = '{d}'": {"idx_executions_correlation"},
    "SELECT * FROM exports WHERE project_id = '{p}'": {"idx_exports_project"},
}


@pytest.fixture(
    scope="module", params=[ROWS, pytest.param(MANY, marks=pytest.mark.soak)], ids=["some", "many"]
)
def filled(request: pytest.FixtureRequest, scratch: Scratch) -> Iterator[Scratch]:
    """Give jeex_idea with many rows."""
    fill_jeex(scratch, request.param)
    yield scratch
    with scratch.admin("jeex_idea") as admin:
        admin.execute("TRUNCATE users CASCADE")


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_service_uses_its_index(filled: Scratch, query: str) -> None:
    with filled.connect() as app:
        act(app, **{USER: "00000000-0000-7000-0000-000000000007"})
        project = app.execute("SELECT id FROM projects LIMIT 1").fetchone()
        document = app.execute("SELECT id FROM document_versions LIMIT 1").fetchone()
        assert project is not None
        assert document is not None
        found = explained(app, query.format(p=project[0], d=document[0]))
        app.rollback()
    used = {node["Index Name"] for node in found if "Index Name" in node}
    assert used & QUERIES[query], found
    assert not [n for n in found if n["Node Type"] == "Seq Scan"], found
    assert any(node.get("Parent Relationship") == "InitPlan" for node in found)


@pytest.fixture(
    scope="module", params=[ROWS, pytest.param(MANY, marks=pytest.mark.soak)], ids=["some", "many"]
)
def accounts(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Lab]:
    """Give a varchar and a uuid tenant table with rows of 100 tenants."""
    insert = (
        "INSERT INTO accounts (tenant_id, id, email)"
        " SELECT 't' || g % 100, 10000 + g, 'e' || g FROM generate_series(1, %s) g"
    )
    devices = (
        'INSERT INTO "Devices of 100%%" (id, "of ""tenant""", n) SELECT 10000 + g,'
        " ('00000000-0000-7000-0000-' || lpad(to_hex(g %% 100), 12, '0'))::uuid, g"
        " FROM generate_series(1, %s) g"
    )
    with lab.admin() as admin:
        admin.execute(insert.replace("g % 100", "g %% 100"), [request.param])
        admin.execute(devices, [request.param])
        admin.execute("ANALYZE")
    yield lab
    with lab.admin() as admin:
        admin.execute("DELETE FROM accounts WHERE id >= 10000")
        admin.execute('DELETE FROM "Devices of 100%" WHERE id >= 10000')


@pytest.mark.parametrize(
    ("tenant", "query"),
    [
        ("t7", "SELECT count(*) FROM accounts"),
        ("t7", "SELECT * FROM accounts WHERE email = 'e107'"),
        ("t7", "SELECT * FROM accounts WHERE id = 10107"),
        ("00000000-0000-7000-0000-000000000007", 'SELECT count(*) FROM "Devices of 100%"'),
        (
            "00000000-0000-7000-0000-000000000007",
            'SELECT * FROM "Devices of 100%" ORDER BY n DESC LIMIT 20',
        ),
    ],
)
def test_a_tenants_query_reads_its_part_of_an_index(accounts: Lab, tenant: str, query: str) -> None:
    with accounts.asking(tenant) as app:
        found = explained(app, query)
    conditions = [node["Index Cond"] for node in found if "Index Cond" in node]
    assert any("InitPlan" in condition or "= 10107" in condition for condition in conditions), found
    assert not [n for n in found if n["Node Type"] == "Seq Scan"], found


def test_the_floor_costs_nothing_for_the_planner_sees_one_condition(accounts: Lab) -> None:
    with accounts.asking("t7") as app:
        found = explained(app, "SELECT count(*) FROM accounts")
    assert len([n for n in found if n.get("Parent Relationship") == "InitPlan"]) == 1


@pytest.mark.parametrize(
    "condition",
    [
        "id::text = current_setting('app.current_tenant_id', true)",
        "tenant_id IN (SELECT current_setting('app.current_tenant_id', true))",
        (
            "tenant_id = current_setting('app.current_tenant_id', true) OR"
            " current_setting('app.bypass', true) = 'on'"
        ),
    ],
)
def test_forms_that_lose_the_index_are_seen_to_lose_it(accounts: Lab, condition: str) -> None:
    """The experiment is able to tell: these are the forms of others."""
    with accounts.asking("t7", "migrator") as owner:
        for name in ("tenant_isolation_policy", "tenant_isolation_policy_floor"):
            change = f"ALTER POLICY {name} ON accounts TO {models.NAME}_owner USING ({condition})"
            owner.execute(change.encode())
        found = explained(owner, "SELECT count(*) FROM accounts")
    conditions = [str(node.get("Index Cond", "")) for node in found]
    assert not any("InitPlan" in condition for condition in conditions), found
