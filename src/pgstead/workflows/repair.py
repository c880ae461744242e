"""Repairs that lose nothing: an index built anew beside the damaged one, a constraint validated.

What the last check found is what may be repaired. Nothing is done that was not asked for, each
step is looked at afterwards, and what needs somebody's judgement is told, not done.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg import sql

from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Run, Task
from pgstead.model.design import Design
from pgstead.model.integrity import Check, Damage, Integrity, Remedy
from pgstead.observe import integrity as observing
from pgstead.observe.integrity import Connection, Looking
from pgstead.ports import Ports
from pgstead.workflows import integrity
from pgstead.workflows.runs import alone, care_of, recorded

_SPARE = 64 * 1024**2  # bytes beside the new index: WAL of its building, and others' writes
_PATIENCE = "30s"  # for old transactions that REINDEX CONCURRENTLY waits for
_SIZE = """
    SELECT pg_table_size(i.indrelid) / 10 + pg_relation_size(i.indexrelid) AS bytes,
           i.indrelid::bigint AS table
    FROM pg_index AS i WHERE i.indexrelid = to_regclass(%(name)s)
"""
# Cut short it leaves an invalid index beside
# (https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY).
_LEFT = """
    SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE i.indrelid = %(table)s::bigint::oid AND NOT i.indisvalid
      AND c.relname ~ '_cc(new|old)[0-9]*$'
