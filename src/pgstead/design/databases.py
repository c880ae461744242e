"""Databases with their schemas, extensions, and who may do what (ROL-1, ROL-2)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources as packaged

from pgstead.design.names import (
    LEDGER_SCHEMA,
    LOOKUP,
    LOOKUP_FUNCTION,
    MONITOR,
    SCHEMA,
    SUPERUSER,
)
from pgstead.manifest.document import Manifest
from pgstead.model.address import Resource
from pgstead.model.design import DatabasePlan
from pgstead.model.host import ServerBuild
from pgstead.model.keys import KeyRing
from pgstead.model.resources import (
    Cluster,
    Database,
    DefaultPrivilege,
    Extension,
    Grant,
    Revision,
    Routine,
    Schema,
)

_READ = ("SELECT",)
_WRITE = ("DELETE", "INSERT", "SELECT", "UPDATE")
_KEEP = ("DELETE", "INSERT", "SELECT", "TRUNCATE", "UPDATE")


def provider(major: int, collation: str) -> str:
    """Return who sorts: the server itself for C.UTF-8 on 17 and newer, else libc.

    The builtin provider sorts the same on every machine and after every upgrade of libc
    (https://www.postgresql.org/docs/17/locale.html).
    """
    return "builtin" if major >= 17 and collation in ("C.UTF-8", "C") else "libc"


def cluster(build: ServerBuild, stead_id: str) -> Cluster:
    """Return the data directory that initdb makes: checksums on, UTF8 (SRV-7)."""
    locale = "C.UTF-8"
    return Cluster(
        major=build.major,
        checksums=True,
        encoding="UTF8",
        locale_provider=provider(build.born or build.major, locale),
        locale=locale,
        stead_id=stead_id,
    )


def resources(
    manifest: Manifest, build: ServerBuild, plans: tuple[DatabasePlan, ...], *, pooled: bool
) -> Iterator[Resource]:
    """Yield the databases with all that lies within. PUBLIC is granted nothing anywhere."""
    collations = {entry.name: entry.collation for entry in manifest.databases}
    yield Grant("postgres", "database", "postgres", MONITOR, ("CONNECT",))
    for plan in plans:
        collation = collations[plan.name]
        yield Database(
            plan.name,
            plan.owner,
            locale_provider=provider(build.born or build.major, collation),
            locale=collation,
        )
        yield Schema(plan.name, "public", plan.owner)
        if plan.migrations:
            yield Schema(plan.name, LEDGER_SCHEMA, plan.owner)
        for extension in plan.extensions:
            yield Extension(plan.name, extension)
        if pooled:
            yield from _lookup(plan)
        yield from _grants(plan)
        yield from _defaults(plan, build)
        if plan.models:
            # Whether a column is encrypted only the models know, and `up` imports no application:
            # the first such column finds its keys there.
            yield KeyRing(plan.name, 0o600)
        if plan.heads:
            yield Revision(plan.name, tuple(sorted(plan.heads)))


def _lookup(plan: DatabasePlan) -> Iterator[Resource]:
    """Yield the pooler's look-up: before 1.19 it has to be in every database (POL-2)."""
    source = packaged.files("pgstead.design") / "sql" / "pooler_lookup.sql"
    yield Schema(plan.name, SCHEMA, SUPERUSER)
    yield Routine(
        plan.name,
        LOOKUP_FUNCTION,
        SUPERUSER,
        source=source.read_text(encoding="utf-8").strip(),
        security_definer=True,
        settings=("search_path=pg_catalog, pg_temp",),
    )
    yield Grant(plan.name, "database", plan.name, LOOKUP, ("CONNECT",))
    yield Grant(plan.name, "schema", SCHEMA, LOOKUP, ("USAGE",))
    yield Grant(plan.name, "function", LOOKUP_FUNCTION, LOOKUP, ("EXECUTE",))


def _grants(plan: DatabasePlan) -> Iterator[Grant]:
    for role in (plan.app, plan.readonly, MONITOR):
        yield Grant(plan.name, "database", plan.name, role, ("CONNECT",))
    for role in (plan.admin, plan.migrator):
        # Maintenance and migrations may need temporary tables.
        yield Grant(plan.name, "database", plan.name, role, ("CONNECT", "TEMPORARY"))
    for role in (plan.app, plan.admin, plan.readonly, MONITOR):
        yield Grant(plan.name, "schema", "public", role, ("USAGE",))


def _defaults(plan: DatabasePlan, build: ServerBuild) -> Iterator[DefaultPrivilege]:
    """Yield what roles may do with objects that the owner will make."""
    keep = tuple(sorted((*_KEEP, "MAINTAIN"))) if build.major >= 17 else _KEEP
    wanted = (
        ("tables", plan.app, _WRITE),
        ("tables", plan.admin, keep),
        ("tables", plan.readonly, _READ),
        ("sequences", plan.app, ("SELECT", "USAGE")),
        ("sequences", plan.admin, ("SELECT", "UPDATE", "USAGE")),
        ("sequences", plan.readonly, _READ),
        # how many numbers are left (TEL-7); of tables it reads statistics alone
        ("sequences", MONITOR, _READ),
        ("functions", plan.app, ("EXECUTE",)),
        ("functions", plan.admin, ("EXECUTE",)),
        ("functions", plan.readonly, ("EXECUTE",)),
    )
    for object_type, grantee, privileges in wanted:
        yield DefaultPrivilege(plan.name, plan.owner, "public", object_type, grantee, privileges)
