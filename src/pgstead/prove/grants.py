"""Grants: PUBLIC holds nothing, who may do what is as designed, and new tables follow suit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.resources import Grant
from pgstead.prove.finding import Finding
from pgstead.prove.promise import promise
from pgstead.prove.scratch import scratch_name
from pgstead.prove.witness import Witness

DATABASES = Capability.DATABASES


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
    yield from w.nowhere(_TO_PUBLIC, "`pgstead up` revokes what it did not grant")


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


PROMISES = (
    public_creates_nothing,
    nothing_is_granted_to_public,
    default_privileges_work,
    grants_are_the_designed_ones,
)
