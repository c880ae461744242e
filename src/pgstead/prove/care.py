"""Promises of the care for data: nothing outlives its time, nothing is damaged, parts are there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.backup import Ending, Run, Task
from pgstead.model.design import DatabasePlan
from pgstead.prove import models
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

if TYPE_CHECKING:
    from sqlalchemy import Table

CARE = Capability.CARE
_GRACE = timedelta(days=2)  # two nights of the agent
_WEEK = timedelta(days=9)  # in which integrity is looked at, by default each Sunday
RETENTION, INTEGRITY = "pgstead.retention", "pgstead.integrity"  # in table.info, by their names


def _tables(w: Witness, plan: DatabasePlan, info: str) -> Iterator[tuple[Table, Any]]:
    if not plan.models:
        return
    metadata = models.metadata_of(plan.models, w.imported_from(plan))
    for table in metadata.sorted_tables:
        if info in table.info:
            yield table, table.info[info]


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema or "public", table.name)


@promise(
    "RET-001",
    "no row outlives by two days what the models declare of its retention",
    requirement="OPS-2",
    capability=CARE,
    needs=("direct", "schema"),
    limit=120,
)
def nothing_outlives_its_time(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        declared = list(_tables(w, plan, RETENTION))
        if not declared:
            continue
        # the administrator sees the rows of all tenants; what is declared may call functions
        with w.session(plan.admin, plan.name) as session:
            for table, told in declared:
                keep = sql.SQL("make_interval(secs => {})").format(sql.Literal(told.days * 86_400))
                if told.rules:
                    keep = sql.SQL(
                        "coalesce((SELECT keep_for FROM {} WHERE relation = {}), {})"
                    ).format(sql.Identifier(told.rules), sql.Literal(table.name), keep)
                found = session.ask(
                    sql.SQL(
                        "SELECT count(*) FROM {} AS c WHERE c.{} < now() - {} - {} AND ({})"
                    ).format(
                        _name(table), sql.Identifier(told.by), keep, sql.Literal(_GRACE),
                        sql.SQL(told.where or "true"),
                    )
                )  # fmt: skip
                yield found.shows(
                    holds=found.value[0][0] == 0,
                    expected=f"no row of {table.name} that should be gone",
                    hint="`pgstead retention history` shows what hinders it",
                )


@promise(
    "RET-002",
    "the last run of retention removed all that was due",
    requirement="OPS-2",
    capability=CARE,
)
def the_last_run_was_whole(w: Witness) -> Iterator[Finding]:
    yield _ended_well(w, Task.RETENTION, "`pgstead retention history`")


@promise(
    "INT-001",
    "every constraint is validated, and every index counts",
    requirement="OPS-7",
    capability=CARE,
    needs=("database",),
)
def constraints_and_indexes_count(w: Witness) -> Iterator[Finding]:
    yield from w.nowhere(
        _UNSOUND,
        "`pgstead integrity check`, then `pgstead integrity repair --dry-run`",
        expected="no constraint that was never validated, no invalid index",
    )


_UNSOUND = """
    SELECT 'constraint', k.conrelid::regclass::text, k.conname::text
    FROM pg_catalog.pg_constraint AS k
    WHERE NOT k.convalidated AND k.contype IN ('c', 'f')
    UNION ALL
    SELECT 'index', i.indrelid::regclass::text, i.indexrelid::regclass::text
    FROM pg_catalog.pg_index AS i WHERE NOT (i.indisvalid AND i.indisready)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
                      WHERE p.relid = i.indrelid)
