"""Who blocks whom, and which transactions are open for too long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pgstead.model.advice import Answers, Diagnosis, Figure, Finding, Row, Severity, Subject
from pgstead.plan.advice.wording import literal

BLOCKED_CRITICAL = 30.0  # seconds that somebody has waited for a lock
OPEN_WARNING = 60.0  # seconds that a transaction is open
OPEN_CRITICAL = 900.0  # SRV-8: idle in a transaction for 15 minutes
_NOW = "now"
_DEEPEST = 20  # levels of a tree


def diagnose(answers: Answers) -> Diagnosis:
    """Return the blocking trees, by their roots, and the transactions that are open for long."""
    blocking, transactions = answers.of("blocking"), answers.of("transactions")
    roots = tuple(_trees(blocking, transactions))
    blamed = {f.evidence[0].value for f in roots}
    long = (f for f in _open(transactions) if f.evidence[0].value not in blamed)
    return Diagnosis(Subject.LOCKS, answers.at, (*roots, *long), answers.unseen)


def end_session(row: Row) -> str:
    """Return what ends a session, and no other that got its number since."""
    started = literal(str(row["backend_start"]))
    asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    return f"{asked} WHERE pid = {row['pid']} AND backend_start = {started}"


def cancel_statement(row: Row) -> str:
    """Return what cancels the statement that a session runs."""
    return end_session(row).replace("pg_terminate_backend", "pg_cancel_backend")


def _trees(rows: Sequence[Row], transactions: Sequence[Row]) -> Iterator[Finding]:
    for database in dict.fromkeys(str(r["database"]) for r in rows):
        sessions = {int(r["pid"]): r for r in rows if r["database"] == database}
        waiting = {pid: {int(b) for b in r["blockers"]} for pid, r in sessions.items()}
        blockers = {b for found in waiting.values() for b in found}
        prepared = [r for r in transactions if r["gid"] and r["datname"] == database]
        for root in sorted(b for b in blockers if not waiting.get(b)):
            yield _root(database, root, sessions, waiting, prepared)


def _root(
    database: str,
    root: int,
    sessions: Mapping[int, Row],
    waiting: Mapping[int, set[int]],
    prepared: Sequence[Row],
) -> Finding:
    below = [*_below(root, waiting, 1, (root,))]
    longest = max(
        (float(sessions[p]["wait_seconds"] or 0) for p, _ in below if p in sessions), default=0.0
    )
    row = sessions.get(root)
    shown = [_shown(row, root, 0), *(_shown(sessions.get(p), p, level) for p, level in below)]
    count = len({pid for pid, _ in below})
    who = _who(row) if row is not None else "a prepared transaction"
    do, sql = _cure(row, prepared)
    return Finding(
        "blocking-session" if row is not None else "blocking-prepared-transaction",
        Severity.CRITICAL if longest >= BLOCKED_CRITICAL else Severity.WARNING,
        database,
        f"{who} blocks {count} session{'s' if count > 1 else ''}",
        (
            Figure("session", f"{root}"),
            Figure("blocked", count, "{session}"),
            Figure("longest wait", longest, "s"),
            Figure("transaction open", row["xact_seconds"] if row is not None else None, "s"),
        ),
        _NOW,
        do,
        sql,
        tuple(shown),
    )


def _below(
    pid: int, waiting: Mapping[int, set[int]], level: int, path: tuple[int, ...]
) -> Iterator[tuple[int, int]]:
    """Yield who waits for a session, and for those; a circle is a deadlock that will be ended."""
    for waiter in sorted(w for w, found in waiting.items() if pid in found):
        if waiter in path or level > _DEEPEST:
            continue
        yield waiter, level
        yield from _below(waiter, waiting, level + 1, (*path, waiter))


def _shown(row: Row | None, pid: int, level: int) -> str:
    indent = "  " * level
    if row is None:
        return f"{indent}{pid or 'prepared transaction'}"
    wants = ""
    if row["mode"]:
        wants = f" waits {float(row['wait_seconds'] or 0):.1f} s for {row['mode']}"
        wants += f" on {row['relation']}" if row["relation"] else f" ({row['locktype']})"
    text = " ".join(str(row["query"]).split())
    return f"{indent}{pid} {row['usename']} {row['state']}{wants}: {text}"


def _who(row: Row) -> str:
    name = f" {row['application_name']}" if row["application_name"] else ""
    return f"session {row['pid']} ({row['usename']}{name}, {row['state']})"


def _cure(row: Row | None, prepared: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    if row is None:
        told = tuple(f"ROLLBACK PREPARED {literal(str(r['gid']))}" for r in prepared)
        return "commit or roll back the prepared transaction", told
    if row["state"] == "active":
        return "wait for its statement, or cancel it", (cancel_statement(row),)
    return (
        "let its program end the transaction; or end the session, which rolls it back",
        (end_session(row),),
    )


def _open(transactions: Sequence[Row]) -> Iterator[Finding]:
    for row in transactions:
        seconds = float(row["xact_seconds"] or 0)
        if seconds < OPEN_WARNING:
            continue
        prepared = bool(row["gid"])
        who = f"prepared transaction {row['gid']}" if prepared else _who(row)
        idle = str(row["state"]).startswith("idle in transaction")
        yield Finding(
            "long-transaction",
            Severity.CRITICAL if seconds >= OPEN_CRITICAL else Severity.WARNING,
            str(row["datname"]),
            f"{who} has a transaction open",
            (
                Figure("session", str(row["gid"] or row["pid"])),
                Figure("transaction open", seconds, "s"),
                Figure("in this state", row["state_seconds"], "s"),
                Figure("holds back vacuum by", row["xmin_age"], "{transaction}"),
            ),
            _NOW,
            _end_of_long(prepared=prepared, idle=idle),
            (
                f"ROLLBACK PREPARED {literal(str(row['gid']))}"
                if prepared
                else (end_session(row) if idle else cancel_statement(row)),
            ),
            ("" if prepared else " ".join(str(row["query"]).split()),),
        )


def _end_of_long(*, prepared: bool, idle: bool) -> str:
    if prepared:
        return "commit or roll it back; nothing else ever will"
    if idle:
        return "find out why its program does not end it; ending the session rolls it back"
    return "wait for its statement, or cancel it"
