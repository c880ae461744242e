"""Upkeep: indexes are valid, rows are frozen in time, statistics are young, failures are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.triggers.cron import CronTrigger

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.alerts import Phase
from pgstead.model.upkeep import ChoreRun, Outcome, UpkeepPlan, UpkeepRun, unsettled
from pgstead.ports.upkeep import UpkeepHistory
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

UPKEEP = Capability.UPKEEP
ALERT = "UpkeepFailing"
_MARGIN = timedelta(hours=1)  # a window that begins late, after a backup perhaps
_MANY = 10_000  # rows that have changed, below which a plan is hardly another
_TIMES = 3  # what asks for ANALYZE, so often, has seen windows go by
# An index that is being built, or built anew, is not valid meanwhile.
_INVALID = """
    SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
    WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
                      WHERE p.relid = i.indrelid)
    ORDER BY 1
"""
_OLD = """
    SELECT c.oid::regclass::text,
           greatest(age(c.relfrozenxid)::float8
                        / current_setting('autovacuum_freeze_max_age')::float8,
                    mxid_age(c.relminmxid)::float8
                        / current_setting('autovacuum_multixact_freeze_max_age')::float8)
    FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'm', 't')
    ORDER BY 2 DESC LIMIT 3
"""
_BLIND = """
    SELECT s.relid::regclass::text, s.n_live_tup, s.n_mod_since_analyze,
           greatest(s.last_analyze, s.last_autoanalyze) IS NOT NULL
    FROM pg_catalog.pg_stat_user_tables AS s
    WHERE s.n_mod_since_analyze >= %s
      AND (greatest(s.last_analyze, s.last_autoanalyze) IS NULL
           OR s.n_mod_since_analyze > %s * greatest(s.n_live_tup, 1))
"""
_ROLE = """
    SELECT r.rolcanlogin OR r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication
           OR r.rolbypassrls,
           array(SELECT g.rolname::text FROM pg_catalog.pg_auth_members AS m
                 JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
                 WHERE m.member = r.oid ORDER BY 1)
    FROM pg_catalog.pg_roles AS r WHERE r.rolname = %s
