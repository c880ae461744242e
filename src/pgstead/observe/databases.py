"""Databases, schemas, extensions, our routines, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgstead.design.names import AUDITOR
from pgstead.model.address import Resource
from pgstead.model.design import Design
from pgstead.model.resources import Database, DefaultPrivilege, Extension, Grant, Routine, Schema
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query

_PROVIDERS = {"b": "builtin", "c": "libc", "i": "icu"}
_TEMPLATES = ("postgres", "template1")  # PUBLIC is emptied there too (ROL-2)


def resources(design: Design, reading: Reading) -> Iterator[Resource]:
    """Yield the managed databases and the grants on them, `postgres` and `template1`."""
    names = [database.name for database in design.stead.all(Database)]
    for row in reading.rows(query("databases", reading.major), {"names": names}):
        yield _database(row)
    watched = {"names": [*names, *_TEMPLATES]}
    for row in reading.rows(query("database_grants", reading.major), watched):
        name = row["name"]
        yield Grant(name, "database", name, row["grantee"], tuple(row["privileges"]))


def _database(row: dict[str, Any]) -> Database:
    provider = _PROVIDERS[row["provider"]]
    return Database(
        row["name"],
        row["owner"],
        encoding=row["encoding"],
        locale_provider=provider,
        locale=row["libc_locale"] if provider == "libc" else row["other_locale"],
        connection_limit=row["connection_limit"],
        allow_connections=row["allow_connections"],
    )


def inside(design: Design, reading: Reading, database: str) -> Iterator[Resource]:
    """Yield what lies within one database."""
    stead, major = design.stead, reading.major
    schemas = [s.name for s in stead.all(Schema) if s.database == database]
    for row in reading.rows(query("schemas", major), {"names": schemas}, database):
        yield Schema(database, row["name"], row["owner"])
    extensions = [e.name for e in stead.all(Extension) if e.database == database]
    for row in reading.rows(query("extensions", major), {"names": extensions}, database):
        yield Extension(database, row["name"])
    yield from _routines(design, reading, database)
    for row in reading.rows(query("schema_grants", major), {"names": schemas}, database):
        privileges = tuple(row["privileges"])
        yield Grant(database, "schema", row["name"], row["grantee"], privileges)
    yield from _default_privileges(design, reading, database)
    yield from _relations(design, reading, database, schemas)


def _routines(design: Design, reading: Reading, database: str) -> Iterator[Routine]:
    wanted = {r.signature for r in design.stead.all(Routine) if r.database == database}
    for row in reading.rows(query("routines", reading.major), {}, database):
        if row["signature"] in wanted:
            yield Routine(
                database,
                row["signature"],
                row["owner"],
                source=row["source"].strip(),
                security_definer=row["security_definer"],
                settings=tuple(sorted(row["settings"])),
            )


def _default_privileges(
    design: Design, reading: Reading, database: str
) -> Iterator[DefaultPrivilege]:
    owners = [plan.owner for plan in design.databases if plan.name == database]
    values = {"owners": owners}
    for row in reading.rows(query("default_privileges", reading.major), values, database):
        row["privileges"] = tuple(row["privileges"])
        yield DefaultPrivilege(database, **row)


def _relations(
    design: Design, reading: Reading, database: str, schemas: list[str]
) -> Iterator[Grant]:
    """Yield wanted grants as found, and what goes beyond the default privileges.

    Who has less than the default is the migrations' business, who has more is drift.
    """
    values = {"schemas": schemas}
    for row in reading.rows(query("relation_grants", reading.major), values, database):
        found = Grant(
            database, row["object_type"], row["name"], row["grantee"], tuple(row["privileges"])
        )
        if design.stead.find(Grant, found.key) is not None:
            yield found
            continue
        if row["grantee"] == AUDITOR:
            continue  # observe.audited_tables tells of it
        beyond = set(found.privileges) - _expected(design, database, row)
        if beyond:
            yield Grant(
                database, found.object_type, found.object_name, found.grantee, tuple(sorted(beyond))
            )


def _expected(design: Design, database: str, row: dict[str, Any]) -> set[str]:
    """Return what the default privileges give; of the revision table only SELECT to the app."""
    apps = {plan.app for plan in design.databases}
    expected: set[str] = set()
    schema = row["name"].split(".", 1)[0]
    for default in design.stead.all(DefaultPrivilege):
        if (
            default.database == database
            and default.owner == row["owner"]
            and default.object_type == f"{row['object_type']}s"
            and default.grantee == row["grantee"]
            and default.schema in ("", schema)
        ):
            expected |= set(default.privileges)
    # Only the migrator moves the revision; an application that could would fool API-6.
    fixed = row["name"] == "public.alembic_version" and row["grantee"] in apps
    return expected & {"SELECT"} if fixed else expected
