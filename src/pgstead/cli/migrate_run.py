"""Run Alembic's upgrade or downgrade for a command, and do what has to be done afterwards."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.migrating import History
from pgstead.errors import NotRunningError, SteadError

if TYPE_CHECKING:
    from pgstead.app.migration_runner import Report
    from pgstead.model.gate import Passage

# Sessions of applications that still have plans for the old types. Idle ones only: what a pool
# finds dead when it begins a transaction is replaced without anybody noticing.
_SEND_AWAY = """
    SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity
    WHERE datname = %(database)s AND usename = ANY (%(roles)s) AND state = 'idle'
      AND backend_start < now()
"""


class Way(Enum):
    """Which way the history is walked."""

    UP = "upgrade"
    DOWN = "downgrade"


def refuse_broken(history: History, *, several: str) -> None:
    """Raise SteadError where the files are such that nothing can be run.

    `several` is the option that chooses one of several heads; empty where it was given.
    """
    from pgstead.plan import history as planned

    for problem in planned.problems(history.files, history.entry.name):
        if problem.kind == "two-heads" and not several:
            continue
        hint = problem.way_out
        if problem.kind == "two-heads":
            hint += f"; {several} REV goes to one of them, {several} heads to all"
        raise SteadError(f"{history.entry.name}: {problem.says}", hint=hint)


def refuse_lost(history: History) -> None:
    """Raise SteadError where the database is at a revision that no file has."""
    for problem in history.problems:
        if problem.kind in ("deleted", "foreign"):
            raise SteadError(f"{history.entry.name}: {problem.says}", hint=problem.way_out)


def run(
    history: History, way: Way, target: str, console: Console, reason: str | None = None
) -> Report:
    """Upgrade or downgrade a database; tell pooler and applications of changed types."""
    from alembic import command as alembic

    from pgstead.app.migration_runner import Report

    refuse_lost(history)
    report = Report(reason=reason)
    with history.alembic(console, report=report) as config:
        if way is Way.UP:
            alembic.upgrade(config, target)
        else:
            alembic.downgrade(config, target)
    if report.retyped:
        tell_of_types(history, console)
    return report


def print_done(console: Console, name: str, report: Report, passage: Passage) -> dict[str, object]:
    """Print what a run did; return it for programs."""
    for entry in report.entries:
        tries = f", {entry.tries} tries" if entry.tries > 1 else ""
        if not console.json:
            word = "applied" if entry.direction == "up" else "taken back"
            console.line(f"{name}: {entry.revision} {word} in {entry.seconds:.2f} s{tries}")
    if not report.entries:
        return nothing_done(console, name)
    return {
        "steps": [
            {
                "revision": entry.revision,
                "direction": entry.direction,
                "seconds": round(entry.seconds, 3),
                "tries": entry.tries,
            }
            for entry in report.entries
        ],
        "changed_types": report.retyped,
        "restore_point": passage.restore_point or None,
        "skipped": passage.skipped,
    }


def nothing_done(console: Console, name: str) -> dict[str, object]:
    """Print that there was nothing to do; return it for programs."""
    if not console.json:
        console.line(f"{name}: nothing to do")
    return {"steps": [], "changed_types": [], "restore_point": None, "skipped": []}


def tell_of_types(history: History, console: Console) -> None:
    """Let nobody go on with what he knew of a column: pooler first, then direct sessions."""
    from pgstead.cli.wiring import wire

    wired = wire(history.invocation.manifest, console, tolerant=True)
    entry = history.entry
    if wired.design.pooler is not None:
        try:
            wired.ports.console.at_rest(f'RECONNECT "{entry.name}"')
        except NotRunningError as error:
            console.warn(f"the pooler was not told of the changed types: {error.message}")
    roles = [entry.app, entry.admin, entry.readonly]
    with wired.ports.sql.connect() as superuser:
        superuser.execute(_SEND_AWAY, {"database": entry.name, "roles": roles})
    console.say("  pooler and applications connect anew: they remembered the old types")
