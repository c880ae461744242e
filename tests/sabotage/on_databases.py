"""Sabotages of databases and their schemas."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

# they need rows that the application may insert
MAKER = ("SCH-009", "SCH-010", "SCH-011", "TEN-004", "TEN-005", "TEN-006")


@sabotage("DBS-001")
def there_is_another_database(scene: Scene) -> Iterator[Design | None]:
    """Someone made a database by hand."""
    with scene.done_and_undone(
        ("CREATE DATABASE intruder", "REVOKE ALL ON DATABASE intruder FROM PUBLIC"),
        "DROP DATABASE intruder WITH (FORCE)",
        database="postgres",
    ):
        yield None


@sabotage("DBS-002")
def everyone_may_connect(scene: Scene) -> Iterator[Design | None]:
    """PUBLIC may connect to postgres again."""
    with scene.done_and_undone(
        "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
        "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
    ):
        yield None


@sabotage("DBS-003", also=("SRV-007",))
def the_application_gets_elsewhere(scene: Scene) -> Iterator[Design | None]:
    """A rule and a grant lead the application into postgres."""
    app = scene.plan.app
    with (
        scene.hba(f"hostssl postgres {app} 127.0.0.1/32 scram-sha-256"),
        scene.done_and_undone(
            f"GRANT CONNECT ON DATABASE postgres TO {app}",
            f"REVOKE CONNECT ON DATABASE postgres FROM {app}",
        ),
    ):
        yield None


@sabotage("DBS-004")
def a_database_has_another_limit(scene: Scene) -> Iterator[Design | None]:
    """A limit is set on the database."""
    name = scene.plan.name
    with scene.done_and_undone(
        f"ALTER DATABASE {name} CONNECTION LIMIT 77", f"ALTER DATABASE {name} CONNECTION LIMIT -1"
    ):
        yield None


@sabotage("DBS-005")
def a_collation_has_moved_on(scene: Scene) -> Iterator[Design | None]:
    """The system's collation is not the one that indexes were built with."""
    name = scene.plan.name
    ((before,),) = scene.rows("SELECT datcollversion FROM pg_database WHERE datname = %s", name)
    change = "UPDATE pg_database SET datcollversion = %s WHERE datname = %s"
    scene.rows(change, "0.sabotage", name)
    try:
        yield None
    finally:
        scene.rows(change, before, name)


