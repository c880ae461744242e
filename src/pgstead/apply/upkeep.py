"""One chore of upkeep on a live server: as a role that may do little, watched, and stopped in time.

The session comes by the administrative socket and gives its rights up before it does anything:
for a role that may keep tables up and read none (PostgreSQL 17 and newer), or for the table's
owner. What would get in somebody's way is ended, and tried again another time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from pgstead.model.upkeep import APPLICATION, Chore, UpkeepPlan, Work

Connection = psycopg.Connection[dict[str, Any]]
_PAUSE = 0.25  # seconds between two looks at what goes on beside
_LOUD = 4  # looks in a row that have to find the server busy: one session more is no load
_PATIENCE = 60.0  # seconds that a statement may take to notice that it was cancelled
_AS_IT_IS = (Work.RESET, Work.REORGANIZE)  # their functions are the superuser's
_SESSION = (
    ("application_name", APPLICATION),
    ("statement_timeout", "0"),
    # who is killed leaves no statement behind (a socket that is closed is noticed)
    ("client_connection_check_interval", "2s"),
    ("max_parallel_maintenance_workers", "0"),
)
_BESIDE = """
    SELECT count(*) FILTER (WHERE a.state = 'active' AND a.backend_type = 'client backend'
                            AND a.application_name <> %(us)s
                            AND a.pid <> pg_backend_pid()) AS active
    FROM pg_stat_activity AS a
"""
# waitstart is set a moment after the wait begins, and pg_blocking_pids() takes every partition of
# the lock table: asked of those alone that wait for long.
_WAITING = """
    SELECT l.pid, a.application_name AS name
    FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE NOT l.granted AND l.waitstart < clock_timestamp() - make_interval(secs => %(after)s)
      AND %(pid)s = ANY (pg_blocking_pids(l.pid)) AND a.backend_type = 'client backend'
    LIMIT 1
"""
_HOLDER = """
    SELECT l.pid, a.application_name AS name, l.mode
    FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.granted AND l.relation = to_regclass(%(table)s) AND a.application_name <> %(us)s
    ORDER BY l.mode IN ('AccessShareLock', 'RowExclusiveLock'), l.pid LIMIT 1
"""
_LEFT = r"""
    SELECT n.nspname::text AS schema, x.relname::text AS name
    FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = x.relnamespace
    WHERE i.indrelid = (SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%(index)s))
      AND NOT i.indisvalid AND x.relname ~ '_cc(new|old)\d*$'
