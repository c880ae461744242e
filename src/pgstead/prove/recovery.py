"""What crashes comes back, and nothing that was acknowledged is lost. Interrupts service."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from pgstead.model.address import Capability
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import try_login
from pgstead.prove.promise import promise
from pgstead.prove.scratch import PREFIX, scratch_name
from pgstead.prove.session import Session
from pgstead.prove.witness import Witness

_PLACE = "postgres"
_RETURN = 30.0  # seconds within which what was killed has to answer again


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError) as error:
        raise CannotTryError(f"process {pid} could not be killed: {error}") from error


def _returns(w: Witness, what: str) -> Finding:
    """Judge whether every door lets an application in again."""
    plan = w.databases[0]
    with timed() as watch:
        back = w.wait_until(
            lambda: all(
                try_login(w.login(door, plan.app, plan.name, timeout=2)).value.refusal is None
                for door in w.doors
            ),
            _RETURN,
        )
    said = f"answering after {watch.seconds:.2f} s" if back else "no answer"
    told: Answer[bool | None] = answer(
        f"kill -9 {what}, then log in by every door", said, back, watch
    )
    return told.shows(
        holds=bool(back), expected=f"an answer within {_RETURN:g} s", hint="`pgstead logs`"
    )


@contextmanager
def _ledger(w: Witness) -> Generator[sql.Identifier]:
    """Make a scratch table on the administrative socket, and remove it whatever happens.

    A server that does not come back keeps it. So it is in nobody's database, where it would be
    taken for drift, and goes with the next attempt.
    """
    table = sql.Identifier("public", scratch_name())
    with w.backstage(_PLACE, write=True) as session:
        _sweep(session)
        session.connection.execute(sql.SQL("CREATE TABLE {} (n int PRIMARY KEY)").format(table))
    try:
        yield table
    finally:
        w.wait_until(w.access.ports.sql.answers, _RETURN)
        with w.backstage(_PLACE, write=True) as session:
            session.connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))


def _sweep(session: Session) -> None:
    left = session.connection.execute(
        "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'public'::regnamespace AND starts_with(relname::text, %s)",
        [PREFIX],
    ).fetchall()
    for (name,) in left:
        session.connection.execute(
            sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("public", name))
        )


def _acknowledged(w: Witness, table: sql.Identifier, pid: int) -> int:
    """Commit row after row, kill the server on the way; return the last acknowledged one."""
    acknowledged = 0
    insert = sql.SQL("INSERT INTO {} VALUES (%s)").format(table)
    with w.backstage(_PLACE, write=True) as session:
        try:
            for n in range(1, 100_000):
                session.connection.execute(insert, [n])
                acknowledged = n
                if n == 200:
                    _kill(pid)
        except psycopg.Error:
            return acknowledged
    raise CannotTryError("the server went on although it was killed")


@promise(
    "SRV-040",
    "a killed server is back by itself, and no acknowledged commit is lost",
    requirement="REL-1 REL-2 SRV-7",
    capability=Capability.SERVER,
    needs=("door", "database", "proc"),
    disruptive=True,
    limit=120,
)
def a_killed_server_returns_with_all_commits(w: Witness) -> Iterator[Finding]:
    with _ledger(w) as table:
        acknowledged = _acknowledged(w, table, w.postmaster())
        yield _returns(w, "the postmaster")
        told = w.look(sql.SQL("SELECT count(*), max(n) FROM {}").format(table), database=_PLACE)
        count, last = (int(v or 0) for v in told.value[0])
        yield told.shows(
            # The commit that was on its way may be there or not: its outcome was never told.
            holds=count == last and last in (acknowledged, acknowledged + 1),
            expected=f"all {acknowledged} acknowledged rows",
        )


@promise(
    "SRV-041",
    "a server that is killed while it computes is back by itself",
    requirement="REL-1",
    capability=Capability.SERVER,
    needs=("door", "database", "proc"),
    disruptive=True,
    limit=120,
)
def a_server_killed_while_busy_returns(w: Witness) -> Iterator[Finding]:
    plan, door = w.databases[0], w.doors[0].name
    with w.session(plan.app, plan.name, door) as session:
        # A busy backend holds on to shared memory after its postmaster is gone.
        session.connection.pgconn.send_query(
            b"SELECT count(*) FROM generate_series(1, 2000000000) AS g WHERE g % 7 = 3"
        )
        _kill(w.postmaster())
        yield _returns(w, "the postmaster during a CPU-bound query")
        session.connection.close()


PROMISES = (a_killed_server_returns_with_all_commits, a_server_killed_while_busy_returns)
