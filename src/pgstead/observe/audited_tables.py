"""Object auditing: what pgaudit's role may do to the tables of audited classes.

pgaudit records a statement of a session whose `pgaudit.role` has the privilege that the statement
needs on a table (https://github.com/pgaudit/pgaudit, Object Audit Logging).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgstead.model.audit import TableClass
from pgstead.model.audited_tables import AuditedTables
from pgstead.model.design import Design
from pgstead.observe.reading import Reading

WRITES = frozenset({"INSERT", "UPDATE", "DELETE"})
READS = frozenset({"SELECT"})
GRANTED = """
    SELECT n.nspname::text AS schema, c.relname::text AS table,
           coalesce(array_agg(a.privilege_type) FILTER (WHERE a.grantee = r.oid), '{}') AS granted
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS r ON r.rolname = 'pgstead_auditor'
    LEFT JOIN LATERAL aclexplode(c.relacl) AS a ON true
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Audited:
    """One table, and what pgaudit's role has on it and ought to have."""

    schema: str
    table: str
    found: frozenset[str]
    wanted: frozenset[str]

    @property
    def shown(self) -> str:
        """The name as people write it."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"


def resources(design: Design, reading: Reading, database: str) -> Iterator[AuditedTables]:
    """Yield the audited tables of a database, where pgaudit's role is there."""
    plan = design.audit
    classes = plan.classes if plan is not None and plan.pgaudit else ()
    told = tables(reading.rows(GRANTED, {}, database), database, classes)
    ungranted = tuple(t.shown for t in told if t.wanted and t.found != t.wanted)
    surplus = tuple(t.shown for t in told if t.found and not t.wanted)
    if surplus or (told and any(c.database == database for c in classes)):
        yield AuditedTables(database, ungranted, surplus)


def tables(
    rows: list[dict[str, Any]], database: str, classes: tuple[TableClass, ...]
) -> tuple[Audited, ...]:
    """Return every table of a database; none where pgaudit's role is not there."""
    mine = [c for c in classes if c.database == database]
    return tuple(_audited(row, mine) for row in rows)


def _audited(row: dict[str, Any], classes: list[TableClass]) -> Audited:
    schema, table = str(row["schema"]), str(row["table"])
    name = table if schema == "public" else f"{schema}.{table}"
    of = [c for c in classes if c.holds(name)]
    reads = READS if any(c.reads for c in of) else frozenset[str]()
    return Audited(schema, table, frozenset(row["granted"]), (WRITES | reads) if of else reads)
