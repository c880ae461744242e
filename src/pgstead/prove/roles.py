"""Roles: who comes in, with what, and who does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from pgstead.model import scram
from pgstead.model.address import Capability
from pgstead.model.resources import Membership, Role, RoleSetting, SecretFile
from pgstead.prove import processes, reach, strangers
from pgstead.prove.canary import Canary
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.login import must_be_let_in, try_login
from pgstead.prove.promise import promise
from pgstead.prove.scratch import PREFIX, scratch_name
from pgstead.prove.traces import files_in
from pgstead.prove.witness import Witness

ROLES = Capability.ROLES


@promise(
    "ROL-001",
    "every role that may log in does so with the password of its file",
    requirement="ROL-1 ROL-4",
    capability=ROLES,
    needs=("door", "database"),
)
def roles_log_in(w: Witness) -> Iterator[Finding]:
    for role, plan in w.people():
        for door in w.doors:
            if door.name == "pooler" and role in (plan.migrator, plan.admin):
                # Migrations and maintenance need sessions of their own; a pool would keep the
                # few places of these roles for minutes.
                continue
            yield must_be_let_in(try_login(w.login(door, role, plan.name)))


@promise(
    "ROL-002",
    "every stored password is a SCRAM-SHA-256 verifier of 4096 rounds or more",
    requirement="ROL-4",
    capability=ROLES,
)
def passwords_are_scram(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT rolname, split_part(rolpassword, ':', 1) FROM pg_catalog.pg_authid"
        " WHERE rolpassword IS NOT NULL ORDER BY rolname"
    )
    weak = [name for name, head in told.value if not _strong(head)]
    yield told.shows(
        holds=not weak,
        expected="SCRAM-SHA-256 with 4096 rounds for each",
        said=f"weak: {', '.join(weak)}" if weak else f"{len(told.value)} verifiers, all SCRAM",
        hint="`pgstead up` sets the password of its file again",
    )
    made = w.setting("password_encryption")
    yield made.shows(holds=made.value == "scram-sha-256", expected="scram-sha-256")


def _strong(head: str) -> bool:
    scheme, _, rounds = head.partition("$")
    return scheme == "SCRAM-SHA-256" and rounds.isdigit() and int(rounds) >= scram.ITERATIONS


@promise(
    "ROL-003",
    "the bootstrap superuser is the only superuser, and has no password",
    requirement="ROL-1",
    capability=ROLES,
)
def one_superuser(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT rolname, rolpassword IS NOT NULL AS has_password FROM pg_catalog.pg_authid"
        " WHERE rolsuper ORDER BY rolname"
    )
    yield told.shows(
        holds=told.value == [(w.design.superuser, False)],
        expected=f"{w.design.superuser} without a password, and no other",
    )


_ATTRIBUTES = """
SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
       rolinherit, rolconnlimit,
       CASE WHEN rolvaliduntil IS NULL OR rolvaliduntil = 'infinity' THEN ''
            ELSE to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END
