"""What is to be done now, in which order, and what is left to people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median

from pgstead.model.upkeep import (
    COUNTED,
    MEASURED,
    Advice,
    Chore,
    ChoreRun,
    Found,
    Index,
    Outcome,
    Table,
    UpkeepPlan,
    UpkeepWork,
    Work,
)

# autovacuum_vacuum_threshold and autovacuum_analyze_threshold: of few rows nothing is worth it
_ROWS = 1000.0
_FEW = 50.0
_LEFT = ("_ccnew", "_ccold")  # https://www.postgresql.org/docs/current/sql-reindex.html
_RATE = 16 * 1024.0**2  # bytes a second where nothing was ever done here
_GAIN, _GROWN = 0.9, 1.2
_DAY = 86_400.0
_ORDER = {work: place for place, work in enumerate(Work)}
_SQUEEZE = "pg_squeeze"
_TOOLS = (_SQUEEZE, "pg_repack")
GUIDE = "docs/how-to/keep-tables-fit.md"


def decide(
    plan: UpkeepPlan, found: Sequence[Found], history: Sequence[ChoreRun], now: datetime
) -> UpkeepWork:
    """Return what is to be done, most important first. `history` is newest first."""
    last = _newest(history)
    chores = [c for f in found for c in _chores(plan, f, last)]
    chores += [c for f in found[:1] for c in _resets(plan, f, now)]
    known = [_known(c, last, history) for c in chores]
    known.sort(key=lambda c: (not c.urgent, not c.again, _ORDER[c.work], -(c.wasted or c.bytes)))
    return UpkeepWork(now, tuple(known), tuple(a for f in found for a in _advice(plan, f, last)))


def _newest(history: Sequence[ChoreRun]) -> Mapping[str, ChoreRun]:
    found: dict[str, ChoreRun] = {}
    for run in history:
        found.setdefault(run.key, run)
    return found


def _known(chore: Chore, last: Mapping[str, ChoreRun], history: Sequence[ChoreRun]) -> Chore:
    """Add how long it will take, and whether it was begun before and not done."""
    before = last.get(chore.key)
    again = ""
    if before is not None and before.outcome is not Outcome.DONE:
        again = f"{before.outcome} at {before.begun:%F %H:%M}"
    return replace(chore, seconds=_seconds(chore, history), again=again)


def _seconds(chore: Chore, history: Sequence[ChoreRun]) -> float:
    rates = [
        size / run.seconds
        for run in history
        if run.work is chore.work and run.outcome is Outcome.DONE and run.seconds
        for size in [run.before.get("bytes") or 0.0]
        if size >= 1024**2  # of small ones the overhead is all
    ]
    return chore.bytes / (median(rates[:20]) if rates else _RATE)


def _chores(plan: UpkeepPlan, found: Found, last: Mapping[str, ChoreRun]) -> Iterator[Chore]:
    for table in found.tables:
        yield from _of_table(plan, found, table)
    for index in found.indexes:
        chore = _of_index(plan, found, index)
        if chore is not None and not _in_vain(chore, last):
            yield chore


def _of_table(plan: UpkeepPlan, found: Found, table: Table) -> Iterator[Chore]:
    frozen = _freeze(plan, found, table)
    if frozen:
        # from its own limit on the server freezes it in any case, at any time
        urgent = table.xid_age >= found.freeze_max or table.mxid_age >= found.mxid_freeze_max
        yield _table_chore(Work.FREEZE, found, table, frozen, urgent=urgent)
    dead = table.dead / max(table.live + table.dead, 1.0)
    if not frozen and table.dead >= _ROWS and dead >= plan.dead:
        yield _table_chore(
            Work.VACUUM, found, table, f"{dead:.0%} of the rows are dead ({table.dead:.0f})"
        )
    elif reason := _outdated(plan, table):
        yield _table_chore(Work.ANALYZE, found, table, reason)
    if _SQUEEZE in found.extensions and _bloated(plan, table):
        told = f"{_share(table.wasted, table.bytes)} of it holds nothing"
        yield replace(
            _table_chore(Work.REORGANIZE, found, table, told),
            room=table.bytes, wasted=table.wasted, told_by=table.told_by,
        )  # fmt: skip


def _freeze(plan: UpkeepPlan, found: Found, table: Table) -> str:
    """Say why rows are to be frozen now, empty where they are not."""
    ages = (
        ("transaction", table.xid_age, found.freeze_max),
        ("multixact", table.mxid_age, found.mxid_freeze_max),
    )
    for what, age, most in ages:
        if age >= plan.freeze_age * most:
            return f"its oldest {what} is {age:.0f} old, at {most:.0f} the server forces it"
    return ""


def _outdated(plan: UpkeepPlan, table: Table) -> str:
    if table.catalog:
        return ""
    if table.analyzed is None and table.live >= _FEW:
        return "it was never analyzed"
    changed = table.changed / max(table.live, 1.0)
    if table.changed >= _ROWS and changed >= plan.changed:
        return f"{changed:.0%} of the rows have changed since it was analyzed"
    return ""


def _bloated(plan: UpkeepPlan, table: Table) -> bool:
    wasted = table.wasted or 0.0
    return not table.catalog and wasted >= plan.smallest and wasted >= plan.bloat * table.bytes


def _of_index(plan: UpkeepPlan, found: Found, index: Index) -> Chore | None:
    if not index.valid and not index.building:
        left = index.name.rstrip("0123456789").endswith(_LEFT)
        if left:
            return _index_chore(Work.DROP, found, index, "a REINDEX that ended early left it")
        return _index_chore(
            Work.REBUILD, found, index, "it is not valid: it costs, and serves no query"
        )
    wasted = index.wasted or 0.0
    if index.building or wasted < plan.smallest or wasted < plan.bloat * index.bytes:
        return None
    told = f"{_share(wasted, index.bytes)} of it holds nothing"
    return _index_chore(Work.REINDEX, found, index, told)


def _in_vain(chore: Chore, last: Mapping[str, ChoreRun]) -> bool:
    """Say whether the same gave nothing back the last time, and it has not grown since."""
    before = last.get(chore.key)
    if chore.work is not Work.REINDEX or before is None or before.outcome is not Outcome.DONE:
        return False
    was, became = before.before.get("bytes"), before.after.get("bytes")
    if not was or not became:
        return False
    return became > _GAIN * was and chore.bytes < _GROWN * became


def _table_chore(
    work: Work, found: Found, table: Table, reason: str, *, urgent: bool = False
) -> Chore:
    return Chore(
        work, found.database, table.schema, table.name, table.name, table.owner, reason,
        bytes=table.bytes, urgent=urgent, told_by=COUNTED, usable=table.usable,
    )  # fmt: skip


def _index_chore(work: Work, found: Found, index: Index, reason: str) -> Chore:
    drops = work is Work.DROP
    return Chore(
        work, found.database, index.schema, index.name, index.table, index.owner, reason,
        bytes=0.0 if drops else index.bytes,
        room=0.0 if drops else index.bytes - (index.wasted or 0.0),
        place=index.place,
        wasted=index.bytes if drops else index.wasted,
        told_by=index.told_by if work is Work.REINDEX else COUNTED,
        usable=index.usable,
    )  # fmt: skip


def _resets(plan: UpkeepPlan, found: Found, now: datetime) -> Iterator[Chore]:
    """Yield that statements are counted anew: the view is the whole server's, one reset does."""
    if not plan.reset_age or found.reset_at is None:
        return
    age = (now - found.reset_at).total_seconds()
    if age >= plan.reset_age:
        yield Chore(
            Work.RESET, found.database, found.extensions["pg_stat_statements"],
            "pg_stat_statements", "", "",
            f"it has counted for {age / _DAY:.0f} days",
        )  # fmt: skip


