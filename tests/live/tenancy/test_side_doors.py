"""The ways around row-level security: each is open without its rule, and closed with it."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import errors
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from pgstead.app import role_guard, tenancy
from tests.live.scratch import NASTY
from tests.live.tenancy import models
from tests.live.tenancy.lab import TABLES, Lab, act, one


@contextmanager
def made(lab: Lab, make: str, drop: str, role: str = "migrator") -> Iterator[None]:
    """Make something, as a migration would, and drop it again."""
    with lab.connect(role) as connection:
        connection.execute(make.encode())
    try:
        yield
    finally:
        with lab.admin() as admin:
            admin.execute(drop.encode())


# -- owner, superuser, SET ROLE -------------------------------------------------------------------


def test_the_owner_of_the_tables_sees_nothing_for_policies_are_forced(lab: Lab) -> None:
    with lab.asking("acme", "migrator") as owner:
        assert one(owner, "SELECT current_user::text") == f"{models.NAME}_owner"
        assert one(owner, "SELECT count(*) FROM accounts") == 0
        owner.execute("ALTER TABLE accounts NO FORCE ROW LEVEL SECURITY")
        assert one(owner, "SELECT count(*) FROM accounts") == 20


def test_a_foreign_key_made_by_the_owner_is_not_taken_for_valid_unseen(lab: Lab) -> None:
    """PostgreSQL checks the rows that the owner sees, which are none; so row_security is off."""
    broken = "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES members_of_nothing (id)"
    with lab.asking("", "migrator") as owner:
        owner.execute("CREATE TABLE members_of_nothing (id int PRIMARY KEY)")
        owner.execute("SAVEPOINT s")
        owner.execute(broken.encode())  # every row violates it
        owner.execute("ROLLBACK TO s")
        owner.execute("SET LOCAL row_security = off")
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            owner.execute(broken.encode())


def test_the_administrator_sees_all_rows_by_its_policy(lab: Lab) -> None:
    with lab.asking("", "admin") as admin:
        for table in TABLES:
            assert one(admin, f"SELECT count(*) FROM {table}") == 20


def test_a_reader_sees_what_it_says_it_asks_for(lab: Lab) -> None:
    with lab.asking("", "readonly") as reader:
        assert one(reader, "SELECT count(*) FROM accounts") == 0
        act(reader, **{"app.current_tenant_id": "globex"})
        assert one(reader, "SELECT count(*) FROM accounts") == 10


@pytest.mark.parametrize(
    "statement",
    [
        f"SET ROLE {models.NAME}_owner",
        f"SET ROLE {models.NAME}_admin",
        f"SET SESSION AUTHORIZATION {models.NAME}_owner",
        "TRUNCATE accounts CASCADE",
        "ALTER TABLE accounts DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_isolation_policy ON accounts",
        (
            "CREATE TABLE probe (t varchar(100), a int, FOREIGN KEY (t, a) REFERENCES accounts"
            " (tenant_id, id))"
        ),
        (
            "CREATE TRIGGER spy AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION"
            " suppress_redundant_updates_trigger()"
        ),
    ],
)
def test_the_application_cannot_step_out_of_its_policies(lab: Lab, statement: str) -> None:
    with lab.asking("acme") as app, pytest.raises(errors.InsufficientPrivilege):
        app.execute(statement.encode())


def test_row_security_off_is_an_error_and_not_a_way_out(lab: Lab) -> None:
    with lab.asking("acme") as app:
        app.execute("SET LOCAL row_security = off")
        with pytest.raises(errors.InsufficientPrivilege, match="affected by row-level security"):
            app.execute("SELECT count(*) FROM accounts")


@pytest.mark.parametrize("role", ["app", "readonly", "admin"])
def test_the_guard_lets_roles_in_that_policies_bind(lab: Lab, role: str) -> None:
    with lab.engine(role).connect() as connection:
        role_guard.check(connection)


@pytest.mark.parametrize(("role", "refused"), [("app", ""), ("migrator", "owns")])
def test_the_guard_judges_asynchronous_connections_alike(lab: Lab, role: str, refused: str) -> None:
    async def judged() -> str:
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: lab.comes(role), poolclass=NullPool
        )
        async with engine.connect() as connection:
            try:
                await role_guard.check_async(connection)
            except role_guard.PrivilegedRoleError as error:
                return error.message
        return ""

    said = asyncio.run(judged())
    assert refused in said
    assert bool(said) == bool(refused)


def test_the_guard_refuses_whom_policies_do_not_bind(lab: Lab) -> None:
    superuser = create_engine("postgresql+psycopg://", creator=lambda: lab.scratch.raw(models.NAME))
    refused: dict[str, Any] = {}
    with superuser.connect() as connection, pytest.raises(role_guard.PrivilegedRoleError) as caught:
        role_guard.check(connection)
    refused["superuser"] = caught.value.message
    superuser.dispose()
    with (
        lab.engine("migrator").connect() as connection,
        pytest.raises(role_guard.PrivilegedRoleError) as caught,
    ):
        role_guard.check(connection)
    refused["owns"] = caught.value.message
    role = f"{models.NAME}_app"
    for word, do, undo in (
        ("bypasses", f"ALTER ROLE {role} BYPASSRLS", f"ALTER ROLE {role} NOBYPASSRLS"),
        ("owns", f"GRANT {models.NAME}_owner TO {role}", f"REVOKE {models.NAME}_owner FROM {role}"),
        ("may make roles", f"ALTER ROLE {role} CREATEROLE", f"ALTER ROLE {role} NOCREATEROLE"),
    ):
        with lab.admin() as admin:
            admin.execute(do.encode())
        try:
            with (
                lab.engine("app").connect() as connection,
                pytest.raises(role_guard.PrivilegedRoleError) as caught,
            ):
                role_guard.check(connection)
        finally:
            with lab.admin() as admin:
                admin.execute(undo.encode())
        refused[word] = caught.value.message
    assert all(word in message for word, message in refused.items()), refused


# -- views, functions, partitions -----------------------------------------------------------------


def test_a_view_asks_as_its_reader_where_it_says_security_invoker(lab: Lab) -> None:
    view = "CREATE VIEW seen {} AS SELECT * FROM accounts"
    drop = "DROP VIEW seen"
    with (
        made(lab, view.format("WITH (security_invoker, security_barrier)"), drop),
        lab.asking("acme") as app,
    ):
        assert one(app, "SELECT count(*) FROM seen") == 10
    # of a superuser: without security_invoker it shows everything
    with lab.admin() as admin:
        admin.execute(view.format("").encode())
        admin.execute(f"GRANT SELECT ON seen TO {models.NAMES['app']}".encode())
    try:
        with lab.asking("acme") as app:
            assert one(app, "SELECT count(*) FROM seen") == 20
    finally:
        with lab.admin() as admin:
            admin.execute(drop.encode())


def test_a_view_of_the_owner_shows_nothing_for_he_is_bound_too(lab: Lab) -> None:
    view = "CREATE VIEW seen AS SELECT * FROM accounts"
    with made(lab, view, "DROP VIEW seen"), lab.asking("acme") as app:
        assert one(app, "SELECT count(*) FROM seen") == 0


def test_a_materialized_view_of_the_owner_holds_no_row_of_anybody(lab: Lab) -> None:
    view = "CREATE MATERIALIZED VIEW seen AS SELECT * FROM accounts"
    with made(lab, view, "DROP MATERIALIZED VIEW seen"), lab.asking("acme") as app:
        assert one(app, "SELECT count(*) FROM seen") == 0


def test_a_function_with_the_owners_rights_is_bound_as_he_is(lab: Lab) -> None:
    function = """
        CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp RETURN (SELECT count(*) FROM public.accounts)
    """
    with made(lab, function, "DROP FUNCTION counted()"), lab.asking("acme") as app:
        assert one(app, "SELECT counted()") == 0


def test_a_partition_shows_all_rows_until_it_is_protected_too(lab: Lab) -> None:
    """Default privileges grant every table that the owner makes, partitions too."""
    rows = "SELECT (SELECT count(*) FROM readings_0) + (SELECT count(*) FROM readings_1)"
    switch = "ALTER TABLE readings_{} {} ROW LEVEL SECURITY"
    with lab.asking("acme") as app:
        assert one(app, rows) == 20
    with lab.admin() as admin:
        for number in range(2):
            admin.execute(switch.format(number, "ENABLE").encode())
    try:
        with lab.asking("acme") as app:
            assert one(app, rows) == 0
            assert one(app, "SELECT count(*) FROM readings") == 10
            app.execute("INSERT INTO readings (tenant_id, id) VALUES ('acme', 7000)")
    finally:
        with lab.admin() as admin:
            for number in range(2):
                admin.execute(switch.format(number, "DISABLE").encode())


# -- keys -----------------------------------------------------------------------------------------


def test_a_foreign_key_that_carries_the_tenant_points_at_no_foreign_row(lab: Lab) -> None:
    insert = "INSERT INTO orders (id, account_id) VALUES (7000, 100)"
    with lab.asking("acme") as app, pytest.raises(errors.ForeignKeyViolation):
        app.execute(insert.encode())


def test_a_foreign_key_without_the_tenant_points_anywhere(lab: Lab) -> None:
    """The experiment that shows why: the server checks foreign keys without policies."""
    table = "CREATE TABLE loose (account_id int REFERENCES accounts (id))"
    with made(lab, table, "DROP TABLE loose"), lab.asking("acme") as app:
        app.execute("INSERT INTO loose VALUES (100)")


def test_a_unique_value_of_another_tenant_is_no_conflict(lab: Lab) -> None:
    insert = "INSERT INTO accounts (id, email) VALUES (7000, %s)"
    with lab.asking("acme") as app:
        app.execute("DELETE FROM accounts WHERE email = 'a3'")
        app.execute(insert, ["a3"])  # globex has it too
        with pytest.raises(errors.UniqueViolation):
            app.execute("INSERT INTO accounts (id, email) VALUES (7001, 'a4')")


def test_models_that_leave_doors_open_are_told() -> None:
    told = " ".join(tenancy.objections(models.Plain.metadata))
    assert "children: the foreign key None may point at a row of somebody else" in told
    assert "parents: None tells whether a row of another tenant has the value" in told
    assert "parents: no index is led by tenant_id" in told
    assert tenancy.objections(models.Base.metadata) == ()


# -- COPY, dumps, statistics ----------------------------------------------------------------------


def test_copy_out_is_filtered_and_copy_in_is_refused(lab: Lab) -> None:
    with lab.asking("acme") as app:
        with app.cursor().copy("COPY accounts TO STDOUT") as copy:
            assert len(list(copy.rows())) == 10
        with (
            pytest.raises(errors.FeatureNotSupported, match="row-level security"),
            app.cursor().copy("COPY accounts (id, tenant_id, email) FROM STDIN") as copy,
        ):
            copy.write_row((7000, "globex", "x"))


def test_bulk_rows_come_through_a_staging_table(lab: Lab) -> None:
    staging = "CREATE UNLOGGED TABLE staging (LIKE accounts)"
    with made(lab, staging, "DROP TABLE staging"), lab.asking("acme") as app:
        with app.cursor().copy("COPY staging (id, tenant_id, email) FROM STDIN") as copy:
            copy.write_row((7000, "acme", "x"))
        app.execute("INSERT INTO accounts SELECT * FROM staging")
        assert one(app, "SELECT count(*) FROM accounts") == 11


def test_statistics_of_a_protected_table_are_hidden(lab: Lab) -> None:
    query = "SELECT count(*) FROM pg_stats WHERE tablename = 'accounts'"
    with lab.admin() as admin:
        admin.execute("ANALYZE accounts")
        assert one(admin, query) > 0
    with lab.asking("acme") as app:
        assert one(app, query) == 0


@pytest.mark.parametrize(("role", "rows"), [("admin", 20), ("app", None)])
def test_a_dump_by_the_administrator_is_complete_and_by_the_application_refused(
    lab: Lab, role: str, rows: int | None
) -> None:
    program = lab.scratch.binaries / "pg_dump"
    row_security = ["--enable-row-security"] if role == "admin" else []
    where = f"host=127.0.0.1 port={lab.scratch.port} dbname={models.NAME} user={models.NAMES[role]}"
    done = subprocess.run(
        [
            str(program), *row_security, "--data-only", "--table=accounts",
            f"{where} sslmode=verify-full sslrootcert='{lab.scratch.ca}'",
        ],
        env={"PGPASSWORD": NASTY},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if rows is None:
        assert "row-level security" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    lines = io.StringIO(done.stdout).readlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("COPY "))
    assert lines.index("\\.\n") - start - 1 == rows
