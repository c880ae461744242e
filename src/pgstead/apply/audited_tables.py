"""Effects on object auditing: the privileges that pgaudit's role has, and never uses."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from pgstead.apply.session import Session, Statement
from pgstead.design.names import AUDITOR
from pgstead.model.audited_tables import AuditedTables
from pgstead.model.design import Design
from pgstead.model.operation import Operation
from pgstead.observe.audited_tables import GRANTED, Audited, tables


def grants(operation: Operation, design: Design, session: Session) -> None:
    """Give pgaudit's role on each table what is to be recorded of it, and nothing else."""
    resource = operation.resource
    assert isinstance(resource, AuditedTables)
    database = resource.database
    classes = design.audit.classes if design.audit is not None and operation.after else ()
    for table in tables(session.rows(sql.SQL(GRANTED), database), database, classes):
        if table.found != table.wanted:
            session.run(*_granted(table), database=database)


def _granted(table: Audited) -> list[Statement]:
    name, auditor = sql.Identifier(table.schema, table.table), sql.Identifier(AUDITOR)
    statements: list[Statement] = [sql.SQL("REVOKE ALL ON {} FROM {}").format(name, auditor)]
    if table.wanted:
        words = sql.SQL(", ").join(map(sql.SQL, _words(table.wanted)))
        statements.append(sql.SQL("GRANT {} ON {} TO {}").format(words, name, auditor))
    return statements


def _words(privileges: frozenset[str]) -> list[LiteralString]:
    return [w for w in ("SELECT", "INSERT", "UPDATE", "DELETE") if w in privileges]
