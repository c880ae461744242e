"""Upkeep for tests: what is run, and what is seen of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pgstead.model.design import Design
from pgstead.model.upkeep import APPLICATION, ChoreRun, Outcome
from pgstead.workflows import upkeep
from tests.fix_stead import LiveStead
from tests.waiting import until

DATABASE = "jeex_idea"
ROLE = "pgstead_upkeep"
GENTLE = """\
false
lock_timeout = "300ms"
yields_after = "300ms"
smallest = "64kB"
latency = "1min"
"""  # the machine of a test may be slow
# a page every tenth of a second
CRAWLING = {"cost_delay": 0.1, "cost_limit": 1}

_RUN = """
import sys
from dataclasses import replace
from pgstead.cli.wiring import wire
from pgstead.workflows import upkeep
wired = wire(sys.argv[1])
plan = replace(wired.design.upkeep, cost_delay=0.1, cost_limit=1, lock_timeout=60.0)
upkeep.run(replace(wired.design, upkeep=plan), wired.ports, "test", seconds=60)
"""


def does(stead: LiveStead, *statements: str) -> None:
    with stead.superuser(DATABASE) as session:
        session.execute("SET ROLE jeex_owner")
        for statement in statements:
            session.execute(statement.encode())


def having(stead: LiveStead, **changed: Any) -> Design:
    """Return the stead's design with another way to keep it up."""
    design = stead.wired.design
    assert design.upkeep is not None
    return replace(design, upkeep=replace(design.upkeep, **changed))


def of(stead: LiveStead, table: str, **changed: Any) -> list[ChoreRun]:
    """Run upkeep, and return what was done to a table."""
    seconds = changed.pop("seconds", 30.0)
    report = upkeep.run(having(stead, **changed), stead.wired.ports, "test", seconds=seconds)
    return [c for c in report.chores if c.table == table]


def newest(stead: LiveStead) -> ChoreRun:
    return upkeep.history_of(stead.wired.ports).chores(1)[0]


def running(stead: LiveStead) -> bool:
    chores = upkeep.history_of(stead.wired.ports).chores(1)
    return [c.outcome for c in chores] == [Outcome.RUNNING]


def at_work(stead: LiveStead) -> bool:
    with stead.superuser(DATABASE) as session:
        seen = session.execute(
            "SELECT 1 AS found FROM pg_stat_progress_vacuum WHERE relid = 'churned'::regclass"
        ).fetchone()
    return seen is not None


def there(stead: LiveStead) -> bool:
    """Say whether a session of upkeep is at work."""
    with stead.superuser() as session:
        seen = session.execute(
            "SELECT FROM pg_stat_activity WHERE application_name = %s", [APPLICATION]
        ).fetchone()
    return seen is not None


@contextmanager
def without_rights(stead: LiveStead) -> Iterator[None]:
    """Have the role of upkeep without its right for a while."""
    with stead.superuser() as session:
        session.execute(f"REVOKE pg_maintain FROM {ROLE}".encode())
        try:
            yield
        finally:
            session.execute(f"GRANT pg_maintain TO {ROLE}".encode())


def killed_when(stead: LiveStead, holds: Callable[[], bool]) -> None:
    """Let a process of its own run upkeep, and kill it there."""
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, str(stead.manifest)], cwd=stead.directory
    ) as process:
        until(holds)
        os.kill(process.pid, signal.SIGKILL)


def is_told_as_killed(stead: LiveStead, table: str) -> bool:
    """Say whether a chore of a table is in the history as one that was killed."""
    chores = upkeep.history_of(stead.wired.ports).chores(20)
    return Outcome.KILLED in {c.outcome for c in chores if c.table == table}


def unmade(stead: LiveStead) -> list[str]:
    """Return the indexes that are not valid, and what REINDEX left."""
    with stead.superuser(DATABASE) as session:
        rows = session.execute(
            "SELECT x.relname::text AS name FROM pg_index AS i"
            " JOIN pg_class AS x ON x.oid = i.indexrelid"
            r" WHERE NOT i.indisvalid OR x.relname ~ '_cc(new|old)\d*$'"
        ).fetchall()
    return [row["name"] for row in rows]