"""


@promise(
    "INT-002",
    "what the models declare as numbered counts 1, 2, 3 without a gap",
    requirement="OPS-7",
    capability=CARE,
    needs=("direct", "schema"),
    limit=120,
)
def numbers_have_no_gap(w: Witness) -> Iterator[Finding]:
    for plan in w.migrated:
        with w.session(plan.admin, plan.name) as session:
            for table, items in _tables(w, plan, INTEGRITY):
                for item in (i for i in items if hasattr(i, "within")):
                    within = sql.SQL(", ").join(map(sql.Identifier, item.within))
                    told = session.ask(
                        sql.SQL(
                            "SELECT {w}, count(*), min({c}), max({c}) FROM {t} GROUP BY {w}"
                            " HAVING min({c}) <> 1 OR max({c}) <> count(*)"
                            " OR count(DISTINCT {c}) <> count(*) LIMIT 5"
                        ).format(w=within, c=sql.Identifier(item.column), t=_name(table))
                    )
                    yield told.shows(
                        holds=not told.value,
                        expected=f"{table.name}.{item.column} counts from 1 without a gap",
                        hint="`pgstead integrity check` names the numbers that are missing",
                    )


@promise(
    "INT-003",
    "the last look whether data is whole found nothing, and was not long ago",
    requirement="OPS-7 OPS-1",
    capability=CARE,
)
def the_last_look_found_nothing(w: Witness) -> Iterator[Finding]:
    yield _ended_well(w, Task.INTEGRITY, "`pgstead integrity history`", _WEEK)


def _ended_well(w: Witness, task: Task, hint: str, within: timedelta | None = None) -> Finding:
    care = w.access.ports.care
    runs = () if care is None else care.runs.runs(task, limit=50)
    last = next((run for run in runs if run.counts), None)
    if last is None:
        raise CannotTryError(f"{task} was not run yet", could_try=False)
    with timed() as watch:
        old = within is not None and datetime.now(UTC) - last.begun > within
    said = f"{last.ending} at {last.begun.isoformat(timespec='seconds')} {last.error}".strip()
    told = answer(f"the last run of {task}", said, last, watch)
    late = " within nine days" if within else ""
    return told.shows(
        holds=_good(last) and not old, expected=f"a run that ended well{late}", hint=hint
    )


def _good(run: Run) -> bool:
    return run.ending is Ending.DONE


@promise(
    "PRT-001",
    "every table in parts by time has one for now and one for what comes then",
    requirement="OPS-3",
    capability=CARE,
    needs=("database",),
)
def partitions_are_there(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        parents = w.look(_BY_TIME, [], plan.name)
        for (parent,) in parents.value:
            told = w.look(_BOUNDS, [parent], plan.name)
            spans = [(_moment(low), _moment(high)) for _, low, high in told.value]
            yield told.shows(
                holds=_covered(spans, datetime.now(UTC)),
                expected=f"partitions of {parent} for now and for the time after that",
                hint="`pgstead partitions run` makes them; the agent does it each night",
            )


_BY_TIME = """
    SELECT p.partrelid::regclass::text FROM pg_catalog.pg_partitioned_table AS p
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partstrat = 'r' AND p.partnatts = 1
      AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
"""
_BOUNDS = r"""
    SELECT c.oid::regclass::text, (regexp_match(b.told, 'FROM \(''([^'']+)''\)'))[1],
           (regexp_match(b.told, 'TO \(''([^'']+)''\)'))[1]
    FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b(told)
    WHERE i.inhparent = %s::regclass AND b.told <> 'DEFAULT'
"""


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    told = datetime.fromisoformat(text)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _covered(spans: list[tuple[datetime | None, datetime | None]], now: datetime) -> bool:
    """Say whether a span holds now, and another one begins where that ends."""
    for lower, upper in spans:
        if (lower is None or lower <= now) and (upper is None or now < upper):
            return upper is None or any(low == upper for low, _ in spans)
    return False


@promise(
    "PRT-002",
    "nobody but its owner has a privilege on a partition: it is no way past its table",
    requirement="OPS-3 TEN-7",
    capability=CARE,
    needs=("database",),
)
def partitions_are_no_side_door(w: Witness) -> Iterator[Finding]:
    yield from w.nowhere(
        _GRANTED,
        "REVOKE ALL ON the partition; `pgstead partitions run` makes them without",
        expected="no partition that somebody else may use by its own name",
    )


_GRANTED = """
    SELECT c.oid::regclass::text, coalesce(r.rolname::text, 'PUBLIC'), a.privilege_type::text
    FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
    WHERE c.relispartition AND c.relkind IN ('r', 'p') AND a.grantee <> c.relowner
"""

PROMISES = (
    nothing_outlives_its_time,
    the_last_run_was_whole,
    constraints_and_indexes_count,
    numbers_have_no_gap,
    the_last_look_found_nothing,
    partitions_are_there,
    partitions_are_no_side_door,
)
