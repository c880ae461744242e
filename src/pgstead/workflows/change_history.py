"""The change history in the databases: its partitions, its seals in the trail, its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pgstead.model.audit import AuditPlan, Event, Flaw, HistoryPlan, Kind, Outcome
from pgstead.observe.seals import broken_seals, sealed, seals
from pgstead.ports import Sql
from pgstead.ports.audit import AuditPorts

if TYPE_CHECKING:
    from pgstead.ports.audit import TrailStore

_AHEAD = 2  # months whose partitions are there before they begin
_SEALED = 10_000  # rows of one seal, about
_NOTE = "sealed"  # up to which transaction, by database
_THERE = "SELECT to_regclass('pgstead_audit.change') IS NOT NULL AS there"
_PARTITIONS = """
    SELECT c.relname AS name FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'pgstead_audit.change'::regclass
"""
_PATIENCE = "SET LOCAL lock_timeout = '2s'"
# Whoever writes to a table with a history waits behind who wants a partition of it gone.
_HASTE = "SET LOCAL lock_timeout = '100ms'"
# What is below it has ended, one way or the other: no row comes there any more
# (https://www.postgresql.org/docs/18/functions-info.html, pg_snapshot_xmin).
_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon"
_BOUND = """
    SELECT transaction::text AS bound FROM pgstead_audit.change
    WHERE transaction >= %(from)s::xid8 AND transaction < %(to)s::xid8
    ORDER BY transaction, id OFFSET %(most)s LIMIT 1
"""
_ROWS = """
    SELECT at, transaction::text AS transaction, pid, role, application, client, tenant, app_user,
           correlation_id, operation, schema_name, table_name, key, columns, before, after
    FROM pgstead_audit.change WHERE at >= %(since)s AND at < %(until)s ORDER BY at, id
"""


def keep(plan: AuditPlan, port: Sql, ports: AuditPorts) -> int:
    """Make partitions ahead, drop those past retention, seal what is new; return the seals."""
    sealed = 0
    for history in plan.histories:
        with port.connect(history.database) as connection:
            row = connection.execute(_THERE).fetchone()
            if row is None or not row["there"]:
                continue
            _partition(connection)
            for name, before in _expired(connection, history):
                _drop(connection, name, before, history, ports)
            sealed += _seal(connection, history, ports)
    return sealed


def _partition(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Make the partitions of this month and the next ones; a busy table is tried again later."""
    there = {str(row["name"]) for row in connection.execute(_PARTITIONS)}
    first = datetime.now(UTC).date().replace(day=1)
    for _ in range(_AHEAD + 1):
        after = (first + timedelta(days=32)).replace(day=1)
        if (name := f"change_{first:%Y_%m}") not in there:
            made, bounds = sql.Identifier("pgstead_audit", name), (f"{first}+00", f"{after}+00")
            # the default partition takes what comes meanwhile, and then keeps it
            with (
                suppress(psycopg.errors.LockNotAvailable, psycopg.errors.CheckViolation),
                connection.transaction(),
            ):
                connection.execute(_PATIENCE)
                connection.execute(_ALONE)
                if name not in {str(row["name"]) for row in connection.execute(_PARTITIONS)}:
                    connection.execute(_ALIKE.format(made))
                    connection.execute(_ATTACHED.format(made, *bounds))
        first = after


# In two steps: CREATE ... PARTITION OF would lock out who writes and who reads. ATTACH locks the
# default partition alone, which nobody writes to.
_ALONE = "LOCK TABLE pgstead_audit.change IN SHARE UPDATE EXCLUSIVE MODE"  # of two who make it
_ALIKE = sql.SQL("CREATE TABLE {} (LIKE pgstead_audit.change INCLUDING DEFAULTS)")
_ATTACHED = sql.SQL(
    "ALTER TABLE pgstead_audit.change ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
)


def _expired(
    connection: psycopg.Connection[dict[str, Any]], history: HistoryPlan
) -> Iterator[tuple[str, date]]:
    limit = (datetime.now(UTC) - timedelta(seconds=history.retention)).date()
    for row in connection.execute(_PARTITIONS).fetchall():
        name = str(row["name"])
        try:
            month = datetime.strptime(f"{name}_01+0000", "change_%Y_%m_%d%z").date()
        except ValueError:
            continue
        end = (month + timedelta(days=32)).replace(day=1)
        if end <= limit:
            yield name, end


