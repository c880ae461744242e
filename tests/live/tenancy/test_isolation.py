"""What a tenant sees and writes, statement by statement."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.live.tenancy.lab import TABLES, USER, UUIDS, Lab, act, one


@pytest.mark.parametrize("table", TABLES)
def test_a_tenant_sees_its_rows_and_no_others(lab: Lab, table: str) -> None:
    for tenant in ("acme", "globex"):
        with lab.asking(tenant) as app:
            assert one(app, f"SELECT array_agg(DISTINCT tenant_id) FROM {table}") == [tenant]
            assert one(app, f"SELECT count(*) FROM {table}") == 10


@pytest.mark.parametrize("said", ["", "nobody", "acme' OR true --", "acme\\", "%", "ACME", " acme"])
def test_a_setting_that_names_no_tenant_shows_nothing(lab: Lab, said: str) -> None:
    with lab.asking(said) as app:
        for table in TABLES:
            assert one(app, f"SELECT count(*) FROM {table}") == 0


def test_a_setting_that_was_never_made_shows_nothing_and_lets_nothing_be_written(lab: Lab) -> None:
    with lab.connect() as app:
        assert one(app, "SELECT count(*) FROM accounts") == 0
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute("INSERT INTO accounts (id, tenant_id, email) VALUES (7000, 'acme', 'x')")


def test_a_setting_that_is_no_uuid_fails_closed(lab: Lab) -> None:
    with lab.asking("garbage") as app, pytest.raises(errors.InvalidTextRepresentation):
        app.execute('SELECT count(*) FROM "Devices of 100%"')


def test_the_column_is_filled_from_the_setting(lab: Lab) -> None:
    with lab.asking("acme") as app:
        query = "INSERT INTO accounts (id, email) VALUES (7000, 'new') RETURNING tenant_id"
        assert one(app, query) == "acme"


FOREIGN = [
    "UPDATE accounts SET email = 'mine' WHERE id = 100",
    "DELETE FROM accounts WHERE id = 100",
    "SELECT * FROM accounts WHERE id = 100 FOR UPDATE",
    "UPDATE accounts SET email = 'mine' FROM orders WHERE orders.id = 100",
    (
        "MERGE INTO accounts AS a USING (VALUES (100)) AS v (id) ON a.id = v.id"
        " WHEN MATCHED THEN UPDATE SET email = 'mine' WHEN NOT MATCHED THEN DO NOTHING"
    ),
    "WITH gone AS (DELETE FROM accounts WHERE id >= 100 RETURNING id) SELECT * FROM gone",
]


@pytest.mark.parametrize("statement", FOREIGN)
def test_no_statement_touches_a_foreign_row(lab: Lab, statement: str) -> None:
    with lab.asking("acme") as app:
        assert app.execute(statement.encode()).rowcount == 0


REFUSED = [
    "INSERT INTO accounts (id, tenant_id, email) VALUES (7000, 'globex', 'x')",
    "UPDATE accounts SET tenant_id = 'globex' WHERE id = 5",
    (
        "INSERT INTO accounts (id, tenant_id, email) VALUES (5, 'acme', 'a5')"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = 'globex'"
    ),
    (
        "MERGE INTO accounts AS a USING (VALUES (7000)) AS v (id) ON a.id = v.id"
        " WHEN NOT MATCHED THEN INSERT (id, tenant_id, email) VALUES (v.id, 'globex', 'x')"
    ),
]


@pytest.mark.parametrize("statement", REFUSED)
def test_no_row_is_written_for_another_tenant(lab: Lab, statement: str) -> None:
    with lab.asking("acme") as app, pytest.raises(errors.InsufficientPrivilege) as caught:
        app.execute(statement.encode())
    assert "row-level security" in str(caught.value)


def test_cursors_and_prepared_statements_follow_the_setting(lab: Lab) -> None:
    with lab.asking("acme") as app:
        app.execute("PREPARE seen AS SELECT min(id) FROM accounts")
        for _ in range(7):  # past the sixth execution a plan may be kept
            assert one(app, "EXECUTE seen") == 0
        act(app, **{"app.current_tenant_id": "globex"})
        assert one(app, "EXECUTE seen") == 100
        app.execute("DECLARE c CURSOR FOR SELECT id FROM accounts ORDER BY id")
        assert one(app, "FETCH c") == 100


def test_the_setting_ends_with_the_transaction_and_with_a_savepoint(lab: Lab) -> None:
    with lab.asking("acme") as app:
        app.execute("SAVEPOINT s")
        act(app, **{"app.current_tenant_id": "globex"})
        assert one(app, "SELECT min(id) FROM accounts") == 100
        app.execute("ROLLBACK TO s")
        assert one(app, "SELECT min(id) FROM accounts") == 0
        app.commit()
        assert one(app, "SELECT count(*) FROM accounts") == 0


def test_notes_are_seen_by_members_and_by_their_author(lab: Lab) -> None:
    acme, globex = UUIDS["acme"], UUIDS["globex"]
    with lab.asking(user=acme) as app:
        assert one(app, "SELECT array_agg(id) FROM notes") == [0]
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute("INSERT INTO notes (id, workspace_id) VALUES (7000, %s)", [globex])
    with lab.asking(user=acme) as app:
        app.execute("INSERT INTO notes VALUES (7000, %s, %s)", [globex, acme])
        assert one(app, "SELECT count(*) FROM notes") == 2
        act(app, **{USER: globex})
        assert one(app, "SELECT array_agg(id ORDER BY id) FROM notes") == [100, 7000]
        assert one(app, "SELECT count(*) FROM members") == 1


def test_the_error_of_a_foreign_row_says_so(lab: Lab) -> None:
    with lab.asking("acme") as app, pytest.raises(psycopg.Error) as caught:
        app.execute(REFUSED[0].encode())
    assert "tenant_isolation_policy" in str(caught.value) or "accounts" in str(caught.value)
