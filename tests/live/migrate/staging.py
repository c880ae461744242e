"""Changes in stages on a live server: who writes beside, which locks are held, a gate to stop at.

An event trigger looks from inside of the migration's own session when a statement is done and not
committed yet: what it holds then is what others wait for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.live.migrate.project import Project
from tests.waiting import until

IMPORT = "from pgstead.app import staged\n"
TABLES = (
    "CREATE TABLE owner (id bigint PRIMARY KEY)",
    "INSERT INTO owner SELECT generate_series(1, 10)",
    "CREATE TABLE item (id bigint PRIMARY KEY, name text, owner_id bigint, price int)",
    "INSERT INTO item SELECT n, n::text, n % 10 + 1, n FROM generate_series(1, 2000) AS n",
)
GATE = 4711
_SPY = f"""
CREATE SCHEMA spy;
CREATE SEQUENCE spy.statements;
CREATE TABLE spy.gates (number bigint);
CREATE TABLE spy.held (statement text, transaction xid8, relation text, mode text);
CREATE FUNCTION spy.look() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO spy.held
  SELECT current_query(), pg_current_xact_id(), l.relation::regclass::text, l.mode
  FROM pg_locks AS l
  WHERE l.pid = pg_backend_pid() AND l.relation IN ('item'::regclass, 'owner'::regclass);
  IF nextval('spy.statements') IN (SELECT number FROM spy.gates) THEN
    PERFORM pg_advisory_xact_lock({GATE});
  END IF;
END
$$;
CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION spy.look();
"""
SCHEMA = """
    SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
    FROM pg_attribute
    WHERE attrelid = 'item'::regclass AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'item'::regclass AND convalidated
    UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = 'item'::regclass AND indisvalid
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
    WHERE tgrelid = 'item'::regclass AND NOT tgisinternal
    ORDER BY 1
"""


def schema_of(project: Project, table: str) -> list[str]:
    """Return what a table is made of, sorted."""
    return [row for (row,) in project.rows(SCHEMA.replace("'item'", f"'{table}'"))]


def helper(project: Project, name: str, up: str, down: str = "pass") -> None:
    """Write a revision of helpers."""
    project.revision(name, IMPORT + up, IMPORT + down)


def spy(project: Project) -> None:
    """Begin to look at what migrations hold."""
    project.execute(_SPY)


def held(project: Project) -> list[tuple[str, str, str, str]]:
    """Return what was held: statement, transaction, relation, mode."""
    return project.rows("SELECT statement, transaction::text, relation, mode FROM spy.held")


def kill_at(project: Project, number: int) -> bool:
    """Start a runner, and kill it at a statement that changes the schema; False: it was done."""
    project.execute(f"INSERT INTO spy.gates VALUES ({number})")
    with project.scratch.admin(project.database) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [GATE])
        runner = project.start("upgrade", "head")
        until(lambda: runner.poll() is not None or waiting(admin), "it is at the gate, or done")
        killed = runner.poll() is None
        runner.kill()
        runner.communicate()
    return killed


def waiting(admin: psycopg.Connection[Any]) -> bool:
    """Say whether somebody waits at the gate."""
    row = admin.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted",
        [GATE],
    ).fetchone()
    return row is not None and row[0] > 0


@dataclass
class Writers:
    """An application that goes on writing; every error of it is kept."""

    project: Project
    statements: tuple[str, ...]  # each with %(n)s, a number that is never given twice
    first: int = 1_000_000
    written: int = 0
    errors: list[str] = field(default_factory=list[str])
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write until it is told to stop."""
        with self.project.session() as session:
            session.autocommit = True
            while not self._stop.is_set():
                self.written += 1
                for statement in self.statements:
                    try:
                        session.execute(statement.encode(), {"n": self.first + self.written})
                    except psycopg.Error as error:
                        self.errors.append(str(error))
                time.sleep(0.005)

    @contextmanager
    def at_work(self) -> Iterator[Writers]:
        """Let them write in the block, and see that none of it failed."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            until(lambda: self.written > 3, "they write")
            yield self
            before = self.written
            until(lambda: self.written > before + 3, "they still write")
        finally:
            self._stop.set()
            thread.join()
        assert self.errors == []
