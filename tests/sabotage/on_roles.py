"""Sabotages of roles and of who may come in."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from psycopg import sql

from pgstead.model.design import Design
from tests.sabotage.damage import EVERYTHING, sabotage
from tests.sabotage.on_server import OVERRIDDEN
from tests.sabotage.scene import Scene


@contextmanager
def another_password(scene: Scene, role: str, encryption: str) -> Iterator[None]:
    """Give a role a password that is not the one of its file."""
    ((stored,),) = scene.rows("SELECT rolpassword FROM pg_authid WHERE rolname = %s", role)
    with scene.ports.sql.connect() as connection:
        connection.execute("SET log_statement = 'none'")
        connection.execute("SELECT set_config('password_encryption', %s, false)", [encryption])
        change = sql.SQL("ALTER ROLE {} PASSWORD {}")
        name = sql.Identifier(role)
        connection.execute(change.format(name, sql.Literal("sabotage-0123456789")))
        try:
            yield
        finally:
            connection.execute(change.format(name, sql.Literal(stored)))


@sabotage(
    "ROL-001",
    also=("DBS-012",),
    blinds=("SRV-012", "SRV-023", "ROL-036", "POL-003", "POL-022", "MGR-002"),
)
def a_password_is_not_the_files(scene: Scene) -> Iterator[Design | None]:
    """The read-only role's password was changed by hand."""
    with another_password(scene, scene.plan.readonly, "scram-sha-256"):
        yield None


@sabotage("ROL-002")
def a_password_is_md5(scene: Scene) -> Iterator[Design | None]:
    """The backup role's password is stored as md5."""
    with another_password(scene, scene.design.backup_role, "md5"):
        yield None


@sabotage("ROL-003", also=("ROL-004",))
def there_is_another_superuser(scene: Scene) -> Iterator[Design | None]:
    """The backup role is made a superuser."""
    role = scene.design.backup_role
    with scene.done_and_undone(f"ALTER ROLE {role} SUPERUSER", f"ALTER ROLE {role} NOSUPERUSER"):
        yield None


@sabotage("ROL-004")
def there_is_an_unknown_role(scene: Scene) -> Iterator[Design | None]:
    """Someone made a role by hand."""
    with scene.done_and_undone("CREATE ROLE intruder LOGIN", "DROP ROLE intruder"):
        yield None


@sabotage("ROL-005")
def a_role_is_made_a_member(scene: Scene) -> Iterator[Design | None]:
    """The read-only role may run checkpoints."""
    role = scene.plan.readonly
    with scene.done_and_undone(
        f"GRANT pg_checkpoint TO {role}", f"REVOKE pg_checkpoint FROM {role}"
    ):
        yield None


@sabotage("ROL-006")
def a_role_has_a_setting_by_hand(scene: Scene) -> Iterator[Design | None]:
    """The read-only role looks for names elsewhere too."""
    with scene.role_setting(scene.plan.readonly, "search_path", "public, pg_temp"):
        yield None


@sabotage("ROL-007", also=("ROL-004",))
def the_owner_may_log_in(scene: Scene) -> Iterator[Design | None]:
    """The owner becomes a login role."""
    owner = scene.plan.owner
    with scene.done_and_undone(f"ALTER ROLE {owner} LOGIN", f"ALTER ROLE {owner} NOLOGIN"):
        yield None


@sabotage("ROL-008", also=OVERRIDDEN)
def weak_passwords_are_taken(scene: Scene) -> Iterator[Design | None]:
    """The server starts without passwordcheck."""
    ((loaded,),) = scene.rows("SELECT current_setting('shared_preload_libraries')")
    kept = [name.strip() for name in loaded.split(",") if name.strip() != "passwordcheck"]
    with scene.ports.sql.connect() as connection:
        # A list of names, not one name with commas in it.
        names = sql.SQL(", ").join(map(sql.Literal, kept))
        connection.execute(sql.SQL("ALTER SYSTEM SET shared_preload_libraries = {}").format(names))
    try:
        scene.restart_server()
        yield None
    finally:
        scene.rows("ALTER SYSTEM RESET shared_preload_libraries")
        scene.restart_server()


