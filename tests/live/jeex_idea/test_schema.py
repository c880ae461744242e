"""The schema as the first revision makes it, seen by the application's role."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from systems.jeex_idea.models import Base, ExecutionStatus, ExportStatus, ProjectStatus
from tests.live.scratch import Scratch

CONSTRAINTS = {
    "users": {"users_pkey", "users_email_key", "users_email_check"},
    "projects": {
        "projects_pkey",
        "projects_created_by_fkey",
        "projects_status_check",
        "projects_current_step_check",
        "projects_language_check",
    },
    "document_versions": {
        "document_versions_pkey",
        "document_versions_project_id_fkey",
        "document_versions_created_by_fkey",
        "document_versions_version_check",
        "idx_documents_unique_version",
    },
    "agent_executions": {
        "agent_executions_pkey",
        "agent_executions_project_id_fkey",
        "agent_executions_status_check",
    },
    "exports": {"exports_pkey", "exports_project_id_fkey", "exports_status_check"},
}

INDEXES = {
    "idx_projects_created": "projects USING btree (created_at DESC)",
    "idx_projects_user_status": "projects USING btree (created_by, status, updated_at DESC)",
    "idx_documents_project_version": "document_versions USING btree (project_id, version DESC)",
    "idx_documents_unique_version": "document_versions USING btree"
    " (project_id, document_type, version)",
    "idx_executions_project": "agent_executions USING btree (project_id, started_at DESC)",
    "idx_executions_correlation": "agent_executions USING btree (correlation_id)",
    "idx_executions_status": "agent_executions USING btree (status, started_at)",
    "idx_exports_project": "exports USING btree (project_id)",
    "idx_exports_expires": "exports USING btree (expires_at)"
    " WHERE ((status)::text = 'completed'::text)",
}


@pytest.fixture
def app(scratch: Scratch) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection of the application's role whose work is undone."""
    with scratch.connect() as connection:
        yield connection
        connection.rollback()


def ask(connection: psycopg.Connection[Any], query: str, *values: object) -> list[Any]:
    """Return the rows of a query; one column comes without its tuple."""
    rows = connection.execute(query.encode(), values).fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def add_user(connection: psycopg.Connection[Any]) -> uuid.UUID:
    """Insert a person, who asks from now on."""
    query = """
        INSERT INTO users (id, email, name)
        SELECT set_config('app.current_user_id', uuid_v7()::text, true)::uuid, %s, 'A' RETURNING id
    """
    return ask(connection, query, f"{uuid.uuid4()}@example.com")[0]


def add_project(connection: psycopg.Connection[Any]) -> uuid.UUID:
    """Insert a project with its owner."""
    query = "INSERT INTO projects (name, created_by) VALUES ('P', %s) RETURNING id"
    return ask(connection, query, add_user(connection))[0]


def test_every_constraint_has_its_binding_name(app: psycopg.Connection[Any]) -> None:
    rows = ask(
        app,
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    )
    found: dict[str, set[str]] = {}
    for table, name in rows:
        found.setdefault(table, set()).add(name)
    found.pop("alembic_version")
    assert found == CONSTRAINTS