def _drop(
    connection: psycopg.Connection[dict[str, Any]], name: str, before: date,
    history: HistoryPlan, ports: AuditPorts,
) -> None:  # fmt: skip
    told = Event(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"), kind=Kind.EXPIRED,
        database=history.database, what=f"{name} was removed by retention",
        detail={"history": history.database, "before": before.isoformat()},
    )  # fmt: skip
    with (
        ports.trail.writing(),
        suppress(psycopg.errors.LockNotAvailable),
        connection.transaction(),
    ):
        connection.execute(_HASTE)
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("pgstead_audit", name)))
        # told before it is certain: rows that are gone untold would be missed for ever
        ports.trail.append([told.told()])


def _seal(
    connection: psycopg.Connection[dict[str, Any]], history: HistoryPlan, ports: AuditPorts
) -> int:
    count = 0
    begin = _sealed_up_to(ports.trail, history.database)
    horizon = _one(connection, _HORIZON)["horizon"]
    if int(begin) > int(horizon):
        begin = "0"  # a restore has set the transaction ids back
    while True:
        bounds = {"from": begin, "to": horizon, "most": _SEALED}
        further = connection.execute(_BOUND, bounds).fetchone()
        end = further["bound"] if further is not None and further["bound"] != begin else horizon
        seal = sealed(connection, history.database, begin, end)
        if seal is None:
            return count
        told = Event(
            at=datetime.now(UTC).isoformat(timespec="milliseconds"), kind=Kind.SEAL,
            database=history.database, what=f"{seal.rows} changes sealed", detail=asdict(seal),
        )  # fmt: skip
        with ports.trail.writing():
            ports.trail.append([told.told()])
            notes = ports.trail.notes()
            sealed_to = {**notes.get(_NOTE, {}), history.database: end}
            ports.trail.note({**notes, _NOTE: sealed_to})
        count += 1
        begin = end


def _one(
    connection: psycopg.Connection[dict[str, Any]], statement: Any, values: Any = None
) -> dict[str, Any]:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row


def _sealed_up_to(trail: TrailStore, database: str) -> str:
    """Return where the next seal begins; without notes the trail itself tells."""
    noted = trail.notes().get(_NOTE, {})
    if database in noted:
        return str(noted[database])
    mine = (s.end for s in seals(r for _, r in trail.records() if r is not None)
            if s.database == database)  # fmt: skip
    return max(mine, key=int, default="0")


def compare(port: Sql, ports: AuditPorts) -> tuple[int, tuple[Flaw, ...]]:
    """Compare each seal with the rows that it seals; return how many, and what differs."""
    flaws: list[Flaw] = []
    told = seals(r for _, r in ports.trail.records() if r is not None)
    for database in dict.fromkeys(s.database for s in told):
        mine = [s for s in told if s.database == database]
        with port.connect(database, read_only=True) as connection:
            flaws += broken_seals(connection, mine)
    return len(told), tuple(flaws)


def changes(
    plan: AuditPlan, port: Sql, since: datetime, until: datetime
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of all histories as events, in time within each database."""
    for history in plan.histories:
        with port.connect(history.database, read_only=True) as connection:
            if not _one(connection, _THERE)["there"]:
                continue
            for row in connection.execute(_ROWS, {"since": since, "until": until}):
                yield _event(history.database, row).told()


def _event(database: str, row: Mapping[str, Any]) -> Event:
    table = str(row["table_name"])
    schema = str(row["schema_name"])
    detail = {
        name: row[name] for name in ("key", "columns", "before", "after") if row[name] is not None
    }
    return Event(
        at=row["at"].isoformat(timespec="milliseconds"),
        kind=Kind.CHANGE,
        outcome=Outcome.DONE,
        role=row["role"],
        database=database,
        application=row["application"],
        client=row["client"],
        tenant=row["tenant"] or "",
        user=row["app_user"] or "",
        correlation_id=row["correlation_id"] or "",
        transaction=row["transaction"],
        what=row["operation"],
        objects=(table if schema == "public" else f"{schema}.{table}",),
        detail={"pid": row["pid"], **detail},
    )
