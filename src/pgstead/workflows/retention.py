"""Retention: what is too old goes, in small batches, counted, and written down.

Each database's administrator does it, whom a policy of their own lets see the rows of all tenants
(TEN-7): never the superuser, whom triggers would run as. Where row-level security hides rows from
the administrator nothing is removed there, and that is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgstead.app.policies import quoted
from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Task
from pgstead.model.design import DatabasePlan, Design
from pgstead.model.integrity import Integrity
from pgstead.model.retention import Due, Removed, Rule
from pgstead.observe.integrity import Looking
from pgstead.observe.row_checks import hidden
from pgstead.ports import Ports
from pgstead.ports.backup import BackupCatalog
from pgstead.workflows.row_removal import Connection, Removal, Table, table_of, unlinking
from pgstead.workflows.runs import TableRun, care_of, table_by_table

PROGRAM = "pgstead retention"
_HIDDEN = "row-level security hides rows from the administrator: a policy `USING (true)` shows them"
_ALL = "every row is due: is the clock right? `pgstead retention run` removes them"
_MANY = 1000  # rows; fewer may all be due on an ordinary day
_KEEP_FOR = """
    SELECT extract(epoch FROM keep_for)::float8 AS seconds FROM {} WHERE relation = {}
"""

Rules = Mapping[str, tuple[Rule, ...]]  # by database
Directories = Mapping[str, str]  # of files, by database


def due(design: Design, ports: Ports, rules: Rules, at: datetime | None = None) -> tuple[Due, ...]:
    """Count what a run would remove, exactly; `at` is another moment than the server's now.

    Raises NotRunningError, SqlError.
    """
    return tuple(
        found
        for plan, connection in _databases(design, ports, rules)
        for rule in rules[plan.name]
        for found in [_due(connection, plan, rule, at)]
    )


def _databases(
    design: Design, ports: Ports, rules: Rules
) -> Iterator[tuple[DatabasePlan, Connection]]:
    for plan in design.databases:
        if rules.get(plan.name):
            with care_of(ports).accounts.connect(plan.admin, plan.name, PROGRAM) as connection:
                yield plan, connection


def _due(connection: Connection, plan: DatabasePlan, rule: Rule, at: datetime | None) -> Due:
    table, why = _table(connection, plan, rule)
    if table is None:
        return Due(plan.name, rule.table, rule.by, None, None, why=why)
    before = moment_of(connection, rule, at)
    connection.execute("SET statement_timeout = 0")
    files = sql.Identifier("c", rule.files) if rule.files else sql.SQL("NULL")
    row = connection.execute(
        sql.SQL("SELECT count(*) AS rows, count({}) AS files FROM {} AS c WHERE {}").format(
            files, table.identifier, table.due(before)
        )
    ).fetchone()
    assert row is not None
    return Due(plan.name, rule.table, rule.by, before, row["rows"], row["files"])


def _table(connection: Connection, plan: DatabasePlan, rule: Rule) -> tuple[Table | None, str]:
    """Return a table, or why nothing may be removed of it."""
    looking = Looking(connection, plan.name, 0, Integrity(), lambda _: None)
    for command in ("r", "d"):
        concealed = hidden(looking, rule.table, command)
        if concealed is None:
            return None, "there is no such table: `pgstead migrate up`"
        if concealed:
            return None, _HIDDEN
    table = table_of(connection, rule)
    return table, "" if table is not None else "it has no primary key"


def moment_of(connection: Connection, rule: Rule, at: datetime | None = None) -> datetime:
    """Return the moment before which rows are due, by the server's clock."""
    seconds = rule.seconds
    if rule.rules:
        given = sql.SQL(_KEEP_FOR).format(
            sql.Identifier(rule.rules), sql.Literal(rule.table.partition(".")[2])
        )
        row = connection.execute(given).fetchone()
        seconds = seconds if row is None or row["seconds"] is None else float(row["seconds"])
    now = at
    if now is None:
        row = connection.execute("SELECT now() AS now").fetchone()
        assert row is not None
        now = row["now"]
    return now - timedelta(seconds=seconds)


