"""Who holds back vacuum, what is near an end: transaction numbers, sequences, disk by slots."""

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
from pgstead.plan.advice.locks import end_session
from pgstead.plan.advice.wording import literal, qualified

HELD = 1_000_000  # transactions
HELD_SECONDS = 900.0
FROZEN_WARNING, FROZEN_CRITICAL = 0.25, 0.75  # of what the server stops at
SEQUENCE_WARNING, SEQUENCE_CRITICAL = 0.75, 0.9
SLOT_BYTES = 1024**3
_NOW = "now"


def diagnose(answers: Answers) -> Diagnosis:
    """Return what keeps vacuum from its work, and what comes near its end."""
    tables = answers.of("dead_rows")
    findings = (
        *_held(answers.of("horizon")),
        *_slots(answers.of("slots")),
        *_frozen(answers.of("freezing"), tables),
        *_switched_off(tables),
        *_sequences(answers.of("sequences")),
    )
    unseen = (*answers.unseen, *_unreadable(answers.of("sequences")))
    return Diagnosis(Subject.VACUUM, answers.at, findings, unseen)


def _held(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["age"] < HELD and (row["seconds"] or 0) < HELD_SECONDS:
            continue
        source, name = str(row["source"]), str(row["name"])
        do, sql = _released(row, source, name)
        yield Finding(
            "vacuum-held-back",
            Severity.WARNING,
            str(row["datname"]),
            f"{source} {name} ({row['who']}) holds back vacuum",
            (
                Figure("by", row["age"], "{transaction}"),
                Figure("for", row["seconds"], "s"),
            ),
            _NOW,
            do,
            sql,
        )


def _released(row: Row, source: str, name: str) -> tuple[str, tuple[str, ...]]:
    match source:
        case "session":
            told = {**row, "pid": name}
            return "end its transaction, or the session", (end_session(told),)
        case "prepared":
            return "commit or roll it back", (f"ROLLBACK PREPARED {literal(name)}",)
        case "slot":
            return (
                "let its reader come back; or drop it, and the reader has to begin anew",
                (f"SELECT pg_drop_replication_slot({literal(name)})",),
            )
        case _:
            return "hot_standby_feedback asks for it: look at the standby's long queries", ()


def _slots(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        lost = row["wal_status"] == "lost"
        if row["active"] or not (lost or (row["retained"] or 0) >= SLOT_BYTES):
            continue
        name = str(row["slot_name"])
        yield Finding(
            "slot-stuck",
            Severity.CRITICAL if lost else Severity.WARNING,
            str(row["datname"]),
            f"nobody reads from replication slot {name}",
            (
                Figure("WAL kept", row["retained"], "By"),
                Figure("state", str(row["wal_status"] or "unknown")),
            ),
            _NOW,
            "start its reader; where there is none any more, drop it",
            (f"SELECT pg_drop_replication_slot({literal(name)})",),
        )


def _frozen(rows: Sequence[Row], tables: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        used = max(row["age"], row["multixact_age"]) / row["stops_at"]
        if used < FROZEN_WARNING:
            continue
        oldest = sorted(
            (t for t in tables if t["database"] == row["datname"]),
            key=lambda t: float(t["frozen_age"]),
        )[-5:]
        yield Finding(
            "freeze-age",
            Severity.CRITICAL if used >= FROZEN_CRITICAL else Severity.WARNING,
            str(row["datname"]),
            f"{used:.0%} of the transaction numbers are used until the server refuses writes",
            (
                Figure("oldest transaction", row["age"], "{transaction}"),
                Figure("refuses writes at", row["stops_at"], "{transaction}"),
            ),
            _NOW,
            "freeze the oldest tables, and find out who holds back vacuum",
            tuple(
                f"VACUUM (FREEZE) {qualified(str(t['schemaname']), str(t['relname']))}"
                for t in reversed(oldest)
            )
            or ("VACUUM (FREEZE)",),
        )


def _switched_off(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if not row["autovacuum_off"]:
            continue
        table = qualified(str(row["schemaname"]), str(row["relname"]))
        yield Finding(
            "autovacuum-off",
            Severity.WARNING,
            str(row["database"]),
            f"autovacuum leaves {table} alone",
            (Figure("dead", row["dead"], "{row}"), Figure("size", row["bytes"], "By")),
            _NOW,
            "let autovacuum work on it again, and vacuum it once",
            (f"ALTER TABLE {table} RESET (autovacuum_enabled)", f"VACUUM (ANALYZE) {table}"),
        )


def _sequences(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["last_value"] is None or row["last_value"] / row["ceiling"] < SEQUENCE_WARNING:
            continue
        used = row["last_value"] / row["ceiling"]
        name = qualified(str(row["schemaname"]), str(row["sequencename"]))
        yield Finding(
            "sequence-near-its-end",
            Severity.CRITICAL if used >= SEQUENCE_CRITICAL else Severity.WARNING,
            str(row["database"]),
            f"{used:.0%} of the numbers of sequence {name} are given out",
            (
                Figure("last", row["last_value"]),
                Figure("ends at", row["ceiling"]),
                Figure("column", f"{row['owner']}.{row['attname']} {row['column_type']}"),
            ),
            _NOW,
            "make sequence and column bigint; ALTER COLUMN rewrites the table under a lock, so a"
            " large one needs stages (docs/how-to/change-tables-in-stages.md)",
            _widened(row, name),
        )


def _widened(row: Row, name: str) -> tuple[str, ...]:
    if row["owner"] is None or row["column_type"] == "bigint":
        return (f"ALTER SEQUENCE {name} AS bigint MAXVALUE 9223372036854775807",)
    column = '"' + str(row["attname"]).replace('"', '""') + '"'
    return (
        f"ALTER TABLE {row['owner']} ALTER COLUMN {column} TYPE bigint",
        f"ALTER SEQUENCE {name} AS bigint",
    )


def _unreadable(rows: Sequence[Row]) -> Iterator[Unseen]:
    for database in dict.fromkeys(str(r["database"]) for r in rows):
        count = sum(r["database"] == database and not r["readable"] for r in rows)
        if count:
            yield Unseen(
                f"{count} sequences of {database}",
                "the monitoring role may not read them: GRANT SELECT ON SEQUENCE ... TO it",
            )