def _advice(plan: UpkeepPlan, found: Found, last: Mapping[str, ChoreRun]) -> Iterator[Advice]:
    tools = [tool for tool in _TOOLS if tool in found.extensions]
    for table in found.tables:
        if _bloated(plan, table) and _SQUEEZE not in tools:
            share = _share(table.wasted, table.bytes)
            yield Advice(
                found.database, f"{table.schema}.{table.name}",
                f"{share} of it holds nothing ({table.told_by})",
                f"pg_repack -d {found.database} -t {table.schema}.{table.name}"
                if "pg_repack" in tools
                else f"new rows will fill it; {GUIDE} gives the space back without a long lock",
            )  # fmt: skip
    for index in found.indexes:
        chore = _of_index(plan, found, index)
        if chore is not None and _in_vain(chore, last):
            yield Advice(
                found.database, f"{index.schema}.{index.name}",
                "the last REINDEX made it no smaller: the estimate errs",
                "CREATE EXTENSION pgstattuple lets it be measured"
                if index.told_by != MEASURED
                else "nothing",
            )  # fmt: skip
    for pair in found.correlated:
        columns = ", ".join(_quoted(c) for c in pair.columns)
        most = max(pair.distinct)
        yield Advice(
            found.database, f"{pair.schema}.{pair.table} ({columns})",
            f"{pair.together:.0f} pairs of {most:.0f} values in a sample of {pair.rows:.0f} rows:"
            " one column tells of the other, and the planner takes them for independent",
            f"CREATE STATISTICS ON {columns}"
            f" FROM {_quoted(pair.schema)}.{_quoted(pair.table)}; ANALYZE it",
        )  # fmt: skip


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _share(part: float | None, whole: float) -> str:
    return f"{(part or 0.0) / max(whole, 1.0):.0%}"