@sabotage("DBS-006", also=("DBS-010", "ROL-030", "ROL-036"))
def everyone_may_create(scene: Scene) -> Iterator[Design | None]:
    """PUBLIC may create in public again, as before PostgreSQL 15."""
    with scene.done_and_undone(
        "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    ):
        yield None


@sabotage("DBS-007", also=("TEL-004",))
def everyone_may_read_a_table(scene: Scene) -> Iterator[Design | None]:
    """PUBLIC may read a table."""
    with scene.done_and_undone(
        "GRANT SELECT ON users TO PUBLIC", "REVOKE SELECT ON users FROM PUBLIC"
    ):
        yield None


@sabotage("DBS-008")
def new_tables_are_closed(scene: Scene) -> Iterator[Design | None]:
    """What the next migration makes is not the application's to use."""
    plan = scene.plan
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {plan.owner} IN SCHEMA public"
    with scene.done_and_undone(
        f"{head} REVOKE INSERT ON TABLES FROM {plan.app}",
        f"{head} GRANT INSERT ON TABLES TO {plan.app}",
    ):
        yield None


@sabotage("DBS-009")
def there_is_another_extension(scene: Scene) -> Iterator[Design | None]:
    """Someone added an extension."""
    with scene.done_and_undone(
        "CREATE EXTENSION tcn WITH SCHEMA public", "DROP EXTENSION IF EXISTS tcn"
    ):
        yield None


@sabotage("DBS-010")
def a_grant_is_made_by_hand(scene: Scene) -> Iterator[Design | None]:
    """The monitor may make temporary tables."""
    name, role = scene.plan.name, scene.design.monitor_role
    with scene.done_and_undone(
        f"GRANT TEMPORARY ON DATABASE {name} TO {role}",
        f"REVOKE TEMPORARY ON DATABASE {name} FROM {role}",
    ):
        yield None


@sabotage("DBS-011")
def a_function_can_be_led_astray(scene: Scene) -> Iterator[Design | None]:
    """A function with its owner's rights looks for names wherever its caller says."""
    with scene.done_and_undone(
        (
            "CREATE FUNCTION pgstead.leak() RETURNS int SECURITY DEFINER LANGUAGE sql RETURN 1",
            "REVOKE ALL ON FUNCTION pgstead.leak() FROM PUBLIC",
        ),
        "DROP FUNCTION IF EXISTS pgstead.leak()",
    ):
        yield None


@sabotage("DBS-012", also=("SRV-007",))
def the_connection_file_is_lax(scene: Scene) -> Iterator[Design | None]:
    """Applications are told not to verify whom they speak to."""
    path = scene.state / "connections" / f"{scene.plan.name}.json"
    with scene.edited(path, lambda text: text.replace("verify-full", "require")):
        yield None


@sabotage("SCH-001", shakes=("MGR-001",))
def the_revision_is_unknown(scene: Scene) -> Iterator[Design | None]:
    """The database says that it is at a revision that nobody wrote."""
    ((head,),) = scene.rows("SELECT version_num FROM alembic_version", database=scene.plan.name)
    with scene.done_and_undone(
        "UPDATE alembic_version SET version_num = 'sabotage'",
        f"UPDATE alembic_version SET version_num = '{head}'",
    ):
        yield None


@sabotage("SCH-002", shakes=("PII-001",))
def a_column_was_added_by_hand(scene: Scene) -> Iterator[Design | None]:
    """A table has a column that no model knows."""
    with scene.done_and_undone(
        "ALTER TABLE users ADD COLUMN intruder int", "ALTER TABLE users DROP COLUMN intruder"
    ):
        yield None


@sabotage("SCH-003", also=("INT-001", "UPK-001"))
def an_index_is_invalid(scene: Scene) -> Iterator[Design | None]:
    """What a failed CREATE INDEX CONCURRENTLY leaves behind."""
    change = (
        "UPDATE pg_index SET indisvalid = {} WHERE indexrelid = 'idx_exports_expires'::regclass"
    )
    with scene.done_and_undone(change.format("false"), change.format("true")):
        yield None


@sabotage("SCH-004")
def a_table_is_someone_elses(scene: Scene) -> Iterator[Design | None]:
    """A table belongs to the superuser."""
    owner = scene.plan.owner
    with scene.done_and_undone(
        f"ALTER TABLE exports OWNER TO {scene.design.superuser}",
        f"ALTER TABLE exports OWNER TO {owner}",
    ):
        yield None


@sabotage("SCH-005", also=("SCH-002",), shakes=("PII-001",))
def a_moment_has_no_zone(scene: Scene) -> Iterator[Design | None]:
    """A column holds moments that mean something else in every place."""
    with scene.done_and_undone(
        "ALTER TABLE users ADD COLUMN moment timestamp", "ALTER TABLE users DROP COLUMN moment"
    ):
        yield None


@sabotage("SCH-006", also=("SCH-002",))
def a_foreign_key_is_not_served(scene: Scene) -> Iterator[Design | None]:
    """The index of a foreign key is gone."""
    ((made, comment),) = scene.rows(
        "SELECT pg_get_indexdef('idx_exports_project'::regclass),"
        " quote_literal(coalesce(obj_description('idx_exports_project'::regclass), ''))",
        database=scene.plan.name,
    )
    with scene.done_and_undone(
        "DROP INDEX idx_exports_project",
        (made, f"COMMENT ON INDEX idx_exports_project IS {comment}"),
    ):
        yield None


@sabotage("SCH-007")
def keys_are_random(scene: Scene) -> Iterator[Design | None]:
    """Keys are scattered over the whole index."""
    ((default,),) = scene.rows(
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'users'::regclass"
        " AND adnum = 1",
        database=scene.plan.name,
    )
    with scene.done_and_undone(
        "ALTER TABLE users ALTER id SET DEFAULT gen_random_uuid()",
        f"ALTER TABLE users ALTER id SET DEFAULT {default}",
    ):
        yield None


@sabotage("SCH-008", blinds=(*MAKER, "TEN-025"))
def a_privilege_is_missing(scene: Scene) -> Iterator[Design | None]:
    """The application may not insert into a table."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"REVOKE INSERT ON exports FROM {app}", f"GRANT INSERT ON exports TO {app}"
    ):
        yield None


@sabotage("SCH-008", where="vault_scene")
def what_is_withheld_is_granted(scene: Scene) -> Iterator[Design | None]:
    """The application may change what its models say is written once."""
    with scene.done_and_undone(
        "GRANT UPDATE ON audit_logs TO specgen",
        "REVOKE UPDATE ON audit_logs FROM specgen",
        database="specgen",
    ):
        yield None


@sabotage("SCH-009")
def changes_leave_no_time(scene: Scene) -> Iterator[Design | None]:
    """The trigger that keeps updated_at is off."""
    change = "ALTER TABLE exports {} TRIGGER exports_touch_updated_at"
    with scene.done_and_undone(change.format("DISABLE"), change.format("ENABLE")):
        yield None


@sabotage("SCH-010")
def birthdays_can_be_moved(scene: Scene) -> Iterator[Design | None]:
    """The trigger that keeps created_at is off."""
    change = "ALTER TABLE exports {} TRIGGER exports_created_at_immutable"
    with scene.done_and_undone(change.format("DISABLE"), change.format("ENABLE")):
        yield None


@sabotage("SCH-011", also=("SCH-002", "PII-002"))  # an erasure comes by it, too
def orphans_are_kept(scene: Scene) -> Iterator[Design | None]:
    """A foreign key no longer deletes with its parent."""
    change = (
        "ALTER TABLE exports DROP CONSTRAINT exports_project_id_fkey, ADD CONSTRAINT"
        " exports_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects (id)"
    )
    with scene.done_and_undone(change, f"{change} ON DELETE CASCADE"):
        yield None


class _Telling(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        described = {
            "paths": {"/users": {"get": {"parameters": [{"name": "sort", "in": "query"}]}}}
        }
        error = 'psycopg.errors.SyntaxError: syntax error at or near "OR"'
        well = self.path == "/openapi.json"
        body = (json.dumps(described) if well else error).encode()
        self.send_response(200 if well else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


@sabotage("API-001", alone=True)
def an_order_is_put_into_sql(scene: Scene) -> Iterator[Design | None]:
    """A service formats what it was sent into its query, and tells the error that comes of it."""
    with HTTPServer(("127.0.0.1", 0), _Telling) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        (service, *others) = scene.design.services
        forged = replace(service, host="127.0.0.1", port=server.server_address[1])
        try:
            yield replace(scene.design, services=(forged, *others))
        finally:
            server.shutdown()


SABOTAGES = (
    an_order_is_put_into_sql,
    there_is_another_database,
    everyone_may_connect,
    the_application_gets_elsewhere,
    a_database_has_another_limit,
    a_collation_has_moved_on,
    everyone_may_create,
    everyone_may_read_a_table,
    new_tables_are_closed,
    there_is_another_extension,
    a_grant_is_made_by_hand,
    a_function_can_be_led_astray,
    the_connection_file_is_lax,
    the_revision_is_unknown,
    a_column_was_added_by_hand,
    an_index_is_invalid,
    a_table_is_someone_elses,
    a_moment_has_no_zone,
    a_foreign_key_is_not_served,
    keys_are_random,
    a_privilege_is_missing,
    what_is_withheld_is_granted,
    changes_leave_no_time,
    birthdays_can_be_moved,
    orphans_are_kept,
)