"""
_READS = """
    SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'm', 'p', 'v')
      AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND has_table_privilege(%s, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
      AND NOT has_table_privilege('public', c.oid, 'SELECT')
    LIMIT 3
"""


def plan_of(w: Witness) -> UpkeepPlan:
    """Return how the stead is kept up."""
    if w.design.upkeep is None:
        raise CannotTryError("nobody keeps this stead up", could_try=False)
    return w.design.upkeep


def history_of(w: Witness) -> UpkeepHistory:
    """Return what is remembered of upkeep."""
    found = w.access.ports.upkeep
    if found is None:
        raise CannotTryError("the history of upkeep is not at hand here")
    return found


def remembered(w: Witness) -> Answer[tuple[tuple[UpkeepRun, ...], tuple[ChoreRun, ...]]]:
    """Return the runs and the chores, newest first."""
    plan = plan_of(w)
    with timed() as watch:
        try:
            runs, chores = tuple(history_of(w).runs()), tuple(history_of(w).chores())
        except SteadError as error:
            raise CannotTryError(f"the history cannot be read: {error.message}") from error
    last = f"; the last one began {runs[0].begun:%F %T} UTC" if runs else ""
    return answer(plan.file, f"{len(runs)} runs{last}", (runs, chores), watch)


@promise(
    "UPK-001",
    "no index is left that is not valid",
    requirement="OPS-1",
    capability=UPKEEP,
    needs=("database",),
)
def indexes_are_valid(w: Witness) -> Iterator[Finding]:
    yield from w.nowhere(_INVALID, "`pgstead upkeep run --only rebuild --only drop`")


@promise(
    "UPK-002",
    "no table is so old that the server would have to freeze it at once",
    requirement="OPS-1 TEL-7",
    capability=UPKEEP,
    needs=("database",),
)
def rows_are_frozen_in_time(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        told = w.look(_OLD, database=plan.name)
        yield told.shows(
            holds=bool(told.value) and told.value[0][1] < 1.0,
            expected="each below 1, a share of autovacuum_freeze_max_age",
            hint="`pgstead upkeep run --only freeze`; `pgstead inspect vacuum` says who holds back",
        )


@promise(
    "UPK-003",
    "what upkeep failed to do is mended, or an alert tells of it",
    requirement="OPS-1",
    capability=UPKEEP,
)
def failures_are_told(w: Witness) -> Iterator[Finding]:
    told = remembered(w)
    runs, chores = told.value
    if not runs:
        raise CannotTryError("upkeep was not run yet", could_try=False)
    failing = [c for c in unsettled(chores, runs) if c.outcome is Outcome.FAILED]
    names = ", ".join(f"{c.work} {c.database} {c.schema}.{c.name}: {c.error}" for c in failing)
    yield told.shows(
        holds=not failing or _alerted(w),
        expected=f"no chore that failed, or {ALERT} to fire",
        hint="`pgstead upkeep status`; mend the cause, then `pgstead upkeep run`",
        said=names or "nothing failed when it was tried last",
    )


def _alerted(w: Witness) -> bool:
    alerts = w.access.ports.alerts
    if alerts is None or w.design.alerts is None:
        return False
    try:
        states = {s.name: s.phase for s in alerts.store.states()}
    except SteadError as error:
        raise CannotTryError(f"the alerts cannot be read: {error.message}") from error
    return states.get(ALERT) is Phase.FIRING


@promise(
    "UPK-004",
    "no window of upkeep goes by without a run",
    requirement="OPS-1",
    capability=UPKEEP,
    needs=("upkeep",),
)
def windows_are_kept(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    told = remembered(w)
    whole = [r for r in told.value[0] if r.whole and r.outcome is not Outcome.KILLED]
    since = max([_manifest_given(w), *(r.begun for r in whole)])
    late = _passed(plan, since)
    yield told.shows(
        holds=late is None,
        expected=f"a run in the window that opened {late:%F %H:%M} UTC" if late else "",
        hint="`pgstead logs agent` says why; `pgstead upkeep run` does it now",
    )


def _manifest_given(w: Witness) -> datetime:
    path = Path(w.design.layout.applied)
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise CannotTryError(f"{path}: {error.strerror}") from error


def _passed(plan: UpkeepPlan, since: datetime) -> datetime | None:
    """Return the first window after a moment that is over by now, None where none is."""
    cron = CronTrigger.from_crontab(plan.schedule, timezone=UTC)
    opened: datetime | None = cron.get_next_fire_time(None, since + timedelta(seconds=1))
    if opened is None:
        return None
    over = opened + timedelta(seconds=plan.window) + _MARGIN
    return opened if over < datetime.now(UTC) else None


@promise(
    "UPK-005",
    "the role of upkeep can neither log in nor read or write a table",
    requirement="OPS-1 ROL-1",
    capability=UPKEEP,
    needs=("database",),
)
def its_role_can_do_nothing_else(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    if not plan.role:
        raise CannotTryError("before PostgreSQL 17 each table's owner does it", could_try=False)
    told = w.look(_ROLE, [plan.role])
    yield told.shows(
        holds=told.value == [(False, [plan.role_rights])],
        expected=f"no attribute, and a member of {plan.role_rights} alone",
        hint="`pgstead up` takes from it what is not its own",
    )
    for database in w.databases:
        reads = w.look(_READS, [plan.role], database=database.name)
        yield reads.shows(holds=not reads.value, expected="no row", hint="revoke it")


@promise(
    "UPK-006",
    "the planner's statistics follow what changes",
    requirement="OPS-1 OPS-4",
    capability=UPKEEP,
    needs=("database",),
)
def statistics_are_young(w: Witness) -> Iterator[Finding]:
    values = [_MANY, _TIMES * plan_of(w).changed]
    yield from w.nowhere(_BLIND, "`pgstead upkeep run --only analyze`", values=values)


PROMISES = (
    indexes_are_valid,
    rows_are_frozen_in_time,
    failures_are_told,
    windows_are_kept,
    its_role_can_do_nothing_else,
    statistics_are_young,
)
