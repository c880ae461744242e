"""Databases: each closed to strangers, made as designed, and usable by whom it was made for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import sql

from pgstead.model.design import DatabasePlan
from pgstead.model.resources import (
    Capability,
    ConnectionFile,
    Database,
    Extension,
    Grant,
    Schema,
)
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import Login, must_be_let_in, must_be_refused, try_login
from pgstead.prove.promise import promise
from pgstead.prove.refusal import Refusal
from pgstead.prove.scratch import scratch_name
from pgstead.prove.witness import Witness

DATABASES = Capability.DATABASES


@promise(
    "DBS-001",
    "the cluster has the designed databases and no other",
    requirement="ROL-2 ROL-3",
    capability=DATABASES,
)
def databases_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY datname"
    )
    wanted = {d.name for d in w.design.stead.all(Database)} | {p.name for p in w.databases}
    found = {str(row[0]) for row in told.value}
    builtin = {"postgres", "template0", "template1"}
    yield told.shows(
        holds=found - builtin == wanted - builtin,
        expected=", ".join(sorted(wanted | {"postgres"})),
        hint="a database that no one asked for has no owner who looks after it",
    )


@promise(
    "DBS-002",
    "PUBLIC may connect to no database, not even to postgres and template1",
    requirement="ROL-2",
    capability=DATABASES,
)
def public_connects_nowhere(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT d.datname, a.privilege_type FROM pg_catalog.pg_database AS d"
        " CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a"
        " WHERE a.grantee = 0 AND d.datallowconn ORDER BY 1, 2"
    )
    yield told.shows(
        holds=not told.value, expected="no row", hint="REVOKE ALL ON DATABASE ... FROM PUBLIC"
    )


@promise(
    "DBS-003",
    "an application is refused in every database but its own, by every door",
    requirement="ROL-2",
    capability=DATABASES,
    needs=("door", "database"),
)
def foreign_databases_refuse(w: Witness) -> Iterator[Finding]:
    told = w.look("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY 1")
    refusals = (Refusal.RULE, Refusal.CONNECT, Refusal.DATABASE)
    for plan in w.databases:
        for (foreign,) in told.value:
            if foreign == plan.name:
                continue
            for door in w.doors:
                # An old pooler asks the foreign database for the password; there is no look-up.
                also = (Refusal.PASSWORD,) if door.name == "pooler" else ()
                tried = try_login(w.login(door, plan.app, foreign))
                yield must_be_refused(tried, (*refusals, *also))


@promise(
    "DBS-004",
    "encoding, collation, owner and limits of every database are the designed ones",
    requirement="ROL-3 ROL-1",
    capability=DATABASES,
    needs=("database",),
)
def databases_are_made_as_designed(w: Witness) -> Iterator[Finding]:
    for wanted in w.design.stead.all(Database):
        told = w.look(_database_query(w), [wanted.name])
        expected = (
            wanted.owner,
            wanted.encoding,
            wanted.locale_provider,
            wanted.locale,
            wanted.connection_limit,
            wanted.allow_connections,
        )
        yield told.shows(
            holds=bool(told.value) and tuple(told.value[0]) == expected,
            expected=", ".join(map(str, expected)),
        )


def _database_query(w: Witness) -> sql.Composed:
    """Return the question for this server: the column of the locale has changed its name."""
    column = "datlocale" if w.design.build.major >= 17 else "daticulocale"
    return sql.SQL(
        "SELECT r.rolname, pg_encoding_to_char(d.encoding),"
        " CASE d.datlocprovider WHEN 'b' THEN 'builtin' WHEN 'i' THEN 'icu' ELSE 'libc' END,"
        " CASE d.datlocprovider WHEN 'c' THEN d.datcollate ELSE d.{} END,"
        " d.datconnlimit, d.datallowconn FROM pg_catalog.pg_database AS d"
        " JOIN pg_catalog.pg_roles AS r ON r.oid = d.datdba WHERE d.datname = %s"
    ).format(sql.Identifier(column))


@promise(
    "DBS-005",
    "the collation that indexes were built with is the one in use",
    requirement="ROL-3 OPS-7",
    capability=DATABASES,
)
def collations_are_current(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT datname, datcollversion, pg_database_collation_actual_version(oid)"
        " FROM pg_catalog.pg_database WHERE datallowconn AND datcollversion"
        " IS DISTINCT FROM pg_database_collation_actual_version(oid) ORDER BY 1"
    )
    yield told.shows(
        holds=not told.value,
        expected="no row",
        hint="REINDEX the database, then ALTER DATABASE ... REFRESH COLLATION VERSION",
    )


@promise(
    "DBS-006",
    "PUBLIC may create nothing in any schema, and the application is told so",
    requirement="ROL-2",
    capability=DATABASES,
    needs=("database",),
)
def public_creates_nothing(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        told = w.look(
            "SELECT n.nspname, a.privilege_type FROM pg_catalog.pg_namespace AS n"
            " CROSS JOIN LATERAL aclexplode(n.nspacl) AS a WHERE a.grantee = 0"
            " AND (a.privilege_type = 'CREATE' OR NOT starts_with(n.nspname::text, 'pg_')"
            " AND n.nspname <> 'information_schema') ORDER BY 1, 2",
            database=plan.name,
        )
        yield told.shows(
            holds=not told.value, expected="no row", hint="REVOKE ALL ON SCHEMA ... FROM PUBLIC"
        )


_TO_PUBLIC = """
SELECT o.kind, o.name, a.privilege_type FROM (
    SELECT 'relation' AS kind, c.oid::regclass::text AS name, c.relacl AS acl, c.oid,
           'pg_class'::regclass AS class, c.relnamespace AS namespace
    FROM pg_catalog.pg_class AS c
    UNION ALL
    SELECT 'column', a.attrelid::regclass::text || '.' || a.attname, a.attacl, a.attrelid,
           'pg_class'::regclass, c.relnamespace
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    WHERE a.attacl IS NOT NULL
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)),
           p.oid, 'pg_proc'::regclass, p.pronamespace
    FROM pg_catalog.pg_proc AS p WHERE p.prorettype <> 'trigger'::regtype
) AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.namespace
CROSS JOIN LATERAL aclexplode(o.acl) AS a
WHERE a.grantee = 0 AND NOT starts_with(n.nspname::text, 'pg_')
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
ORDER BY 1, 2, 3
"""


@promise(
    "DBS-007",
    "nothing in a database is granted to PUBLIC: no table, column, sequence or function",
    requirement="ROL-2",
    capability=DATABASES,
    needs=("database",),
)
def nothing_is_granted_to_public(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        told = w.look(_TO_PUBLIC, database=plan.name)
        yield told.shows(
            holds=not told.value,
            expected="no row",
            hint="`pgstead up` revokes what it did not grant",
        )


@promise(
    "DBS-008",
    "what a migration makes is at once the owner's, usable by the application and readable",
    requirement="ROL-1 MIG-1",
    capability=DATABASES,
    needs=("direct", "database"),
)
def default_privileges_work(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        name = scratch_name()
        with w.session(plan.migrator, plan.name) as session, session.undone():
            session.ask(sql.SQL("CREATE TABLE public.{} (n int)").format(sql.Identifier(name)))
            told = session.ask(
                "SELECT pg_get_userbyid(c.relowner)::text,"
                " has_table_privilege(%s, c.oid, 'SELECT, INSERT, UPDATE')"
                " AND has_table_privilege(%s, c.oid, 'INSERT')"
                " AND has_table_privilege(%s, c.oid, 'UPDATE'),"
                " has_table_privilege(%s, c.oid, 'SELECT'),"
                " has_table_privilege(%s, c.oid, 'INSERT')"
                " OR has_table_privilege(%s, c.oid, 'UPDATE')"
                " OR has_table_privilege(%s, c.oid, 'TRUNCATE')"
                " FROM pg_catalog.pg_class AS c WHERE c.oid = %s::regclass",
                [*[plan.app] * 3, plan.readonly, *[plan.readonly] * 2, plan.app, f"public.{name}"],
            )
        said = dict(
            zip(("owner", "app writes", "reader reads", "too much"), told.value[0], strict=True)
        )
        yield told.shows(
            holds=tuple(told.value[0]) == (plan.owner, True, True, False),
            expected=f"owner {plan.owner}, app writes, reader reads, nothing too much",
            said=", ".join(f"{what}: {value}" for what, value in said.items()),
            hint="ALTER DEFAULT PRIVILEGES FOR ROLE owner; the migrator acts as the owner",
        )


@promise(
    "DBS-009",
    "schemas, their owners and the extensions are the designed ones",
    requirement="ROL-1 SRV-12",
    capability=DATABASES,
    needs=("database",),
)
def schemas_and_extensions_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    stead = w.design.stead
    for plan in w.databases:
        owners = {s.name: s.owner for s in stead.all(Schema) if s.database == plan.name}
        told = w.look(
            "SELECT n.nspname::text, r.rolname::text FROM pg_catalog.pg_namespace AS n"
            " JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner"
            " WHERE NOT starts_with(n.nspname::text, 'pg_') AND n.nspname <> 'information_schema'"
            " ORDER BY 1",
            database=plan.name,
        )
        yield told.shows(holds=dict(told.value) == owners, expected=_pairs(owners))
        extensions = {e.name for e in stead.all(Extension) if e.database == plan.name}
        found = w.look(
            "SELECT extname::text FROM pg_catalog.pg_extension ORDER BY 1", database=plan.name
        )
        there = {row[0] for row in found.value} - {"plpgsql"}
        expected = ", ".join(sorted(extensions)) or "plpgsql alone"
        yield found.shows(holds=there == extensions - {"plpgsql"}, expected=expected)


def _pairs(mapping: dict[str, str]) -> str:
    return "; ".join(f"{name}, {value}" for name, value in sorted(mapping.items()))


@promise(
    "DBS-010",
    "who may do what with databases and schemas is as designed",
    requirement="ROL-1 ROL-2",
    capability=DATABASES,
    needs=("database",),
)
def grants_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        wanted = {
            (g.object_type, g.object_name, g.grantee, privilege)
            for g in w.design.stead.all(Grant)
            if g.database == plan.name and g.object_type in {"database", "schema"}
            for privilege in g.privileges
        }
        told = w.look(_GRANTS, [plan.name], plan.name)
        found = {tuple(row) for row in told.value}
        odd = [f"{_grant(row)} is not designed" for row in sorted(found - wanted)]
        odd += [f"{_grant(row)} is missing" for row in sorted(wanted - found)]
        yield told.shows(
            holds=not odd,
            expected="the designed grants",
            said="; ".join(odd) or f"{len(found)} privileges, all as designed",
        )


_GRANTS = """
SELECT o.type, o.name, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE g.rolname::text END,
       a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