"""

OURS = (Remedy.REINDEX, Remedy.VALIDATE)  # what may be done for somebody


@dataclass(frozen=True, slots=True)
class Step:
    """One repair: what, of which damage, and what became of it."""

    damage: Damage
    action: str  # in words, or the statement
    done: bool = False
    outcome: str = ""


def found_last(ports: Ports) -> tuple[Damage, ...]:
    """Return what the last check found. Raises SteadError where none was ever made."""
    runs = care_of(ports).runs.runs(Task.INTEGRITY, limit=20)
    last = next((r for r in runs if "damages" in r.detail and r.ending is not Ending.RUNNING), None)
    if last is None:
        raise SteadError("nothing was looked at yet", hint="`pgstead integrity check`")
    return kept(last)


def kept(run: Run) -> tuple[Damage, ...]:
    """Return the damages that a check wrote down."""
    return tuple(map(_damage, cast("list[dict[str, Any]]", run.detail.get("damages", []))))


def _damage(told: dict[str, Any]) -> Damage:
    rest = {name: value for name, value in told.items() if name not in ("check", "remedy")}
    return Damage(check=Check(told["check"]), remedy=Remedy(told["remedy"]), **rest)


def plan(damages: Sequence[Damage]) -> tuple[Step, ...]:
    """Return what would be done: each index and each constraint once, then what is by hand."""
    steps: dict[tuple[str, str, str], Step] = {}
    for damage in damages:
        place = (damage.database, damage.relation, damage.constraint)
        if damage.remedy is Remedy.BY_HAND:
            place = (*place[:2], f"{damage.constraint} {damage.key} {damage.what}")
        steps.setdefault(place, Step(damage, action_of(damage)))
    return tuple(steps.values())


def action_of(damage: Damage) -> str:
    """Say what may be done about a damage: in words, or the statement."""
    match damage.remedy:
        case Remedy.REINDEX:
            return f"REINDEX INDEX CONCURRENTLY {damage.relation}"
        case Remedy.VALIDATE:
            return f"ALTER TABLE {damage.relation} VALIDATE CONSTRAINT {damage.constraint}"
        case Remedy.SALVAGE:
            return f"pgstead integrity salvage {damage.database} {damage.relation}"
        case Remedy.BY_HAND:
            return "by hand: which row is right nobody else knows"


def repair(design: Design, ports: Ports, cause: str, damages: Sequence[Damage]) -> tuple[Step, ...]:
    """Do what can be done without loss; return each step with its outcome.

    A step that fails is told and recorded, and the others are tried. Raises BusyError.
    """
    care = care_of(ports)
    with alone(ports.sql, Task.REPAIR), recorded(care.runs, Task.REPAIR, cause) as record:
        steps = tuple(_steps(design, ports, damages))
        record.detail["steps"] = [
            {"database": s.damage.database, "relation": s.damage.relation, "action": s.action,
             "done": s.done, "outcome": s.outcome}
            for s in steps
        ]  # fmt: skip
        failed = [s for s in steps if not s.done and s.damage.remedy in OURS]
        if failed:
            record.ending = Ending.FAILED
            record.error = "; ".join(f"{s.damage.relation}: {s.outcome}" for s in failed[:5])
    return steps


def _steps(design: Design, ports: Ports, damages: Sequence[Damage]) -> Iterator[Step]:
    for step in plan(damages):
        damage = step.damage
        if damage.remedy not in OURS:
            yield Step(damage, step.action, outcome="left as it is")
            continue
        ports.progress.step(step.action)
        ports.journal.record(
            "integrity repair", database=damage.database, relation=damage.relation,
            action=step.action,
        )  # fmt: skip
        try:
            outcome = _done(design, ports, damage)
        except (psycopg.Error, SteadError) as error:
            words = " ".join(str(error).split())
            yield Step(damage, step.action, outcome=words)
            continue
        yield Step(damage, step.action, done=True, outcome=outcome)


def _done(design: Design, ports: Ports, damage: Damage) -> str:
    if damage.remedy is Remedy.REINDEX:
        with ports.sql.connect(damage.database) as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute("SET search_path = pg_catalog")
            connection.execute(f"SET lock_timeout = '{_PATIENCE}'".encode())
            return _reindexed(design, connection, damage)
    database = design.database(damage.database)
    assert database is not None
    # as the owner, never the superuser: a check calls functions of theirs
    accounts = care_of(ports).accounts
    with accounts.connect(database.migrator, database.name, integrity.PROGRAM) as connection:
        connection.execute(f"SET lock_timeout = '{_PATIENCE}'".encode())
        return _validated(connection, damage)


def _reindexed(design: Design, connection: Connection, damage: Damage) -> str:
    row = connection.execute(_SIZE, {"name": damage.relation}).fetchone()
    if row is None:
        return "it is gone"
    _must_fit(design, row["bytes"])
    statement = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(_identifier(damage.relation))
    try:
        connection.execute(statement)
    finally:
        if not connection.closed:
            _sweep(connection, row["table"])
    found = Integrity()
    looking = Looking(connection, damage.database, design.build.major, found, lambda _: None)
    with integrity.amcheck(looking):
        observing.one_index(looking, damage.relation)
    if found.damages:
        raise SteadError(
            f"it is damaged still: {found.damages[0].what}",
            hint="its table is: `pgstead integrity check` names the page",
        )
    return "built anew, and compared with its table"


def _must_fit(design: Design, needed: int) -> None:
    free = shutil.disk_usage(design.layout.data).free
    if free < needed + _SPARE:
        raise SteadError(
            f"there is no room for a new index: {needed // 2**20} MB are needed,"
            f" {free // 2**20} MB are free",
            hint="make room, and run it again",
        )


def _sweep(connection: Connection, table: int) -> None:
    """Drop what a REINDEX that was cut short has left of this table."""
    for left in connection.execute(_LEFT, {"table": table}).fetchall():
        name = sql.Identifier(left["schema"], left["name"])
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))


def _validated(connection: Connection, damage: Damage) -> str:
    connection.execute(
        sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
            _identifier(damage.relation), sql.Identifier(damage.constraint)
        )
    )
    return "validated"


def _identifier(name: str) -> sql.SQL:
    # as the server wrote it (regclass, with nothing but pg_catalog in the path): quoted by it
    return sql.SQL(name)  # pyright: ignore[reportArgumentType] - psycopg wants a literal
