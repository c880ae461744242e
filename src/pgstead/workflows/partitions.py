"""Partitions: made before their time, detached and dropped after it, without a long lock.

A partition is made as a table of its own and attached: that takes SHARE UPDATE EXCLUSIVE on the
parent, which nobody who reads or writes waits for; `CREATE TABLE ... PARTITION OF` would stop
everybody. It is detached CONCURRENTLY for the same reason
(https://www.postgresql.org/docs/current/sql-altertable.html). The owner does it, by the migrator's
login: never the superuser. Nobody else gets a privilege on a partition: by its own name it would
be a side door past the policies of its parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from pgstead.errors import SteadError
from pgstead.model.backup import Task
from pgstead.model.design import DatabasePlan, Design
from pgstead.model.partitions import Part, Partitioning, Rolled, Rollover, Wanted
from pgstead.plan.partitions import rollover
from pgstead.ports import Ports
from pgstead.workflows.runs import TableRun, care_of, table_by_table

PROGRAM = "pgstead partitions"
Connection = psycopg.Connection[dict[str, Any]]
Declared = Mapping[str, tuple[Partitioning, ...]]  # by database

_PATIENCE = "SET lock_timeout = '2s'"
_WAITING = "SET lock_timeout = '60s'"  # it waits for old transactions, and nobody waits for it
_PARENT = """
    SELECT p.partstrat::text AS strategy, c.relrowsecurity AS secured
    FROM pg_class AS c JOIN pg_partitioned_table AS p ON p.partrelid = c.oid
    WHERE c.oid = to_regclass(%(table)s)
"""
_PARTS = """
    SELECT c.relname::text AS name, pg_get_expr(c.relpartbound, c.oid) AS bound,
           i.inhdetachpending AS pending, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(%(table)s) ORDER BY c.relname