@sabotage("ROL-009")
def a_password_file_is_readable(scene: Scene) -> Iterator[Design | None]:
    """Everyone may read a password file."""
    with scene.mode(scene.state / "secrets" / scene.plan.readonly, 0o644):
        yield None


@sabotage("ROL-010")
def a_password_is_logged(scene: Scene) -> Iterator[Design | None]:
    """A password is found in a log."""
    leak = scene.state / "log" / "leak.log"
    leak.write_text(f"connecting with {scene.ports.secrets.value(scene.plan.app)}\n")
    try:
        yield None
    finally:
        leak.unlink()


@sabotage("ROL-011", also=("ROL-004",))
def a_role_has_no_limit(scene: Scene) -> Iterator[Design | None]:
    """The few connections of admin and migrator are many."""
    roles = (scene.plan.admin, scene.plan.migrator)
    limits = dict(scene.rows("SELECT rolname::text, rolconnlimit FROM pg_roles"))
    with scene.done_and_undone(
        tuple(f"ALTER ROLE {role} CONNECTION LIMIT -1" for role in roles),
        tuple(f"ALTER ROLE {role} CONNECTION LIMIT {limits[role]}" for role in roles),
    ):
        yield None


@sabotage("ROL-020", also=("SRV-007",), blinds=("ROL-021",))
def any_password_will_do(scene: Scene) -> Iterator[Design | None]:
    """A rule trusts the application without its password."""
    plan = scene.plan
    with scene.hba(f"hostssl {plan.name} {plan.app} 127.0.0.1/32 trust"):
        yield None


@sabotage("ROL-021", also=OVERRIDDEN)
def guessing_is_fast(scene: Scene) -> Iterator[Design | None]:
    """Failed logins are not slowed."""
    with scene.altered(auth_delay__milliseconds="0"):
        yield None


@sabotage("ROL-022", also=("SRV-004", "SRV-030", "SRV-031", "SRV-032", "SRV-033"))
def refusals_are_not_logged(scene: Scene) -> Iterator[Design | None]:
    """The server logs nothing but its own end."""
    with scene.altered(log_min_messages="panic"):
        yield None


@sabotage("ROL-023", also=("SRV-007",))
def the_superuser_is_asked_for_a_password(scene: Scene) -> Iterator[Design | None]:
    """A rule lets the superuser come by network."""
    with scene.hba(f"hostssl all {scene.design.superuser} 127.0.0.1/32 scram-sha-256"):
        yield None


@sabotage("ROL-024", "POL-002")
def the_lookup_forgets_expiry(scene: Scene) -> Iterator[Design | None]:
    """The look-up hands out passwords past their time."""
    with lookup_without(scene, "rolvaliduntil"):
        yield None


@sabotage("ROL-023", "POL-002")
def the_lookup_serves_superusers(scene: Scene) -> Iterator[Design | None]:
    """The look-up hands out a superuser's password."""
    with lookup_without(scene, "rolsuper"):
        yield None


@contextmanager
def lookup_without(scene: Scene, column: str) -> Iterator[None]:
    """Replace the look-up by one without a condition."""
    database = scene.plan.name
    ((definition,),) = scene.rows(
        "SELECT pg_get_functiondef('pgstead.pooler_lookup(text)'::regprocedure)", database=database
    )
    lines = [line for line in definition.splitlines() if column not in line]
    assert len(lines) == len(definition.splitlines()) - 1
    with scene.done_and_undone("\n".join(lines), definition):
        yield


@sabotage("ROL-025", also=("SRV-007",))
def other_networks_come_in(scene: Scene) -> Iterator[Design | None]:
    """A rule lets more addresses in than were stated."""
    plan = scene.plan
    with scene.hba(f"hostssl {plan.name} {plan.app} 127.0.0.0/8 scram-sha-256"):
        yield None


