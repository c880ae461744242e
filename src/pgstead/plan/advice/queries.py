"""Statements that take the most, spill to disk, or got slower than they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgstead.model.advice import (
    Answers,
    Diagnosis,
    Figure,
    Finding,
    Row,
    Severity,
    Subject,
    Table,
    Unseen,
)
from pgstead.model.statements import LoggedPlan, Regression, StatementWindow
from pgstead.plan import statement_windows
from pgstead.plan.advice import statement_history
from pgstead.plan.advice.wording import identifier, literal, one_line, since

SHOWN = 10
_SLOW_CALLS = 2  # one slow call may be a maintenance by hand
_SPILL_BYTES = 1024 * 1024  # per call, from which on a statement's temporary files are told
_MEMORY_MOST = 256 * 1024 * 1024  # of one statement; more is a question of the query
_UTILITY = ("BEGIN", "COMMIT", "ROLLBACK", "SET", "SHOW", "VACUUM", "ANALYZE", "CREATE", "COPY")


@dataclass(frozen=True, slots=True)
class Past:
    """What was sampled and logged since a moment."""

    since: datetime
    windows: Sequence[StatementWindow]
    plans: Sequence[LoggedPlan]
    unseen: tuple[Unseen, ...] = ()


def diagnose(answers: Answers, past: Past) -> Diagnosis:
    """Return what counters, windows and logged plans show of statements."""
    info = {str(r["database"]): r for r in answers.of("statements_info")}
    rows = [r for r in answers.of("statements") if not _is_utility(str(r["query"]))]
    counted = [
        finding
        for row in rows
        if (known := info.get(str(row["database"]))) is not None
        for finding in (
            *_slow(row, known, answers.at, past.plans),
            *_spilling(row, known, answers.at),
        )
    ]
    slower = [_regressed(r, past.plans) for r in statement_windows.regressions(past.windows)]
    return Diagnosis(
        Subject.QUERIES,
        answers.at,
        (*slower, *counted),
        (*answers.unseen, *past.unseen),
        (*_table(rows), *statement_history.tables(past.windows, past.since, answers.at)),
    )


def _regressed(found: Regression, plans: Sequence[LoggedPlan]) -> Finding:
    return Finding(
        "slower-than-before",
        Severity.WARNING,
        found.key.database,
        f"statement {found.key.queryid} of {found.key.role} takes {found.factor:.1f} times as long"
        " as before",
        (
            Figure("before (median)", found.before, "s"),
            Figure("now", found.now, "s"),
            Figure("calls", found.calls, "{call}"),
            Figure("windows before", found.windows),
        ),
        f"{found.begun:%H:%M:%S} to {found.ended:%H:%M:%S} UTC against the windows before",
        "compare its plans; what the planner knows may be old, an index may be gone"
        " (`pgstead inspect indexes --check`), or there are more rows",
        ("ANALYZE",),
        (
            one_line(found.query),
            *statement_history.side_by_side(found.key.database, found.query, plans),
        ),
    )


def counted_since(row: Row, info: Row, at: datetime) -> str:
    """Return the sample window of a statement's counters."""
    return since(row.get("stats_since") or info["stats_reset"], at)


def count_anew(row: Row) -> str:
    """Return what begins the counters of one statement again."""
    return f"SELECT pg_stat_statements_reset({row['userid']}, {row['dbid']}, {row['queryid']})"


def _is_utility(query: str) -> bool:
    return query.lstrip("( ").upper().startswith(_UTILITY)


def _slow(row: Row, info: Row, at: datetime, plans: Sequence[LoggedPlan]) -> Iterator[Finding]:
    mean = float(row["seconds"]) / max(float(row["calls"]), 1.0)
    if mean < float(info["slow_seconds"]) or row["calls"] < _SLOW_CALLS:
        return
    yield Finding(
        "slow-statement",
        Severity.WARNING,
        str(row["database"]),
        f"statement {row['queryid']} of {row['usename']} is slow",
        (
            Figure("calls", row["calls"], "{call}"),
            Figure("mean", mean, "s"),
            Figure("longest", row["max_seconds"], "s"),
            Figure("rows per call", float(row["rows"]) / float(row["calls"]), "{row}"),
            Figure("time reading blocks", row["read_seconds"], "s"),
        ),
        counted_since(row, info, at),
        "look at its plan; `pgstead inspect indexes --check` tries whether an index would help."
        " The second statement counts anew, to see whether it got better",
        (f"EXPLAIN {_explained(str(row['query']))}", count_anew(row)),
        (
            one_line(str(row["query"])),
            *statement_history.side_by_side(str(row["database"]), str(row["query"]), plans),
        ),
    )


def _explained(query: str) -> str:
    """Return the statement as EXPLAIN takes it: with parameters it is a generic plan (16)."""
    return f"(GENERIC_PLAN) {query}" if "$1" in query else query


def _spilling(row: Row, info: Row, at: datetime) -> Iterator[Finding]:
    per_call = float(row["temp_blocks"]) * float(info["block_size"]) / max(float(row["calls"]), 1.0)
    if per_call < _SPILL_BYTES:
        return
    # what a sort needs in memory is more than on disk (https://www.postgresql.org/docs/current/
    # runtime-config-resource.html#GUC-WORK-MEM), so leave room
    wanted = _rounded(2 * per_call + float(info["work_mem_bytes"]))
    enough = wanted <= _MEMORY_MOST
    role, database = identifier(str(row["usename"])), identifier(str(row["database"]))
    sql = f"ALTER ROLE {role} IN DATABASE {database} SET work_mem = {literal(_megabytes(wanted))}"
    yield Finding(
        "temporary-files",
        Severity.ADVICE,
        str(row["database"]),
        f"statement {row['queryid']} of {row['usename']} writes temporary files",
        (
            Figure("calls", row["calls"], "{call}"),
            Figure("temporary bytes per call", per_call, "By"),
            Figure("work_mem", str(info["work_mem"])),
        ),
        counted_since(row, info, at),
        "give this role more work_mem in its next sessions, and count anew; each sort of each"
        " session may take as much"
        if enough
        else "sort or join less at once (LIMIT, an index in the order wanted): so much memory per"
        " session is not to be had",
        (sql, count_anew(row)) if enough else (count_anew(row),),
        (one_line(str(row["query"])),),
    )


def _rounded(size: float) -> int:
    found = 1024 * 1024
    while found < size:
        found *= 2
    return found


def _megabytes(size: int) -> str:
    return f"{size // (1024 * 1024)}MB"


def _table(rows: Sequence[Row]) -> Iterator[Table]:
    for database in dict.fromkeys(str(r["database"]) for r in rows):
        own = [r for r in rows if r["database"] == database][:SHOWN]
        yield Table(
            f"{database}: most time since statements are counted",
            ("seconds", "calls", "mean", "rows/call", "statement"),
            tuple(
                (
                    float(r["seconds"]),
                    float(r["calls"]),
                    float(r["seconds"]) / max(float(r["calls"]), 1.0),
                    float(r["rows"]) / max(float(r["calls"]), 1.0),
                    one_line(str(r["query"])),
                )
                for r in own
            ),
            ("s", "{call}", "s", "{row}", ""),
        )
