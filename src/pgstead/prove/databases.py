"""Databases: each closed to strangers, made as designed, and usable by whom it was made for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan
from pgstead.model.resources import ConnectionFile, Database, Extension, Schema
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import Login, must_be_let_in, must_be_refused, try_login
from pgstead.prove.promise import promise
from pgstead.prove.refusal import Refusal
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
    schemas_and_extensions_are_the_designed_ones,
    security_definers_are_pinned,
    connection_files_lead_in,
)