def run(
    design: Design, ports: Ports, rules: Rules, cause: str, *,
    directories: Directories | None = None, at: datetime | None = None,
) -> tuple[Removed, ...]:  # fmt: skip
    """Remove what is due; return what was removed of each table.

    A table that cannot be done is told, and the others are done. A scheduled run does not empty a
    large table: a clock that jumped makes everything look old. Raises BusyError where one runs.
    """
    done: list[Removed] = []
    with table_by_table(ports, Task.RETENTION, cause, done, told, at) as running:
        running.record.detail |= _cut_short(care_of(ports).runs, running.record.number)
        for plan, connection in _databases(design, ports, rules):
            root = (directories or {}).get(plan.name, "")
            for rule in rules[plan.name]:
                removed = Removed(plan.name, rule.table)
                done.append(removed)
                _remove(running, connection, plan, rule, removed, root)
    return tuple(done)


def _cut_short(runs: BackupCatalog, number: int) -> dict[str, object]:
    """Say which run this one goes on after: the one before it, where that came to no end."""
    before = next((r for r in runs.runs(Task.RETENTION, limit=5) if r.number < number), None)
    if before is None or before.ending not in (Ending.KILLED, Ending.INTERRUPTED):
        return {}
    return {"goes_on_after": before.number}


def told(done: list[Removed]) -> dict[str, object]:
    """Return what a run keeps of itself."""
    said = ", ".join(_said(r) for r in done if r.rows or r.under_way)
    return {"told": said or "nothing was due", "tables": [asdict(r) for r in done]}


def _said(removed: Removed) -> str:
    more = f" and at most {removed.under_way} more" if removed.under_way else ""
    return f"{removed.table} {removed.rows}{more}"


def _remove(
    running: TableRun, connection: Connection, plan: DatabasePlan, rule: Rule, removed: Removed,
    root: str,
) -> None:  # fmt: skip
    ports = running.ports

    def tell(so_far: Removed) -> None:
        ports.progress.step(f"{plan.name} {rule.table}: {so_far.rows} rows removed")
        running.note()

    try:
        table, removed.why = _table(connection, plan, rule)
        if table is None:
            return
        removed.before = moment_of(connection, rule, running.at)
        if running.cause != "command" and _everything(connection, table, removed.before):
            removed.why = _ALL
            return
        unlink = unlinking(Path(root)) if rule.files and root else None
        if rule.files and not root:
            removed.why = _with_files(connection, table, removed.before)
            table = replace(table, rule=_without_files(rule))
        Removal(connection, table, removed.before, removed, unlink, tell).run()
    except (psycopg.Error, SteadError) as error:
        if connection.closed:
            raise
        removed.why = " ".join(str(error).split())
    finally:
        if removed.rows or removed.under_way:
            ports.journal.record(
                "retention removed", database=plan.name, table=rule.table, rows=removed.rows,
                at_most_more=removed.under_way or None, files=removed.files,
                before=removed.before,
            )  # fmt: skip


def _without_files(rule: Rule) -> Rule:
    """Return the rule for rows that name no file: whose file nobody finds, it would stay."""
    no_file = f"{quoted(rule.files)} IS NULL"
    return replace(rule, where=f"({rule.where}) AND {no_file}" if rule.where else no_file)


def _with_files(connection: Connection, table: Table, before: datetime) -> str:
    connection.execute("SET statement_timeout = 0")
    row = connection.execute(
        sql.SQL("SELECT count({}) AS files FROM {} AS c WHERE {}").format(
            sql.Identifier("c", table.rule.files), table.identifier, table.due(before)
        )
    ).fetchone()
    if row is None or not row["files"]:
        return ""
    return f"{row['files']} rows name files: databases.files has to say where those lie"


def _everything(connection: Connection, table: Table, before: datetime) -> bool:
    """Say whether a table that is not small would be emptied."""
    connection.execute("SET statement_timeout = 0")
    row = connection.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM (SELECT FROM {t} AS c LIMIT {many}) AS few) = {many}"
            " AND NOT EXISTS (SELECT FROM {t} AS c WHERE NOT ({due})) AS whole"
        ).format(t=table.identifier, many=sql.Literal(_MANY), due=table.due(before))
    ).fetchone()
    return bool(row and row["whole"])


def last(ports: Ports) -> Mapping[str, Any] | None:
    """Return what the last run that ended kept of itself."""
    runs = care_of(ports).runs.runs(Task.RETENTION, limit=20)
    return next((r.detail for r in runs if r.ending in (Ending.DONE, Ending.FAILED)), None)