FROM pg_catalog.pg_roles WHERE NOT starts_with(rolname::text, 'pg_') ORDER BY rolname
"""


@promise(
    "ROL-004",
    "the cluster has the designed roles with the designed attributes, and no other role",
    requirement="ROL-1",
    capability=ROLES,
)
def roles_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    told = w.look(_ATTRIBUTES)
    found = {row[0]: row[1:] for row in told.value if not row[0].startswith(PREFIX)}
    wanted = {
        r.name: (
            r.login, r.superuser, r.createdb, r.createrole, r.replication, r.bypassrls,
            r.inherit, r.connection_limit, r.valid_until,
        )
        for r in w.design.stead.all(Role)
    }  # fmt: skip
    found.setdefault(w.design.superuser, ())
    odd = [f"{name} is not designed" for name in found if name not in {*wanted, w.design.superuser}]
    odd += [f"{name} is missing" for name in wanted if name not in found]
    odd += [
        f"{name} has other attributes"
        for name, attributes in wanted.items()
        if name != w.design.superuser and name in found and found[name] != attributes
    ]
    yield told.shows(
        holds=bool(wanted) and not odd,
        expected="the designed roles and attributes",
        said="; ".join(odd) or f"{len(wanted)} roles, all as designed",
        hint="`pgstead plan` shows the difference",
    )


@promise(
    "ROL-005",
    "memberships are the designed ones, and no application role reaches a predefined power",
    requirement="ROL-1 ROL-2",
    capability=ROLES,
)
def memberships_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT DISTINCT r.rolname, m.rolname FROM pg_catalog.pg_auth_members AS a"
        " JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid"
        " JOIN pg_catalog.pg_roles AS m ON m.oid = a.member"
        # The built-in ones: pg_monitor's own parts.
        " WHERE NOT starts_with(m.rolname::text, 'pg_') ORDER BY 1, 2"
    )
    wanted = {(m.role, m.member) for m in w.design.stead.all(Membership)}
    found = {(str(role), str(member)) for role, member in told.value}
    extra = [f"{member} is a member of {role}" for role, member in sorted(found - wanted)]
    extra += [f"{member} is no member of {role}" for role, member in sorted(wanted - found)]
    yield told.shows(
        holds=not extra,
        expected="the designed memberships",
        said="; ".join(extra) or f"{len(found)} memberships, all as designed",
    )
    for plan in w.databases:
        powers = w.look(
            "SELECT r.rolname FROM pg_catalog.pg_roles AS r"
            " WHERE r.rolname <> %s AND pg_has_role(%s, r.oid, 'MEMBER') ORDER BY 1",
            [plan.app, plan.app],
        )
        yield powers.shows(holds=not powers.value, expected="no row")


@promise(
    "ROL-006",
    "the settings bound to roles and databases are the designed ones",
    requirement="ROL-1 SRV-8",
    capability=ROLES,
)
def role_settings_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT coalesce(r.rolname, ''), coalesce(d.datname, ''), split_part(c, '=', 1),"
        " substr(c, strpos(c, '=') + 1) FROM pg_catalog.pg_db_role_setting AS s"
        " LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole"
        " LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase"
        " CROSS JOIN LATERAL unnest(s.setconfig) AS c ORDER BY 1, 2, 3"
    )
    wanted = {
        (s.role, s.database, s.name.casefold()): s.value for s in w.design.stead.all(RoleSetting)
    }
    found = {(str(r), str(d), str(n).casefold()): str(v) for r, d, n, v in told.value}
    keys = sorted(wanted.keys() | found.keys())
    odd = [
        f"{name} of {role or 'every role'}{f' in {database}' * bool(database)}"
        f" is {found.get((role, database, name), 'not set')}"
        for role, database, name in keys
        if wanted.get((role, database, name)) != found.get((role, database, name))
    ]
    yield told.shows(
        holds=not odd,
        expected="the designed settings",
        said="; ".join(odd) or f"{len(found)} settings, all as designed",
    )


@promise(
    "ROL-007",
    "owners of databases and schemas cannot log in",
    requirement="ROL-1",
    capability=ROLES,
    needs=("database",),
)
def owners_cannot_log_in(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT rolname FROM pg_catalog.pg_authid WHERE rolname = ANY (%s)"
        " AND (rolcanlogin OR rolpassword IS NOT NULL)",
        [sorted({plan.owner for plan in w.databases})],
    )
    yield told.shows(holds=not told.value, expected="no row")


@promise(
    "ROL-008",
    "a password that is too short or repeats the role's name is refused by the server",
    requirement="ROL-4",
    capability=ROLES,
)
def weak_passwords_are_refused(w: Witness) -> Iterator[Finding]:
    with w.backstage(write=True) as session, session.undone():
        # The two are no secrets, but a statement log should not carry even those.
        session.attempt("SET LOCAL log_statement = 'none'")
        session.attempt("SET LOCAL log_min_error_statement = 'panic'")
        session.attempt("SET LOCAL log_min_duration_statement = -1")
        name = scratch_name()
        for weak in ("short", f"{name}-1"):
            statement = sql.SQL("CREATE ROLE {} PASSWORD {}")
            yield session.must_refuse(
                statement.format(sql.Identifier(name), sql.Literal(weak)),
                states=("22023",),
                hint="passwordcheck belongs into shared_preload_libraries",
            )


@promise(
    "ROL-009",
    "files with passwords can be read by their owner alone",
    requirement="ROL-4",
    capability=ROLES,
)
def secret_files_are_private(w: Witness) -> Iterator[Finding]:
    layout = w.design.layout
    files = [p for d in (layout.secrets, layout.passfiles) for p in sorted(Path(d).iterdir())]
    files += [w.state / s.name for s in w.design.stead.all(SecretFile) if "/" in s.name]
    for path in dict.fromkeys(files):
        try:
            with timed() as watch:
                mode = processes.mode(path)
        except OSError as error:
            raise CannotTryError(f"{path}: {error.strerror}") from error
        told = answer(f"stat -c %a '{path}'", f"{mode:04o}", mode, watch)
        yield told.shows(holds=mode & 0o077 == 0, expected="0600", hint=f"chmod 0600 '{path}'")


# Where a password may never be. The data directory is the server's own (ROL-002 reads it).
_PLACES = ("run", "log", "server/log", "pooler", "connections", "proofs", "rehearsals")
_FILES = ("journal.jsonl", "identity.json", "server/pgstead.conf", "server/pg_hba.conf")


@promise(
    "ROL-010",
    "no password is in an argument list, a log, the journal, a report or a configuration file",
    requirement="ROL-4 ROL-7",
    capability=ROLES,
)
def passwords_are_nowhere_else(w: Witness) -> Iterator[Finding]:
    canary = Canary.of(w.access.ports.secrets)
    if not canary.values:
        raise CannotTryError("no secret can be read")
    if processes.available():
        with timed() as watch:
            told = {pid: canary.found_in(processes.command_line(pid)) for pid in processes.pids()}
        seen = {pid: names for pid, names in told.items() if names}
        said = f"{len(told)} processes, {len(seen)} with a password"
        what = answer(
            f"{len(canary.values)} secrets searched in /proc/*/cmdline", said, seen, watch
        )
        yield what.shows(holds=not seen, expected="none")
    with timed() as watch:
        found = {p: canary.found_in_file(p) for p in _readable_files(w)}
    told_files = {str(p): names for p, names in found.items() if names}
    said = "; ".join(f"that of {', '.join(n)} in {p}" for p, n in told_files.items())
    what = answer(
        f"{len(canary.values)} secrets searched in {len(found)} files below {w.state}",
        said or "none found",
        told_files,
        watch,
    )
    yield what.shows(
        holds=not told_files, expected="none", hint="rotate the password, then remove the line"
    )


def _readable_files(w: Witness) -> Iterator[Path]:
    places = [w.state / name for name in _PLACES]
    files = [*files_in(places)]
    files += [w.state / name for name in _FILES]
    # PgBouncer needs the look-up role's password to ask for the others (POL-2).
    known = {w.state / s.name for s in w.design.stead.all(SecretFile) if "/" in s.name}
    for path in dict.fromkeys(files):
        if path.is_file() and path not in known:
            yield path


@promise(
    "ROL-011",
    "a role's connection limit refuses the connection that is one too many",
    requirement="SRV-5 ROL-1",
    capability=ROLES,
    needs=("direct", "database"),
)
def connection_limits_hold(w: Witness) -> Iterator[Finding]:
    limited = {r.name: r.connection_limit for r in w.logins() if 0 < r.connection_limit <= 10}
    people = [(limited[role], role, plan) for role, plan in w.people() if role in limited]
    if not people:
        raise CannotTryError("no role has a limit of 10 or less", could_try=False)
    limit, role, plan = min(people, key=lambda p: p[0])
    door = w.door("direct")
    assert door is not None
    login = w.login(door, role, plan.name)
    opened: list[psycopg.Connection[object]] = []
    try:
        yield from strangers.one_too_many(login, limit, opened)
    finally:
        for connection in opened:
            connection.close()


PROMISES = (
    roles_log_in,
    passwords_are_scram,
    one_superuser,
    roles_are_the_designed_ones,
    memberships_are_the_designed_ones,
    role_settings_are_the_designed_ones,
    owners_cannot_log_in,
    weak_passwords_are_refused,
    secret_files_are_private,
    passwords_are_nowhere_else,
    connection_limits_hold,
    *strangers.PROMISES,
    *reach.PROMISES,
)
