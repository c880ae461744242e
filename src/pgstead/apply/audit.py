"""Effects on change histories: the table, its function, the triggers that feed it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources as packaged
from typing import LiteralString, cast

from psycopg import sql

from pgstead.apply.session import Session, Statement
from pgstead.model.audit import HISTORY_SCHEMA, HistoryPlan
from pgstead.model.design import Design
from pgstead.model.operation import Operation
from pgstead.model.resources import ChangeHistory
from pgstead.observe import audit
from pgstead.observe.sql_files import query

_FUNCTION = sql.Identifier(HISTORY_SCHEMA, "record_change")
_TRIGGER = sql.Identifier("pgstead_audit_change")
_TRUNCATE = sql.Identifier("pgstead_audit_truncate")
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
        session.run(tables, *_function(operation.after), database=database)
    _feed(plan, design.build.major, session, database)


def _function(wanted: ChangeHistory) -> Iterator[Statement]:
    yield sql.SQL(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp AS {}"
    ).format(_FUNCTION, sql.Literal(f"\n{wanted.source}\n"))
    yield sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(_FUNCTION)


def _feed(plan: HistoryPlan | None, major: int, session: Session, database: str) -> None:
    """Give each table its triggers, or take them; one transaction each, so that none waits long."""
    rows = session.rows(sql.SQL(query("change_history", major)), database)
    for table in audit.tables(rows, plan):
        name = sql.Identifier(table.schema, table.table)
        if table.wanted and not table.right:
            session.run(_PATIENCE, *_triggers(name, table.arguments), database=database)
        elif table.fed and not table.wanted:
            gone = [
                sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(trigger, name)
                for trigger in (_TRIGGER, _TRUNCATE)
            ]
            session.run(_PATIENCE, *gone, database=database)


def _triggers(table: sql.Identifier, arguments: tuple[str, str, str]) -> Iterator[Statement]:
    told = sql.SQL(", ").join(map(sql.Literal, arguments))
    kinds: tuple[tuple[sql.Identifier, LiteralString, LiteralString], ...] = (
        (_TRIGGER, "AFTER INSERT OR UPDATE OR DELETE", "ROW"),
        (_TRUNCATE, "AFTER TRUNCATE", "STATEMENT"),
    )
    for trigger, events, each in kinds:
        yield sql.SQL(
            "CREATE OR REPLACE TRIGGER {} {} ON {} FOR EACH {} EXECUTE FUNCTION {}({})"
        ).format(trigger, sql.SQL(events), table, sql.SQL(each), _FUNCTION, told)
        # also where session_replication_role is replica
        yield sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(table, trigger)
