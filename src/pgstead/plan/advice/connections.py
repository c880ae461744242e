"""Sessions against their limits, sessions that do nothing, and pools of the wrong size (POL-7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgstead.model.advice import (
    Answers,
    Diagnosis,
    Figure,
    Finding,
    PoolUse,
    Row,
    Severity,
    Subject,
    Table,
    Unseen,
)
from pgstead.plan.advice.locks import end_session
from pgstead.plan.advice.wording import identifier, since

NEAR = 0.8  # of a limit
IDLE_SECONDS = 60.0
SAMPLES = 30  # that a pool is judged by, at the least
QUEUED = 0.01  # of the samples that saw clients wait
ROOMY = 0.25  # of a pool that was ever used
ROOMY_HOURS = 24.0
_NOW = "now"


def diagnose(answers: Answers, pools: Sequence[PoolUse]) -> Diagnosis:
    """Return limits that are near, sessions that hold what they do not use, pools to resize."""
    sessions = answers.of("sessions")
    findings = (
        *_near(answers.of("limits")),
        *_idle(answers.of("transactions")),
        *_plain(sessions),
        *(finding for use in pools for finding in _pool(use)),
    )
    young = tuple(_too_few(pools))
    return Diagnosis(
        Subject.CONNECTIONS, answers.at, findings, (*answers.unseen, *young), (_table(sessions),)
    )


def _near(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        scope, name = str(row["scope"]), str(row["name"])
        share = row["used"] / max(row["allowed"], 1)
        if share < NEAR:
            continue
        more = round(row["allowed"] * 2)
        yield Finding(
            "connections-near-limit",
            Severity.CRITICAL if share >= 1 else Severity.WARNING,
            name if scope == "database" else "",
            f"{scope} {name} has {share:.0%} of its connections in use".replace("  ", " "),
            (Figure("used", row["used"], "{session}"), Figure("allowed", row["allowed"])),
            _NOW,
            "look for a leak first (sessions that are idle for long); the budget is the"
            " manifest's: `pgstead explain server.max_connections`, and `up` sets the limits of"
            " its own roles again",
            _raised(scope, name, more),
        )


def _raised(scope: str, name: str, limit: int) -> tuple[str, ...]:
    match scope:
        case "role":
            return (f"ALTER ROLE {identifier(name)} CONNECTION LIMIT {limit}",)
        case "database":
            return (f"ALTER DATABASE {identifier(name)} CONNECTION LIMIT {limit}",)
        case _:
            return ()  # max_connections needs a restart, which `up` asks for


def _idle(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        idle = str(row["state"]).startswith("idle in transaction")
        if not idle or (row["state_seconds"] or 0) < IDLE_SECONDS:
            continue
        yield Finding(
            "idle-in-transaction",
            Severity.WARNING,
            str(row["datname"]),
            f"session {row['pid']} ({row['usename']} {row['application_name']}) is idle in a"
            " transaction",
            (
                Figure("idle", row["state_seconds"], "s"),
                Figure("transaction open", row["xact_seconds"], "s"),
            ),
            _NOW,
            "find out why its program does not end it; ending the session rolls it back",
            (end_session(row),),
            (" ".join(str(row["query"]).split()),),
        )


def _plain(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if not row["plain"]:
            continue
        yield Finding(
            "session-without-tls",
            Severity.CRITICAL,
            str(row["datname"]),
            f"{row['usename']} is connected over the network without TLS",
            (Figure("sessions", row["plain"], "{session}"),),
            _NOW,
            "`pgstead plan` shows an edited pg_hba.conf, `pgstead up` mends it",
        )


def _pool(use: PoolUse) -> Iterator[Finding]:
    if len(use.busy) < SAMPLES:
        return
    queued = sum(w > 0 for w in use.waiting) / max(len(use.waiting), 1)
    peak = max(use.busy)
    hours = (use.ended - use.begun).total_seconds() / 3600
    evidence = (
        Figure("servers", use.size),
        Figure("most in use", peak),
        Figure("samples with a queue", queued, "1"),
        Figure("longest wait", use.longest, "s"),
        Figure("samples", len(use.busy)),
    )
    window = since(use.begun, use.ended)
    if queued >= QUEUED and peak >= use.size:
        yield Finding(
            "pool-too-small",
            Severity.WARNING,
            use.database,
            f"clients wait for one of the {use.size:.0f} servers of {use.database}",
            evidence,
            window,
            "look for long transactions first (`pgstead inspect locks`); else set"
            f' `default_pool_size = "{round(use.size * 1.5)}"` in `[pooler.settings]`, and'
            " `pgstead plan` reckons whether the server has room",
        )
    elif peak <= ROOMY * use.size and hours >= ROOMY_HOURS:
        yield Finding(
            "pool-too-large",
            Severity.ADVICE,
            use.database,
            f"{use.database} never used more than {peak:.0f} of {use.size:.0f} servers",
            evidence,
            window,
            "fewer would leave memory to the others: set"
            f' `default_pool_size = "{max(round(peak * 2), 2)}"` in `[pooler.settings]`',
        )


def _too_few(pools: Sequence[PoolUse]) -> Iterator[Unseen]:
    for use in pools:
        if len(use.busy) < SAMPLES:
            yield Unseen(
                f"size of the pool of {use.database}",
                f"there are {len(use.busy)} samples; {SAMPLES} are needed to judge it",
            )


def _table(rows: Sequence[Row]) -> Table:
    return Table(
        "sessions now",
        ("number", "database", "role", "program", "state", "longest"),
        tuple(
            (
                row["sessions"], str(row["datname"]), str(row["usename"]),
                str(row["application_name"]), str(row["state"]), row["longest"],
            )
            for row in rows
        ),
        ("{session}", "", "", "", "", "s"),
    )  # fmt: skip
