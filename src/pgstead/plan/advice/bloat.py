"""Space that holds nothing: dead rows, thin indexes, thin tables. All of it is estimated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgstead.model.advice import (
    Answers,
    Diagnosis,
    Figure,
    Finding,
    Row,
    Severity,
    Subject,
    Unseen,
)
from pgstead.plan.advice.wording import qualified

DEAD = 0.2  # of all rows
THIN = 0.4  # of the space
WORTH = 1024 * 1024  # bytes, below which nobody has to care


def diagnose(answers: Answers) -> Diagnosis:
    """Return tables and indexes that hold much space for nothing."""
    unseen = [
        Unseen(u.what, f"{u.reason}; `CREATE EXTENSION pgstattuple` lets it be measured")
        if u.what.startswith("measured tables")
        else u
        for u in answers.unseen
    ]
    findings = (
        *_dead(answers.of("dead_rows")),
        *_thin_indexes(answers.of("index_widths")),
        *_thin_tables(answers.of("measured_tables")),
    )
    return Diagnosis(Subject.BLOAT, answers.at, findings, tuple(unseen))


def _dead(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        share = row["dead"] / max(row["live"] + row["dead"], 1)
        wasted = share * row["bytes"]
        if share < DEAD or wasted < WORTH:
            continue
        table = qualified(str(row["schemaname"]), str(row["relname"]))
        yield Finding(
            "dead-rows",
            Severity.WARNING,
            str(row["database"]),
            f"{share:.0%} of the rows of {table} are dead (estimate)",
            (
                Figure("dead", row["dead"], "{row}"),
                Figure("live", row["live"], "{row}"),
                Figure("space, estimated", wasted, "By"),
                Figure("size", row["bytes"], "By"),
                Figure("last vacuum", _when(row["vacuumed"])),
            ),
            "now; rows are counted by the statistics, an estimate",
            "vacuum it; where that changes nothing, `pgstead inspect vacuum` says who holds it"
            " back",
            (f"VACUUM (ANALYZE) {table}",),
        )


def _thin_indexes(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        wasted = row["bytes"] - row["needed"]
        share = wasted / max(row["bytes"], 1)
        if share < THIN or wasted < WORTH:
            continue
        index = qualified(str(row["schemaname"]), str(row["indexname"]))
        yield Finding(
            "bloated-index",
            Severity.ADVICE,
            str(row["database"]),
            f"{share:.0%} of index {index} holds nothing (estimate)",
            (
                Figure("size", row["bytes"], "By"),
                Figure("needed, estimated", row["needed"], "By"),
            ),
            "as of the last VACUUM or ANALYZE; estimated from rows and widths",
            "build it anew beside the old one; writes go on meanwhile",
            (f"REINDEX INDEX CONCURRENTLY {index}",),
        )


def _thin_tables(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["free_ratio"] < THIN or row["free_bytes"] < WORTH:
            continue
        table = qualified(str(row["schemaname"]), str(row["relname"]))
        yield Finding(
            "bloated-table",
            Severity.ADVICE,
            str(row["database"]),
            f"{row['free_ratio']:.0%} of table {table} is free (estimate)",
            (
                Figure("size", row["bytes"], "By"),
                Figure("free, estimated", row["free_bytes"], "By"),
            ),
            "now, by pgstattuple_approx",
            "new rows will fill it; to give the space back VACUUM FULL rewrites the table, and"
            " nobody can read it meanwhile (pg_repack does without)",
            (f"VACUUM (FULL, ANALYZE) {table}",),
        )


def _when(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"