def test_every_index_has_its_binding_name_and_definition(app: psycopg.Connection[Any]) -> None:
    found = dict(ask(app, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname='public'"))
    for name, definition in INDEXES.items():
        assert found[name].endswith(f" ON public.{definition}"), found[name]


@pytest.mark.parametrize("name", ["idx_users_email", "idx_documents_project_type"])
def test_an_index_left_out_is_explained_by_the_comment_of_the_one_that_covers_it(
    app: psycopg.Connection[Any], name: str
) -> None:
    comments = ask(
        app,
        "SELECT obj_description(indexrelid, 'pg_class') FROM pg_index WHERE indisunique"
        " AND indrelid IN ('users'::regclass, 'document_versions'::regclass)",
    )
    assert any(name in comment for comment in comments)


def test_everything_that_was_made_has_a_comment(app: psycopg.Connection[Any]) -> None:
    silent = ask(
        app,
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
          AND relkind IN ('r', 'i') AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL
        SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class c
          ON c.oid = attrelid AND relkind = 'r' AND relnamespace = 'public'::regnamespace
        WHERE attnum > 0 AND col_description(attrelid, attnum) IS NULL
        UNION ALL
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
          AND obj_description(oid, 'pg_proc') IS NULL
        """,
    )
    assert {name for name in silent if not name.startswith("alembic_version")} == set()


def test_no_function_means_another_thing_under_another_search_path(
    app: psycopg.Connection[Any],
) -> None:
    open_ones = ask(
        app,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND prosqlbody IS NULL AND NOT coalesce(proconfig::text LIKE '%%search_path=%%', false)",
    )
    assert open_ones == []


def test_the_owner_owns_everything_and_cannot_log_in(app: psycopg.Connection[Any]) -> None:
    owners = ask(
        app,
        "SELECT DISTINCT r.rolname, r.rolcanlogin, r.rolsuper FROM pg_roles r"
        " JOIN (SELECT relowner AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " UNION SELECT proowner FROM pg_proc WHERE pronamespace = 'public'::regnamespace) o"
        " ON o.owner = r.oid",
    )
    assert owners == [("jeex_idea_owner", False, False)]


def test_the_application_reads_the_revision_but_cannot_write_it(
    app: psycopg.Connection[Any],
) -> None:
    assert len(ask(app, "SELECT version_num FROM alembic_version")) == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("UPDATE alembic_version SET version_num = 'x'")


def test_keys_are_of_version_7_and_the_variant_of_the_rfc(app: psycopg.Connection[Any]) -> None:
    before = dt.datetime.now(dt.UTC)
    key = ask(app, "SELECT uuid_v7()")[0]
    assert (key.version, key.variant) == (7, uuid.RFC_4122)
    stamp = dt.datetime.fromtimestamp((key.int >> 80) / 1000, dt.UTC)
    assert abs(stamp - before) < dt.timedelta(seconds=5)


def test_keys_of_a_session_strictly_increase_within_a_millisecond(
    app: psycopg.Connection[Any],
) -> None:
    keys = ask(app, "SELECT uuid_v7() FROM generate_series(1, 20000)")
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert len({key.int >> 80 for key in keys}) < len(keys) / 4  # several in each millisecond


def test_keys_increase_across_transactions_and_rolled_back_ones(scratch: Scratch) -> None:
    keys: list[uuid.UUID] = []
    with scratch.connect() as connection:
        for number in range(50):
            keys += ask(connection, "SELECT uuid_v7()")
            (connection.commit, connection.rollback)[number % 2]()
    assert keys == sorted(keys)


def test_keys_increase_when_the_clock_was_set_back(app: psycopg.Connection[Any]) -> None:
    if app.info.server_version >= 180000:
        pytest.skip("the clock of the built-in uuidv7() cannot be reached from outside")
    ahead = int((dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).timestamp() * 1_000_000_000)
    app.execute("SELECT set_config('pgstead.uuid_v7_clock', %s, false)", [str(ahead)])
    keys = ask(app, "SELECT uuid_v7() FROM generate_series(1, 100)")
    assert keys == sorted(set(keys))
    assert keys[0].int >> 80 >= ahead // 1_000_000


@pytest.mark.parametrize("garbage", ["", "x", "-1", "9" * 19, "1; DROP TABLE users"])
def test_a_garbled_clock_of_the_session_is_not_taken_for_a_time(
    app: psycopg.Connection[Any], garbage: str
) -> None:
    app.execute("SELECT set_config('pgstead.uuid_v7_clock', %s, false)", [garbage])
    assert ask(app, "SELECT uuid_v7()")[0].version == 7


@pytest.mark.parametrize(
    "address",
    ["ada@example.com", "a.b+c@sub.example.co.uk", "o'brien@example.com", "x@1x.example"],
)
def test_an_address_with_a_dot_in_its_domain_is_valid(
    app: psycopg.Connection[Any], address: str
) -> None:
    assert ask(app, "SELECT is_valid_email(%s)", address) == [True]


@pytest.mark.parametrize(
    "address",
    [
        "", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "ada@-x.com",
        "ada@example.com\n", "ada@example..com", "a@b@example.com", "ä@example.com",
        "x" * 65 + "@example.com", "a@" + "x" * 250 + ".com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_not_valid(app: psycopg.Connection[Any], address: str) -> None:
    assert ask(app, "SELECT is_valid_email(%s)", address) == [False]


@pytest.mark.parametrize("tag", ["en", "de", "pt-BR", "zh-Hant", "zh-Hant-TW", "es-419", "gsw"])
def test_a_language_tag_is_valid(app: psycopg.Connection[Any], tag: str) -> None:
    assert ask(app, "SELECT is_valid_language(%s)", tag) == [True]


@pytest.mark.parametrize("tag", ["", "e", "EN", "en_US", "english", "en-us", "en-", "en\n"])
def test_what_is_no_language_tag_is_not_valid(app: psycopg.Connection[Any], tag: str) -> None:
    assert ask(app, "SELECT is_valid_language(%s)", tag) == [False]


@pytest.mark.parametrize(
    ("table", "states"),
    [
        ("projects", ProjectStatus),
        ("agent_executions", ExecutionStatus),
        ("exports", ExportStatus),
    ],
)
def test_the_database_knows_the_same_states_as_the_code(
    app: psycopg.Connection[Any], table: str, states: type[ProjectStatus]
) -> None:
    source = ask(app, "SELECT pg_get_functiondef('is_valid_status(text,text)'::regprocedure)")[0]
    everything = set(re.findall(r"'([a-z_]+)'", source)) - set(Base.metadata.tables)
    valid = {s for s in everything if ask(app, "SELECT is_valid_status(%s, %s)", table, s)[0]}
    assert valid == set(states)
    assert ask(app, "SELECT is_valid_status('users', 'draft')") == [False]


def test_updated_at_follows_every_update_and_strictly_increases(
    app: psycopg.Connection[Any],
) -> None:
    user = add_user(app)
    seen = ask(app, "SELECT updated_at FROM users WHERE id = %s", user)
    for _ in range(20):  # within one transaction, where now() stands still
        seen += ask(app, "UPDATE users SET name = 'B' WHERE id = %s RETURNING updated_at", user)
    assert seen == sorted(set(seen))


def test_updated_at_increases_even_from_a_moment_in_the_future(
    app: psycopg.Connection[Any],
) -> None:
    query = (
        "INSERT INTO users (id, email, name, updated_at)"
        " SELECT set_config('app.current_user_id', uuid_v7()::text, true)::uuid,"
        " 'future@example.com', 'F', now() + interval '1 day' RETURNING id, updated_at"
    )
    user, before = ask(app, query)[0]
    after = ask(app, "UPDATE users SET name = 'G' WHERE id = %s RETURNING updated_at", user)[0]
    assert after > before


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_every_table_keeps_both_stamps(app: psycopg.Connection[Any], table: str) -> None:
    triggers = ask(app, "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass", table)
    assert {f"{table}_touch_updated_at", f"{table}_created_at_immutable"} <= set(triggers)


def test_created_at_cannot_be_changed(app: psycopg.Connection[Any]) -> None:
    user = add_user(app)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.execute("UPDATE users SET created_at = now() - interval '1 h' WHERE id = %s", [user])
    assert caught.value.diag.constraint_name == "users_created_at_immutable"
    assert caught.value.diag.column_name == "created_at"


def test_the_language_of_a_project_cannot_be_changed(app: psycopg.Connection[Any]) -> None:
    project = add_project(app)
    app.execute("UPDATE projects SET language = 'en' WHERE id = %s", [project])  # the same
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.execute("UPDATE projects SET language = 'de' WHERE id = %s", [project])
    assert caught.value.diag.constraint_name == "projects_language_immutable"


def test_defaults_are_those_of_the_specification(app: psycopg.Connection[Any]) -> None:
    project = add_project(app)
    query = "SELECT status, current_step, language FROM projects WHERE id = %s"
    assert ask(app, query, project) == [("draft", 1, "en")]
    query = (
        "INSERT INTO exports (project_id) VALUES (%s)"
        " RETURNING status, manifest, expires_at - created_at"
    )
    assert ask(app, query, project) == [("pending", {}, dt.timedelta(hours=24))]
    query = (
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id)"
        " VALUES (%s, 'a', uuid_v7()) RETURNING status, completed_at"
    )
    assert ask(app, query, project) == [("pending", None)]


@pytest.mark.parametrize("step", [0, 5, -1])
def test_a_step_outside_of_1_to_4_is_refused(app: psycopg.Connection[Any], step: int) -> None:
    project = add_project(app)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.execute("UPDATE projects SET current_step = %s WHERE id = %s", [step, project])
    assert caught.value.diag.constraint_name == "projects_current_step_check"


def test_a_deleted_project_takes_what_belongs_to_it_along(app: psycopg.Connection[Any]) -> None:
    project = add_project(app)
    owner = ask(app, "SELECT created_by FROM projects WHERE id = %s", project)[0]
    app.execute(
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by)"
        " VALUES (%s, 'plan', 1, 'x', %s)",
        [project, owner],
    )
    app.execute("INSERT INTO exports (project_id) VALUES (%s)", [project])
    app.execute(
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id)"
        " VALUES (%s, 'a', uuid_v7())",
        [project],
    )
    app.execute("DELETE FROM projects WHERE id = %s", [project])
    for table in ("document_versions", "exports", "agent_executions"):
        query = f"SELECT count(*) FROM {table} WHERE project_id = %s"
        assert ask(app, query, project) == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t ()",
        "DROP TABLE users",
        "ALTER TABLE users ADD COLUMN x int",
        "TRUNCATE users CASCADE",
        "SET ROLE jeex_idea_owner",
        "ALTER TABLE users DISABLE TRIGGER ALL",
        "COPY users TO PROGRAM 'true'",
    ],
)
def test_the_application_cannot_change_the_schema(
    app: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement.encode())
