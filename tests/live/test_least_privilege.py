"""What the application role may not do, and that everything it must do works."""

from __future__ import annotations

import psycopg
import pytest

from tests.fix_stead import LiveStead

pytestmark = pytest.mark.live

FORBIDDEN = {
    "create table": "CREATE TABLE mine (id int)",
    "create schema": "CREATE SCHEMA mine",
    "create temporary table": "CREATE TEMPORARY TABLE mine (id int)",
    "drop": "DROP TABLE exports",
    "alter": "ALTER TABLE users ADD COLUMN mine int",
    "truncate": "TRUNCATE exports",
    "disable trigger": "ALTER TABLE users DISABLE TRIGGER ALL",
    "copy to program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "copy from program": "COPY users (email) FROM PROGRAM 'true'",
    "read file": "SELECT pg_read_file('postgresql.conf')",
    "large object export": "SELECT lo_export(1, '/tmp/x')",
    "read authid": "SELECT rolpassword FROM pg_authid",
    "read shadow": "SELECT passwd FROM pg_shadow",
    "set role owner": "SET ROLE jeex_owner",
    "set role admin": "SET ROLE jeex_admin",
    "set session authorization": "SET SESSION AUTHORIZATION postgres",
    "create role": "CREATE ROLE mine",
    "create extension": "CREATE EXTENSION pgcrypto",
    "create function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "alter system": "ALTER SYSTEM SET work_mem = '1GB'",
    "look up passwords": "SELECT * FROM pgstead.pooler_lookup('jeex_admin')",
    "move the revision": "UPDATE alembic_version SET version_num = 'x'",
}


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "pooler"])
@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_application_role_may_not(stead: LiveStead, name: str, *, direct: bool) -> None:
    with (
        stead.connect(direct=direct) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(FORBIDDEN[name])


def test_the_application_role_does_what_it_must(stead: LiveStead) -> None:
    with stead.connect(autocommit=False) as connection:
        (user,) = connection.execute(
            "INSERT INTO users (id, email, name) SELECT set_config('app.current_user_id',"
            " uuid_v7()::text, true)::uuid, 'p@example.org', 'p' RETURNING id"
        ).fetchone()
        (project,) = connection.execute(
            "INSERT INTO projects (name, created_by) VALUES ('x', %s) RETURNING id", (user,)
        ).fetchone()
        connection.execute("UPDATE projects SET current_step = 2 WHERE id = %s", (project,))
        connection.execute(
            "INSERT INTO document_versions"
            " (project_id, document_type, version, content, created_by)"
            " VALUES (%s, 'prd', 1, 'text', %s)",
            (project, user),
        )
        connection.execute("DELETE FROM projects WHERE id = %s", (project,))
        found = connection.execute(
            "SELECT count(*) FROM document_versions WHERE project_id = %s", (project,)
        ).fetchone()
        assert found == (0,)
        connection.rollback()


def test_the_application_role_grants_nothing(stead: LiveStead) -> None:
    with stead.connect() as connection:
        connection.execute("GRANT SELECT ON users TO PUBLIC")  # a warning of PostgreSQL's, no error
    assert stead.json("plan")["operations"] == []


def test_the_owner_cannot_log_in(stead: LiveStead) -> None:
    with stead.superuser() as connection:
        row = connection.execute(
            "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'jeex_owner'"
        ).fetchone()
    assert row == {"rolcanlogin": False, "rolpassword": None}


@pytest.mark.parametrize(
    "statement", ["INSERT INTO users (email, name) VALUES ('a@b.de', 'a')", "DELETE FROM exports"]
)
def test_the_readonly_role_cannot_write(stead: LiveStead, statement: str) -> None:
    with stead.connect("jeex_readonly") as connection:
        connection.execute("SELECT count(*) FROM users")
        with pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
        ):
            connection.execute(statement)