FROM (
    SELECT 'database' AS type, d.datname::text AS name, d.datdba AS owner,
           coalesce(d.datacl, acldefault('d', d.datdba)) AS acl
    FROM pg_catalog.pg_database AS d WHERE d.datname = %s
    UNION ALL
    SELECT 'schema', n.nspname::text, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
    FROM pg_catalog.pg_namespace AS n
    WHERE NOT starts_with(n.nspname::text, 'pg_') AND n.nspname <> 'information_schema'
) AS o
CROSS JOIN LATERAL aclexplode(o.acl) AS a
LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
WHERE a.grantee <> o.owner ORDER BY 1, 2, 3, 4
"""


def _grant(row: tuple[Any, ...]) -> str:
    return f"{row[3]} on {row[0]} {row[1]} to {row[2]}"


@promise(
    "DBS-011",
    "functions that run with their owner's rights pin their search path and are not PUBLIC's",
    requirement="ROL-1 POL-2",
    capability=DATABASES,
    needs=("database",),
)
def security_definers_are_pinned(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        told = w.look(
            "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc AS p WHERE p.prosecdef"
            " AND p.pronamespace <> 'pg_catalog'::regnamespace AND ("
            " NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c"
            " WHERE starts_with(c, 'search_path=')) OR has_function_privilege('public', p.oid,"
            " 'EXECUTE')) ORDER BY 1",
            database=plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row")


@promise(
    "DBS-012",
    "the connection file of each database leads its application in, with verify-full",
    requirement="APP-8 TLS-2",
    capability=DATABASES,
    needs=("door", "database"),
)
def connection_files_lead_in(w: Witness) -> Iterator[Finding]:
    if not any(True for _ in w.design.stead.all(ConnectionFile)):
        raise CannotTryError("this design writes no connection files", could_try=False)
    for plan in w.databases:
        read = _connection_file(w, plan)
        yield read.shows(
            holds=read.value.get("sslmode") == "verify-full", expected="sslmode verify-full"
        )
        for name, place in read.value.get("doors", {}).items():
            if place is None or w.door(name) is None:
                continue
            for role in ("app", "readonly"):
                yield must_be_let_in(try_login(_as_told(read.value, place, role)))


def _connection_file(w: Witness, plan: DatabasePlan) -> Answer[dict[str, Any]]:
    path = Path(w.design.layout.connection(plan.name))
    with timed() as watch:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CannotTryError(f"{path} cannot be read: {error}") from error
    return answer(f"read {path}", f"sslmode {told.get('sslmode')}", told, watch)


def _as_told(told: dict[str, Any], place: dict[str, Any], role: str) -> Login:
    """Return the login that the file describes, and nothing that we know besides."""
    who = told["roles"][role]
    return Login(
        user=who["user"],
        database=told["database"],
        host=place["host"],
        port=int(place["port"]),
        sslmode=told["sslmode"],
        ca=told["ca"],
        passfile=who["passfile"],
    )


PROMISES = (
    databases_are_the_designed_ones,
    public_connects_nowhere,
    foreign_databases_refuse,
    databases_are_made_as_designed,
    collations_are_current,
    public_creates_nothing,
    nothing_is_granted_to_public,
    default_privileges_work,
    schemas_and_extensions_are_the_designed_ones,
    grants_are_the_designed_ones,
    security_definers_are_pinned,
    connection_files_lead_in,
)
