"""Reads that the cache did not save, writes that came too early, and whether times are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pgstead.model.advice import Answers, Diagnosis, Figure, Finding, Row, Severity, Subject, Table
from pgstead.plan.advice.wording import identifier, literal, since

HIT = 0.9
READS = 100_000  # blocks, below which a share says nothing
TEMPORARY = 1024**3  # bytes in an hour
EARLY = 0.5  # of all checkpoints
CHECKPOINTS = 10
_HOUR = 3600


def diagnose(answers: Answers) -> Diagnosis:
    """Return what makes the server read and write more than it has to."""
    databases = answers.of("database_io")
    findings = (
        *_untimed(databases),
        *_uncached(databases, answers.at),
        *_temporary(databases, answers.at),
        *_early(answers.of("checkpoints"), answers.at),
    )
    tables = tuple(_table(answers.of("io"), answers.at))
    return Diagnosis(Subject.IO, answers.at, findings, answers.unseen, tables)


def _untimed(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["timed"]:
            continue
        name = identifier(str(row["datname"]))
        own = row["timed_by"] == "database"
        sql = f"ALTER DATABASE {name} " + (
            "RESET track_io_timing" if own else "SET track_io_timing = on"
        )
        yield Finding(
            "io-not-timed",
            Severity.ADVICE,
            str(row["datname"]),
            "how long reads and writes take is not counted",
            (Figure("track_io_timing", "off"), Figure("from", str(row["timed_by"]))),
            "now",
            "turn it on for new sessions",
            (sql,),
        )


def _uncached(rows: Sequence[Row], at: datetime) -> Iterator[Finding]:
    for row in rows:
        hit = row["hit"] / max(row["hit"] + row["read"], 1)
        if row["read"] < READS or hit >= HIT:
            continue
        yield Finding(
            "reads-past-the-cache",
            Severity.ADVICE,
            str(row["datname"]),
            f"only {hit:.0%} of the blocks were in the server's cache",
            (
                Figure("read", row["read"], "{block}"),
                Figure("found in the cache", row["hit"], "{block}"),
                Figure("time reading", row["read_seconds"] if row["timed"] else None, "s"),
            ),
            since(row["counted_since"], at),
            "look which statements read so much (`pgstead inspect queries`, `indexes`); else give"
            " the server more memory: `[server] memory` in the manifest. Then count anew",
            ("SELECT pg_stat_reset()",),
        )


def _temporary(rows: Sequence[Row], at: datetime) -> Iterator[Finding]:
    for row in rows:
        hours = max((at - row["counted_since"]).total_seconds() / _HOUR, 1.0)
        rate = row["temp_bytes"] / hours
        if rate < TEMPORARY:
            continue
        yield Finding(
            "temporary-files",
            Severity.ADVICE,
            str(row["datname"]),
            "sorts and joins write large temporary files",
            (
                Figure("an hour", rate, "By"),
                Figure("files", row["temp_files"], "{file}"),
            ),
            since(row["counted_since"], at),
            "`pgstead inspect queries` names the statements, and the work_mem that they need",
            ("SELECT pg_stat_reset()",),
        )


def _early(rows: Sequence[Row], at: datetime) -> Iterator[Finding]:
    for row in rows:
        count = row["timed"] + row["requested"]
        if count < CHECKPOINTS or row["requested"] / count < EARLY:
            continue
        yield Finding(
            "early-checkpoints",
            Severity.ADVICE,
            "",
            "most checkpoints came before their time",
            (
                Figure("requested", row["requested"], "{checkpoint}"),
                Figure("by the clock", row["timed"], "{checkpoint}"),
                Figure("max_wal_size", str(row["max_wal_size"])),
            ),
            since(row["counted_since"], at),
            "where no backups or CHECKPOINT commands asked for them: double max_wal_size in"
            " `[server.settings]` of the manifest; then count anew",
            (f"SELECT pg_stat_reset_shared({literal(str(row['counters']))})",),
        )


def _table(rows: Sequence[Row], at: datetime) -> Iterator[Table]:
    if not rows:
        return
    yield Table(
        f"by process, {since(rows[0]['counted_since'], at)}",
        ("process", "what", "read", "time", "written", "time of it"),
        tuple(
            (
                str(r["backend_type"]), f"{r['object']} {r['context']}", r["read_bytes"],
                r["read_seconds"], r["written_bytes"], r["write_seconds"],
            )
            for r in rows
        ),
        ("", "", "By", "s", "By", "s"),
    )  # fmt: skip
