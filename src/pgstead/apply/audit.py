"""Effects on change histories: the table, its function, the triggers that feed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources as packaged
from types import MappingProxyType
from typing import LiteralString, cast

from psycopg import sql

from pgstead.apply.session import Session, Statement
from pgstead.model.audit import HISTORY_SCHEMA, HistoryPlan
from pgstead.model.design import Design
from pgstead.model.operation import Operation
from pgstead.model.resources import ChangeHistory
from pgstead.observe import audit
from pgstead.observe.sql_files import query

_EVENTS: Mapping[str, LiteralString] = MappingProxyType({
    "row": "AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW",
    "insert": "AFTER INSERT ON {} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT",
    "update": "AFTER UPDATE ON {} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"
    " FOR EACH STATEMENT",
    "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT",
    "truncate": "AFTER TRUNCATE ON {} FOR EACH STATEMENT",
})  # fmt: skip
# A trigger waits for all writers of its table, and they for it: not for long.
_PATIENCE = sql.SQL("SET LOCAL lock_timeout = '5s'")


def history(operation: Operation, design: Design, session: Session) -> None:
    """Make the history of a database what is wanted; its rows stay whatever is wanted."""
    resource = operation.resource
    assert isinstance(resource, ChangeHistory)
    database = resource.database
    plans = design.audit.histories if design.audit is not None else ()
    plan = next((p for p in plans if p.database == database), None)
    if isinstance(operation.after, ChangeHistory) and plan is not None:
        text = (packaged.files("pgstead.apply") / "change_history.sql").read_text("utf-8")
        tables = sql.SQL(cast("LiteralString", text))
        session.run(tables, *_functions(operation.after), database=database)
    _feed(plan, design.build.major, session, database)


def _functions(wanted: ChangeHistory) -> Iterator[Statement]:
    for name, source in (
        (audit.ROWS, wanted.for_rows),
        (audit.STATEMENTS, wanted.for_statements),
    ):
        function = sql.Identifier(HISTORY_SCHEMA, name)
        yield sql.SQL(
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp AS {}"
        ).format(function, sql.Literal(f"\n{source}\n"))
        yield sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function)


def _feed(plan: HistoryPlan | None, major: int, session: Session, database: str) -> None:
    """Give each table its triggers, or take them; one transaction each, so that none waits long."""
    rows = session.rows(sql.SQL(query("change_history", major)), database)
    for table in audit.tables(rows, plan):
        if table.right if table.wanted else not table.found:
            continue
        name = sql.Identifier(table.schema, table.table)
        changes: list[Statement] = [
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger), name)
            for trigger in table.found
        ]
        if table.wanted:
            changes.extend(_made(table, name))
        session.run(_PATIENCE, *changes, database=database)


def _made(table: audit.Fed, name: sql.Identifier) -> Iterator[Statement]:
    told = sql.SQL(", ").join(map(sql.Literal, table.arguments))
    for trigger in table.triggers:
        made, function = (
            sql.Identifier(trigger.name),
            sql.Identifier(HISTORY_SCHEMA, trigger.function),
        )
        when = sql.SQL(_EVENTS[trigger.event]).format(name)
        yield sql.SQL("CREATE TRIGGER {} {} EXECUTE FUNCTION {}({})").format(
            made, when, function, told
        )
        # also where session_replication_role is replica
        yield sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(name, made)