"""


class PutOffError(Exception):
    """The chore could not be done now."""


class ChoreError(Exception):
    """The chore failed."""


@dataclass
class Window:
    """How long there is, and who may end it before."""

    deadline: float  # monotonic seconds
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.deadline - time.monotonic()


class Watch:
    """Looks at what goes on beside a chore."""

    def __init__(self, connection: Connection, plan: UpkeepPlan, window: Window) -> None:
        """Look by a connection of its own."""
        self._connection = connection
        self._plan = plan
        self._window = window
        self._loud = 0

    def busy(self) -> str:
        """Say what is too much to begin now, empty where nothing is."""
        began = time.monotonic()
        self._connection.execute("SELECT 1")
        took = time.monotonic() - began
        if took > self._plan.latency:
            return f"an empty question took {took * 1000:.0f} ms"
        row = self._connection.execute(_BESIDE, {"us": APPLICATION}).fetchone()
        active = row["active"] if row is not None else 0
        return f"{active} sessions are active" if active >= self._plan.sessions else ""

    def reason(self, chore: Chore, pid: int) -> str:
        """Say why a chore has to end now, empty where it may go on."""
        if self._window.stop.is_set():
            return "who does it is to end"
        values = {"pid": pid, "after": self._plan.yields_after}
        waiting = self._connection.execute(_WAITING, values).fetchone()
        if waiting is not None:
            return f"session {waiting['pid']} ({waiting['name'] or 'no name'}) waited for it"
        if chore.urgent:
            return ""
        if self._window.left <= 0:
            return "the window was over"
        told = self.busy()
        self._loud = self._loud + 1 if told else 0
        return told if self._loud >= _LOUD else ""

    def await_calm(self, chore: Chore) -> None:
        """Wait until the server has little to do. Raises PutOffError where it does not in time."""
        told = ""
        while not chore.urgent and (told := self.busy()):
            if self._window.left <= 0 or self._window.stop.wait(_PAUSE * 4):
                raise PutOffError(f"the server was busy all the time: {told}")

    def holder(self, chore: Chore) -> str:
        """Say who holds a lock on the table, as far as that is seen now."""
        name = sql.Identifier(chore.schema, chore.table).as_string(self._connection)
        values = {"table": name, "us": APPLICATION}
        row = self._connection.execute(_HOLDER, values).fetchone()
        if row is None:
            return ""
        return f": session {row['pid']} ({row['name'] or 'no name'}) has {row['mode']}"


def role_of(chore: Chore, plan: UpkeepPlan, superuser: str) -> str:
    """Return who does a chore: the least that may."""
    if chore.work in _AS_IT_IS:
        return superuser
    # an index is dropped by nobody but its owner
    if chore.work is Work.DROP or not plan.role or not chore.usable:
        return chore.owner
    return plan.role


def carry_out(
    connection: Connection, watch: Watch, chore: Chore, plan: UpkeepPlan, role: str
) -> None:
    """Do it. Raises PutOffError where it can't be done now, ChoreError where it failed."""
    try:
        with _as_role(connection, plan, role):
            _attended(connection, watch, chore)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        holder = watch.holder(chore)
        _sweep(connection, plan, chore)
        raise PutOffError(
            f"the lock was not to be had within {plan.lock_timeout:g} s{holder}"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        told = f"{role} may not: {_primary(error)}; `pgstead up` gives it its rights again"
        raise ChoreError(told) from error
    except psycopg.Error as error:
        _sweep(connection, plan, chore)
        raise ChoreError(_primary(error)) from error
    except (PutOffError, KeyboardInterrupt):
        _sweep(connection, plan, chore)
        raise


def _primary(error: psycopg.Error) -> str:
    told = error.diag.message_primary or " ".join(str(error).split())
    return f"{told} ({error.diag.message_detail})" if error.diag.message_detail else told


@contextmanager
def _as_role(connection: Connection, plan: UpkeepPlan, role: str) -> Generator[None]:
    delay = f"{plan.cost_delay * 1000:g}ms"
    settings = (
        *_SESSION,
        ("lock_timeout", f"{plan.lock_timeout * 1000:.0f}ms"),
        ("vacuum_cost_delay", delay),
        ("vacuum_cost_limit", str(plan.cost_limit)),
    )
    for name, value in settings:
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("RESET ROLE")


def _attended(connection: Connection, watch: Watch, chore: Chore) -> None:
    """Run the statement beside a look at everything else; end it where that says so."""
    warned: list[str] = []
    failed: list[BaseException] = []

    def noticed(notice: psycopg.errors.Diagnostic) -> None:
        # VACUUM of a table that one may not vacuum is no error
        if notice.severity_nonlocalized == "WARNING":
            warned.append(notice.message_primary or "")

    def work() -> None:
        try:
            connection.execute(statement(chore))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failed.append(error)

    connection.add_notice_handler(noticed)
    pid = connection.info.backend_pid
    thread = threading.Thread(target=work, name=f"upkeep {chore.key}")
    thread.start()
    reason = ""
    try:
        reason = _until_done(thread, lambda: watch.reason(chore, pid))
    finally:
        if thread.is_alive():
            connection.cancel()
            thread.join(_PATIENCE)
        connection.remove_notice_handler(noticed)
    if reason and failed:
        raise PutOffError(reason)
    if failed:
        raise failed[0]
    if warned:
        raise ChoreError("; ".join(warned))


def _until_done(thread: threading.Thread, reason: Callable[[], str]) -> str:
    while thread.is_alive():
        thread.join(_PAUSE)
        if thread.is_alive() and (told := reason()):
            return told
    return ""


def statement(chore: Chore) -> sql.Composed:
    """Return what a chore is in SQL. None of it can run in a transaction."""
    name = sql.Identifier(chore.schema, chore.name)
    match chore.work:
        case Work.FREEZE:
            return sql.SQL("VACUUM (FREEZE, ANALYZE) {}").format(name)
        case Work.VACUUM:
            return sql.SQL("VACUUM (ANALYZE) {}").format(name)
        case Work.ANALYZE:
            return sql.SQL("ANALYZE {}").format(name)
        case Work.DROP:
            return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name)
        case Work.REBUILD | Work.REINDEX:
            return sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(name)
        case Work.REORGANIZE:
            values = (sql.Literal(chore.schema), sql.Literal(chore.name))
            return sql.SQL("SELECT squeeze.squeeze_table({}, {})").format(*values)
        case Work.RESET:
            reset = sql.Identifier(chore.schema, "pg_stat_statements_reset")
            return sql.SQL("SELECT {}()").format(reset)


def _sweep(connection: Connection, plan: UpkeepPlan, chore: Chore) -> None:
    """Remove what a REINDEX that ended early left; what cannot be is found by the next run."""
    if chore.work not in (Work.REINDEX, Work.REBUILD) or connection.closed:
        return
    index = sql.Identifier(chore.schema, chore.name).as_string(connection)
    try:
        left = connection.execute(_LEFT, {"index": index}).fetchall()
        with _as_role(connection, plan, chore.owner):
            for row in left:
                name = sql.Identifier(row["schema"], row["name"])
                connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
    except psycopg.Error:
        return