"""
# Written before a partition is detached: CONCURRENTLY commits before it can be dropped, and who is
# killed in between leaves a table that nobody would know of.
_MARK = "pgstead drops this partition of {table}, of what was until {upper}"
_MARKED = re.compile(r"pgstead drops this partition of (.+), of what was until (\S+)")
_DETACHED = """
    SELECT c.relname::text AS name, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS c JOIN pg_class AS p ON p.relnamespace = c.relnamespace
    WHERE p.oid = to_regclass(%(table)s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relowner = p.relowner AND starts_with(obj_description(c.oid, 'pg_class'), %(mark)s)
    ORDER BY c.relname
"""
_BETWEEN = re.compile(r"FROM \((?:'([^']+)'|MINVALUE)\) TO \((?:'([^']+)'|MAXVALUE)\)")
_REST = re.compile(r"modulus (\d+), remainder (\d+)")
_GRANTED = """
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS who
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE c.oid = to_regclass(%(table)s) AND a.grantee <> c.relowner
"""


def due(
    design: Design, ports: Ports, declared: Declared, at: datetime | None = None
) -> tuple[tuple[str, Partitioning, Rollover | None], ...]:
    """Return what a run would do to each table, None where it is not in parts."""
    found: list[tuple[str, Partitioning, Rollover | None]] = []
    for plan in _meant(design, declared):
        with care_of(ports).accounts.connect(plan.migrator, plan.name, PROGRAM) as connection:
            for wanted in declared[plan.name]:
                there = _parts(connection, wanted)
                what = None if there is None else rollover(wanted, there, _now(connection, at))
                found.append((plan.name, wanted, what))
    return tuple(found)


def _meant(design: Design, declared: Declared) -> list[DatabasePlan]:
    return [plan for plan in design.databases if declared.get(plan.name)]


def _now(connection: Connection, at: datetime | None) -> datetime:
    if at is not None:
        return at
    row = connection.execute("SELECT now() AS now").fetchone()
    assert row is not None
    return row["now"]


def _parts(connection: Connection, wanted: Partitioning) -> tuple[Part, ...] | None:
    """Return the partitions that there are; None where the table is not in parts."""
    parent = connection.execute(_PARENT, {"table": wanted.table}).fetchone()
    if parent is None:
        return None
    strategy = "h" if wanted.every is None else "r"
    if parent["strategy"] != strategy:
        raise SteadError(
            f"{wanted.table} is in parts in another way than the models say",
            hint="a migration has to change it: `pgstead.app.staged.partition`",
        )
    rows = connection.execute(_PARTS, {"table": wanted.table}).fetchall()
    attached = tuple(_part(row) for row in rows)
    return (*attached, *_detached(connection, wanted))


def _part(row: Mapping[str, Any]) -> Part:
    bound, marked = row["bound"] or "", _MARKED.fullmatch(row["comment"] or "") is not None
    part = Part(row["name"], pending=row["pending"], marked=marked)
    if told := _REST.search(bound):
        return replace(part, remainder=int(told[2]))
    if told := _BETWEEN.search(bound):
        return replace(part, lower=_moment(told[1]), upper=_moment(told[2]))
    return replace(part, default=True)


def _detached(connection: Connection, wanted: Partitioning) -> Iterator[Part]:
    """Yield the tables that were partitions, and that a run that was killed has not dropped."""
    mark, _, _ = _MARK.partition("{")
    for row in connection.execute(_DETACHED, {"table": wanted.table, "mark": mark}).fetchall():
        told = _MARKED.fullmatch(row["comment"])
        if told is not None and told[1] == wanted.table:
            yield Part(row["name"], upper=_moment(told[2]), marked=True, detached=True)


def _written(moment: datetime | None) -> str:
    assert moment is not None  # only what ends is too old
    return moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    told = datetime.fromisoformat(text)
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def run(
    design: Design, ports: Ports, declared: Declared, cause: str, at: datetime | None = None
) -> tuple[Rolled, ...]:
    """Make what is missing and drop what is too old; return what was done to each table.

    `at` is another moment than the server's now. A table whose lock is not to be had is told, and
    done next time. Where now is beyond every partition, a scheduled run makes new ones and drops
    nothing: a clock that jumped makes everything look old. Raises BusyError where one runs.
    """
    done: list[Rolled] = []
    with table_by_table(ports, Task.PARTITIONS, cause, done, told, at) as running:
        for plan in _meant(design, declared):
            _database(running, plan, declared[plan.name], done)
    return tuple(done)


def _database(
    running: TableRun, plan: DatabasePlan, declared: tuple[Partitioning, ...], done: list[Rolled]
) -> None:
    accounts = care_of(running.ports).accounts
    with accounts.connect(plan.migrator, plan.name, PROGRAM) as connection:
        # who is killed leaves no statement behind that waits for a lock
        connection.execute("SET client_connection_check_interval = '2s'")
        for wanted in declared:
            rolled = Rolled(plan.name, wanted.table)
            done.append(rolled)
            _roll(running, connection, wanted, rolled)


def told(done: list[Rolled]) -> dict[str, object]:
    """Return what a run keeps of itself."""
    said = [f"made {name}" for r in done for name in r.made]
    said += [f"dropped {name}" for r in done for name in r.dropped]
    return {"told": ", ".join(said) or "nothing was due", "tables": [asdict(r) for r in done]}


def _roll(running: TableRun, connection: Connection, wanted: Partitioning, rolled: Rolled) -> None:
    by_hand = running.cause == "command"
    try:
        there = _parts(connection, wanted)
        if there is None:
            rolled.why = "it is not in parts yet: `pgstead.app.staged.partition` in a migration"
            return
        what = rollover(wanted, there, _now(connection, running.at))
        _Table(running, connection, wanted, rolled).roll(what, dropping=not what.late or by_hand)
        if what.stray:
            names = ", ".join(part.name for part in what.stray)
            rolled.why = f"half detached, and not due: {names}; attach or drop it by hand"
        if what.late and not by_hand:
            rolled.why = "now was beyond every partition: is the clock right? nothing was dropped"
    except (psycopg.Error, SteadError) as error:
        if connection.closed:
            raise
        rolled.why = " ".join(str(error).split())


class _Table:
    """One table in parts."""

    def __init__(
        self, running: TableRun, connection: Connection, wanted: Partitioning, rolled: Rolled
    ) -> None:
        self._ports = running.ports
        self._note = running.note
        self._connection = connection
        self._wanted = wanted
        self._rolled = rolled
        self._schema, _, self._name = wanted.table.partition(".")

    def roll(self, what: Rollover, *, dropping: bool) -> None:
        for part in what.unmark:
            self._comment(part, None)
        for part in what.finish if dropping else ():
            self._ports.progress.step(f"finishing what was begun with {part.name}")
            if not part.detached:
                self._detach(part)
            self._drop(part)
        for part in what.make:
            self._ports.progress.step(f"making {part.name}")
            self._make(part)
        for part in what.drop if dropping else ():
            self._ports.progress.step(f"dropping {part.name}")
            self._detach(part)
            self._drop(part)

    @property
    def _parent(self) -> sql.Identifier:
        return sql.Identifier(self._schema, self._name)

    def _make(self, part: Wanted) -> None:
        child = sql.Identifier(self._schema, part.name)
        if part.lower is None:
            bound = sql.SQL("WITH (MODULUS {}, REMAINDER {})").format(
                sql.Literal(part.modulus), sql.Literal(part.remainder)
            )
        else:
            bound = sql.SQL("FROM ({}) TO ({})").format(
                sql.Literal(part.lower.isoformat()),
                sql.Literal(part.upper.isoformat() if part.upper else ""),
            )
        with self._connection.transaction():
            self._connection.execute(_PATIENCE)
            self._connection.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY)").format(
                    child, self._parent
                )
            )
            self._close(part.name, child)
            self._connection.execute(
                sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES {}").format(
                    self._parent, child, bound
                )
            )
        self._rolled.made.append(part.name)
        self._note()
        self._ports.journal.record(
            "partition made", database=self._rolled.database, table=self._wanted.table,
            partition=part.name,
        )  # fmt: skip

    def _close(self, name: str, child: sql.Identifier) -> None:
        """Take away what default privileges gave, and let no row be seen by its own name."""
        table = f"{self._schema}.{name}"
        for row in self._connection.execute(_GRANTED, {"table": table}).fetchall():
            who = sql.SQL(row["who"])  # quoted by the server
            self._connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(child, who))
        parent = self._connection.execute(_PARENT, {"table": self._wanted.table}).fetchone()
        if parent is not None and parent["secured"]:
            self._connection.execute(
                sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(child)
            )

    def _detach(self, part: Part) -> None:
        """Detach it, marked before as one that is dropped; where that fails it is none."""
        self._comment(part, _MARK.format(table=self._wanted.table, upper=_written(part.upper)))
        how = sql.SQL("FINALIZE" if part.pending else "CONCURRENTLY")
        self._connection.execute(_WAITING)
        try:
            self._connection.execute(
                sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(
                    self._parent, sql.Identifier(self._schema, part.name), how
                )
            )
        except psycopg.Error:
            if not self._connection.closed:
                with suppress(psycopg.Error):  # the next run does it
                    self._comment(part, None)
            raise

    def _comment(self, part: Part, text: str | None) -> None:
        self._connection.execute(_PATIENCE)
        self._connection.execute(
            sql.SQL("COMMENT ON TABLE {} IS {}").format(
                sql.Identifier(self._schema, part.name), sql.Literal(text)
            )
        )

    def _drop(self, part: Part) -> None:
        child = sql.Identifier(self._schema, part.name)
        row = self._connection.execute(
            sql.SQL("SELECT count(*) AS rows FROM {}").format(child)
        ).fetchone()
        rows = int(row["rows"]) if row is not None else 0
        self._connection.execute(_WAITING)  # it is detached: nobody queues behind
        self._connection.execute(sql.SQL("DROP TABLE {}").format(child))
        self._rolled.dropped.append(part.name)
        self._rolled.rows += rows
        self._note()
        self._ports.journal.record(
            "partition dropped", database=self._rolled.database, table=self._wanted.table,
            partition=part.name, rows=rows, until=part.upper,
        )  # fmt: skip