@sabotage("ROL-030", also=("DBS-010",))
def the_application_may_create(scene: Scene) -> Iterator[Design | None]:
    """The application may make tables."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT CREATE ON SCHEMA public TO {app}", f"REVOKE CREATE ON SCHEMA public FROM {app}"
    ):
        yield None


@sabotage("ROL-031", also=("TEN-020", "TEN-021"))
def the_application_may_truncate(scene: Scene) -> Iterator[Design | None]:
    """The application may empty a table at once."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT TRUNCATE ON exports TO {app}", f"REVOKE TRUNCATE ON exports FROM {app}"
    ):
        yield None


@sabotage("ROL-032")
def the_application_may_list_files(scene: Scene) -> Iterator[Design | None]:
    """The application may look into the data directory."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO {app}",
        f"REVOKE EXECUTE ON FUNCTION pg_ls_dir(text) FROM {app}",
    ):
        yield None


@sabotage("ROL-033")
def the_application_may_read_passwords(scene: Scene) -> Iterator[Design | None]:
    """The application may read the stored passwords."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT SELECT ON pg_authid TO {app}", f"REVOKE SELECT ON pg_authid FROM {app}"
    ):
        yield None


@sabotage("ROL-034", also=("ROL-005",))
def the_application_may_become_another(scene: Scene) -> Iterator[Design | None]:
    """The application is a member of the read-only role."""
    plan = scene.plan
    with scene.done_and_undone(
        f"GRANT {plan.readonly} TO {plan.app}", f"REVOKE {plan.readonly} FROM {plan.app}"
    ):
        yield None


@sabotage("ROL-035")
def the_application_may_silence_triggers(scene: Scene) -> Iterator[Design | None]:
    """The application may switch triggers and foreign keys off."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT SET ON PARAMETER session_replication_role TO {app}",
        f"REVOKE SET ON PARAMETER session_replication_role FROM {app}",
    ):
        yield None


@sabotage("ROL-036")
def the_reader_may_write(scene: Scene) -> Iterator[Design | None]:
    """The read-only role may delete."""
    role = scene.plan.readonly
    with scene.done_and_undone(
        f"GRANT DELETE ON exports TO {role}", f"REVOKE DELETE ON exports FROM {role}"
    ):
        yield None


class _Welcoming(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(4096)
        self.request.sendall(b"R\0\0\0\x08\0\0\0\0")  # AuthenticationOk


@sabotage("ROL-026", also=("ROL-001", "SRV-008", "TLS-001"), blinds=EVERYTHING, alone=True)
def a_door_welcomes_whatever_comes(scene: Scene) -> Iterator[Design | None]:
    """Something stands before the server that reads nothing of what it is sent."""
    doors = scene.design.doors
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Welcoming) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        port = server.server_address[1]
        try:
            forged = (replace(d, port=port) if d.name == "direct" else d for d in doors)
            yield replace(scene.design, doors=tuple(forged))
        finally:
            server.shutdown()


SABOTAGES = (
    a_door_welcomes_whatever_comes,
    a_password_is_not_the_files,
    a_password_is_md5,
    there_is_another_superuser,
    there_is_an_unknown_role,
    a_role_is_made_a_member,
    a_role_has_a_setting_by_hand,
    the_owner_may_log_in,
    weak_passwords_are_taken,
    a_password_file_is_readable,
    a_password_is_logged,
    a_role_has_no_limit,
    any_password_will_do,
    guessing_is_fast,
    refusals_are_not_logged,
    the_superuser_is_asked_for_a_password,
    the_lookup_forgets_expiry,
    the_lookup_serves_superusers,
    other_networks_come_in,
    the_application_may_create,
    the_application_may_truncate,
    the_application_may_list_files,
    the_application_may_read_passwords,
    the_application_may_become_another,
    the_application_may_silence_triggers,
    the_reader_may_write,
)
