"""Indexes that are broken, superfluous or unused, and foreign keys without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pgstead.model.advice import (
    Answers,
    Candidate,
    Diagnosis,
    Figure,
    Finding,
    Row,
    Severity,
    Subject,
    Trial,
    Unseen,
)
from pgstead.plan.advice.wording import identifier, qualified, since

UNUSED_DAYS = 7.0  # of counting, before "never used" means anything
UNUSED_BYTES = 1024 * 1024
ROWS_WORTH_AN_INDEX = 1000
GAIN = 0.5  # an index is advised where it at least halves the estimated cost
_DAY = 86_400


def diagnose(answers: Answers, trials: Sequence[Trial] | None) -> Diagnosis:
    """Return what is wrong with indexes; `trials` is None where no missing one was tried."""
    usage = answers.of("index_usage")
    unseen = [*answers.unseen, *_too_young(usage, answers.at)]
    if trials is None:
        unseen += _untried(answers)
    findings = (
        *_invalid(usage),
        *_duplicates(answers.of("index_duplicates")),
        *_unused(usage, answers.at),
        *(_missing(trial) for trial in trials or () if trial.gain >= GAIN),
    )
    return Diagnosis(Subject.INDEXES, answers.at, findings, tuple(unseen))


def candidates(answers: Answers) -> tuple[Candidate, ...]:
    """Return what the foreign keys make worth a try."""
    return tuple(
        Candidate(
            str(r["database"]),
            str(r["schemaname"]),
            str(r["relname"]),
            tuple(str(c) for c in r["columns"]),
            f"foreign key {r['conname']} to {r['referenced']}",
        )
        for r in answers.of("foreign_keys")
        if float(r["rows"]) >= ROWS_WORTH_AN_INDEX
    )


def _invalid(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["valid"] or row["building"]:
            continue
        name = _name(row)
        left_over = str(row["indexname"]).endswith(("_ccnew", "_ccold"))
        yield Finding(
            "invalid-index",
            Severity.WARNING,
            str(row["database"]),
            f"index {name} is not valid: every write keeps it, no query uses it",
            (Figure("size", row["bytes"], "By"), Figure("definition", str(row["definition"]))),
            "now",
            "remove what a broken REINDEX CONCURRENTLY left" if left_over else "build it anew",
            (
                f"DROP INDEX CONCURRENTLY {name}"
                if left_over
                else f"REINDEX INDEX CONCURRENTLY {name}",
            ),
        )


def _duplicates(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        yield Finding(
            "duplicate-index",
            Severity.ADVICE,
            str(row["database"]),
            f"index {_name(row)} does nothing that {row['covered_by']} does not",
            (
                Figure("size", row["bytes"], "By"),
                Figure("it", str(row["definition"])),
                Figure("the other", str(row["covering"])),
            ),
            "now",
            "drop it, by a migration where migrations made it; the shorter one may be faster to"
            " read, and costs each write",
            (f"DROP INDEX CONCURRENTLY {_name(row)}",),
        )


def _unused(rows: Sequence[Row], at: datetime) -> Iterator[Finding]:
    for row in rows:
        idle = row["scans"] == 0 and row["valid"] and not row["needed"]
        if not idle or row["bytes"] < UNUSED_BYTES or _days(row, at) < UNUSED_DAYS:
            continue
        yield Finding(
            "unused-index",
            Severity.ADVICE,
            str(row["database"]),
            f"index {_name(row)} was never used",
            (Figure("size", row["bytes"], "By"), Figure("scans", 0, "{scan}")),
            since(row["counted_since"], at),
            "drop it, if no standby and no yearly report uses it",
            (f"DROP INDEX CONCURRENTLY {_name(row)}",),
        )


def _too_young(rows: Sequence[Row], at: datetime) -> Iterator[Unseen]:
    for database in dict.fromkeys(str(r["database"]) for r in rows):
        days = max(_days(r, at) for r in rows if r["database"] == database)
        if days < UNUSED_DAYS:
            yield Unseen(
                f"unused indexes of {database}",
                f"use is counted for {days:.1f} days only; {UNUSED_DAYS:.0f} are needed",
            )


def _days(row: Row, at: datetime) -> float:
    return (at - row["counted_since"]).total_seconds() / _DAY


def _untried(answers: Answers) -> Iterator[Unseen]:
    count = len(candidates(answers))
    yield Unseen(
        "missing indexes",
        f"{count} foreign keys without an index, and the slowest statements, are candidates; no"
        " index is advised that was not tried: `pgstead inspect indexes --check` tries them on a"
        " copy of the cluster",
    )


def _missing(trial: Trial) -> Finding:
    tried = trial.candidate
    table = qualified(tried.schema, tried.table)
    columns = ", ".join(identifier(c) for c in tried.columns)
    return Finding(
        "missing-index",
        Severity.WARNING if trial.gain >= 0.9 else Severity.ADVICE,
        tried.database,
        f"an index on {table} ({columns}) would make a statement cheaper",
        (
            Figure("estimated cost now", trial.before),
            Figure("with the index", trial.after),
            Figure("less", trial.gain, "1"),
            Figure("size of the index", trial.bytes, "By"),
            Figure("for", tried.reason),
        ),
        "tried now, with EXPLAIN on a copy; the costs are the planner's estimates",
        "add it, by a migration; each write to the table will cost a little more",
        (f"CREATE INDEX CONCURRENTLY ON {table} ({columns})",),
        (f"now:  {trial.plan_before}", f"then: {trial.plan_after}"),
    )


def _name(row: Row) -> str:
    return qualified(str(row["schemaname"]), str(row["indexname"]))
