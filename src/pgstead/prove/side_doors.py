"""The ways around row-level security are closed (docs/how-to/keep-tenants-apart.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.prove.finding import Finding
from pgstead.prove.promise import promise
from pgstead.prove.row_security import Declaration
from pgstead.prove.tenancy import protected
from pgstead.prove.witness import Witness

if TYPE_CHECKING:
    from pgstead.model.design import DatabasePlan
    from pgstead.prove.session import Session

TENANCY = Capability.TENANCY
_NEEDS = ("door", "schema")


@promise(
    "TEN-020",
    "the application cannot switch policies off, step out of them, nor empty a table under them",
    requirement="TEN-1 TEN-7",
    capability=TENANCY,
    needs=_NEEDS,
)
def policies_cannot_be_left(w: Witness) -> Iterator[Finding]:
    for plan, declarations in protected(w):
        for door in w.doors:
            with w.session(plan.app, plan.name, door.name) as session:
                yield from _cannot_be_left(session, plan, declarations)


def _cannot_be_left(
    session: Session, plan: DatabasePlan, declarations: Iterable[Declaration]
) -> Iterator[Finding]:
    yield session.must_refuse(sql.SQL("SET ROLE {}").format(sql.Identifier(plan.owner)))
    for declaration in declarations:
        table = sql.Identifier("public", declaration.table)
        for statement in (
            "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
            "CREATE POLICY mine ON {} USING (true)",
            "DROP POLICY tenant_isolation_policy ON {}",
            "TRUNCATE {} CASCADE",
        ):
            yield session.must_refuse(sql.SQL(statement).format(table))
        with session.undone():
            session.ask("SET LOCAL row_security = off")
            # PostgreSQL refuses here what it would have filtered
            count = sql.SQL("SELECT count(*) FROM {}").format(table)
            yield session.must_refuse(count)


_PRIVILEGES = """
SELECT c.oid::regclass::text, g.grantee::regrole::text, g.privilege_type
FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS g
WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND g.grantee <> 0
  AND pg_has_role(%s, g.grantee, 'USAGE')
  AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN') ORDER BY 1, 2, 3
"""


@promise(
    "TEN-021",
    "the application has no privilege on a protected table that policies do not bind",
    requirement="TEN-1",
    capability=TENANCY,
    needs=("schema",),
)
def privileges_are_bound(w: Witness) -> Iterator[Finding]:
    for plan, _declarations in protected(w):
        told = w.look(_PRIVILEGES, [plan.app], plan.name)
        yield told.shows(
            holds=not told.value,
            expected="no row",
            hint="TRUNCATE, REFERENCES, TRIGGER and MAINTAIN know no policies: revoke them",
        )


# What the application can read that reads a protected table, at any depth: through views of views.
_READERS = """
WITH RECURSIVE reads AS (
    SELECT DISTINCT r.ev_class AS view, d.refobjid AS source
    FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
     AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
), reach AS (
    SELECT view FROM reads JOIN pg_catalog.pg_class AS c ON c.oid = source AND c.relrowsecurity
    UNION
    SELECT reads.view FROM reads JOIN reach ON reads.source = reach.view
)
SELECT v.oid::regclass::text, CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END
FROM reach JOIN pg_catalog.pg_class AS v ON v.oid = reach.view
WHERE has_any_column_privilege(%s, v.oid, 'SELECT')
  AND (v.relkind = 'm' OR NOT EXISTS (
       SELECT FROM unnest(v.reloptions) AS o
       WHERE o IN ('security_invoker=true', 'security_invoker=on', 'security_invoker=1')))
ORDER BY 1
"""


@promise(
    "TEN-022",
    "no view shows the application what policies hide: views ask as who reads them",
    requirement="TEN-1",
    capability=TENANCY,
    needs=("schema",),
)
def views_ask_as_their_reader(w: Witness) -> Iterator[Finding]:
    for plan, _declarations in protected(w):
        told = w.look(_READERS, [plan.app], plan.name)
        yield told.shows(
            holds=not told.value,
            expected="no row",
            hint="ALTER VIEW ... SET (security_invoker = true); REVOKE a materialized view",
        )


# A function with its owner's rights is bound by policies only where its owner is.
_DEFINERS = """
SELECT p.oid::regprocedure::text, p.proowner::regrole::text
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prosecdef AND (o.rolsuper OR o.rolbypassrls)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND has_function_privilege(%s, p.oid, 'EXECUTE')
  AND has_schema_privilege(%s, n.oid, 'USAGE') ORDER BY 1
"""


@promise(
    "TEN-023",
    "the application calls no function with the rights of a role that policies do not bind",
    requirement="TEN-1",
    capability=TENANCY,
    needs=("schema",),
)
def functions_are_bound(w: Witness) -> Iterator[Finding]:
    for plan, _declarations in protected(w):
        told = w.look(_DEFINERS, [plan.app, plan.app], plan.name)
        yield told.shows(
            holds=not told.value,
            expected="no row",
            hint="REVOKE EXECUTE, or make it SECURITY INVOKER",
        )


_CHILDREN = """
WITH RECURSIVE below AS (
    SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent AND p.relrowsecurity
    UNION
    SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN below ON i.inhparent = below.oid
)
SELECT c.oid::regclass::text FROM below JOIN pg_catalog.pg_class AS c USING (oid)
WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity) AND c.relkind IN ('r', 'p', 'f')
  AND (has_any_column_privilege(%s, c.oid, 'SELECT, INSERT, UPDATE')
       OR has_table_privilege(%s, c.oid, 'DELETE')) ORDER BY 1
"""


@promise(
    "TEN-024",
    "no partition of a protected table can be used past it",
    requirement="TEN-1",
    capability=TENANCY,
    needs=("schema",),
)
def partitions_are_closed(w: Witness) -> Iterator[Finding]:
    for plan, _declarations in protected(w):
        told = w.look(_CHILDREN, [plan.app, plan.app], plan.name)
        yield told.shows(
            holds=not told.value,
            expected="no row",
            hint="REVOKE ALL on partitions, or protect each of them too",
        )


PROMISES = (
    policies_cannot_be_left,
    privileges_are_bound,
    views_ask_as_their_reader,
    functions_are_bound,
    partitions_are_closed,
)
